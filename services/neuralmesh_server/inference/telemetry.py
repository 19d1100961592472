"""Reports what the node did: every interval a delta, in order, each sent until the metrics service has committed it.

While a delta waits, counters go on adding up and become the next one, so that memory stays bounded however long the
service is away; only labels are dropped beyond their limit, and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.inference.links import Delta, LinkError, LoadedReport, VersionReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.activity import Activity, VersionActivity
    from neuralmesh_server.inference.links import MetricsLink

log = structlog.get_logger()

FAREWELL_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(slots=True)
class _Reported:
    requests: int = 0
    rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class Telemetry:
    """Sends deltas until cancelled, then `farewell` sends the last.

    Args:
        metrics: The metrics service.
        activity: What is reported; labels are taken from it.
        epoch_ms: Start of the process, ms since 1970.
        interval: Seconds between deltas.
        loaded: Says what the node holds.
        revision: Says which registry revision is applied.
    """

    def __init__(
        self,
        *,
        metrics: MetricsLink,
        activity: Activity,
        epoch_ms: int,
        interval: float,
        loaded: Callable[[], tuple[LoadedReport, ...]],
        revision: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._activity = activity
        self._epoch_ms = epoch_ms
        self._interval = interval
        self._loaded = loaded
        self._revision = revision
        self._started = time.monotonic()
        self._reported: dict[tuple[str, int], _Reported] = {}
        self._unresolved: Counter[str] = Counter()
        self._dropped = 0
        self._settled = 0
        self._waiting: Delta | None = None
        self._connected = True

    async def run(self) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        next_at = loop.time() + self._interval
        while True:
            await asyncio.sleep(max(next_at - loop.time(), 0))
            next_at = max(next_at + self._interval, loop.time())
            await self._report()

    async def farewell(self) -> None:
        """Send what is left, marked as the last; gives up after FAREWELL_SECONDS, and says so."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                if self._waiting is not None:
                    await self._deliver(self._waiting)
                await self._deliver(self._next(final=True))
        except TimeoutError:
            log.warning("telemetry_lost", why="the metrics service could not be reached in time")

    async def _report(self) -> None:
        if self._waiting is None:
            self._waiting = self._next(final=False)
        await self._deliver(self._waiting)

    async def _deliver(self, delta: Delta) -> None:
        """Send one delta until it is committed or refused; a repeat counts once."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._metrics.ingest(delta)
                break
            except LinkError as error:
                if not error.unreachable:
                    # The same bytes would be refused for ever. Their number stays used, so that the metrics service
                    # shows a missing delta.
                    log.warning("telemetry_refused", why=str(error), sequence=delta.sequence)
                    break
                if self._connected:
                    log.warning("metrics_lost", why=str(error))
                self._connected = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if not self._connected:
            log.info("metrics_found", sequence=delta.sequence)
            self._connected = True
        self._settled = delta.sequence
        self._waiting = None

    def _next(self, *, final: bool) -> Delta:
        activity = self._activity
        unresolved = activity.unresolved - self._unresolved
        self._unresolved = activity.unresolved.copy()
        dropped = activity.dropped_labels - self._dropped
        self._dropped = activity.dropped_labels
        versions = [report for one in activity if (report := self._version(one)) is not None]
        return Delta(
            epoch_ms=self._epoch_ms,
            sequence=self._settled + 1,
            revision=self._revision(),
            uptime_seconds=time.monotonic() - self._started,
            versions=tuple(versions),
            labels=activity.take_labels(),
            loaded=self._loaded(),
            unresolved=unresolved,
            dropped_labels=dropped,
            final=final,
        )

    def _version(self, activity: VersionActivity) -> VersionReport | None:
        before = self._reported.setdefault((activity.model, activity.version), _Reported())
        requests, rows = activity.requests - before.requests, activity.rows - before.rows
        errors = activity.errors - before.errors
        if not requests and not errors:
            return None
        before.requests, before.rows, before.errors = activity.requests, activity.rows, activity.errors.copy()
        return VersionReport(
            activity.model, activity.version, activity.digest, requests, rows, dict(errors), activity.latency.take()
        )
