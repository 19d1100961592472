"""From a service of the contract to grpc handlers: parse, call, translate, serialise.

A servicer has one method for each RPC, in snake case: `async def create_model(self, request, call)` for a unary answer,
an async generator for a stream. Requests arrive as bytes and are parsed here, so that bytes which are no message are
the caller's error and not the server's. Only generic handlers are registered: the registered kind costs a task a method
on grpcio 1.84 and later (docs/adr/0001-transport.md).
"""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from neuralmesh_server.errors import InternalError, InvalidArgumentError, NeuralMeshError
from neuralmesh_server.runtime.status import to_status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

log = structlog.get_logger()

RawHandler = "Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]"


class Call:
    """What a servicer may know about the call it answers."""

    __slots__ = ("_context",)

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self._context = context

    @property
    def identity(self) -> str | None:
        """Common name of the peer's verified certificate, or None without mutual TLS."""
        names = self._context.auth_context().get("x509_common_name")
        return names[0].decode("utf-8", "replace") if names else None

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline, or None."""
        remaining: float | None = self._context.time_remaining()
        return remaining

    def metadata(self, key: str) -> str | None:
        """First value of a metadata key, or None."""
        for name, value in self._context.invocation_metadata() or ():
            if name == key:
                return value if isinstance(value, str) else value.decode("utf-8", "replace")
        return None


def service_handler(
    service: ServiceDescriptor,
    servicer: object,
    message_class: Callable[[Any], type[Any]],
    raw: Mapping[str, Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]] | None = None,
) -> grpc.GenericRpcHandler:
    """Return the generic handler of a service.

    Args:
        service: The contract.
        servicer: Object with a snake-case method for every RPC that is not in `raw`.
        message_class: Finds the message class of a message descriptor.
        raw: RPCs by name that take and give bytes and answer for their own errors.

    Raises:
        AttributeError: The servicer lacks a method.
    """
    handlers: dict[str, grpc.RpcMethodHandler] = {}
    for method in service.methods:
        if raw and method.name in raw:
            handlers[method.name] = grpc.unary_unary_rpc_method_handler(raw[method.name])
            continue
        behaviour = getattr(servicer, snake_case(method.name))
        handlers[method.name] = _method_handler(method, behaviour, message_class(method.input_type))
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def snake_case(name: str) -> str:
    """Return the Python name of an RPC: CreateModel becomes create_model."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


async def abort(context: grpc.aio.ServicerContext, error: NeuralMeshError) -> None:
    """End a call with the status of an error; does not return."""
    await context.abort_with_status(to_status(error))


def parse(request_class: type[Any], data: bytes) -> Any:
    """Parse a request; bytes that are no such message raise REQUEST_MALFORMED."""
    try:
        return request_class.FromString(data)
    except DecodeError:
        name = request_class.DESCRIPTOR.full_name
        raise InvalidArgumentError("REQUEST_MALFORMED", f"the request's bytes are not a {name}", message=name) from None


def defect(error: Exception, method: str) -> InternalError:
    """Log a defect with its traceback and return the error that the caller may see."""
    incident = secrets.token_hex(6)
    log.error("call_failed", method=method, incident=incident, exc_info=error)
    return InternalError("INTERNAL", f"internal error, incident {incident}", incident=incident)


def _method_handler(
    method: MethodDescriptor, behaviour: Callable[..., Any], request_class: type[Any]
) -> grpc.RpcMethodHandler:
    async def requests(stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in stream:
            yield parse(request_class, data)

    def read(data: Any) -> Any:
        return requests(data) if method.client_streaming else parse(request_class, data)

    async def unary(data: Any, context: grpc.aio.ServicerContext) -> bytes:
        async with _translated(context, method.full_name):
            response = await behaviour(read(data), Call(context))
            return response.SerializeToString()  # type: ignore[no-any-return]
        raise AssertionError("the call was ended")

    async def streaming(data: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async with _translated(context, method.full_name):
            async for response in behaviour(read(data), Call(context)):
                yield response.SerializeToString()

    kinds = {
        (False, False): (grpc.unary_unary_rpc_method_handler, unary),
        (True, False): (grpc.stream_unary_rpc_method_handler, unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, streaming),
        (True, True): (grpc.stream_stream_rpc_method_handler, streaming),
    }
    make, function = kinds[method.client_streaming, method.server_streaming]
    return make(function)


@contextlib.asynccontextmanager
async def _translated(context: grpc.aio.ServicerContext, method: str) -> AsyncIterator[None]:
    """End the call with a status where its body raises; a cancellation passes."""
    try:
        yield
    except NeuralMeshError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - the edge: a defect becomes INTERNAL and is logged with its traceback
        failure = defect(error, method)
    else:
        return
    await abort(context, failure)
