"""The shards of a job that wait to be run, by the slot that each is meant for; a heap a slot, nothing is scanned."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from neuralmesh_server.labor import schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuralmesh_server.labor.schedule import Epoch


class Board:
    """Who may take what next. A shard waits or does not; which results there are is the job's business.

    Args:
        costs: Of every shard.
        actions: Digest of every shard's action.

    Attributes:
        waiting: Number of shards that wait.
        epoch: The epoch that placement follows; None before the first slot.
    """

    def __init__(self, costs: Sequence[int], actions: Sequence[str]) -> None:
        self._costs = [max(cost, 1) for cost in costs]  # a load of 0 stands for nothing that waits
        self._actions = actions
        self.order = schedule.longest_first(costs, actions)
        self._rank = [0] * len(costs)
        for rank, shard in enumerate(self.order):
            self._rank[shard] = rank
        self._waits = bytearray(len(costs))
        self._home = [schedule.NOWHERE] * len(costs)
        self._heaps: list[list[int]] = []
        self._loads: list[int] = []
        self._slots: dict[str, int] = {}
        self.waiting = 0
        self.epoch: Epoch | None = None

    def enter(self, slots: Sequence[str], pending: Sequence[int]) -> Epoch:
        """Begin an epoch: place what has no result on these slots; returns what is to be recorded."""
        return self.restore(
            schedule.place(self.order, self._costs, self._actions, slots=slots, pending=pending, before=self.epoch)
        )

    def restore(self, epoch: Epoch) -> Epoch:
        """Follow an epoch that was recorded."""
        self.epoch = epoch
        self._slots = {name: slot for slot, name in enumerate(epoch.slots)}
        self._heaps = [[] for _ in epoch.slots]
        self._loads = [0] * len(epoch.slots)
        self._home = [schedule.NOWHERE] * len(self._costs)
        for shard, slot in zip(epoch.pending, epoch.assigned, strict=True):
            self._home[shard] = slot
        for shard in epoch.pending:
            if self._waits[shard]:
                self._enqueue(shard)
        if self._heaps:
            for shard in self.shards():
                if self._home[shard] == schedule.NOWHERE:  # it had a result when the epoch began, and lost it
                    self._enqueue(shard)
        return epoch

    def put(self, shard: int) -> None:
        """Let a shard wait; repeating it changes nothing."""
        if self._waits[shard]:
            return
        self._waits[shard] = 1
        self.waiting += 1
        if self._heaps:
            self._enqueue(shard)

    def remove(self, shard: int) -> None:
        """Let a shard wait no longer; repeating it changes nothing."""
        if not self._waits[shard]:
            return
        self._waits[shard] = 0
        self.waiting -= 1
        if self._heaps:
            self._loads[self._home[shard]] -= self._costs[shard]

    def waits(self, shard: int) -> bool:
        """Say whether a shard waits."""
        return bool(self._waits[shard])

    def shards(self) -> Iterable[int]:
        """Return all shards that wait, ascending; a look at every shard."""
        return (shard for shard, waits in enumerate(self._waits) if waits)

    def look(self, own: Iterable[str]) -> int | None:
        """Return the shard that somebody with these slots should take: of the most loaded of them, else of any."""
        if not self.waiting or not self._heaps:
            return None
        slots = [self._slots[name] for name in own if name in self._slots]
        slot = max((slot for slot in slots if self._loads[slot]), key=self._load, default=None)
        if slot is None:
            slot = max(range(len(self._loads)), key=self._load)
        heap = self._heaps[slot]
        while True:
            shard = self.order[heap[0]]
            if self._waits[shard] and self._home[shard] == slot:
                return shard
            heapq.heappop(heap)

    def _load(self, slot: int) -> int:
        return self._loads[slot]

    def _enqueue(self, shard: int) -> None:
        if self._home[shard] == schedule.NOWHERE:  # it had a result when the epoch began
            self._home[shard] = schedule.rendezvous(self._actions[shard], tuple(self._slots))
        slot = self._home[shard]
        heapq.heappush(self._heaps[slot], self._rank[shard])
        self._loads[slot] += self._costs[shard]
