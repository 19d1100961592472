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
from neuralmesh_server.runtime.gate import certificate_name, make_gate
from neuralmesh_server.runtime.status import to_status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

    from neuralmesh_server.runtime.access import Guard, Principal
    from neuralmesh_server.runtime.gate import Gate

log = structlog.get_logger()


class Call:
    """What a servicer may know about the call it answers.

    Args:
        context: The call.
        principal: Who calls, where access is on.
    """

    __slots__ = ("_context", "_principal")

    def __init__(self, context: grpc.aio.ServicerContext, principal: Principal | None = None) -> None:
        self._context = context
        self._principal = principal

    @property
    def identity(self) -> str | None:
        """Who calls, proved by a token or by a verified certificate's common name; None where nothing was proved."""
        return certificate_name(self._context) if self._principal is None else self._principal.name

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
    raw: Mapping[str, Callable[[Any, grpc.aio.ServicerContext], Any]] | None = None,
    guard: Guard | None = None,
) -> grpc.GenericRpcHandler:
    """Return the generic handler of a service.

    Args:
        service: The contract.
        servicer: Object with a snake-case method for every RPC that is not in `raw`.
        message_class: Finds the message class of a message descriptor.
        raw: RPCs by name that take and give bytes, in the way of the RPC's kind, and answer for their own errors.
        guard: Who may call what; None lets everybody in, and then costs nothing.

    Raises:
        AttributeError: The servicer lacks a method.
    """
    handlers: dict[str, grpc.RpcMethodHandler] = {}
    for method in service.methods:
        request_class = message_class(method.input_type)
        gate = None if guard is None else make_gate(guard, method)
        if raw and method.name in raw:
            handlers[method.name] = _raw_handler(method, raw[method.name], request_class, gate)
            continue
        behaviour = getattr(servicer, snake_case(method.name))
        handlers[method.name] = _method_handler(method, behaviour, request_class, gate)
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def snake_case(name: str) -> str:
    """Return the Python name of an RPC: CreateModel becomes create_model."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


async def abort(context: grpc.aio.ServicerContext, error: NeuralMeshError) -> None:
    """End a call with the status of an error; the handler has nothing more to do than to return.

    grpc keeps the exception by which it ends a call, and a handler keeps the error that it caught: with their
    tracebacks both would hold the frames that hold them, and so the request, until the garbage collector comes. grpc
    raises its exception again where the handler returns.
    """
    forget_frames(error)
    try:
        await context.abort_with_status(to_status(error))
    except grpc.aio.AbortError as ended:
        forget_frames(ended)


def forget_frames(error: BaseException) -> None:
    """Let go of the frames that an error and the errors behind it passed."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = None
        waiting += (one.__cause__, one.__context__)


def parse(request_class: type[Any], data: bytes) -> Any:
    """Parse a request; bytes that are no such message raise REQUEST_MALFORMED."""
    try:
        return request_class.FromString(data)
    except DecodeError:
        name = request_class.DESCRIPTOR.full_name
        raise InvalidArgumentError("REQUEST_MALFORMED", f"the request's bytes are no {name}", message=name) from None


def defect(error: Exception, method: str) -> InternalError:
    """Log a defect with its traceback and return the error that the caller may see."""
    incident = secrets.token_hex(6)
    log.error("call_failed", method=method, incident=incident, exc_info=error)
    forget_frames(error)
    return InternalError("INTERNAL", f"internal error, incident {incident}", incident=incident)


def _raw_handler(
    method: MethodDescriptor, behaviour: Callable[..., Any], request_class: type[Any], gate: Gate | None
) -> grpc.RpcMethodHandler:
    make = _KINDS[method.client_streaming, method.server_streaming]
    if gate is None:
        return make(behaviour)
    entered = _raw_reader(method, request_class, gate)

    async def unary(data: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            request = entered(data, context)
        except NeuralMeshError as error:
            refusal = error
        else:
            return await behaviour(request, context)
        await abort(context, refusal)
        return b""  # nobody sees it

    async def streaming(data: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        async with _translated(context, method.full_name):
            request = entered(data, context)
            async for response in behaviour(request, context):
                yield response

    return make(streaming if method.server_streaming else unary)


def _raw_reader(
    method: MethodDescriptor, request_class: type[Any], gate: Gate
) -> Callable[[Any, grpc.aio.ServicerContext], Any]:
    """Return what lets the bytes of a call, or a stream of them, through the gate."""

    def parsed(data: bytes) -> Any:
        return parse(request_class, data)

    async def requests(stream: AsyncIterator[bytes], principal: Principal) -> AsyncIterator[bytes]:
        async for data in stream:
            gate.check_bytes(principal, data, parsed)
            yield data

    def entered(data: Any, context: grpc.aio.ServicerContext) -> Any:
        if method.client_streaming:
            return requests(data, gate.enter(context))
        gate.check_bytes(gate.principal(context), data, parsed)
        return data

    return entered


def _method_handler(
    method: MethodDescriptor, behaviour: Callable[..., Any], request_class: type[Any], gate: Gate | None
) -> grpc.RpcMethodHandler:
    entered = _reader(method, request_class, gate)

    def written(response: Any, principal: Principal | None) -> bytes:
        if gate is not None and principal is not None:
            response = gate.admit(principal, response)
        return response.SerializeToString()  # type: ignore[no-any-return]

    async def unary(data: Any, context: grpc.aio.ServicerContext) -> bytes:
        async with _translated(context, method.full_name):
            request, principal = entered(data, context)
            return written(await behaviour(request, Call(context, principal)), principal)
        return b""  # after a failure; nobody sees it

    async def streaming(data: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async with _translated(context, method.full_name):
            request, principal = entered(data, context)
            async for response in behaviour(request, Call(context, principal)):
                yield written(response, principal)

    return _KINDS[method.client_streaming, method.server_streaming](streaming if method.server_streaming else unary)


def _reader(
    method: MethodDescriptor, request_class: type[Any], gate: Gate | None
) -> Callable[[Any, grpc.aio.ServicerContext], tuple[Any, Principal | None]]:
    """Return what gives the servicer's request, or requests, from a call's bytes, and who calls where that is asked."""

    async def requests(stream: AsyncIterator[bytes], principal: Principal | None) -> AsyncIterator[Any]:
        async for data in stream:
            request = parse(request_class, data)
            if gate is not None and principal is not None:
                gate.check(principal, request)
            yield request

    def entered(data: Any, context: grpc.aio.ServicerContext) -> tuple[Any, Principal | None]:
        if method.client_streaming:
            principal = None if gate is None else gate.enter(context)
            return requests(data, principal), principal
        if gate is None:
            return parse(request_class, data), None
        principal = gate.principal(context)
        request = parse(request_class, data)
        gate.check(principal, request)
        return request, principal

    return entered


_KINDS: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""What makes a handler, by whether requests and answers are streams."""


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
