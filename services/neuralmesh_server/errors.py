"""What can go wrong, without a transport: raised by domains, translated to a status once, in `runtime.status`.

Every error carries a `reason` from the contract's `ErrorReason` (without its prefix) and its variables as
`metadata`. This module knows neither grpc nor protobuf; a test holds the reasons against the contract.
"""

from __future__ import annotations

from typing import ClassVar, Self


class NeuralMeshError(Exception):
    """A failure that the caller is told about.

    Args:
        reason: A name of the contract's ErrorReason without the ERROR_REASON_ prefix.
        message: A sentence for people that names what is wrong.
        metadata: Every variable of the message, by lowerCamel name.

    Attributes:
        code: Name of the canonical status of this kind of failure.
        retry_seconds: When the caller may try again, in seconds from now; None where nothing is known.
    """

    code: ClassVar[str] = "INTERNAL"
    retry_seconds: float | None = None

    def __init__(self, reason: str, message: str, /, **metadata: object) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = {key: str(value) for key, value in metadata.items()}

    def retry_after(self, seconds: float) -> Self:
        """Say when the caller may try again; returns the error."""
        self.retry_seconds = seconds
        return self


class InvalidArgumentError(NeuralMeshError):
    """The request is wrong whatever the state of the system."""

    code = "INVALID_ARGUMENT"


class NotFoundError(NeuralMeshError):
    """What the request names does not exist."""

    code = "NOT_FOUND"


class AlreadyExistsError(NeuralMeshError):
    """What the request would create exists."""

    code = "ALREADY_EXISTS"


class AbortedError(NeuralMeshError):
    """A concurrent change won; read again and decide again."""

    code = "ABORTED"


class FailedPreconditionError(NeuralMeshError):
    """The state of the system forbids the request; a retry alone does not help."""

    code = "FAILED_PRECONDITION"


class UnavailableError(NeuralMeshError):
    """Nothing ran, and a retry is safe."""

    code = "UNAVAILABLE"


class ResourceExhaustedError(NeuralMeshError):
    """A limit or the space is used up."""

    code = "RESOURCE_EXHAUSTED"


class DeadlineExceededError(NeuralMeshError):
    """The deadline passed before the work began."""

    code = "DEADLINE_EXCEEDED"


class NotSupportedError(NeuralMeshError):
    """This server does not offer what was asked."""

    code = "UNIMPLEMENTED"


class UnauthenticatedError(NeuralMeshError):
    """The caller did not prove who it is."""

    code = "UNAUTHENTICATED"


class PermissionDeniedError(NeuralMeshError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"


class DataLossError(NeuralMeshError):
    """Stored bytes are not what they were."""

    code = "DATA_LOSS"


class InternalError(NeuralMeshError):
    """A defect of the server or of a model."""


REASONS = frozenset(
    [
        "NAME_INVALID",
        "VERSION_INVALID",
        "FIELD_INVALID",
        "PAGE_TOKEN_INVALID",
        "DIGEST_INVALID",
        "REQUEST_MALFORMED",
        "REQUEST_ID_REUSED",
        "MODEL_NOT_FOUND",
        "VERSION_NOT_FOUND",
        "ALIAS_NOT_FOUND",
        "ARTIFACT_NOT_FOUND",
        "ASSIGNMENT_NOT_FOUND",
        "NODE_NOT_FOUND",
        "RECEIPT_NOT_FOUND",
        "MODEL_EXISTS",
        "VERSION_CONTENT_EXISTS",
        "ETAG_MISMATCH",
        "UPLOAD_OFFSET_MISMATCH",
        "UPLOAD_IN_PROGRESS",
        "DIGEST_MISMATCH",
        "ARTIFACT_MISSING",
        "NOTHING_TO_ROLL_BACK",
        "NEVER_PROMOTED",
        "REVISION_AHEAD",
        "NODE_KEY_CONFLICT",
        "NODE_CONNECTED",
        "PROOF_REQUIRED",
        "PROOF_INVALID",
        "PROOF_INSUFFICIENT",
        "BATCHING_REFUSED",
        "PREDICTION_ID_INVALID",
        "INPUT_INVALID",
        "OUTPUT_INVALID",
        "PARAMETER_INVALID",
        "OUTCOME_INVALID",
        "OUTCOME_CONFLICT",
        "RECEIPT_INCOMPLETE",
        "NOTHING_TO_PROVE",
        "LOAD_FAILED",
        "VERSION_NOT_READY",
        "NOT_SERVING",
        "STATE_STALE",
        "PEER_UNREACHABLE",
        "STORAGE_FULL",
        "LIMIT_EXCEEDED",
        "QUEUE_FULL",
        "DEADLINE_EXPIRED",
        "NOT_SUPPORTED",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "INTERNAL",
        "MODEL_FAILED",
        "ARTIFACT_CORRUPT",
        "CANCELLED",
        "UPSTREAM_FAILED",
        "HOPS_EXCEEDED",
        "JOB_NOT_FOUND",
        "JOB_ENDED",
        "DATASET_INVALID",
        "DATASET_CHANGED",
        "LEASE_LOST",
        "NUMERICS_MISMATCH",
        "NONDETERMINISTIC",
        "WORKER_QUARANTINED",
    ]
)
"""Every reason of the contract."""
