"""How jobs and calls about them end: as errors of the client, or with figures that are recorded beside the version."""

from __future__ import annotations

import json
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


def is_away(error: NeuralMeshError, address: str) -> bool:
    """Say whether the service at an address is away: it stops, or the line to it is cut.

    What the service itself cannot reach is another matter, which another call of it does not mend.
    """
    return error.reason == "NOT_SERVING" or error.metadata.get("address") == address


CHECKS = {"evaluate": "evaluation", "compare": "comparison"}
"""Kinds of checks by the kinds of reports."""


def check(job: pb.Job) -> tuple[str, dict[str, str]] | None:
    """Return the kind and the figures of the check that a committed job's report makes; None where it has none."""
    if not job.report:
        return None
    said = json.loads(job.report)
    figures: dict[str, str | None] = {"rows": str(said["rows"]), "dataset": job.plan.dataset_digest}
    if said["kind"] == "evaluate":
        figures["accuracy"] = said["accuracy"]
        figures |= {f"macro_{name}": said["macro"][name] for name in ("precision", "recall", "f1")}
        figures["calibration_error"] = (said["calibration"] or {}).get("expected_error")
    else:
        figures |= {"baseline": job.plan.baseline, "identical": said["identical"], "agreement": said["agreement"]}
    return CHECKS[said["kind"]], {name: value for name, value in figures.items() if value is not None}


def version(job: pb.Job) -> tuple[str, str]:
    """Return the model and the number of the version that a planned job runs."""
    _, model, _, number = job.plan.version.split("/")
    return model, number
