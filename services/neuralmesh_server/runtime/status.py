"""The one translation from a domain error to a gRPC status. Its reverse is `neuralmesh.exceptions`."""

from __future__ import annotations

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

_MESSAGE_LIMIT = 1500
_VALUE_LIMIT = 256
# Trailing metadata is limited to 8 KiB by default in every gRPC implementation; hostile input must not push over it.


def code_of(error: errors.NeuralMeshError) -> StatusCode:
    """Return the status code of an error."""
    return CODES[type(error)]


def to_status(error: errors.NeuralMeshError) -> rpc_status._Status:
    """Return the status of an error: code, message and exactly one ErrorInfo."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in error.metadata.items():
        info.metadata[key] = clip(value, _VALUE_LIMIT)
    detail = any_pb2.Any()
    detail.Pack(info)
    code = code_of(error).value[0]
    assert code in code_pb2.Code.values()
    return rpc_status.to_status(
        status_pb2.Status(code=code, message=clip(error.message, _MESSAGE_LIMIT), details=[detail])
    )


def clip(text: str, limit: int) -> str:
    """Shorten a text to at most `limit` characters, with a mark where it was cut; lone surrogates are replaced."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else text[: limit - 1] + "…"
