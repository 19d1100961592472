# Generated from _async/labor.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""The labor array's methods, one for each RPC, and whole jobs from their wish to the folder of their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh import _labor_ends
from neuralmesh._resource import job_name
from neuralmesh._sync import labor_run
from neuralmesh._sync.pages import pages
from neuralmesh.labor.v1 import labor_service_pb2 as pb
from neuralmesh.labor_results import check_place
from neuralmesh.labor_spec import job_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from neuralmesh._sync.connection import Connection
    from neuralmesh._sync.registry import Registry
    from neuralmesh.labor.v1 import resources_pb2 as resources
    from neuralmesh.registry.v1 import resources_pb2 as registry_resources


PLANNING_SECONDS = 6 * 3600.0
"""Seconds that a call may take in which all of the data is read."""


class Labor:
    """Batch jobs whose output bytes depend on nothing but their plan. Every method raises `neuralmesh.exceptions`.

    Jobs are named with or without `jobs/`.
    """

    def __init__(self, connection: Connection, actor: str, registry: Registry) -> None:
        self._connection = connection
        self._actor = actor
        self._registry = registry

    @property
    def address(self) -> str:
        """Where the calls go, `host:port`."""
        return self._connection.address

    def run(
        self,
        version: str,
        *,
        data: str | Path,
        out: str | Path | None = None,
        job: str = "infer",
        baseline: str = "",
        inputs: Mapping[str, Sequence[str]] | None = None,
        label: str = "",
        id_column: str = "",
        rows_per_shard: int = 0,
        outputs: Sequence[str] = (),
        format: str = "parquet",  # noqa: A002 - the contract's name
        bad_rows: str = "fail",
        micro_batch: int = 0,
        audit: float = 0.0,
        priority: int = 0,
        skip_cache: bool = False,
        record: bool = True,
        progress: Callable[[resources.JobEvent], None] | None = None,
    ) -> resources.Job:
        """Run a job to its end and write its results into a folder; returns the committed job.

        The same wish over the same data is the same job: called again, it is taken up where it stood, and where the
        results are there already nothing is done.

        Args:
            version: `model`, `model@alias`, `model@version` or `model/version`.
            data: A file or folder, or an s3:// address, that the service and its workers can read.
            out: Where the folder of results is to be; None writes none.
            job: `infer`, `evaluate` or `compare`.
            baseline: The version that a comparison compares with.
            inputs: Columns of each input by its name, where they are not plain.
            label: Column of the true labels.
            id_column: Column that is carried through to the results.
            rows_per_shard: Rows of a shard; 0 for a size that depends on the rows' width.
            outputs: Names of the outputs to keep; empty for all.
            format: `parquet`, `arrow` or `safetensors`.
            bad_rows: `fail` or `skip`.
            micro_batch: Rows of a batch for runtimes whose answers depend on it; 0 for 64.
            audit: Share of the shards, from 0 to 1, that a second worker runs as well.
            priority: Jobs of a higher priority get their workers first.
            skip_cache: Look up no result of earlier jobs.
            record: Record the figures of an evaluation or comparison beside the version, in the registry.
            progress: Called with each event of the job.

        Raises:
            UnavailableError: The service cannot be reached for half a minute; it may be away for less at any time.
            FailedPreconditionError: The job failed; the message says why.
            CancelledError: Somebody cancelled it.
            FileExistsError: `out` holds something else than the results of this job.
            OSError: `out` cannot be there; this is known before anything runs, as far as it can be.
        """
        spec = job_spec(
            version,
            data,
            job=job,
            baseline=baseline,
            inputs=inputs,
            label=label,
            id_column=id_column,
            rows_per_shard=rows_per_shard,
            outputs=outputs,
            format=format,
            bad_rows=bad_rows,
            micro_batch=micro_batch,
            audit=audit,
            priority=priority,
            skip_cache=skip_cache,
        )
        if out is not None:
            check_place(out, data)
        submitted = labor_run.submit(self, spec)
        return self.finish(submitted.name, out=out, record=record, progress=progress)

    def finish(
        self,
        job: str,
        *,
        out: str | Path | None = None,
        record: bool = False,
        progress: Callable[[resources.JobEvent], None] | None = None,
        attempts: int = labor_run.ATTEMPTS,
    ) -> resources.Job:
        """Follow a job to its end, write its results into a folder and record its figures; see `run`.

        `attempts`, a second apart, are made before a service that cannot be reached is given up: one is enough where
        the service is within this program.
        """
        ended = labor_run.follow(self, job, progress, attempts)
        failure = _labor_ends.failure(ended)
        if failure is not None:
            raise failure
        if out is not None:
            labor_run.fetch(self, ended, out)
        if record:
            self.record(ended)
        return ended

    def record(self, job: resources.Job) -> registry_resources.Check | None:
        """Record the figures of a committed evaluation or comparison beside the version; None for other jobs."""
        check = _labor_ends.check(job)
        if check is None:
            return None
        kind, figures = check
        model, version = _labor_ends.version(job)
        return self._registry.record_check(
            model,
            version,
            kind=kind,
            plan_digest=job.plan.plan_digest,
            output_digest=job.output_digest,
            figures=figures,
            reason=f"job {job.name.removeprefix('jobs/')}",
        )

    def plan_job(self, spec: resources.JobSpec) -> pb.PlanJobResponse:
        """Return the plan of a wish and what of it is in the cache; nothing runs."""
        request = pb.PlanJobRequest(spec=spec)
        return self._connection.unary("PlanJob", pb.PlanJobResponse, request, timeout=PLANNING_SECONDS)

    def submit_job(self, spec: resources.JobSpec) -> resources.Job:
        """Run a wish; the same one again returns the job that there is."""
        request = pb.SubmitJobRequest(spec=spec, actor=self._actor)
        response = self._connection.unary("SubmitJob", pb.SubmitJobResponse, request, timeout=PLANNING_SECONDS)
        return response.job

    def get_job(self, job: str) -> resources.Job:
        """Return a job."""
        request = pb.GetJobRequest(name=job_name(job))
        return (self._connection.unary("GetJob", pb.GetJobResponse, request)).job

    def list_jobs(self) -> Iterator[resources.Job]:
        """Yield all jobs, newest first; ahead of them those that are being planned, which have no names yet."""
        return pages(self._connection, "ListJobs", pb.ListJobsResponse, pb.ListJobsRequest(), "jobs")

    def watch_job(self, job: str, *, after_event: int = 0) -> Iterator[resources.JobEvent]:
        """Yield the events of a job after a number, then those that come, until it ends."""
        request = pb.WatchJobRequest(name=job_name(job), after_event=after_event)
        for response in self._connection.stream("WatchJob", pb.WatchJobResponse, request):
            yield response.event

    def cancel_job(self, job: str) -> resources.Job:
        """End a job that has not ended."""
        request = pb.CancelJobRequest(name=job_name(job), actor=self._actor)
        return (self._connection.unary("CancelJob", pb.CancelJobResponse, request)).job

    def get_job_document(self, job: str, document: pb.JobDocument) -> Iterator[pb.GetJobDocumentResponse]:
        """Yield the pieces of a job's plan or output manifest."""
        request = pb.GetJobDocumentRequest(name=job_name(job), document=document)
        return self._connection.stream("GetJobDocument", pb.GetJobDocumentResponse, request)

    def download_result(self, digest: str, *, offset: int = 0) -> Iterator[pb.DownloadResultResponse]:
        """Yield the bytes of a result from an offset on."""
        request = pb.DownloadResultRequest(digest=digest, offset=offset)
        return self._connection.stream("DownloadResult", pb.DownloadResultResponse, request)

    def explain_misses(self, spec: resources.JobSpec, *, limit: int = 0) -> pb.ExplainMissesResponse:
        """Return why shards of a plan are not in the cache; a limit of 0 stands for 100."""
        request = pb.ExplainMissesRequest(spec=spec, limit=limit)
        return self._connection.unary("ExplainMisses", pb.ExplainMissesResponse, request, timeout=PLANNING_SECONDS)

    def get_schedule(self, job: str) -> list[pb.ScheduleEpoch]:
        """Return the log of live workers and the assignments that followed from it."""
        epochs: list[pb.ScheduleEpoch] = []
        while True:
            after = epochs[-1].epoch if epochs else 0
            request = pb.GetScheduleRequest(name=job_name(job), after_epoch=after)
            response = self._connection.unary("GetSchedule", pb.GetScheduleResponse, request)
            found = [epoch for epoch in response.epochs if epoch.epoch > after]  # an older service tells all again
            if not found:
                return epochs
            epochs.extend(found)

    def list_workers(self) -> list[resources.Worker]:
        """Return the workers in byte order of their names."""
        response = self._connection.unary("ListWorkers", pb.ListWorkersResponse, pb.ListWorkersRequest())
        return list(response.workers)

    def list_alarms(self, *, limit: int = 0) -> list[resources.NondeterminismAlarm]:
        """Return alarms, newest first; a limit of 0 stands for 100."""
        request = pb.ListAlarmsRequest(page_size=limit)
        return list((self._connection.unary("ListAlarms", pb.ListAlarmsResponse, request)).alarms)

    def release_worker(self, worker: str) -> resources.Worker:
        """Let a quarantined worker work again."""
        request = pb.ReleaseWorkerRequest(worker=worker, actor=self._actor)
        return (self._connection.unary("ReleaseWorker", pb.ReleaseWorkerResponse, request)).worker
