"""Which runs start when: bounded queues for each model, priorities, and threads shared fairly between models.

A run that would exceed its model's limit, or for which no thread is free, waits: the highest priority first, and in
order of arrival within one. A model may take all threads but one, unless its policy says otherwise, so that runs of it
that do not end leave another model its turn; a thread that becomes free goes to the model that waited longest for one.
It runs nothing itself. Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh_server.errors import DeadlineExceededError, ResourceExhaustedError, UnavailableError

if TYPE_CHECKING:
    from neuralmesh_server.inference.policy import Limits

HIGHEST, DEFAULT_LEVEL, LOWEST = 1, 5, 9
"""Priorities: 1 goes first; 0 stands for the default; what is beyond the lowest counts as the lowest."""

FIRST_HINT_SECONDS, LAST_HINT_SECONDS = 0.01, 5.0
"""Range of the hint when to try again."""


def level_of(priority: int) -> int:
    """Return the level, HIGHEST to LOWEST, of a request's parameter `priority`."""
    return min(priority, LOWEST) if priority else DEFAULT_LEVEL


@dataclass(frozen=True, slots=True)
class Want:
    """What a run asks for.

    Attributes:
        level: Its priority, HIGHEST to LOWEST.
        threaded: True when it needs a thread.
        until: When it must have started, on `time.monotonic`; None for no limit.
        cost_ns: How long it is expected to take.
    """

    level: int
    threaded: bool
    until: float | None
    cost_ns: int


class Admitted:
    """A run that may take place, until everyone who holds this has released it."""

    __slots__ = ("_admission", "_holds", "_lane", "_threaded")

    def __init__(self, admission: Admission, lane: _Lane, *, threaded: bool) -> None:
        self._admission = admission
        self._lane = lane
        self._threaded = threaded
        self._holds = 1

    def hold(self) -> None:
        """Keep the place for one more."""
        self._holds += 1

    def release(self) -> None:
        """Hold it no longer; the last one to do so makes room for another run."""
        self._holds -= 1
        assert self._holds >= 0
        if not self._holds:
            self._admission._left(self._lane, threaded=self._threaded)  # noqa: SLF001 - two halves of one thing


@dataclass(slots=True, eq=False)
class _Ticket:
    want: Want
    number: int
    granted: asyncio.Future[Admitted]


class _Line:
    """Tickets in the order in which they are served; taking one out costs the same wherever it is."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: tuple[dict[int, _Ticket], ...] = tuple({} for _ in range(HIGHEST, LOWEST + 1))

    def put(self, ticket: _Ticket) -> None:
        self._levels[ticket.want.level - HIGHEST][ticket.number] = ticket

    def remove(self, ticket: _Ticket) -> None:
        self._levels[ticket.want.level - HIGHEST].pop(ticket.number, None)

    def first(self) -> _Ticket | None:
        return next((next(iter(level.values())) for level in self._levels if level), None)

    def all(self) -> list[_Ticket]:
        return [ticket for level in self._levels for ticket in level.values()]


@dataclass(slots=True, eq=False)
class _Lane:
    """One model: what runs, and who waits for a thread and who for nothing but the model's own limit."""

    model: str
    limits: Limits
    queued: int = 0
    running: int = 0
    threads: int = 0
    threaded: _Line = field(default_factory=_Line)
    others: _Line = field(default_factory=_Line)

    @property
    def full(self) -> bool:
        return self.limits.max_running is not None and self.running >= self.limits.max_running

    @property
    def idle(self) -> bool:
        return not self.queued and not self.running


class Admission:
    """Admits runs.

    Args:
        threads: How many runs in threads there may be at once.
    """

    def __init__(self, threads: int) -> None:
        self._threads = self._free = threads
        self._lanes: dict[str, _Lane] = {}  # those with a thread longest ago come first
        self._numbers = 0
        self._closed = False

    async def admit(self, model: str, limits: Limits, want: Want, *, reserved: bool = False) -> Admitted:
        """Return when the run may take place; the caller releases it.

        Args:
            model: Whose run it is.
            limits: What holds for the model from now on.
            want: What the run asks for.
            reserved: True when its place in the queue is reserved already.

        Raises:
            ResourceExhaustedError: QUEUE_FULL, with a hint when to try again.
            DeadlineExceededError: DEADLINE_EXPIRED: it could not start in time.
            UnavailableError: NOT_SERVING: the node stops.
        """
        lane = self._lane(model, limits)
        line = lane.threaded if want.threaded else lane.others
        if line.first() is None and self._has_room(lane, want):
            return self._grant(lane, want)
        if not reserved:
            self.reserve(model, limits, want)
        self._numbers += 1
        ticket = _Ticket(want, self._numbers, asyncio.get_running_loop().create_future())
        line.put(ticket)
        try:
            return await self._wait(ticket)
        except BaseException:
            line.remove(ticket)
            granted = ticket.granted
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                granted.result().release()  # it was let in, and went away in the same moment
            raise
        finally:
            if not reserved:
                self.unreserve(model)

    def reserve(self, model: str, limits: Limits, want: Want) -> None:
        """Take a place in a model's queue, or raise QUEUE_FULL; also NOT_SERVING."""
        if self._closed:
            raise stops()
        lane = self._lane(model, limits)
        if lane.queued >= limits.max_queued:
            seconds = lane.queued * want.cost_ns * 1e-9 / max(lane.running, 1)
            raise ResourceExhaustedError(
                "QUEUE_FULL",
                f"{lane.queued} requests of model {model!r} wait on this node, as many as may",
                model=model,
                limit=limits.max_queued,
            ).retry_after(min(max(seconds, FIRST_HINT_SECONDS), LAST_HINT_SECONDS))
        lane.queued += 1

    def unreserve(self, model: str) -> None:
        """Give a place in a model's queue back."""
        lane = self._lanes[model]
        lane.queued -= 1
        self._forget(lane)

    def close(self) -> None:
        """Refuse what waits and whatever comes: nothing of it ran."""
        self._closed = True
        for lane in self._lanes.values():
            for ticket in (*lane.threaded.all(), *lane.others.all()):
                if not ticket.granted.done():
                    ticket.granted.set_exception(stops())

    async def _wait(self, ticket: _Ticket) -> Admitted:
        until = ticket.want.until
        if until is None:
            return await ticket.granted
        started = time.monotonic()
        timer = asyncio.get_running_loop().call_later(max(until - started, 0.0), _expire, ticket.granted, started)
        try:
            return await ticket.granted
        finally:
            timer.cancel()

    def _left(self, lane: _Lane, *, threaded: bool) -> None:
        lane.running -= 1
        if threaded:
            lane.threads -= 1
            self._free += 1
            self._to_the_end(lane)
        self._serve(lane)
        self._share()
        self._forget(lane)

    def _serve(self, lane: _Lane) -> None:
        """Let in who needs no thread, where a higher priority does not wait for one."""
        while (ticket := lane.others.first()) is not None and self._has_room(lane, ticket.want):
            ahead = lane.threaded.first()
            if ahead is not None and _before(ahead, ticket) and self._has_room(lane, ahead.want):
                self._let_in(lane, lane.threaded, ahead)
            else:
                self._let_in(lane, lane.others, ticket)

    def _share(self) -> None:
        """Give free threads to the models that wait for one, in turns."""
        while self._free:
            for lane in self._lanes.values():
                ticket = lane.threaded.first()
                if ticket is not None and self._has_room(lane, ticket.want):
                    self._let_in(lane, lane.threaded, ticket)
                    break
            else:
                return

    def _let_in(self, lane: _Lane, line: _Line, ticket: _Ticket) -> None:
        line.remove(ticket)
        if not ticket.granted.done():
            ticket.granted.set_result(self._grant(lane, ticket.want))

    def _has_room(self, lane: _Lane, want: Want) -> bool:
        if lane.full:
            return False
        if not want.threaded:
            return True
        most = self._threads if lane.limits.max_running is not None else max(self._threads - 1, 1)
        return self._free > 0 and lane.threads < most

    def _grant(self, lane: _Lane, want: Want) -> Admitted:
        if self._closed:
            raise stops()
        lane.running += 1
        if want.threaded:
            lane.threads += 1
            self._free -= 1
            self._to_the_end(lane)
        return Admitted(self, lane, threaded=want.threaded)

    def _to_the_end(self, lane: _Lane) -> None:
        """Let the turns of all other models come first."""
        self._lanes[lane.model] = self._lanes.pop(lane.model)

    def _lane(self, model: str, limits: Limits) -> _Lane:
        lane = self._lanes.get(model)
        if lane is None:
            lane = self._lanes[model] = _Lane(model, limits)
        lane.limits = limits
        return lane

    def _forget(self, lane: _Lane) -> None:
        if lane.idle and self._lanes.get(lane.model) is lane:
            del self._lanes[lane.model]


def _before(one: _Ticket, other: _Ticket) -> bool:
    return (one.want.level, one.number) < (other.want.level, other.number)


def _expire(granted: asyncio.Future[Admitted], started: float) -> None:
    if not granted.done():
        granted.set_exception(expired(time.monotonic() - started))


def expired(seconds: float) -> DeadlineExceededError:
    """Return the error of a request that waited too long to run."""
    return DeadlineExceededError("DEADLINE_EXPIRED", f"the request waited for {seconds:.3f} seconds and did not run")


def stops() -> UnavailableError:
    """Return the error of a request that a stopping node did not run."""
    return UnavailableError("NOT_SERVING", "this node stops; the request did not run")
