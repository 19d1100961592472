"""Reports what the node did: every interval a delta, in order, each sent until the metrics service has committed it.

While a delta waits, counters go on adding up and become the next one, so that memory stays bounded however long the
service is away; only labels are dropped beyond their limit, and counted. What waits longer than an interval is kept on
disk as well and delivered by the node's next process, so that a kill loses at most the last interval. Delivering twice
does no harm: a delta counts once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from neuralmesh_server.inference.links import Delta, LinkError, LoadedReport, VersionReport
from neuralmesh_server.inference.reporting.rollout_activity import RolloutActivity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuralmesh_server.inference.links import MetricsLink
    from neuralmesh_server.inference.reporting.activity import Activity, VersionActivity

log = structlog.get_logger()

FAREWELL_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SPOOL_BYTES = 8 * 1024 * 1024
"""Most bytes of undelivered deltas that are kept; the oldest are given up, and counted."""


@dataclass(slots=True)
class _Reported:
    requests: int = 0
    rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class Spool(Protocol):
    """Where undelivered deltas are kept over a kill; see `store_telemetry`."""

    def load(self) -> list[bytes]:
        """Return what was kept, oldest first."""

    def save(self, deltas: Sequence[bytes]) -> None:
        """Replace what is kept; blocks; raises OSError."""

    def clear(self) -> None:
        """Keep nothing."""


class Telemetry:
    """Sends deltas until cancelled, then `farewell` sends the last.

    Args:
        metrics: The metrics service.
        spool: Where undelivered deltas are kept.
        activity: What is reported; labels are taken from it.
        epoch_ms: Start of the process, ms since 1970.
        interval: Seconds between deltas.
        loaded: Says what the node holds.
        revision: Says which registry revision is applied.
        rollouts: What the arms of rollouts did; taken from it.
        lost_receipts: Says how many receipts were lost since the process began.
        held: Holds off whoever else counts in the activity's blocks, so that a delta is of one moment.
        spool_bytes: Most bytes of undelivered deltas that are kept.

    Attributes:
        given_up: Deltas that were given up for want of room since the process began.
    """

    def __init__(
        self,
        *,
        metrics: MetricsLink,
        spool: Spool,
        activity: Activity,
        epoch_ms: int,
        interval: float,
        loaded: Callable[[], tuple[LoadedReport, ...]],
        revision: Callable[[], int],
        rollouts: RolloutActivity | None = None,
        lost_receipts: Callable[[], int] = lambda: 0,
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
        spool_bytes: int = SPOOL_BYTES,
    ) -> None:
        self._metrics = metrics
        self._spool = spool
        self._spool_bytes = spool_bytes
        self._carried = spool.load()
        self._spooled = bool(self._carried)
        self._kept: tuple[int, Delta | None, Delta] | None = None
        self.given_up = 0
        self._give_up()
        self._activity = activity
        self._epoch_ms = epoch_ms
        self._interval = interval
        self._loaded = loaded
        self._revision = revision
        self._rollouts = RolloutActivity() if rollouts is None else rollouts
        self._lost_receipts = lost_receipts
        self._held = held
        self._lost = 0
        self._started = time.monotonic()
        self._reported: dict[int, _Reported] = {}
        self._unresolved: Counter[str] = Counter()
        self._dropped = 0
        self._settled = 0
        self._waiting: Delta | None = None
        self._waiting_since = 0.0
        self._connected = True

    async def run(self) -> None:
        """Report until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(self._keep())

    async def farewell(self) -> None:
        """Send what is left, marked as the last; what cannot be sent within FAREWELL_SECONDS is kept on disk."""
        last = self._metrics.encode(self._next(final=True, sequence=self._next_sequence()))
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._deliver_carried()
                await self._deliver_waiting()
                await self._deliver(last)
        except TimeoutError:
            log.warning("telemetry_kept", why="the metrics service could not be reached in time")
            await self._save(last)
        else:
            self._spool.clear()

    async def _send(self) -> None:
        await self._deliver_carried()
        loop = asyncio.get_running_loop()
        next_at = loop.time() + self._interval
        while True:
            await asyncio.sleep(max(next_at - loop.time(), 0))
            next_at = max(next_at + self._interval, loop.time())
            if self._waiting is None:
                self._waiting = self._next(final=False, sequence=self._next_sequence())
                self._waiting_since = time.monotonic()
            await self._deliver_waiting()

    async def _keep(self) -> None:
        """Every interval, write down what has been waiting for longer than that."""
        while True:
            await asyncio.sleep(self._interval)
            late = self._waiting is not None and time.monotonic() - self._waiting_since > self._interval / 2
            if late or self._carried:
                preview = self._next(final=False, sequence=self._next_sequence(), take=False)
                # While nothing happens nothing is written, however long the line is cut.
                kept = (len(self._carried), self._waiting, replace(preview, uptime_seconds=0.0))
                if kept != self._kept and await self._save(self._metrics.encode(preview)):
                    self._kept = kept
            elif self._spooled:
                self._spool.clear()
                self._spooled, self._kept = False, None

    async def _save(self, last: bytes) -> bool:
        """Keep everything that is not delivered, and what comes after it; returns whether it is kept."""
        waiting = [] if self._waiting is None else [self._metrics.encode(self._waiting)]
        self._give_up(sum(map(len, waiting)) + len(last))
        try:
            await asyncio.to_thread(self._spool.save, [*self._carried, *waiting, last])
        except OSError as error:
            log.warning("telemetry_not_kept", why=str(error))
            return False
        self._spooled = True
        return True

    def _give_up(self, own: int = 0) -> None:
        """Let go of the oldest deltas of earlier processes until the others and `own` bytes have room."""
        first, room = len(self._carried), self._spool_bytes - own
        while first and len(self._carried[first - 1]) <= room:
            first -= 1
            room -= len(self._carried[first])
        if first:
            del self._carried[:first]
            self.given_up += first
            log.warning("telemetry_given_up", deltas=first, bytes_kept=self._spool_bytes - own - room)

    async def _deliver_carried(self) -> None:
        while self._carried:
            first = self._carried[0]
            await self._deliver(first)
            if self._carried and self._carried[0] is first:  # it may have been given up meanwhile
                del self._carried[0]

    async def _deliver_waiting(self) -> None:
        if self._waiting is not None:
            await self._deliver(self._metrics.encode(self._waiting))
            self._settled = self._waiting.sequence
            self._waiting = None

    async def _deliver(self, data: bytes) -> None:
        """Send one delta until it is committed or refused; a repeat counts once."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._metrics.ingest(data)
                break
            except LinkError as error:
                if not error.unreachable:
                    # The same bytes would be refused for ever. Their number stays used, so that the metrics service
                    # shows a missing delta.
                    log.warning("telemetry_refused", why=str(error))
                    break
                if self._connected:
                    log.warning("metrics_lost", why=str(error))
                self._connected = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if not self._connected:
            log.info("metrics_found")
            self._connected = True

    def _next_sequence(self) -> int:
        return self._settled + (2 if self._waiting is not None else 1)

    def _next(self, *, final: bool, sequence: int, take: bool = True) -> Delta:
        """Return what happened since the delta before; `take` False leaves it to be reported by the next one."""
        with self._held():
            reading = self._activity.read(forget=take)
        versions, unresolved = reading.versions(), self._activity.unresolved
        delta = Delta(
            epoch_ms=self._epoch_ms,
            sequence=sequence,
            revision=self._revision(),
            uptime_seconds=time.monotonic() - self._started,
            versions=tuple(report for one in versions if (report := self._version(one)) is not None),
            labels=reading.labels(),
            loaded=self._loaded(),
            unresolved=unresolved - self._unresolved,
            dropped_labels=reading.dropped_labels - self._dropped,
            final=final,
            rollouts=self._rollouts.reports(),
            lost_receipts=self._lost_receipts() - self._lost,
        )
        if take:
            self._unresolved = unresolved.copy()
            self._dropped += delta.dropped_labels
            self._lost += delta.lost_receipts
            self._rollouts.forget()
            self._reported = {one.owner: _Reported(one.requests, one.rows, one.errors) for one in versions}
            for owner in self._activity.fold():
                del self._reported[owner]
        return delta

    def _version(self, activity: VersionActivity) -> VersionReport | None:
        before = self._reported.get(activity.owner, _Reported())
        requests, rows = activity.requests - before.requests, activity.rows - before.rows
        errors = activity.errors - before.errors
        if not requests and not errors:
            return None
        return VersionReport(
            activity.model, activity.version, activity.digest, requests, rows, dict(errors), activity.latency.copy()
        )
