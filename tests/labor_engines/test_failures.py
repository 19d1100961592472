"""Which failures end a job: those alone that every worker would meet."""

from __future__ import annotations

import pytest

from neuralmesh_server.errors import (
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NeuralMeshError,
    NotFoundError,
    UnavailableError,
)
from neuralmesh_server.labor_engines.failures import failure


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (FailedPreconditionError("DATASET_INVALID", "row 3 of 'a.npy'"), False),
        (FailedPreconditionError("DATASET_CHANGED", "'a.npy' has changed"), False),
        (InvalidArgumentError("FIELD_INVALID", "no such output"), False),
        (InternalError("MODEL_FAILED", "the model failed"), False),
        (UnavailableError("NOT_SERVING", "the labor service is stopping"), True),
        (UnavailableError("INTERNAL", "Connection reset by peer"), True),
        (FailedPreconditionError("ARTIFACT_MISSING", "the output is not stored"), True),
        (NotFoundError("ARTIFACT_NOT_FOUND", "the registry has no such file"), True),
        (PermissionError(13, "Permission denied"), True),
        (MemoryError(), True),
    ],
)
def test_only_what_lies_with_the_job_ends_it(error: NeuralMeshError | OSError | MemoryError, retryable: bool) -> None:
    """Trouble of one machine or of the line is tried again; trouble with data, wish or version is not."""
    assert failure(error).retryable is retryable
