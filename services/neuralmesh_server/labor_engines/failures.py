"""Why a shard could not be run, as desks hear it: would any worker fail alike, or might another one fare better?"""

from __future__ import annotations

from dataclasses import dataclass

from neuralmesh_server.content_store import STORAGE_ERRORS
from neuralmesh_server.errors import NeuralMeshError

_ALIKE = frozenset(
    {
        "DATASET_CHANGED",
        "DATASET_INVALID",
        "FIELD_INVALID",
        "INPUT_INVALID",
        "LOAD_FAILED",
        "MODEL_FAILED",
        "NOT_SUPPORTED",
    }
)
"""Reasons that lie with the job, so that every worker would meet them.

All others may lie with this machine, this moment or the line to the service: a worker that is badly off must not end
the job of all.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason of the contract, a sentence for people, and whether it may go better elsewhere or later."""

    reason: str
    message: str
    retryable: bool


def failure(error: NeuralMeshError | OSError | MemoryError) -> Failure:
    """Return what an error means for the shard that was being run."""
    if isinstance(error, NeuralMeshError):
        return Failure(error.reason, error.message, error.reason not in _ALIKE)
    if isinstance(error, MemoryError):
        return Failure("LIMIT_EXCEEDED", "the worker has too little memory for the shard", retryable=True)
    if error.errno in STORAGE_ERRORS:
        return Failure("STORAGE_FULL", "no space is left on the worker for results", retryable=True)
    return Failure("INTERNAL", f"the worker's disk failed: {error}", retryable=True)
