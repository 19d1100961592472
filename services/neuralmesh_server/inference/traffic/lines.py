"""Who waits for a run, in which order: by model, by version, by priority, and then by arrival. It admits nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from neuralmesh_server.inference.policy import Limits
    from neuralmesh_server.inference.traffic.admission import Admitted

HIGHEST, DEFAULT_LEVEL, LOWEST = 1, 5, 9
"""Priorities: 1 goes first; 0 stands for the default; what is beyond the lowest counts as the lowest."""


def level_of(priority: int) -> int:
    """Return the level, HIGHEST to LOWEST, of a request's parameter `priority`."""
    return min(priority, LOWEST) if priority else DEFAULT_LEVEL


@dataclass(frozen=True, slots=True)
class Want:
    """What a run asks for.

    Attributes:
        version: What runs.
        level: Its priority, HIGHEST to LOWEST.
        threaded: True when it needs a thread.
        until: When it must have started, on `time.monotonic`; None for no limit.
        cost_ns: How long it is expected to take.
        size: Bytes of the request.
        at_once: Most such runs of the version at once, beside the model's limits; None for no limit of its own.
        shared: True when the version leaves a part of the model's places to others.
    """

    version: int
    level: int
    threaded: bool
    until: float | None
    cost_ns: int
    size: int = 0
    at_once: int | None = None
    shared: bool = False


@dataclass(slots=True, eq=False)
class Ticket:
    """One that waits; `level` may rise above that of its want, and `number` says when it came to that level."""

    want: Want
    level: int
    number: int
    granted: asyncio.Future[Admitted]


class Line:
    """Tickets in the order in which they are served; taking one out costs the same wherever it is."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: tuple[dict[int, Ticket], ...] = tuple({} for _ in range(HIGHEST, LOWEST + 1))

    def __bool__(self) -> bool:
        return any(self._levels)

    def put(self, ticket: Ticket) -> None:
        """Add a ticket, the last of its level."""
        self._levels[ticket.level - HIGHEST][ticket.number] = ticket

    def remove(self, ticket: Ticket) -> None:
        """Take out a ticket, if it is there."""
        self._levels[ticket.level - HIGHEST].pop(ticket.number, None)

    def first(self) -> Ticket | None:
        """Return whose turn it is."""
        return next((next(iter(level.values())) for level in self._levels if level), None)

    def all(self) -> list[Ticket]:
        """Return all tickets."""
        return [ticket for level in self._levels for ticket in level.values()]


@dataclass(slots=True, eq=False)
class Share:
    """One version: what runs, and who waits for a thread and who for nothing but a limit."""

    queued: int = 0
    running: int = 0
    threads: int = 0
    threaded: Line = field(default_factory=Line)
    others: Line = field(default_factory=Line)

    @property
    def idle(self) -> bool:
        """True when nothing runs or waits."""
        return not (self.queued or self.running or self.threaded or self.others)

    def line(self, *, threaded: bool) -> Line:
        """Return the line for a thread, or the other one."""
        return self.threaded if threaded else self.others


@dataclass(slots=True, eq=False)
class Lane:
    """One model: its versions, and their sums; `size` is the bytes of what waits and of what another server runs."""

    model: str
    limits: Limits
    queued: int = 0
    running: int = 0
    threads: int = 0
    size: int = 0
    shares: dict[int, Share] = field(default_factory=dict)

    def share(self, version: int) -> Share:
        """Return what a version has."""
        return self.shares.setdefault(version, Share())

    def queue(self, version: int, more: int) -> None:
        """Count so many more, or fewer, that have a place in the queue."""
        self.queued += more
        self.share(version).queued += more

    def tidy(self) -> None:
        """Forget versions that do nothing."""
        for version in [version for version, share in self.shares.items() if share.idle]:
            del self.shares[version]

    def run(self, want: Want, more: int) -> None:
        """Count so many more, or fewer, that run."""
        share = self.share(want.version)
        self.running += more
        share.running += more
        if want.threaded:
            self.threads += more
            share.threads += more
