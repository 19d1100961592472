"""Which runs start when: bounded queues for each model, priorities, and threads shared fairly between models.

A run that would exceed its model's limit, or for which no thread is free, waits: the highest priority first, and in
order of arrival within one. A model may take all threads but one, unless its policy says otherwise, so that runs of it
that do not end leave another model its turn; a thread that becomes free goes to the model that waited longest for one.
Where a model's versions share its traffic, each leaves the others a part of whatever the model may have. What waits
holds no more than so many bytes over all models, and of these a model leaves the others a part. It runs nothing itself.
Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from neuralmesh_server.errors import DeadlineExceededError, ResourceExhaustedError, UnavailableError
from neuralmesh_server.inference.traffic.lines import Lane, Ticket

if TYPE_CHECKING:
    from neuralmesh_server.inference.policy import Limits
    from neuralmesh_server.inference.traffic.lines import Want

MAX_BYTES = 256 * 1024 * 1024
"""Most bytes of requests that wait for a run here, or for another server."""
LEFT = 4
"""The part, one in so many, that a version leaves to the others of its model, and a model of the bytes to others."""

FIRST_HINT_SECONDS, LAST_HINT_SECONDS = 0.01, 5.0
"""Range of the hint when to try again."""


class Admitted:
    """A run that may take place, until everyone who holds this has released it."""

    __slots__ = ("_admission", "_holds", "_lane", "_want")

    def __init__(self, admission: Admission, lane: Lane, want: Want) -> None:
        self._admission = admission
        self._lane = lane
        self._want = want
        self._holds = 1

    def hold(self) -> None:
        """Keep the place for one more."""
        self._holds += 1

    def release(self) -> None:
        """Hold it no longer; the last one to do so makes room for another run."""
        self._holds -= 1
        assert self._holds >= 0
        if not self._holds:
            self._admission._left(self._lane, self._want)  # noqa: SLF001 - two halves of one thing


class Admission:
    """Admits runs.

    Args:
        threads: How many runs in threads there may be at once.
        max_bytes: Most bytes of requests that wait, or that another server runs.
    """

    def __init__(self, threads: int, max_bytes: int = MAX_BYTES) -> None:
        self._threads = self._free = threads
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lanes: dict[str, Lane] = {}  # those with a thread longest ago come first
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
        if self._closed:
            raise stops()
        lane = self._lane(model, limits)
        line = lane.share(want.version).line(threaded=want.threaded)
        if line.first() is None and self._has_room(lane, want):
            if not want.threaded:
                self._check_size(lane, want)
            return self._grant(lane, want)
        if not reserved:
            self.reserve(model, limits, want)
        self._numbers += 1
        ticket = Ticket(want, want.level, self._numbers, asyncio.get_running_loop().create_future())
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
                self.unreserve(model, want)

    def admit_now(self, model: str, limits: Limits, want: Want) -> Admitted | None:
        """Return what `admit` would return at once for a run in a thread; None where it would wait or refuse."""
        if self._closed:
            return None
        lane = self._lane(model, limits)
        if lane.share(want.version).threaded.first() is None and self._has_room(lane, want):
            return self._grant(lane, want)
        self._forget(lane)
        return None

    def hasten(self, model: str, want: Want, level: int) -> None:
        """Let what waits by this very want, if it still does, wait at another level: behind who is there."""
        line = self._lanes[model].share(want.version).line(threaded=want.threaded)
        ticket = next((ticket for ticket in line.all() if ticket.want is want), None)
        if ticket is not None:
            line.remove(ticket)
            self._numbers += 1
            ticket.level, ticket.number = level, self._numbers
            line.put(ticket)

    def reserve(self, model: str, limits: Limits, want: Want) -> None:
        """Take a place in a model's queue, or raise QUEUE_FULL; also NOT_SERVING."""
        if self._closed:
            raise stops()
        lane = self._lane(model, limits)
        most = (lane.queued, limits.max_queued), (lane.share(want.version).queued, _part(limits.max_queued, want))
        for queued, limit in most:
            if queued >= limit:
                message = f"{queued} requests of model {model!r} wait on this node, as many as may"
                raise _full(lane, want, message, limit=limit)
        self._check_size(lane, want)
        lane.queue(want.version, 1)
        self._hold(lane, want.size)

    def unreserve(self, model: str, want: Want) -> None:
        """Give a place in a model's queue back."""
        lane = self._lanes[model]
        lane.queue(want.version, -1)
        self._hold(lane, -want.size)
        self._forget(lane)

    def close(self) -> None:
        """Refuse what waits and whatever comes: nothing of it ran."""
        self._closed = True
        for lane in self._lanes.values():
            for share in lane.shares.values():
                for ticket in (*share.threaded.all(), *share.others.all()):
                    if not ticket.granted.done():
                        ticket.granted.set_exception(stops())

    async def _wait(self, ticket: Ticket) -> Admitted:
        until = ticket.want.until
        if until is None:
            return await ticket.granted
        started = time.monotonic()
        timer = asyncio.get_running_loop().call_later(max(until - started, 0.0), _expire, ticket.granted, started)
        try:
            return await ticket.granted
        finally:
            timer.cancel()

    def _left(self, lane: Lane, want: Want) -> None:
        lane.run(want, -1)
        if want.threaded:
            self._free += 1
            self._to_the_end(lane)
        else:
            self._hold(lane, -want.size)
        self._serve(lane)
        self._share()
        self._forget(lane)

    def _serve(self, lane: Lane) -> None:
        """Let in who needs no thread, where a higher priority does not wait for one."""
        while (ticket := self._next(lane, threaded=False)) is not None:
            ahead = self._next(lane, threaded=True)
            self._let_in(lane, ticket if ahead is None else min(ahead, ticket, key=_order))

    def _share(self) -> None:
        """Give free threads to the models that wait for one, in turns."""
        while self._free:
            for lane in self._lanes.values():
                ticket = self._next(lane, threaded=True)
                if ticket is not None:
                    self._let_in(lane, ticket)
                    break
            else:
                return

    def _next(self, lane: Lane, *, threaded: bool) -> Ticket | None:
        """Return whose turn it is, among the versions of a model that may run something now."""
        first = [share.line(threaded=threaded).first() for share in lane.shares.values()]
        fit = [ticket for ticket in first if ticket is not None and self._has_room(lane, ticket.want)]
        return min(fit, key=_order, default=None)

    def _let_in(self, lane: Lane, ticket: Ticket) -> None:
        lane.share(ticket.want.version).line(threaded=ticket.want.threaded).remove(ticket)
        if not ticket.granted.done():
            ticket.granted.set_result(self._grant(lane, ticket.want))

    def _has_room(self, lane: Lane, want: Want) -> bool:
        share, limit = lane.share(want.version), lane.limits.max_running
        if limit is not None and (lane.running >= limit or share.running >= _part(limit, want)):
            return False
        if want.at_once is not None and share.running >= want.at_once:
            return False
        if not want.threaded:
            return True
        most = self._threads if limit is not None else max(self._threads - 1, 1)
        return self._free > 0 and lane.threads < most and share.threads < _part(most, want)

    def _check_size(self, lane: Lane, want: Want) -> None:
        for held, limit in (
            (lane.size, self._max_bytes - self._max_bytes // LEFT),
            (self._bytes, self._max_bytes),
        ):
            if held and held + want.size > limit:
                self._forget(lane)
                message = f"requests of {held} bytes wait on this node; {want.size} more would be too many"
                raise _full(lane, want, message, limit=limit, held=held, size=want.size)

    def _hold(self, lane: Lane, size: int) -> None:
        self._bytes += size
        lane.size += size

    def _grant(self, lane: Lane, want: Want) -> Admitted:
        lane.run(want, 1)
        if want.threaded:
            self._free -= 1
            self._to_the_end(lane)
        else:
            self._hold(lane, want.size)
        return Admitted(self, lane, want)

    def _to_the_end(self, lane: Lane) -> None:
        """Let the turns of all other models come first."""
        self._lanes[lane.model] = self._lanes.pop(lane.model)

    def _lane(self, model: str, limits: Limits) -> Lane:
        lane = self._lanes.get(model)
        if lane is None:
            lane = self._lanes[model] = Lane(model, limits)
        lane.limits = limits
        return lane

    def _forget(self, lane: Lane) -> None:
        lane.tidy()
        if not lane.shares and self._lanes.get(lane.model) is lane:
            del self._lanes[lane.model]


def _order(ticket: Ticket) -> tuple[int, int]:
    return ticket.level, ticket.number


def _part(most: int, want: Want) -> int:
    """Return how many of a model's places a version may take."""
    return most - max(most // LEFT, 1) if want.shared and most > 1 else most


def _full(lane: Lane, want: Want, message: str, **facts: int) -> ResourceExhaustedError:
    seconds = lane.queued * want.cost_ns * 1e-9 / max(lane.running, 1)
    error = ResourceExhaustedError("QUEUE_FULL", message, model=lane.model, **facts)
    return error.retry_after(min(max(seconds, FIRST_HINT_SECONDS), LAST_HINT_SECONDS))


def _expire(granted: asyncio.Future[Admitted], started: float) -> None:
    if not granted.done():
        granted.set_exception(expired(time.monotonic() - started))


def expired(seconds: float) -> DeadlineExceededError:
    """Return the error of a request that waited too long to run."""
    return DeadlineExceededError("DEADLINE_EXPIRED", f"the request waited for {seconds:.3f} seconds and did not run")


def stops() -> UnavailableError:
    """Return the error of a request that a stopping node did not run."""
    return UnavailableError("NOT_SERVING", "this node stops; the request did not run")
