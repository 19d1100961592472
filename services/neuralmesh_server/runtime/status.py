"""The one translation from a domain error to a gRPC status. Its reverse is `neuralmesh.exceptions`."""

from __future__ import annotations

import math

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_status import rpc_status

from neuralmesh_server import errors

DOMAIN = "neuralmesh"
"""`ErrorInfo.domain` of every error."""

CODES: dict[type[errors.NeuralMeshError], StatusCode] = {
    errors.InvalidArgumentError: StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: StatusCode.ALREADY_EXISTS,
    errors.AbortedError: StatusCode.ABORTED,
    errors.FailedPreconditionError: StatusCode.FAILED_PRECONDITION,
    errors.UnavailableError: StatusCode.UNAVAILABLE,
    errors.ResourceExhaustedError: StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceededError: StatusCode.DEADLINE_EXCEEDED,
    errors.NotSupportedError: StatusCode.UNIMPLEMENTED,
    errors.UnauthenticatedError: StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: StatusCode.PERMISSION_DENIED,
    errors.DataLossError: StatusCode.DATA_LOSS,
    errors.InternalError: StatusCode.INTERNAL,
}
"""Status code of each kind of error."""

PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""Trailing metadata by which a server says when a call may be tried again."""

_MESSAGE_BYTES = 900
_VALUE_BYTES = 200
_METADATA_BYTES = 1800
# Trailers are limited to 8 KiB by default in every gRPC implementation, and echoed input must not push over it. The
# message is sent twice: percent-encoded, which triples the bytes that are not ASCII, and in base64 within the details.


def code_of(error: errors.NeuralMeshError) -> StatusCode:
    """Return the status code of an error."""
    return CODES[type(error)]


def to_status(error: errors.NeuralMeshError) -> rpc_status._Status:
    """Return the status of an error: code, message, exactly one ErrorInfo, and a RetryInfo where the error has a hint.

    The hint also stands in the trailing metadata that gRPC's own retries read.
    """
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    room = _METADATA_BYTES
    for key, value in error.metadata.items():
        shown = clip(value, _VALUE_BYTES)
        room -= len(key) + len(shown.encode())
        if room >= 0:
            info.metadata[key] = shown
    detail = any_pb2.Any()
    detail.Pack(info)
    code = code_of(error).value[0]
    assert code in code_pb2.Code.values()
    details = [detail]
    if error.retry_seconds is not None:
        details.append(_retry(error.retry_seconds))
    status = rpc_status.to_status(
        status_pb2.Status(code=code, message=clip(error.message, _MESSAGE_BYTES), details=details)
    )
    if error.retry_seconds is None:
        return status
    pushback = (PUSHBACK_KEY, str(math.ceil(error.retry_seconds * 1000)))
    return status._replace(trailing_metadata=(*status.trailing_metadata, pushback))


def _retry(seconds: float) -> any_pb2.Any:
    delay = error_details_pb2.RetryInfo()
    delay.retry_delay.FromNanoseconds(int(seconds * 1e9))
    packed = any_pb2.Any()
    packed.Pack(delay)
    return packed


def clip(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` bytes of UTF-8, with a mark where it was cut; lone surrogates are replaced."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"
