"""The coordinator of the labor array: the desk where engines get work and give results, and what time changes.

Everything in it happens on one event loop. What a result changes is stored in one transaction first, and then applied
in memory; leases are in memory only, and no token of before a restart is good after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import (
    AbortedError,
    NeuralMeshError,
    ResourceExhaustedError,
    UnavailableError,
)
from neuralmesh_server.labor import reports, verdicts
from neuralmesh_server.labor.cache import Cache
from neuralmesh_server.labor.dispatcher import Dispatcher
from neuralmesh_server.labor.exposition import Moment
from neuralmesh_server.labor.intake import Intake, lease_lost
from neuralmesh_server.labor.jobs import Jobs
from neuralmesh_server.labor.journal import Journal, not_found
from neuralmesh_server.labor.leases import LeaseTable
from neuralmesh_server.labor.lifecycle import Lifecycle
from neuralmesh_server.labor.records import (
    Problem,
)
from neuralmesh_server.labor.retention import Retention
from neuralmesh_server.labor.roster import Roster
from neuralmesh_server.labor.timing import Timing
from neuralmesh_server.labor.watchdog import Watchdog
from neuralmesh_server.labor.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.labor.desk import Lease, WorkerCard
    from neuralmesh_server.labor.leases import Hold
    from neuralmesh_server.labor.roster import Present
    from neuralmesh_server.labor.schedule import Epoch
    from neuralmesh_server.labor.shelf import Shelf
    from neuralmesh_server.labor.store import Ledger, Store

log = structlog.get_logger()


FULL_SECONDS = 60.0
"""For how long a worker that says STORAGE_FULL is taken to mean the service, after that said so itself."""


class Coordinator:
    """See `neuralmesh_server.labor.desk.Desk` for what engines call.

    Args:
        store: Where jobs are kept.
        shelf: Where plans, outputs and manifests are kept.
        timing: How long things take.
        report: Returns the report of a job of some kind from the tallies of its shards.
        clock: Returns the time of a monotonic clock in seconds.
        wall: Returns the time in seconds since 1970.

    Attributes:
        jobs: For those who want work done.
        workers: Those that were ever heard.
        journal: Tells watchers of events.
        roster: The workers that live.
        leases: The leases that hold.
        dispatcher: What is being run.
        retention: Removes results that no job needs any more.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        *,
        timing: Timing | None = None,
        report: Callable[[str, Iterable[Fact]], Fact] = reports.report,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._timing = timing or Timing()
        self._clock = clock
        self._wall = wall
        self._work = asyncio.Event()
        self._closed = False
        self._full_at = -math.inf
        self._unrecorded: list[tuple[str, Epoch]] = []
        self.lease_seconds = self._timing.lease_seconds
        self.journal = Journal(store)
        self.roster = Roster()
        self.leases = LeaseTable()
        self.dispatcher = Dispatcher(self.leases, self.roster, self.lease_seconds)
        cache = Cache(store, shelf)
        self._lifecycle = Lifecycle(
            store,
            shelf,
            cache=cache,
            dispatcher=self.dispatcher,
            journal=self.journal,
            report=report,
            clock=clock,
            wall=wall,
        )
        self._intake = Intake(
            store,
            shelf,
            leases=self.leases,
            dispatcher=self.dispatcher,
            lifecycle=self._lifecycle,
            wake=self._wake,
            report=report,
            clock=clock,
            wall=wall,
        )
        self.retention = Retention(store, shelf, self._lifecycle.submitting, wall)
        self._watchdog = Watchdog(self.dispatcher, self.leases, self.roster, self._timing)
        self.workers = Workers(store, self.roster, wake=self._wake, clock=clock, wall=wall)
        self.jobs = Jobs(
            store,
            shelf,
            cache=cache,
            lifecycle=self._lifecycle,
            dispatcher=self.dispatcher,
            journal=self.journal,
            wake=self._wake,
            clock=clock,
        )

    async def start(self) -> None:
        """Count this start, and take up the jobs that ran. Somebody has to `run` it, or call `tick`."""
        self.leases.begin(await self._store.write(lambda ledger: ledger.next_generation()))
        await self.workers.start()
        await self._lifecycle.resume()

    async def run(self) -> None:
        """Look at the time until cancelled."""
        while True:
            await asyncio.sleep(self._timing.tick_seconds)
            try:
                await self.tick()
            except NeuralMeshError as error:  # no space, as a rule: the next tick tries again
                log.warning("tick_failed", reason=error.reason, message=error.message)

    def close(self) -> None:
        """Hand out nothing more, and end watches and calls that wait for work."""
        self._closed = True
        self.journal.close()
        self._wake()

    async def stop(self) -> None:
        """Close, and finish what is being stored. Jobs go on with the next start."""
        self.close()
        await self._lifecycle.settled()

    # The desk

    async def lease(self, worker: WorkerCard, limit: int, wait: float) -> Sequence[Lease]:
        """See Desk."""
        present = await self._enter(worker)
        ends = asyncio.get_running_loop().time() + wait
        present.asking += 1
        try:
            while True:
                self._refuse_quarantined(worker.name)
                work = self._work
                await self._place()
                if self._closed:
                    raise UnavailableError("NOT_SERVING", "the labor service is stopping")
                if self.roster.get(worker.name) is not present:
                    return []
                leases = self.dispatcher.pick(present, limit, self._clock())
                left = ends - asyncio.get_running_loop().time()
                if leases or left <= 0:
                    return leases
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):  # wait_for loses a cancellation at the moment of a wake
                        await work.wait()
        finally:
            present.asking -= 1
            present.heard = self._clock()

    async def renew(self, worker: WorkerCard, tokens: Sequence[int]) -> Sequence[int]:
        """See Desk."""
        now = self._clock()
        present = self.roster.get(worker.name)
        if present is not None and present.card.incarnation == worker.incarnation:
            present.heard = now
        lost = []
        for token in tokens:
            hold = self._own(worker, token)
            if hold is None:
                lost.append(token)
            else:
                hold.until = now + self.lease_seconds
        return lost

    async def context(self, job: str) -> bytes:
        """See Desk."""
        run = self.dispatcher.get(job)
        if run is not None:
            return run.job.context
        known = await self._store.read(lambda view: view.job(job))
        if known is None:
            raise not_found(job)
        return known.context

    async def store(self, worker: WorkerCard, digest: str, path: Path) -> None:
        """See Desk."""
        self._refuse_quarantined(worker.name)
        async with self._noticing_full():
            await self._shelf.put_file(digest, path)

    async def store_pieces(self, worker: WorkerCard, digest: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Store the bytes of an output as they come. Raises DIGEST_MISMATCH."""
        self._refuse_quarantined(worker.name)
        async with self._noticing_full():
            await self._shelf.put_pieces(digest, size, pieces)

    async def complete(self, worker: WorkerCard, token: int, result: bytes, seconds: float) -> None:
        """See Desk.

        Raises:
            AbortedError: LEASE_LOST.
            InvalidArgumentError: FIELD_INVALID, this is no result of the shard.
            FailedPreconditionError: ARTIFACT_MISSING, the output is not stored.
            PermissionDeniedError: WORKER_QUARANTINED.
        """
        del seconds  # measured here, as everybody else's
        self._refuse_quarantined(worker.name)
        hold = self._own(worker, token)
        ended = None if hold is not None else self.leases.lost(token)
        known = hold or ended
        if known is None or known.worker != worker.name:
            raise lease_lost(token)
        # Whoever asks may go away meanwhile; what is stored must be applied all the same.
        taking = asyncio.create_task(self._intake.take(known, result))
        taking.add_done_callback(_seen)
        await asyncio.shield(taking)
        self._refuse_quarantined(worker.name)

    async def fail(self, worker: WorkerCard, token: int, reason: str, message: str, *, retryable: bool) -> None:
        """See Desk."""
        hold = self._own(worker, token)
        if hold is None:
            raise lease_lost(token)
        run = self.dispatcher.get(hold.job)
        self.dispatcher.fail(hold, reason, message, retryable=retryable)
        log.info("shard_failed", job=hold.job, shard=hold.shard, worker=worker.name, reason=reason, message=message)
        if run is None:
            return
        if reason == "STORAGE_FULL" and self._clock() - self._full_at < FULL_SECONDS:
            await self._lifecycle.fail(run, Problem(reason, message))
        else:
            self._lifecycle.check(run)
        self._wake()

    async def leave(self, worker: WorkerCard) -> None:
        """See Desk."""
        present = self.roster.get(worker.name)
        if present is not None and present.card.incarnation == worker.incarnation:
            self.dispatcher.leave(worker.name, counts=False)
            self._wake()
            await self.workers.note(present.card)
            await self._place()

    # Time

    async def tick(self) -> None:
        """Look at what time has changed: leases, workers, disputes, progress, ends that could not be stored."""
        self._lifecycle.raise_defect()
        now = self._clock()
        if self._watchdog.look(now):
            self._wake()
        while self._watchdog.gone:
            gone = self._watchdog.gone.pop()
            await self.workers.note(gone.card, gone.heard)
        await self._place()
        for run in self.dispatcher:
            self._lifecycle.check(run)
            if not run.finishing and run.has_news(now):
                await self._lifecycle.note(run)
        if self.journal.unsaved:
            await self._lifecycle.save_ends()

    async def settled(self) -> None:
        """Wait until no job is being ended."""
        await self._lifecycle.settled()

    def moment(self, jobs: Mapping[str, int], alarms: int) -> Moment:
        """Return what operators are shown; jobs by state and alarms are what the store counts."""
        return Moment(
            figures=self.dispatcher.figures,
            jobs=jobs,
            alarms=alarms,
            held=len(self.leases),
            waiting=sum(run.board.waiting for run in self.dispatcher),
            workers=len(self.roster),
            quarantined=len(self.roster.quarantined),
        )

    # What these have in common

    @contextlib.asynccontextmanager
    async def _noticing_full(self) -> AsyncIterator[None]:
        """Note that there is no space here: a worker that says so afterwards does not mean its own disk."""
        try:
            yield
        except ResourceExhaustedError as error:
            if error.reason == "STORAGE_FULL":
                self._full_at = self._clock()
            raise

    async def _enter(self, worker: WorkerCard) -> Present:
        """Note that a worker is there, in the store where it is new."""
        self._refuse_quarantined(worker.name)
        if self.roster.is_replaced(worker):
            raise AbortedError(
                "LEASE_LOST", f"another process has taken over the name of worker {worker.name!r}", worker=worker.name
            )
        before = self.roster.get(worker.name)
        if before is None or before.card != worker:
            await self.workers.note(worker)
        return self.dispatcher.enter(worker, self._clock())

    async def _place(self) -> None:
        """Begin and record epochs where live slots have changed."""
        begun, self._unrecorded = [*self._unrecorded, *self.dispatcher.place()], []
        if not begun:
            return

        def change(ledger: Ledger) -> None:
            for job, epoch in begun:
                ledger.add_epoch(job, epoch)

        try:
            await self._store.write(change)
        except NeuralMeshError:  # no space: the log must have no gap once there is some
            self._unrecorded = [*begun, *self._unrecorded]
            raise

    def _own(self, worker: WorkerCard, token: int) -> Hold | None:
        hold = self.leases.get(token)
        mine = hold is not None and hold.worker == worker.name and hold.incarnation == worker.incarnation
        return hold if mine else None

    def _refuse_quarantined(self, worker: str) -> None:
        if worker in self.roster.quarantined:
            raise verdicts.quarantined(worker)

    def _wake(self) -> None:
        """Let everybody look again who waits for work."""
        work, self._work = self._work, asyncio.Event()
        work.set()


def _seen(task: asyncio.Task[None]) -> None:
    """Look at what became of a result: who brought it may have gone, and then nobody else does."""
    if not task.cancelled():
        task.exception()
