"""Jobs as those see them who want work done: submitted, watched, listed, cancelled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neuralmesh_server.labor.journal import not_found
from neuralmesh_server.labor.records import RUNNING, JobView, Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from neuralmesh_server.labor.cache import Cache
    from neuralmesh_server.labor.dispatcher import Dispatcher
    from neuralmesh_server.labor.journal import Journal
    from neuralmesh_server.labor.lifecycle import Lifecycle
    from neuralmesh_server.labor.plan import Plan
    from neuralmesh_server.labor.records import Alarm, Job, JobEvent, Submission
    from neuralmesh_server.labor.schedule import Epoch
    from neuralmesh_server.labor.shelf import Shelf
    from neuralmesh_server.labor.store import Store, View


class Jobs:
    """All jobs.

    Args:
        store: Where they are kept.
        shelf: Runs work on threads.
        cache: The results that there are.
        lifecycle: Begins and ends them.
        dispatcher: Those that run.
        journal: Their events.
        wake: Lets workers look again that wait for work.
        clock: Returns the time of the monotonic clock in seconds.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        *,
        cache: Cache,
        lifecycle: Lifecycle,
        dispatcher: Dispatcher,
        journal: Journal,
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._cache = cache
        self._lifecycle = lifecycle
        self._dispatcher = dispatcher
        self._journal = journal
        self._wake = wake
        self._clock = clock

    async def submit(self, wish: Submission) -> JobView:
        """Run a plan. The same plan again gives the same job, which goes on where it failed or was cancelled.

        Raises:
            ResourceExhaustedError: STORAGE_FULL.
        """
        job = await self._lifecycle.submit(wish)
        self._wake()
        return await self.get(job.job)

    async def cached(self, plan: Plan) -> list[int]:
        """Return the shards of a plan whose results are in the cache, ascending."""
        actions = await self._shelf.call(lambda: list(plan.actions()))
        return [shard for shard, _ in await self._cache.usable("", actions)]

    async def get(self, job: str) -> JobView:
        """Return a job. Raises JOB_NOT_FOUND."""
        known, last = await self._store.read(lambda view: (view.job(job), view.last_event(job)))
        if known is None:
            raise not_found(job)
        return self._view(known, last)

    async def list_jobs(self, before: int, limit: int) -> list[JobView]:
        """Return jobs, newest first, that were submitted before the one of a sequence number; 0 for the newest."""

        def look(view: View) -> list[tuple[Job, JobEvent | None]]:
            return [(job, view.last_event(job.job)) for job in view.jobs(before, limit)]

        return [self._view(*found) for found in await self._store.read(look)]

    def watch(self, job: str, after: int) -> AsyncIterator[JobEvent]:
        """Yield the events of a job after a number, then those that come, until it has ended."""
        return self._journal.watch(job, after)

    async def cancel(self, job: str, actor: str) -> JobView:
        """End a job that runs. Raises JOB_NOT_FOUND or JOB_ENDED."""
        await self._lifecycle.cancel(job, actor)
        return await self.get(job)

    async def schedule(self, job: str, after: int = 0) -> list[Epoch]:
        """Return the log of a job's placement after an epoch, as much as an answer may hold. Raises JOB_NOT_FOUND."""
        known, epochs = await self._store.read(lambda view: (view.job(job), view.epochs(job, after)))
        if known is None:
            raise not_found(job)
        return epochs

    async def alarms(self, limit: int) -> list[Alarm]:
        """Return alarms, newest first."""
        return await self._store.read(lambda view: view.alarms(limit))

    def _view(self, job: Job, last: JobEvent | None) -> JobView:
        run = self._dispatcher.get(job.job)
        unsaved = self._journal.unsaved.get(job.job)
        if run is not None and job.state == RUNNING:
            return JobView(job, run.progress(self._clock()))
        if unsaved is not None and job.state == RUNNING:
            failed = replace(job, state=unsaved.state, ended_ms=unsaved.time_ms, problem=unsaved.problem)
            return JobView(failed, unsaved.progress)
        return JobView(job, last.progress if last else Progress())
