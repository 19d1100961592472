"""The load harness: requests at a fixed rate or from a number of callers, and what came back, checked and measured.

It is a client of any Open Inference Protocol server and knows no service of ours. `neuralmesh load` and the benchmarks
stand on it.
"""
