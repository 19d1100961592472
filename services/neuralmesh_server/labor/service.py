"""The edge of the labor array towards those who want work done: check, call the domain, translate, return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.labor.v1 import labor_service_pb2 as api
from neuralmesh_server import names
from neuralmesh_server.errors import NotFoundError
from neuralmesh_server.labor import convert, convert_spec, validate
from neuralmesh_server.labor.records import COMMITTED, Options, Submission
from neuralmesh_server.labor.summary import summarise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.labor.coordinator import Coordinator
    from neuralmesh_server.labor.planner import Planner
    from neuralmesh_server.labor.shelf import Shelf
    from neuralmesh_server.labor.store import Store
    from neuralmesh_server.runtime.handlers import Call

SHOWN_SHARDS = 1000
"""Most shards in an answer of PlanJob."""


class LaborArrayServicer:
    """Answers the RPCs of LaborArrayService; the contract describes them."""

    def __init__(self, coordinator: Coordinator, planner: Planner, shelf: Shelf, store: Store) -> None:
        self._coordinator = coordinator
        self._planner = planner
        self._shelf = shelf
        self._store = store

    async def plan_job(self, request: Any, call: Call) -> Any:
        """Make a plan and say what of it is in the cache."""
        del call
        made = await self._planner.plan(convert_spec.spec_from(request.spec))
        cached = set(await self._coordinator.jobs.cached(made))
        actions = made.actions()
        return api.PlanJobResponse(
            plan=convert.summary_to(made.digest, summarise(made, cached)),
            shards=[
                convert.shard_to(made, shard, action, cached=shard in cached)
                for shard, action in zip(range(SHOWN_SHARDS), actions, strict=False)
            ],
        )

    async def submit_job(self, request: Any, call: Call) -> Any:
        """Make a plan and run it."""
        spec = convert_spec.spec_from(request.spec)
        actor = _actor(request, call)
        with self._planner.pending.hold(convert_spec.wish_of(request.spec), actor) as pending:
            made = await self._planner.plan(spec, pending.note)
            options = Options(spec.priority, spec.audit_ppm, spec.skip_cache)
            submitted = await self._coordinator.jobs.submit(Submission(made, spec.data, pending.wish, options, actor))
        return api.SubmitJobResponse(job=convert.job_to(submitted))

    async def get_job(self, request: Any, call: Call) -> Any:
        """Return a job."""
        del call
        return api.GetJobResponse(job=convert.job_to(await self._coordinator.jobs.get(validate.job(request.name))))

    async def list_jobs(self, request: Any, call: Call) -> Any:
        """Return a page of jobs, newest first, and ahead of the first one those that are being planned."""
        del call
        size = validate.page_size(request.page_size)
        start = validate.page_start(request.page_token)
        found = await self._coordinator.jobs.list_jobs(start, size + 1)
        pending = [] if request.page_token else self._planner.pending.newest_first()
        return api.ListJobsResponse(
            jobs=[*map(convert.pending_to, pending), *map(convert.job_to, found[:size])],
            next_page_token=str(found[size - 1].job.sequence) if len(found) > size else "",
        )

    async def watch_job(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Stream the events of a job."""
        del call
        after = validate.at_least("after_event", request.after_event, 0)
        async for event in self._coordinator.jobs.watch(validate.job(request.name), after):
            yield api.WatchJobResponse(event=convert.event_to(event))

    async def cancel_job(self, request: Any, call: Call) -> Any:
        """End a job that runs."""
        view = await self._coordinator.jobs.cancel(validate.job(request.name), _actor(request, call))
        return api.CancelJobResponse(job=convert.job_to(view))

    async def get_job_document(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Stream the plan or the output manifest of a job."""
        del call
        job = (await self._coordinator.jobs.get(validate.job(request.name))).job
        if request.document == api.JOB_DOCUMENT_PLAN:
            digest = job.plan_digest
        elif request.document == api.JOB_DOCUMENT_MANIFEST:
            digest = job.output_digest
            if job.state != COMMITTED:
                raise NotFoundError(
                    "ARTIFACT_NOT_FOUND", f"{request.name} is {job.state} and has no output manifest", job=request.name
                )
        else:
            raise validate.invalid("document", "is missing; it has to be the plan or the manifest")
        try:
            async for piece in self._shelf.read(digest):
                yield api.GetJobDocumentResponse(data=piece)
        except NotFoundError as error:
            why = f"what {request.name} gave is not kept any more; submitted again, it is computed again"
            raise NotFoundError("ARTIFACT_NOT_FOUND", why, job=request.name, digest=digest) from error

    async def download_result(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Stream the bytes of a result."""
        del call
        offset = validate.at_least("offset", request.offset, 0)
        async for piece in self._shelf.read(names.check_digest(request.digest), offset):
            yield api.DownloadResultResponse(data=piece)

    async def explain_misses(self, request: Any, call: Call) -> Any:
        """Say why shards of a plan are not in the cache."""
        del call
        limit = validate.page_size(request.limit)
        made = await self._planner.plan(convert_spec.spec_from(request.spec))
        cached = set(await self._coordinator.jobs.cached(made))
        missing = [shard for shard in range(len(made.shards)) if shard not in cached]
        actions = list(made.actions())
        explained = await self._planner.explain(made, missing[:limit], self._store)
        return api.ExplainMissesResponse(
            misses=[convert.miss_to(made, actions[miss.shard], miss) for miss in explained], total=len(missing)
        )

    async def get_schedule(self, request: Any, call: Call) -> Any:
        """Return a part of the log of a job's placement."""
        del call
        after = validate.at_least("after_epoch", request.after_epoch, 0)
        epochs = await self._coordinator.jobs.schedule(validate.job(request.name), after)
        return api.GetScheduleResponse(epochs=[convert.epoch_to(epoch) for epoch in epochs])

    async def list_workers(self, request: Any, call: Call) -> Any:
        """Return all workers."""
        del request, call
        workers = await self._coordinator.workers.list()
        return api.ListWorkersResponse(workers=[convert.worker_to(worker) for worker in workers])

    async def list_alarms(self, request: Any, call: Call) -> Any:
        """Return alarms, newest first."""
        del call
        alarms = await self._coordinator.jobs.alarms(validate.page_size(request.page_size))
        return api.ListAlarmsResponse(alarms=[convert.alarm_to(alarm) for alarm in alarms])

    async def release_worker(self, request: Any, call: Call) -> Any:
        """Let a quarantined worker work again."""
        _actor(request, call)
        if not names.NODE.fullmatch(request.worker):
            raise validate.invalid("worker", "has to match [a-z][a-z0-9-]{0,62}")
        return api.ReleaseWorkerResponse(
            worker=convert.worker_to(await self._coordinator.workers.release(request.worker))
        )


def _actor(request: Any, call: Call) -> str:
    """Return who asks: whoever was proved, else whoever is claimed."""
    claimed = validate.line("actor", request.actor)
    return call.identity or claimed
