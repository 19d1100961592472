"""Why a shard could not be run, as desks hear it: would any worker fail alike, or might another one fare better?"""

from __future__ import annotations

from dataclasses import dataclass

from neuralmesh_server.content_store import STORAGE_ERRORS
from neuralmesh_server.errors import NeuralMeshError

_ELSEWHERE = frozenset(
    {
        "ARTIFACT_CORRUPT",
        "CANCELLED",
        "DIGEST_MISMATCH",
        "LIMIT_EXCEEDED",
        "NUMERICS_MISMATCH",
        "PEER_UNREACHABLE",
        "STORAGE_FULL",
    }
)
"""Reasons that lie with this machine, this process or this moment."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason of the contract, a sentence for people, and whether it may go better elsewhere or later."""

    reason: str
    message: str
    retryable: bool


def failure(error: NeuralMeshError | OSError | MemoryError) -> Failure:
    """Return what an error means for the shard that was being run."""
    if isinstance(error, NeuralMeshError):
        return Failure(error.reason, error.message, error.reason in _ELSEWHERE)
    if isinstance(error, MemoryError):
        return Failure("LIMIT_EXCEEDED", "the worker has too little memory for the shard", retryable=True)
    if error.errno in STORAGE_ERRORS:
        return Failure("STORAGE_FULL", "no space is left on the worker for results", retryable=True)
    return Failure("INTERNAL", f"the worker's disk failed: {error}", retryable=True)
