"""Listening with the native front: sockets, methods, and a task for every call that the front hands over.

What the front answers by itself never comes here. Everything belongs to the loop that called `start`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from liam_core.front import BATCH, BEGUN, COMPRESSED, CallKind, EventKind, Front, Limits, data_of
from neuralmesh_server.errors import NeuralMeshError, UnavailableError
from neuralmesh_server.runtime import unix_socket
from neuralmesh_server.runtime.front_call import FrontCall, status_fields
from neuralmesh_server.runtime.handlers import abort, defect, forget_frames
from neuralmesh_server.runtime.status import to_status
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from neuralmesh_server.runtime.listener import Offer, Quick
    from neuralmesh_server.settings import ServerSettings

MAX_HELD_BYTES = 2 * 1024**3
"""Messages and answers of all connections that the front holds at a time."""
MAX_CONNECTION_BYTES = MAX_HELD_BYTES // 8
MAX_STREAMS = 2048
"""Calls under way on a connection; callers wait with more."""
GREETING_SECONDS = 10.0
FAREWELL_SECONDS = 0.5
"""How long connections may take, when all calls are done, to read what was sent."""
BACKLOG = 1024
MAX_WORKERS = 4
"""Threads of the front for runs that are too long for its own, as far as there are processors."""
MAX_WAITING = 64
"""Calls that wait for one of these; what finds no place waits where all wait, in the order of its priority."""

_WILDCARDS = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 - names of what settings permit
_NO_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

_SMALL = 1 << 16
"""Bytes of a message that may stay in the front's memory until the next event."""
_BATCHES = 8
"""Batches of events that are worked off before the loop may do something else."""
_KINDS = {
    "/inference.GRPCInferenceService/ModelInfer": CallKind.INFER,
    "/inference.GRPCInferenceService/ModelStreamInfer": CallKind.INFERS,
}
"""Methods that the front knows; with a codec it answers them where it can."""


class _Details(NamedTuple):
    """What a generic handler is asked with."""

    method: str
    invocation_metadata: tuple[()] = ()


@dataclass(frozen=True, slots=True)
class _Method:
    path: str
    handler: grpc.RpcMethodHandler
    quick: Quick | None


class FrontListener:
    """The native front and its calls; see `listener.Listener`.

    Attributes:
        front: The front, whose codec and routes others may set.

    Raises:
        SettingsError: No descriptor is left.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        try:
            self.front = Front(
                Limits(
                    MAX_MESSAGE_BYTES,
                    MAX_HELD_BYTES,
                    MAX_CONNECTION_BYTES,
                    MAX_STREAMS,
                    GREETING_SECONDS,
                    workers=min(os.cpu_count() or 1, MAX_WORKERS),
                    waiting=MAX_WAITING,
                )
            )
        except OSError as error:
            raise SettingsError(f"cannot listen: {error.args[0]}") from error
        self._methods: list[_Method] = []
        self._calls: dict[int, FrontCall] = {}
        self._idle = asyncio.Event()
        self._closing = False
        self._started = False

    async def start(self, offer: Offer) -> int:
        """Listen; returns the TCP port."""
        for path, kind, handler in _methods(offer):
            self.front.method(path, kind)
            self._methods.append(_Method(path, handler, offer.quick.get(path)))
        port = self._bind()
        asyncio.get_running_loop().add_reader(self.front.descriptor, self._happened)
        self.front.start()
        self._started = True
        return port

    def _bind(self) -> int:
        """Bind all addresses; returns the port."""
        listen, local = self._settings.listen, self._settings.socket
        found = _tcp_sockets(listen.host, listen.port, shared=self._settings.shared_port)
        port: int = found[0].getsockname()[1]
        if local is not None:
            try:
                found.append(_unix_socket(local.path))
            except SettingsError:
                for one in found:
                    one.close()
                raise
        for one in found:
            self.front.listen(one.detach())
        return port

    async def stop(self) -> None:
        """Refuse, drain, close."""
        if not self._started:
            return
        self._started = False
        loop = asyncio.get_running_loop()
        stopping = to_status(_stopping())
        self.front.refuse(status_fields(stopping.code.value[0], stopping.details, stopping.trailing_metadata or ()))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._settings.drain_seconds)
        self._closing = True
        # What is left has run in part, so that its callers hear CANCELLED and not what they may repeat.
        left = [call.task for call in self._calls.values() if call.task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for call in self._calls.values():  # those that a thread works on
            _cancel(call)
        await asyncio.to_thread(self.front.stop, FAREWELL_SECONDS)
        loop.remove_reader(self.front.descriptor)
        while self._work_off():
            pass
        if self._settings.socket is not None:
            unix_socket.remove(self._settings.socket.path)

    def _happened(self) -> None:
        for _ in range(_BATCHES):
            if not self._work_off():
                return
        asyncio.get_running_loop().call_soon(self._happened)

    def _work_off(self) -> bool:
        """Work off the next events; returns whether to come back: for more of them, or to let go of large ones."""
        events = self.front.take()
        for event in events:
            try:
                self._take(event)
            except Exception as error:  # noqa: BLE001 - the edge: the call is lost, and not those behind it
                self._refuse(FrontCall(self.front, event), defect(error, "a call that the front handed over"))
        return len(events) == BATCH or any(event.data_bytes > _SMALL for event in events)

    def _take(self, event: Any) -> None:
        kind = event.kind
        if kind == EventKind.CALL:
            self._begin(event)
        elif kind == EventKind.RETIRED:
            self.front.retire()
        elif kind == EventKind.IDLE:
            self._idle.set()
        else:
            self._tell(event, kind)

    def _begin(self, event: Any) -> None:
        method, flags, data = self._methods[event.method], event.flags, data_of(event)
        if flags & BEGUN and method.quick is not None:
            answer = method.quick(data)
            if isinstance(answer, asyncio.Future):
                call = self._calls[event.call] = FrontCall(self.front, event)
                answer.add_done_callback(partial(self._answered, method, call, data))
                return
            if answer is not None:
                if len(answer) > _SMALL:
                    FrontCall(self.front, event).answer(answer)
                else:
                    self.front.answer(event.call, answer)
                return
        call = FrontCall(self.front, event, streaming=method.handler.request_streaming)
        if self._closing:  # the time to drain is over: it is not begun
            self._refuse(call, _stopping())
            return
        self._calls[call.number] = call
        self._start(method, call, data, compressed=bool(flags & COMPRESSED))

    def _start(self, method: _Method, call: FrontCall, data: bytes, *, compressed: bool) -> None:
        work = self._serve(method, call, data, compressed=compressed)
        call.task = asyncio.get_running_loop().create_task(work)
        call.task.add_done_callback(partial(self._over, call))  # also of one that is cancelled before it begins

    def _answered(self, method: _Method, call: FrontCall, data: bytes, answer: asyncio.Future[bytes | None]) -> None:
        """Take what a call was promised: its answer, or that its handler is to answer it."""
        try:
            found = answer.result()
        except Exception as error:  # noqa: BLE001 - the edge: a defect becomes INTERNAL and is logged
            del self._calls[call.number]
            self._refuse(call, defect(error, method.path))
            call.over()
            return
        if found is None and not call.finished:
            self._start(method, call, data, compressed=False)
            return
        del self._calls[call.number]
        if found is not None:
            if call.time_remaining() == 0:
                self._expire(call)
            call.answer(found)
        call.over()

    def _tell(self, event: Any, kind: int) -> None:
        call = self._calls.get(event.call)
        if call is None:
            return  # it was finished before this could be known
        if kind == EventKind.MESSAGE:
            call.received(data_of(event), compressed=bool(event.flags & COMPRESSED))
        elif kind == EventKind.END:
            call.end()
        elif kind == EventKind.ROOM:
            call.has_room()
        else:
            call.gone()

    def _refuse(self, call: FrontCall, error: NeuralMeshError) -> None:
        status = to_status(error)
        call.finish(status.code.value[0], status.details, status.trailing_metadata or ())

    async def _serve(self, method: _Method, call: FrontCall, data: bytes, *, compressed: bool) -> None:
        remaining = call.time_remaining()
        loop = asyncio.get_running_loop()
        timer = None if remaining is None else loop.call_later(remaining, self._expire, call)
        try:
            if compressed:
                data = await call.decompressed(data)
            given = _read(method.handler, call, data)
            await _answer(method.handler, call, given)
        except grpc.aio.AbortError as ended:
            forget_frames(ended)  # the call is finished, and its frames hold the request
        except NeuralMeshError as error:
            with suppress(grpc.aio.AbortError):
                await abort(call, error)
        except asyncio.CancelledError:
            _cancel(call)
        except Exception as error:  # noqa: BLE001 - the edge: a defect becomes INTERNAL and is logged
            self._refuse(call, defect(error, method.path))
        finally:
            if timer is not None:
                timer.cancel()

    def _over(self, call: FrontCall, task: asyncio.Task[None]) -> None:
        del self._calls[call.number]
        call.over()
        if not task.cancelled():
            task.exception()

    def _expire(self, call: FrontCall) -> None:
        call.finish(grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "the deadline is over")
        call.gone()


async def _answer(handler: grpc.RpcMethodHandler, call: FrontCall, given: Any) -> None:
    """Have the handler of a call answer it."""
    if handler.response_streaming:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        async with aclosing(behaviour(given, call)) as answers:
            async for answer in answers:
                if call.finished:
                    return
                await call.send(_written(handler, answer))
        call.finish(0)
        return
    behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
    answer = await behaviour(given, call)
    if not call.finished:
        call.answer(_written(handler, answer))


def _read(handler: grpc.RpcMethodHandler, call: FrontCall, data: bytes) -> Any:
    """Return what the handler takes: the request, or the iterator of a stream's."""
    read = handler.request_deserializer
    if handler.request_streaming:
        return call.messages() if read is None else _parsed(call.messages(), read)
    return data if read is None else read(data)


async def _parsed(messages: AsyncIterator[bytes], read: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for message in messages:
        yield read(message)


def _written(handler: grpc.RpcMethodHandler, answer: Any) -> bytes:
    write = handler.response_serializer
    data: bytes = answer if write is None else write(answer)
    return data


def _methods(offer: Offer) -> Iterator[tuple[str, int, grpc.RpcMethodHandler]]:
    """Yield path, kind and handler of every method that somebody answers."""
    for contract in offer.contracts:
        for method in contract.methods:
            path = f"/{contract.full_name}/{method.name}"
            found = (one.service(_Details(path)) for one in offer.handlers)
            handler = next((one for one in found if one is not None), None)
            if handler is not None:
                kind = CallKind.STREAM if handler.request_streaming else CallKind.UNARY
                yield path, _KINDS.get(path, kind), handler


def _cancel(call: FrontCall) -> None:
    call.finish(grpc.StatusCode.CANCELLED.value[0], "the call was cancelled")


def _stopping() -> NeuralMeshError:
    return UnavailableError("NOT_SERVING", "this server is stopping")


def _tcp_sockets(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Return listening sockets on every address of a host, all on one port; wildcards stand for both families."""
    if host in _WILDCARDS:
        try:
            return _named_sockets("::", port, shared=shared)
        except OSError as error:
            if error.errno not in _NO_FAMILY:
                raise _not_bound(host, port, error) from error
            host = "0.0.0.0"  # noqa: S104 - it was asked for
    try:
        return _named_sockets(host.strip("[]"), port, shared=shared)
    except OSError as error:
        raise _not_bound(host, port, error) from error


def _not_bound(host: str, port: int, error: OSError) -> SettingsError:
    why = "the port is taken or not permitted"
    if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
        why = error.strerror or str(error)
    return SettingsError(f"cannot listen on {host}:{port}: {why}")


def _named_sockets(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    found: list[socket.socket] = []
    try:
        entries = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(entries):
            bound = found[0].getsockname()[1] if found else port
            try:
                found.append(_tcp_socket(family, kind, protocol, (address[0], bound, *address[2:]), shared=shared))
            except OSError as error:
                if not found or error.errno not in _NO_FAMILY:
                    raise
    except OSError:
        for one in found:
            one.close()
        raise
    return found


def _tcp_socket(family: int, kind: int, protocol: int, address: tuple[Any, ...], *, shared: bool) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _unix_socket(path: str) -> socket.socket:
    unix_socket.make_way(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with unix_socket.private():
            made.bind(path)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise SettingsError(f"cannot listen on unix:{path}: {error.strerror or error}") from error
    return made
