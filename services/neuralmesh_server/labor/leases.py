"""Leases: who may commit the result of which shard, and until when. In memory only: a restart ends them all.

A lease is named by its fencing token. Tokens grow, also over restarts, since they begin with the generation of the
service, which is stored; so no lease of before a restart is ever taken for one of after it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REMEMBERED = 100_000
"""Lost leases that are remembered, so that results that come too late can still be compared."""

_GENERATION_BITS = 32


@dataclass(slots=True)
class Hold:
    """A lease.

    Attributes:
        token: Its fencing token.
        job: The job.
        shard: The shard.
        action: Digest of its action.
        worker: Name of the worker.
        incarnation: Which process of that name.
        since: When it was given, on the monotonic clock.
        until: When it ends unless it is renewed.
        again: The shard has a result, and this is its audit.
        committing: Its result is being stored, so that time does not end it.
        unverified: Nothing is promised of its bits.
    """

    token: int
    job: str
    shard: int
    action: str
    worker: str
    incarnation: str
    since: float
    until: float
    again: bool = False
    committing: bool = False
    unverified: bool = False


class LeaseTable:
    """All leases of the service."""

    def __init__(self) -> None:
        self._next = 0
        self._held: dict[int, Hold] = {}
        self._ends: list[tuple[float, int]] = []
        self._by_worker: dict[str, set[int]] = {}
        self._lost: OrderedDict[int, Hold] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def begin(self, generation: int) -> None:
        """Let tokens be larger than those of all starts before, given the number of this one."""
        self._next = generation << _GENERATION_BITS

    def next_token(self) -> int:
        """Return a token that is larger than all before."""
        self._next += 1
        return self._next

    def grant(self, hold: Hold) -> None:
        """Let a lease hold."""
        self._held[hold.token] = hold
        self._by_worker.setdefault(hold.worker, set()).add(hold.token)
        heapq.heappush(self._ends, (hold.until, hold.token))

    def get(self, token: int) -> Hold | None:
        """Return a lease that holds."""
        return self._held.get(token)

    def lost(self, token: int) -> Hold | None:
        """Return a lease that was lost, while it is remembered."""
        return self._lost.get(token)

    def release(self, hold: Hold) -> None:
        """End a lease whose work is done. Repeating it changes nothing."""
        self._held.pop(hold.token, None)
        tokens = self._by_worker.get(hold.worker)
        if tokens is not None:
            tokens.discard(hold.token)
            if not tokens:
                del self._by_worker[hold.worker]

    def lose(self, hold: Hold) -> None:
        """End a lease whose worker may still be at work, and remember it."""
        self.release(hold)
        self._lost[hold.token] = hold
        if len(self._lost) > REMEMBERED:
            self._lost.popitem(last=False)

    def of_worker(self, worker: str) -> list[Hold]:
        """Return a worker's leases, oldest first."""
        return [self._held[token] for token in sorted(self._by_worker.get(worker, ()))]

    def expired(self, now: float) -> Iterator[Hold]:
        """Yield leases whose time is over, which the caller ends."""
        again = []
        while self._ends and self._ends[0][0] <= now:
            _, token = heapq.heappop(self._ends)
            hold = self._held.get(token)
            if hold is None:
                continue
            if hold.until > now or hold.committing:  # renewed since it was queued
                again.append((max(hold.until, now), token))
                continue
            yield hold
        for entry in again:
            heapq.heappush(self._ends, entry)
