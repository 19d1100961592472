"""Every error that a call can raise, and the one translation from a gRPC status to them.

Servers say why a call failed with one `google.rpc.ErrorInfo` of the domain `neuralmesh`; its reason, message and
variables arrive here as attributes. A status without one comes from the transport or from another server; it maps by
its code alone. This is the reverse of the servers' own table, which a test holds it against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "CancelledError",
    "DataLossError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "InternalError",
    "InvalidArgumentError",
    "NeuralMeshError",
    "NotFoundError",
    "NotSupportedError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "UnauthenticatedError",
    "UnavailableError",
]

DOMAIN = "neuralmesh"


class NeuralMeshError(Exception):
    """A call failed.

    Attributes:
        reason: Name of the contract's ErrorReason without its prefix, such as MODEL_NOT_FOUND.
        message: A sentence for people.
        metadata: The variables of the message.
        code: The gRPC status code.
        retry_seconds: When the server wants the call to be tried again, in seconds from its answer; None where it does
            not say.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN
    retry_seconds: float | None = None

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"

    def __reduce__(self) -> tuple[type[NeuralMeshError], tuple[str, str, dict[str, str]], dict[str, float | None]]:
        return type(self), (self.reason, self.message, self.metadata), {"retry_seconds": self.retry_seconds}


class InvalidArgumentError(NeuralMeshError):
    """The request is wrong whatever the state of the system."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFoundError(NeuralMeshError):
    """What the request names does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(NeuralMeshError):
    """What the request would create exists."""

    code = grpc.StatusCode.ALREADY_EXISTS


class AbortedError(NeuralMeshError):
    """A concurrent change won; read again and decide again."""

    code = grpc.StatusCode.ABORTED


class FailedPreconditionError(NeuralMeshError):
    """The state of the system forbids the request; a retry alone does not help."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class UnavailableError(NeuralMeshError):
    """Nothing ran, and a retry is safe."""

    code = grpc.StatusCode.UNAVAILABLE


class ResourceExhaustedError(NeuralMeshError):
    """A limit or the space is used up."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class DeadlineExceededError(NeuralMeshError):
    """The deadline passed; without reason DEADLINE_EXPIRED the work may have been done."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotSupportedError(NeuralMeshError):
    """The server does not offer what was asked."""

    code = grpc.StatusCode.UNIMPLEMENTED


class UnauthenticatedError(NeuralMeshError):
    """The caller did not prove who it is."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDeniedError(NeuralMeshError):
    """The caller may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class DataLossError(NeuralMeshError):
    """Stored or received bytes are not what they were."""

    code = grpc.StatusCode.DATA_LOSS


class InternalError(NeuralMeshError):
    """A defect of the server or of a model."""

    code = grpc.StatusCode.INTERNAL


class CancelledError(NeuralMeshError):
    """The call was cancelled."""

    code = grpc.StatusCode.CANCELLED


CLASSES: dict[grpc.StatusCode, type[NeuralMeshError]] = {
    **{
        kind.code: kind
        for kind in (
            InvalidArgumentError,
            NotFoundError,
            AlreadyExistsError,
            AbortedError,
            FailedPreconditionError,
            UnavailableError,
            ResourceExhaustedError,
            DeadlineExceededError,
            NotSupportedError,
            UnauthenticatedError,
            PermissionDeniedError,
            DataLossError,
            InternalError,
            CancelledError,
        )
    },
    # Our servers never send these two; other servers and the transport do.
    grpc.StatusCode.UNKNOWN: InternalError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
}
"""Class of each status code other than OK."""

_TRANSPORT_REASONS = {
    grpc.StatusCode.UNAVAILABLE: "PEER_UNREACHABLE",
    grpc.StatusCode.UNIMPLEMENTED: "NOT_SUPPORTED",
    grpc.StatusCode.UNAUTHENTICATED: "UNAUTHENTICATED",
    grpc.StatusCode.PERMISSION_DENIED: "PERMISSION_DENIED",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "LIMIT_EXCEEDED",
    grpc.StatusCode.CANCELLED: "CANCELLED",
    grpc.StatusCode.INTERNAL: "INTERNAL",
}


def from_rpc(error: grpc.RpcError, address: str) -> NeuralMeshError:
    """Return the exception of a failed call.

    Args:
        error: What grpc raised; it offers code(), details() and trailing_metadata().
        address: Where the call went, for the message of a transport failure.
    """
    code: grpc.StatusCode = error.code()
    kind = CLASSES.get(code, InternalError)
    details = error.details() or ""
    info = error_info(error.trailing_metadata() or ())
    if info is not None:
        found = kind(info.reason, details, dict(info.metadata))
        found.retry_seconds = _retry_seconds(error.trailing_metadata() or ())
        return found
    reason = _TRANSPORT_REASONS.get(code, code.name)
    if code is grpc.StatusCode.UNAVAILABLE:
        message = f"{address} cannot be reached: {details}"
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"{address} did not answer in time"
    else:
        message = f"{address} answered {code.name}: {details}"
    return kind(reason, message, {"address": address})


def broken_off(address: str) -> UnavailableError:
    """Return the exception of a call that ended while its requests were sent, without a status."""
    reason = _TRANSPORT_REASONS[grpc.StatusCode.UNAVAILABLE]
    return UnavailableError(reason, f"{address} cannot be reached: the call broke off", {"address": address})


def error_info(trailing_metadata: Iterable[tuple[str, str | bytes]]) -> error_details_pb2.ErrorInfo | None:
    """Return the ErrorInfo of our domain in a status, or None."""
    for detail in _details(trailing_metadata):
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            return info
    return None


def _retry_seconds(trailing_metadata: Iterable[tuple[str, str | bytes]]) -> float | None:
    for detail in _details(trailing_metadata):
        retry = error_details_pb2.RetryInfo()
        if detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            return float(retry.retry_delay.ToNanoseconds() * 1e-9)
    return None


def _details(trailing_metadata: Iterable[tuple[str, str | bytes]]) -> Iterable[Any]:
    """Return the details of the first status among the metadata; none when there is no status, or a broken one."""
    for key, value in trailing_metadata:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return ()
    return ()
