"""What the metrics service thinks in: deltas that nodes send, and what is kept of them. No wire, no store."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.histogram import Histogram
    from neuralmesh_server.metrics.labels import Labels
    from neuralmesh_server.metrics.rollouts import StepDelta

CODES = (
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""The gRPC status names of failures, in the order of their numbers; databases hold positions in it."""


class LoadState(IntEnum):
    """State of a version on a node; the numbers are the contract's."""

    LOADING = 1
    READY = 2
    FAILED = 3
    UNLOADED = 4


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """A version that a node holds, or failed to load."""

    model: str
    version: int
    digest: str
    state: LoadState
    reason: str
    size_bytes: int
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionDelta:
    """What one version did on a node since the delta before; latencies in seconds."""

    model: str
    version: int
    digest: str
    requests: int
    rows: int
    errors: Mapping[str, int]
    latency: Histogram


@dataclass(frozen=True, slots=True)
class ReportedPrediction:
    """The labels that a node answered under one prediction id."""

    id: str
    model: str
    version: int
    labels: Labels


@dataclass(frozen=True, slots=True)
class Delta:
    """One delta of a node; `epoch` is ms since 1970, `uptime_ms` ms since the process started."""

    node: str
    epoch: int
    sequence: int
    applied_revision: int
    uptime_ms: int
    versions: tuple[VersionDelta, ...]
    predictions: tuple[ReportedPrediction, ...]
    loaded: tuple[LoadedVersion, ...]
    unresolved_errors: Mapping[str, int]
    dropped_predictions: int
    final: bool
    rollouts: tuple[StepDelta, ...] = ()
    lost_receipts: int = 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """The life of one node process, as far as its deltas told. Times are ms since 1970 on this service's clock.

    Attributes:
        committed: Highest sequence that was counted.
        final: The node said goodbye.
    """

    node: str
    epoch: int
    committed: int
    uptime_ms: int
    first_seen_ms: int
    last_seen_ms: int
    applied_revision: int
    dropped_predictions: int
    final: bool
    lost_receipts: int = 0


@dataclass(frozen=True, slots=True)
class VersionTotals:
    """All that was counted for one version, over all nodes and epochs; times in ms since 1970, None before the first.

    Attributes:
        requests: Requests that were answered; `errors` holds those that failed, by gRPC status name.
        outcomes: Rows with a known outcome, of which `correct` were predicted right.
        size_bytes: Bytes of the artifacts; None while no node has reported it.
    """

    model: str
    version: int
    digest: str
    requests: int
    rows: int
    errors: Mapping[str, int]
    latency: Histogram
    outcomes: int
    correct: int
    size_bytes: int | None
    first_request_ms: int | None
    last_request_ms: int | None


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A reported prediction; `labels` and `truth` as `labels.encode` made them, `truth` None without an outcome."""

    model: str
    version: int
    labels: bytes
    truth: bytes | None


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counts that belong to no version.

    Attributes:
        predictions: Predictions kept for outcomes.
        prediction_bytes: Bytes of their labels.
        pending: Outcomes that wait for their prediction.
        pending_bytes: Bytes of their labels.
        rejected_outcomes: Pending outcomes that did not fit their prediction when it came.
        expired_outcomes: Pending outcomes that were given up to keep within the limit.
        missing_deltas: Deltas that were skipped by a later one and have not come since.
        unresolved_errors: Requests that failed before a version was resolved, by gRPC status name.
        rollout_log: Reports of steps of rollouts that are kept.
        rollout_log_bytes: Bytes of their first failures.
        expired_rollout_log: Reports that were given up to keep within the limit; their totals stay.
    """

    predictions: int = 0
    prediction_bytes: int = 0
    pending: int = 0
    pending_bytes: int = 0
    rejected_outcomes: int = 0
    expired_outcomes: int = 0
    missing_deltas: int = 0
    unresolved_errors: Mapping[str, int] = field(default_factory=dict)
    rollout_log: int = 0
    rollout_log_bytes: int = 0
    expired_rollout_log: int = 0
