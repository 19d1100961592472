"""What the labor array keeps: jobs, their events, results by action, alarms and workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.labor.plan import Plan

RUNNING, COMMITTED, FAILED, CANCELLED = "running", "committed", "failed", "cancelled"
"""State of a job that is stored."""

ENDED = frozenset({COMMITTED, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a job failed: an ErrorReason without its prefix, and a sentence that names what is wrong."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What people want to know of a plan; see PlanSummary in the contract."""

    version: str
    version_digest: str
    baseline: str
    baseline_digest: str
    files: int
    rows: int
    bytes: int
    dataset_digest: str
    shards: int
    cached_shards: int
    cost: int
    cached_cost: int
    numerics_id: str
    numerics_level: str


@dataclass(frozen=True, slots=True)
class Options:
    """What of a wish touches no byte.

    Attributes:
        priority: Jobs of a higher one get their workers first.
        audit_ppm: Share of the shards that a second worker runs as well, in parts per million.
        skip_cache: Look up no result of earlier jobs.
    """

    priority: int = 0
    audit_ppm: int = 0
    skip_cache: bool = False


@dataclass(frozen=True, slots=True)
class Submission:
    """A plan to be run.

    Attributes:
        plan: The plan.
        data: Folder, file or s3:// address of the data, as workers see it.
        wish: The wish that it was made of, in a form that only the edge reads.
        options: What touches no byte.
        actor: Who wants it.
    """

    plan: Plan
    data: str
    wish: bytes = b""
    options: Options = field(default_factory=Options)
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is stored.

    Attributes:
        job: Its identifier.
        sequence: Place among all jobs in order of their first submission, from 1; 0 before it is stored.
        plan_digest: Digest of its plan, which is in the content store.
        context: See `neuralmesh_server.labor.context`.
        wish: See Submission.
        summary: Of the plan.
        options: See Submission.
        state: RUNNING, COMMITTED, FAILED or CANCELLED.
        actor: Who submitted it last.
        created_ms: When, in milliseconds since 1970.
        ended_ms: When it ended; 0 while it runs.
        problem: Why it failed.
        output_digest: Digest of the output manifest, which is in the content store; empty unless it is committed.
        report: Canonical report of an evaluation or comparison.
    """

    job: str
    sequence: int
    plan_digest: str
    context: bytes
    wish: bytes
    summary: PlanSummary
    options: Options
    state: str
    actor: str
    created_ms: int
    ended_ms: int = 0
    problem: Problem | None = None
    output_digest: str = ""
    report: bytes = b""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One action gave two results; see NondeterminismAlarm in the contract."""

    action: str
    job: str
    shard: int
    first_digest: str
    first_worker: str
    second_digest: str
    second_worker: str
    quarantined: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of a job; see JobProgress in the contract. `remaining_ms` is None while it is unknown."""

    shards: int = 0
    done: int = 0
    cached: int = 0
    audited: int = 0
    running: int = 0
    rows: int = 0
    done_rows: int = 0
    skipped_rows: int = 0
    retries: int = 0
    remaining_ms: int | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One step of a job; `event` is 0 until it is stored. See JobEvent in the contract."""

    event: int
    time_ms: int
    state: str
    progress: Progress
    message: str = ""
    alarm: Alarm | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker says an action gives.

    Attributes:
        job: The job for which it was run.
        shard: Its shard.
        action: Digest of the action.
        recipe: Digest of the recipe.
        input: Digest of the rows.
        rows: Number of the rows.
        result: The canonical result.
        digest: Its SHA-256.
        worker: Who says so.
        unverified: Nothing is promised of these numerics, so that another result accuses nobody.
        skipped: Rows without a result.
        again: The worker was asked to run it again, to compare.
    """

    job: str
    shard: int
    action: str
    recipe: str
    input: str
    rows: int
    result: bytes
    digest: str
    worker: str
    unverified: bool
    skipped: int
    again: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """The result of an action in the cache.

    Attributes:
        action: Digest of the action.
        result: The canonical result.
        digest: Its SHA-256.
        worker: Who gave it first.
        confirmed: Who gave the same again, once for each time.
        disputed: Somebody gave another one, and nobody has decided yet.
    """

    action: str
    result: bytes
    digest: str
    worker: str
    confirmed: tuple[str, ...] = ()
    disputed: bool = False

    @property
    def vouchers(self) -> frozenset[str]:
        """Everybody who gave this result."""
        return frozenset((self.worker, *self.confirmed))


@dataclass(frozen=True, slots=True)
class Vote:
    """A result of an action on which workers do not agree."""

    worker: str
    digest: str
    result: bytes


@dataclass(frozen=True, slots=True)
class ShardResult:
    """The result of a shard of a job that runs."""

    shard: int
    cached: bool
    entry: Entry
    skipped: int


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """A worker that was heard once; see Worker in the contract."""

    name: str
    host: str
    slots: int
    numerics: Mapping[str, str]
    done: int
    quarantined: bool
    seen_ms: int


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker, and whether it is there."""

    worker: KnownWorker
    live: bool


@dataclass(frozen=True, slots=True)
class JobView:
    """A job and how far it is."""

    job: Job
    progress: Progress
