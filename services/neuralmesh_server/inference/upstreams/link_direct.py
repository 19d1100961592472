"""The node further up over a plain socket: unary calls through the kernel's own client, without grpcio.

It fulfils what `link_upstream` fulfils for nodes further up, at a tenth of the time that a call takes there, where
neither TLS nor a proxy is needed; see ADR 14. Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc

from liam_core.unary import Caller, End, State, pack_fields
from neuralmesh import oip
from neuralmesh_server.inference.upstreams.convert_status import upstream_error
from neuralmesh_server.inference.upstreams.link import UpstreamError
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.endpoint import Endpoint
    from neuralmesh_server.inference.upstreams.link import Passing

CONNECT_SECONDS = 2.0
"""Longest wait of a call for a connection, where the call itself may take longer."""
ATTEMPT_SECONDS = 5.0
"""How long an attempt to connect may take, whoever waits for it."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
"""Range of the pause after an attempt that failed; calls that come meanwhile hear of that one."""
QUIET_SECONDS, PING_SECONDS = 30.0, 10.0
"""With calls under way, silence after which the peer is asked whether it lives, and how long it may take to say so."""
MOST_CALLS = 4096
MAX_HELD_BYTES = 512 * 1024 * 1024
"""Requests that wait and answers that come, of one connection."""

_PATH = f"/{oip.SERVICE.full_name}/ModelInfer"
_MICROSECONDS = 99_999_999
"""The largest number that grpc-timeout may hold."""
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class DirectUpstream:
    """See neuralmesh_server.inference.upstreams.link.UpwardLink.

    Args:
        address: Where the upstream listens.
        token: Bearer token of every call; empty for none.
    """

    def __init__(self, address: Endpoint, token: str) -> None:
        self._address = address
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", _PATH.encode()),
            (b":authority", b"localhost" if address.path else str(address).encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        ]
        if token:
            fields.append((b"authorization", f"Bearer {token}".encode()))
        self._fields = pack_fields(fields)
        self._connection: Connection | None = None
        self._leaving: set[Connection] = set()
        self._attempt: asyncio.Task[Connection] | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self._why = ""

    async def pass_on(self, passing: Passing) -> bytes:
        """Return the bytes of the answer; cancelling this cancels the call."""
        connection, seconds = self._connection, passing.seconds
        if connection is None or connection.state != State.OPEN:
            loop = asyncio.get_running_loop()
            started = loop.time()
            connection = await self._connected(min(seconds, CONNECT_SECONDS))
            seconds -= loop.time() - started
        metadata = [(key.encode(), value.encode()) for key, value in passing.metadata]
        fields = self._fields + pack_fields([(b"grpc-timeout", _timeout(seconds)), *metadata])
        return await connection.ask(fields, passing.data, seconds)

    async def close(self) -> None:
        """End all calls and the connections."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.gather(self._attempt, return_exceptions=True)
        for connection in [*self._leaving, *([] if self._connection is None else [self._connection])]:
            connection.close()

    async def _connected(self, seconds: float) -> Connection:
        """Return a connection on which the peer has spoken; those who wait at a time share one attempt."""
        loop = asyncio.get_running_loop()
        if self._attempt is None:
            if loop.time() < self._not_before:
                raise _unsent("UNAVAILABLE", self._why)
            self._attempt = loop.create_task(self._connect())
            self._attempt.add_done_callback(self._tried)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._attempt)
        except TimeoutError:
            raise _unsent("DEADLINE_EXCEEDED", f"no connection within {seconds:.3f} seconds") from None
        except OSError as error:
            raise _unsent("UNAVAILABLE", self._why) from error

    def _tried(self, attempt: asyncio.Task[Connection]) -> None:
        self._attempt = None
        if attempt.cancelled():
            return
        error = attempt.exception()
        if error is None:
            self._pause = 0.0
            return
        self._why = f"cannot connect: {error}"
        self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._not_before = asyncio.get_running_loop().time() + self._pause

    async def _connect(self) -> Connection:
        """Connect, and wait until the peer has greeted; raises OSError."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                connection = Connection(await _dial(self._address), self._left)
                self._leaving.add(connection)
                await connection.greeted
        except TimeoutError:
            raise OSError(f"{self._address} did not answer within {ATTEMPT_SECONDS:g} seconds") from None
        if self._connection is not None:
            self._leaving.add(self._connection)
        self._leaving.discard(connection)
        self._connection = connection
        return connection

    def _left(self, connection: Connection) -> None:
        """Take that a connection is closed."""
        self._leaving.discard(connection)
        if self._connection is connection:
            self._connection = None


class Connection:
    """One connection and its calls.

    Args:
        connected: The socket, which is closed with this.
        left: Is called when it is closed.

    Attributes:
        greeted: Done when the peer has said that it speaks HTTP/2; fails with OSError when it never will.
    """

    def __init__(self, connected: socket.socket, left: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = connected
        self._number = connected.fileno()
        self._left = left
        self._caller = Caller(message_bytes=MAX_MESSAGE_BYTES, held_bytes=MAX_HELD_BYTES, calls=MOST_CALLS)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._writes = False
        self._quiet: asyncio.TimerHandle | None = None
        self._heard = 0
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._number, self._readable)
        self._wait(more=self._caller.send(self._number))

    @property
    def state(self) -> int:
        """See liam_core.unary.State."""
        return self._caller.state

    async def ask(self, fields: bytes, data: bytes, seconds: float) -> bytes:
        """Return the answer to a call; cancelling this cancels the call.

        Raises:
            UpstreamError: There is none.
        """
        if seconds <= 0:
            raise _unsent("DEADLINE_EXCEEDED", "the deadline passed before the call was sent")
        call = self._caller.call(fields, data)
        if not call:
            raise _unsent("RESOURCE_EXHAUSTED", "the connection takes no more calls")
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._calls[call] = answer
        if self._quiet is None:
            self._listen()
        self._writable()
        late = self._loop.call_later(seconds, self._expire, call)
        try:
            return await answer
        except asyncio.CancelledError:
            self._cancel(call)
            raise
        finally:
            late.cancel()

    def close(self) -> None:
        """End all calls and the connection."""
        self._caller.lose()
        self._settle()

    def _readable(self) -> None:
        self._wait(more=self._caller.receive(self._number))
        self._settle()

    def _writable(self) -> None:
        self._wait(more=self._caller.send(self._number))
        if self._caller.state == State.LOST:
            self._settle()

    def _wait(self, *, more: bool) -> None:
        """Watch whether the socket takes more, while something waits."""
        if more and not self._writes:
            self._loop.add_writer(self._number, self._writable)
        elif self._writes and not more:
            self._loop.remove_writer(self._number)
        self._writes = more

    def _settle(self) -> None:
        """Take what came of calls, and of the connection."""
        caller = self._caller
        for end in caller.ends():
            answer = self._calls.pop(end.call)
            if answer.done():
                continue
            if end.status == 0:
                answer.set_result(end.message)
            else:
                answer.set_exception(_failed(end))
        state = caller.state
        if state != State.GREETING and not self.greeted.done():
            if state == State.LOST:
                self.greeted.set_exception(ConnectionError("the peer closed the connection, or speaks no HTTP/2"))
            else:
                self.greeted.set_result(None)
        if state == State.LOST or (state == State.LEAVING and not self._calls):
            self._shut()

    def _shut(self) -> None:
        if self._number < 0:
            return
        self._wait(more=False)
        self._loop.remove_reader(self._number)
        self._socket.close()
        self._number = -1
        if self._quiet is not None:
            self._quiet.cancel()
        self.greeted.cancel()
        self._left(self)

    def _expire(self, call: int) -> None:
        answer = self._calls.get(call)
        if answer is not None and not answer.done():
            answer.set_exception(UpstreamError("DEADLINE_EXCEEDED", "the deadline passed"))
        self._cancel(call)

    def _cancel(self, call: int) -> None:
        if self._calls.pop(call, None) is not None:
            self._caller.cancel(call)
            self._writable()
            self._settle()

    def _listen(self) -> None:
        """Look after a while whether the peer said anything."""
        self._heard = self._caller.heard
        self._quiet = self._loop.call_later(QUIET_SECONDS, self._ask_for_life)

    def _ask_for_life(self) -> None:
        self._quiet = None
        if not self._calls:
            return
        if self._caller.heard != self._heard:
            self._listen()
            return
        self._caller.ping()
        self._writable()
        if self._number >= 0:
            self._quiet = self._loop.call_later(PING_SECONDS, self._listen_or_leave)

    def _listen_or_leave(self) -> None:
        self._quiet = None
        if self._caller.heard == self._heard:
            self.close()
        else:
            self._listen()


async def _dial(address: Endpoint) -> socket.socket:
    """Return a socket that is connected to an address, by whichever of its addresses can be reached; raises OSError."""
    loop = asyncio.get_running_loop()
    if address.path:
        return await _connect(socket.AF_UNIX, address.path)
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failures: list[OSError] = []
    for family, _, _, _, place in found:
        try:
            return await _connect(family, place)
        except OSError as error:
            failures.append(error)
    raise failures[-1] if failures else OSError(f"{address.host} has no address")


async def _connect(family: int, place: str | tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        if family != socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, place)
    except BaseException:
        made.close()
        raise
    return made


def _timeout(seconds: float) -> bytes:
    """Return the value of grpc-timeout, rounded up."""
    number, unit = seconds * 1e6, "u"
    while number > _MICROSECONDS:
        number, unit = (number / 1000, "m") if unit == "u" else (min(number / 1000, _MICROSECONDS), "S")
    return b"%d%s" % (max(int(number), 1), unit.encode())


def _unsent(code: str, why: str) -> UpstreamError:
    return UpstreamError(code, why, sent=False)


def _failed(end: End) -> UpstreamError:
    trailers = [_trailer(name.decode("ascii", "replace"), value) for name, value in end.fields]
    said = next((unquote(value) for key, value in trailers if key == "grpc-message" and isinstance(value, str)), "")
    return upstream_error(_CODES.get(end.status, "UNKNOWN"), end.why or said, trailers, sent=not end.unseen)


def _trailer(key: str, value: bytes) -> tuple[str, str | bytes]:
    if key.endswith("-bin"):
        try:
            return key, base64.b64decode(value + b"=" * (-len(value) % 4))
        except binascii.Error:
            return key, b""
    return key, value.decode("utf-8", "replace")
