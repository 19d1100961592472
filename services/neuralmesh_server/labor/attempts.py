"""How often a shard may fail, and which failure ends its job.

A failure that every worker would meet ends the job, but only when all shards before it have a result or have failed as
well: so a job whose data is bad names the same first shard on every run. A failure that another worker may not meet is
tried again, LIMIT times. Workers that vanish are counted apart, up to LOSSES: a shard that takes its workers down would
otherwise take one after the other. A worker that says goodbye counts for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.labor.records import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 5
"""Failures of a shard that end its job."""

LOSSES = 10
"""Workers lost with a shard that end its job."""

SUSPECT = 3
"""Workers lost with a shard after which it is handed out alone, so that it takes no other shard along."""


class Attempts:
    """The failures of one job.

    Args:
        describe: Returns the words that name a shard, its file and its rows.

    Attributes:
        retries: Times that a shard had to be run again.
    """

    def __init__(self, describe: Callable[[int], str]) -> None:
        self._describe = describe
        self._failed: dict[int, int] = {}
        self._lost: dict[int, int] = {}
        self._fatal: dict[int, Problem] = {}
        self.retries = 0

    @property
    def bound(self) -> int | None:
        """The lowest shard that cannot be run: those from it on need not be; None while there is none."""
        return min(self._fatal, default=None)

    @property
    def problem(self) -> Problem | None:
        """The failure of that shard."""
        bound = self.bound
        return None if bound is None else self._fatal[bound]

    def fail(self, shard: int, reason: str, message: str, *, retryable: bool) -> None:
        """Note that a worker could not run a shard."""
        if not retryable:
            self.end(shard, Problem(reason, message))
            return
        self.retries += 1
        count = self._failed[shard] = self._failed.get(shard, 0) + 1
        if count >= LIMIT:
            why = f"{self._describe(shard)} failed {count} times, at last: {message}"
            self.end(shard, Problem(reason, why))

    def lose(self, shard: int) -> None:
        """Note that a worker vanished with a shard."""
        self.retries += 1
        count = self._lost[shard] = self._lost.get(shard, 0) + 1
        if count >= LOSSES:
            why = f"{self._describe(shard)} was lost with its worker {count} times: it may be what takes workers down"
            self.end(shard, Problem("MODEL_FAILED", why))

    def end(self, shard: int, problem: Problem) -> None:
        """Note that a shard cannot be run at all; the first reason stays."""
        self._fatal.setdefault(shard, problem)

    def done(self, shard: int) -> None:
        """Forget the failures of a shard that has a result."""
        self._failed.pop(shard, None)
        self._lost.pop(shard, None)
        self._fatal.pop(shard, None)

    def suspect(self, shard: int) -> bool:
        """Say whether a shard is to be handed out alone."""
        return self._lost.get(shard, 0) >= SUSPECT
