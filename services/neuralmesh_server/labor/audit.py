"""Audits: which shards a second worker runs as well, and who may run them.

They are chosen by the digests of their actions, so that the same plan has the same audits, whoever runs it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

MILLION = 1_000_000
_DIGITS = slice(-16, None)


def chosen(action: str, share_ppm: int) -> bool:
    """Say whether an action is audited where this share is, in parts per million."""
    return int(action[_DIGITS], 16) % MILLION < share_ppm


class SecondRuns:
    """Shards of a job that are to be run by somebody who has not run them yet, by those who have."""

    def __init__(self) -> None:
        self._open: dict[int, frozenset[str]] = {}
        self._queues: dict[frozenset[str], deque[int]] = {}
        self._waiting: set[int] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, shard: int) -> bool:
        return shard in self._open

    def vouchers(self, shard: int) -> frozenset[str]:
        """Return who has run an open shard."""
        return self._open[shard]

    def add(self, shard: int, vouchers: frozenset[str]) -> None:
        """Open a shard, or let it wait again."""
        queued = shard in self._waiting and self._open.get(shard) == vouchers
        self._open[shard] = vouchers
        self._waiting.add(shard)
        if not queued:
            self._queues.setdefault(vouchers, deque()).append(shard)

    def close(self, shard: int) -> bool:
        """Close a shard; says whether it was open."""
        self._waiting.discard(shard)
        return self._open.pop(shard, None) is not None

    def take(self, worker: str, *, own: bool = False) -> int | None:
        """Return a shard that a worker has not run; with `own` also one that it has."""
        for vouchers in list(self._queues):
            queue = self._queues[vouchers]
            while queue and not (queue[0] in self._waiting and self._open.get(queue[0]) == vouchers):
                queue.popleft()
            if not queue:
                del self._queues[vouchers]
            elif own or worker not in vouchers:
                shard = queue.popleft()
                self._waiting.discard(shard)
                return shard
        return None

    def others(self, workers: AbstractSet[str]) -> bool:
        """Say whether some of these workers could run something that waits."""
        return any(workers - self._open[shard] for shard in self._waiting)

    def of(self, action: str, actions: Sequence[str]) -> list[int]:
        """Return the open shards of an action, given the actions of all shards."""
        return [shard for shard in self._open if actions[shard] == action]

    def shards(self) -> list[int]:
        """Return all open shards."""
        return list(self._open)

    def lowest(self) -> int:
        """Return the lowest shard that is open; there is one."""
        return min(self._open)
