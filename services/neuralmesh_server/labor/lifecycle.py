"""How a job begins, is taken up again, and ends: each step is one transaction, after its bytes are stored.

A crash between two steps leaves the job where the last one put it; submitting the same plan, or the next start of the
service, goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server import canonical
from neuralmesh_server.errors import FailedPreconditionError, NeuralMeshError, ResourceExhaustedError
from neuralmesh_server.labor import plan as plans
from neuralmesh_server.labor.context import JobContext
from neuralmesh_server.labor.journal import not_found
from neuralmesh_server.labor.records import (
    CANCELLED,
    COMMITTED,
    ENDED,
    FAILED,
    RUNNING,
    Job,
    JobEvent,
    Problem,
    Progress,
)
from neuralmesh_server.labor.results import manifest, parse_result
from neuralmesh_server.labor.run import Run
from neuralmesh_server.labor.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.labor.cache import Cache
    from neuralmesh_server.labor.dispatcher import Dispatcher
    from neuralmesh_server.labor.journal import Journal
    from neuralmesh_server.labor.plan import Plan
    from neuralmesh_server.labor.records import Alarm, ShardResult, Submission
    from neuralmesh_server.labor.schedule import Epoch
    from neuralmesh_server.labor.shelf import Shelf
    from neuralmesh_server.labor.store import Ledger, Store

log = structlog.get_logger()


class Lifecycle:
    """Begins and ends jobs.

    Args:
        store: Where they are kept.
        shelf: Where plans, outputs and manifests are kept.
        cache: The results that there are.
        dispatcher: Hands out the shards of jobs that run.
        journal: Tells watchers.
        report: Returns the report of a job of some kind from the tallies of its shards.
        clock: Returns the time of the monotonic clock in seconds.
        wall: Returns the time in seconds since 1970.

    Attributes:
        submitting: Held while a job is submitted or cancelled.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        *,
        cache: Cache,
        dispatcher: Dispatcher,
        journal: Journal,
        report: Callable[[str, Iterable[Fact]], Fact],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._cache = cache
        self._dispatcher = dispatcher
        self._journal = journal
        self._report = report
        self._clock = clock
        self._wall = wall
        self.submitting = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._defect: BaseException | None = None

    async def resume(self) -> None:
        """Take up every job that ran when the service ended."""
        for job in await self._store.read(lambda view: view.jobs_in(RUNNING)):
            last = await self._store.read(lambda view, name=job.job: view.last_event(name))  # type: ignore[misc]
            try:
                made = await self._plan(job)
                await self._begin(job, made, last.progress if last else Progress(), "taken up again", lookup=False)
            except NeuralMeshError as error:
                log.warning("job_not_resumed", job=job.job, reason=error.reason, message=error.message)
                await self._end(
                    job, FAILED, last.progress if last else Progress(), Problem(error.reason, error.message)
                )

    async def submit(self, wish: Submission) -> Job:
        """Run a plan, unless it runs or is committed; a job that failed or was cancelled goes on where it stood."""
        job = await self._shelf.call(lambda: wish.plan.job)
        async with self.submitting:
            await self._shelf.put(wish.plan.canonical)  # also where the job stands: what was there may be damaged
            known = await self._store.read(lambda view: view.job(job))
            if known is not None and job not in self._journal.unsaved and await self._cache.stands(known):
                if known.state == COMMITTED:
                    with contextlib.suppress(ResourceExhaustedError):  # without room, what stands can be given out
                        await self._store.write(lambda ledger: ledger.use_job(job, self._now_ms()))
                return known
            return await self._begin(
                Job(
                    job=job,
                    sequence=known.sequence if known else 0,
                    plan_digest=wish.plan.digest,
                    context=JobContext(wish.plan.recipe, wish.data).encode(),
                    wish=wish.wish,
                    summary=summarise(wish.plan, ()),
                    options=wish.options,
                    state=RUNNING,
                    actor=wish.actor,
                    created_ms=known.created_ms if known else self._now_ms(),
                ),
                wish.plan,
                Progress(),
                f"submitted again after it was {known.state}" if known else "submitted",
                lookup=not wish.options.skip_cache or (known is not None and known.state == COMMITTED),
            )

    async def cancel(self, job: str, actor: str) -> Job:
        """End a job that runs; one that was cancelled stays so.

        Raises:
            NotFoundError: JOB_NOT_FOUND.
            FailedPreconditionError: JOB_ENDED.
        """
        async with self.submitting:  # a job that is stored and not handed out yet could not be taken back
            return await self._cancel(job, actor)

    async def _cancel(self, job: str, actor: str) -> Job:
        run = self._dispatcher.get(job)
        now_ms = self._now_ms()
        progress = run.progress(self._clock()) if run else Progress()
        message = f"cancelled by {actor}" if actor else "cancelled"

        def change(ledger: Ledger) -> Job:
            known = ledger.job(job)
            if known is None:
                raise not_found(job)
            if known.state == CANCELLED:
                return known
            if known.state != RUNNING or (run is None and job in self._journal.unsaved):
                raise FailedPreconditionError(
                    "JOB_ENDED", f"jobs/{job} is {known.state} and cannot be cancelled", job=job, state=known.state
                )
            ended = replace(known, state=CANCELLED, ended_ms=now_ms)
            ledger.update_job(ended)
            ledger.add_event(job, JobEvent(0, now_ms, CANCELLED, replace(progress, running=0), message))
            return ended

        ended = await self._store.write(change)
        current = self._dispatcher.get(job)
        if current is not None and ended.state == CANCELLED and current is run:
            self._dispatcher.end(current)
        self._journal.notify()
        return ended

    def check(self, run: Run) -> None:
        """End a job that has all results, or can have no more, in a task of its own."""
        if run.finishing or not (run.complete or run.failed):
            return
        run.finishing = True
        task = asyncio.create_task(self._finish(run))
        self._ending.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, NeuralMeshError):  # such a one says that the service stops
            self._defect = error

    def raise_defect(self) -> None:
        """Raise what ended the end of a job, which then stands still; nobody else would hear of it."""
        if self._defect is not None:
            raise self._defect

    async def fail(self, run: Run, problem: Problem) -> None:
        """End a job that cannot go on; what has a result keeps it."""
        run.finishing = True
        self._dispatcher.end(run)
        progress = replace(run.progress(self._clock()), running=0)
        await self._end(run.job, FAILED, progress, problem)

    async def save_ends(self) -> None:
        """Store the ends of jobs again that could not be stored, since there was no space."""
        for job, event in list(self._journal.unsaved.items()):
            known = await self._store.read(lambda view, name=job: view.job(name))  # type: ignore[misc]
            if known is not None and known.state == RUNNING and self._dispatcher.get(job) is None:
                await self._end(known, event.state, event.progress, event.problem)

    async def settled(self) -> None:
        """Wait until all jobs that are being ended have ended."""
        while self._ending:
            await asyncio.wait(self._ending)

    async def _begin(self, job: Job, made: Plan, floor: Progress, message: str, *, lookup: bool) -> Job:
        """Store a job and the results that it has already, then hand out the rest."""
        run = await self._shelf.call(lambda: Run(job, made, floor, self._clock()))
        usable = await self._cache.usable(job.job, run.actions) if lookup else []

        def change(ledger: Ledger) -> tuple[Job, list[ShardResult], dict[str, frozenset[str]]]:
            ledger.add_recipe(run.recipe, canonical.encode(made.recipe.fact()))
            ledger.add_shards(job.job, usable)
            results = ledger.shard_results(job.job)
            cached = [result.shard for result in results if result.cached]
            stored = replace(job, summary=summarise(made, cached))
            if job.sequence:
                ledger.update_job(stored)
            else:
                stored = ledger.add_job(stored)
            return stored, results, ledger.disputed()

        stored, results, disputed = await self._store.write(change)
        run.job = stored
        epoch = await self._store.read(lambda view: view.last_epoch(job.job))
        await self._shelf.call(lambda: _restore(run, results, disputed, epoch))
        await self.note(run, message)
        self._journal.unsaved.pop(job.job, None)
        self._dispatcher.figures.cached += len(usable)
        self._dispatcher.add(run)
        self.check(run)
        return stored

    async def _finish(self, run: Run) -> None:
        try:
            if run.complete:
                await self._commit(run)
            elif (problem := run.attempts.problem) is not None:
                await self.fail(run, problem)
        except NeuralMeshError as error:
            await self.fail(run, Problem(error.reason, error.message))
        except OSError as error:
            await self.fail(run, Problem("INTERNAL", f"the disk of the labor service failed: {error}"))
        else:
            if (
                self._dispatcher.get(run.job.job) is run
            ):  # a result was withdrawn in the last moment; a tick looks again
                run.finishing = False

    async def _commit(self, run: Run) -> None:
        job = run.job.job
        results = await self._store.read(lambda view: view.shard_results(job))
        if len(results) < len(run.actions):  # withdrawn while the job was taken up, before it was known here
            there = {result.shard for result in results}
            for shard in range(len(run.actions)):
                if shard not in there:
                    run.reopen(shard)
            return
        data, report = await self._shelf.call(lambda: self._manifest(run, results))
        digest = await self._shelf.put(data)
        if not run.complete:
            return
        now_ms = self._now_ms()
        progress = replace(run.progress(self._clock()), running=0, remaining_ms=0)

        def change(ledger: Ledger) -> bool:
            known = ledger.job(job)
            if known is None or known.state != RUNNING or ledger.count_shards(job) < len(results):
                return False
            ledger.update_job(
                replace(known, state=COMMITTED, ended_ms=now_ms, output_digest=digest, report=report, problem=None)
            )
            ledger.add_event(job, JobEvent(0, now_ms, COMMITTED, progress, "committed"))
            ledger.drop_shards(job)
            return True

        if await self._store.write(change):
            self._dispatcher.end(run)
            self._journal.notify()
            log.info("job_committed", job=job, output_digest=digest, shards=len(results))

    def _manifest(self, run: Run, results: Sequence[ShardResult]) -> tuple[bytes, bytes]:
        """Return the output manifest and the report."""
        parsed = [parse_result(result.entry.result) for result in results]
        report = self._report(run.plan.recipe.kind, [result.tally for result in parsed])
        return manifest(run.plan.digest, parsed, report), b"" if report is None else canonical.encode(report)

    async def _end(self, job: Job, state: str, progress: Progress, problem: Problem | None) -> None:
        now_ms = self._now_ms()
        event = JobEvent(0, now_ms, state, progress, problem.message if problem else "", problem=problem)

        def change(ledger: Ledger) -> None:
            known = ledger.job(job.job)
            if known is not None and known.state == RUNNING:
                ledger.update_job(replace(known, state=state, ended_ms=now_ms, problem=problem))
                ledger.add_event(job.job, event)

        try:
            await self._store.write(change)
        except NeuralMeshError as error:
            if error.reason != "STORAGE_FULL":
                raise
            self._journal.unsaved[job.job] = event
        else:
            self._journal.unsaved.pop(job.job, None)
        log.info("job_ended", job=job.job, state=state, reason=problem.reason if problem else "")
        self._journal.notify()

    async def note(self, run: Run, message: str = "", alarm: Alarm | None = None) -> None:
        """Store an event that says how far a job is."""
        progress = run.say(self._clock())
        event = JobEvent(0, self._now_ms(), RUNNING, progress, message, alarm)

        def change(ledger: Ledger) -> None:
            known = ledger.job(run.job.job)
            if known is not None and known.state not in ENDED:
                ledger.add_event(run.job.job, event)

        await self._store.write(change)
        self._journal.notify()

    async def _plan(self, job: Job) -> Plan:
        data = await self._shelf.get(job.plan_digest)
        return await self._shelf.call(lambda: plans.parse(data))

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


def _restore(
    run: Run, results: Iterable[ShardResult], disputed: dict[str, frozenset[str]], epoch: Epoch | None
) -> None:
    for result in results:
        entry = result.entry
        times = 1 + len(entry.confirmed)
        run.result(result.shard, result.skipped, entry.vouchers, times, cached=result.cached)
    if disputed:
        for shard, action in enumerate(run.actions):
            if action in disputed and not run.is_done(shard):
                run.reopen(shard, disputed[action])
    run.begin()
    if epoch is not None:
        run.board.restore(epoch)
