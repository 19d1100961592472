"""From the records of the labor array to the contract's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import duration_pb2, timestamp_pb2

from neuralmesh.labor.v1 import labor_service_pb2 as api
from neuralmesh.labor.v1 import resources_pb2 as pb
from neuralmesh.labor.v1 import worker_service_pb2 as work
from neuralmesh_server.labor import plan, records
from neuralmesh_server.labor.convert_spec import wish_to

if TYPE_CHECKING:
    from neuralmesh_server.labor.desk import Lease
    from neuralmesh_server.labor.pending import PendingWish
    from neuralmesh_server.labor.plan import Plan
    from neuralmesh_server.labor.planner import ExplainedMiss
    from neuralmesh_server.labor.schedule import Epoch

_STATES = {
    records.RUNNING: pb.JOB_STATE_RUNNING,
    records.COMMITTED: pb.JOB_STATE_COMMITTED,
    records.FAILED: pb.JOB_STATE_FAILED,
    records.CANCELLED: pb.JOB_STATE_CANCELLED,
}
_LEVELS = {
    plan.EXACT: pb.NUMERICS_LEVEL_EXACT,
    plan.PINNED: pb.NUMERICS_LEVEL_PINNED,
    plan.UNVERIFIED: pb.NUMERICS_LEVEL_UNVERIFIED,
}


def job_to(view: records.JobView) -> pb.Job:
    """Return a job."""
    job = view.job
    message = pb.Job(
        name=f"jobs/{job.job}",
        spec=wish_to(job.wish),
        plan=summary_to(job.plan_digest, job.summary),
        state=_STATES[job.state],
        progress=progress_to(view.progress),
        error=None if job.problem is None else _problem(job.problem),
        output_digest=job.output_digest,
        report=job.report,
        actor=job.actor,
        create_time=time_to(job.created_ms),
    )
    if job.ended_ms:
        message.end_time.CopyFrom(time_to(job.ended_ms))
    return message


def pending_to(pending: PendingWish) -> pb.Job:
    """Return a job whose plan is being made."""
    done, total = pending.progress
    return pb.Job(
        spec=wish_to(pending.wish),
        state=pb.JOB_STATE_PLANNING,
        actor=pending.actor,
        create_time=time_to(pending.created_ms),
        planning=pb.PlanningProgress(bytes=total, done_bytes=done),
    )


def summary_to(digest: str, summary: records.PlanSummary) -> pb.PlanSummary:
    """Return the summary of a plan."""
    return pb.PlanSummary(
        plan_digest=digest,
        version=summary.version,
        version_digest=summary.version_digest,
        baseline=summary.baseline,
        baseline_digest=summary.baseline_digest,
        files=summary.files,
        rows=summary.rows,
        bytes=summary.bytes,
        dataset_digest=summary.dataset_digest,
        shards=summary.shards,
        cached_shards=summary.cached_shards,
        cost=summary.cost,
        cached_cost=summary.cached_cost,
        numerics_id=summary.numerics_id,
        numerics_level=_LEVELS[summary.numerics_level],
    )


def shard_to(made: Plan, shard: int, action: str, *, cached: bool) -> api.PlannedShard:
    """Return a shard of a plan."""
    said = made.shards[shard]
    return api.PlannedShard(
        shard=shard,
        file=made.files[said.file].path,
        first_row=said.first_row,
        rows=said.rows,
        cost=said.cost,
        action_digest=action,
        cached=cached,
    )


def miss_to(made: Plan, action: str, explained: ExplainedMiss) -> api.Miss:
    """Return why a shard is not in the cache."""
    miss = explained.miss
    return api.Miss(
        shard=shard_to(made, explained.shard, action, cached=False),
        nearest_action=miss.nearest.digest if miss.nearest else "",
        differences=[
            api.Difference(field=found.field, cached=found.cached, wanted=found.wanted) for found in miss.differences
        ],
    )


def progress_to(progress: records.Progress) -> pb.JobProgress:
    """Return the counts of a job."""
    message = pb.JobProgress(
        shards=progress.shards,
        done_shards=progress.done,
        cached_shards=progress.cached,
        audited_shards=progress.audited,
        running_shards=progress.running,
        rows=progress.rows,
        done_rows=progress.done_rows,
        skipped_rows=progress.skipped_rows,
        retries=progress.retries,
    )
    if progress.remaining_ms is not None:
        message.remaining.CopyFrom(duration_to(progress.remaining_ms / 1000))
    return message


def event_to(event: records.JobEvent) -> pb.JobEvent:
    """Return an event of a job."""
    return pb.JobEvent(
        event=event.event,
        time=time_to(event.time_ms),
        state=_STATES[event.state],
        progress=progress_to(event.progress),
        message=event.message,
        alarm=None if event.alarm is None else alarm_to(event.alarm),
        error=None if event.problem is None else _problem(event.problem),
    )


def alarm_to(alarm: records.Alarm) -> pb.NondeterminismAlarm:
    """Return an alarm."""
    return pb.NondeterminismAlarm(
        action_digest=alarm.action,
        job=f"jobs/{alarm.job}",
        shard=alarm.shard,
        first_digest=alarm.first_digest,
        first_worker=alarm.first_worker,
        second_digest=alarm.second_digest,
        second_worker=alarm.second_worker,
        quarantined_worker=alarm.quarantined,
        time=time_to(alarm.time_ms),
    )


def worker_to(view: records.WorkerView) -> pb.Worker:
    """Return a worker."""
    worker = view.worker
    return pb.Worker(
        name=worker.name,
        host=worker.host,
        slots=worker.slots,
        numerics=dict(worker.numerics),
        done_shards=worker.done,
        quarantined=worker.quarantined,
        seen_time=time_to(worker.seen_ms),
        live=view.live,
    )


def epoch_to(epoch: Epoch) -> api.ScheduleEpoch:
    """Return an entry of the log of a job's placement."""
    return api.ScheduleEpoch(epoch=epoch.number, slots=epoch.slots, pending=epoch.pending, assigned=epoch.assigned)


def lease_to(lease: Lease) -> work.ShardLease:
    """Return a lease."""
    return work.ShardLease(
        token=lease.token,
        job=f"jobs/{lease.job}",
        shard=lease.shard,
        action_digest=lease.action_digest,
        file=lease.file,
        first_row=lease.first_row,
        rows=lease.rows,
        input_digest=lease.input_digest,
    )


def duration_to(seconds: float) -> duration_pb2.Duration:
    """Return a duration."""
    nanos = round(seconds * 1e9)
    return duration_pb2.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)


def time_to(milliseconds: int) -> timestamp_pb2.Timestamp:
    """Return a time, given in milliseconds since 1970."""
    return timestamp_pb2.Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 10**6)


def _problem(problem: records.Problem) -> pb.JobError:
    return pb.JobError(reason=problem.reason, message=problem.message)
