"""One registry and many edge nodes in one thread, on a clock that jumps from one event to the next.

Everything that decides is the real code: the registry's rules, planner and hub, the node's follower, replica, loader and
store. Only the line between them, the time, and the disk's luck are made here, all from one seed.
"""
