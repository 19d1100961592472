"""How jobs end, as the errors of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh.exceptions import CancelledError, DataLossError, FailedPreconditionError
from neuralmesh.labor.v1 import resources_pb2 as pb

if TYPE_CHECKING:
    from neuralmesh.exceptions import NeuralMeshError

_ENDED = frozenset({pb.JOB_STATE_COMMITTED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED})


def ended(job: pb.Job) -> bool:
    """Say whether a job has ended."""
    return job.state in _ENDED


def failure(job: pb.Job) -> NeuralMeshError | None:
    """Return why an ended job has no results; None for one that has."""
    if job.state == pb.JOB_STATE_COMMITTED:
        return None
    if job.state == pb.JOB_STATE_CANCELLED:
        return CancelledError("JOB_ENDED", f"{job.name} was cancelled", {"job": job.name})
    kind = DataLossError if job.error.reason == "NONDETERMINISTIC" else FailedPreconditionError
    return kind(job.error.reason or "JOB_ENDED", job.error.message or f"{job.name} failed", {"job": job.name})
