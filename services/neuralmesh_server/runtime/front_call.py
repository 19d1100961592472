"""One call that the native front handed over, with the part of grpcio's context that handlers may use."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc

from liam_core.front import MESSAGE_BYTES, fields_of, unpack_fields
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.runtime import compression
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from liam_core.front import Front

    Metadata = Iterable[tuple[str, str | bytes]]

CREDIT_BYTES = 1 << 15
"""Messages of a stream are reported as read when so many bytes of them were, or when none waits."""

FIRST_WORD_SECONDS = 0.1
"""How long an error waits for the first message of a stream: grpcio's clients tell their callers INTERNAL and not the
status when a call ends before they have sent anything."""

_BINARY = "-bin"
_ENCODING = b"grpc-encoding"
_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}


class FrontCall:
    """A call, until it is finished by an answer, by an error, or by its caller.

    Args:
        front: What handed it over.
        event: Its beginning, a `front_event`.
        streaming: Its messages follow.

    Attributes:
        number: The front's number for it.
        task: What answers it, once it is started.
        finished: Nothing more can be said.
    """

    __slots__ = (
        "_callbacks",
        "_changed",
        "_deadline_ns",
        "_ended",
        "_fields",
        "_front",
        "_heard",
        "_messages",
        "_metadata",
        "_read",
        "_room",
        "_trailing",
        "finished",
        "number",
        "task",
    )

    def __init__(self, front: Front, event: Any, *, streaming: bool = False) -> None:
        self._front = front
        self.number: int = event.call
        self._deadline_ns: int = event.deadline_ns
        self._fields = fields_of(event)
        self._metadata: tuple[tuple[str, str | bytes], ...] | None = None
        self._trailing: Metadata = ()
        self._callbacks: list[Callable[[FrontCall], None]] = []
        self._messages: deque[tuple[bytes, bool]] = deque()
        self._read = 0
        self._ended = False
        self._heard = not streaming
        self._changed: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.finished = False

    # ---- What handlers ask and say

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline, or None."""
        if self._deadline_ns < 0:
            return None
        return max((self._deadline_ns - time.monotonic_ns()) / 1e9, 0.0)

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The caller's metadata; values of names in -bin are bytes.

        Raises:
            InvalidArgumentError: REQUEST_MALFORMED, a value in -bin is no base64.
        """
        if self._metadata is None:
            fields = unpack_fields(self._fields)
            self._metadata = tuple(
                _metadatum(name, one)
                for name, value in fields
                if name != _ENCODING
                for one in (value.split(b",") if name.endswith(b"-bin") else (value,))  # these may come joined
            )
        return self._metadata

    def auth_context(self) -> dict[str, list[bytes]]:
        """What TLS proved of the peer: nothing."""
        return {}

    def add_done_callback(self, callback: Callable[[FrontCall], None]) -> None:
        """Call back when the call is over."""
        self._callbacks.append(callback)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Send metadata with the status."""
        self._trailing = metadata

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Send metadata before the answer."""
        self._front.begin(self.number, [_field(name, value) for name, value in metadata])

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> None:
        """Finish with a status; raises grpcio's AbortError, by which a handler ends."""
        if not self._heard and self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._changed], timeout=FIRST_WORD_SECONDS)
        self.finish(code.value[0], details, trailing_metadata)
        raise grpc.aio.AbortError

    async def abort_with_status(self, status: grpc.Status) -> None:
        """Finish with a status; raises grpcio's AbortError, by which a handler ends."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    # ---- What the listener says and is told

    @property
    def encoding(self) -> str:
        """How compressed messages of the call are compressed; empty where it does not say."""
        fields = unpack_fields(self._fields)
        return next((value.decode("ascii", "replace") for name, value in fields if name == _ENCODING), "")

    def answer(self, message: bytes) -> None:
        """Finish with a message and the status OK, or RESOURCE_EXHAUSTED where it is larger than a message may be."""
        if len(message) > MAX_MESSAGE_BYTES:
            self._finish_too_large()
        elif not self.finished:
            if self._trailing:
                self._front.send(self.number, message)
                self.finish(0)
            else:
                self.finished = True
                self._front.answer(self.number, message)

    def finish(self, code: int, details: str = "", metadata: Metadata = ()) -> None:
        """Finish with a status by its number."""
        if self.finished:
            return
        trailers = status_fields(code, details, (*self._trailing, *metadata))
        self.finished = True
        self._front.finish(self.number, trailers)

    async def send(self, message: bytes) -> None:
        """Send a message of a stream; returns when the caller has room for another."""
        if len(message) > MAX_MESSAGE_BYTES:
            self._finish_too_large()
            raise grpc.aio.AbortError
        status = self._front.send(self.number, message)
        if status == 0:
            raise asyncio.CancelledError  # it is gone, and that event waits to be taken
        if status > 1:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the messages of a stream until the caller ends it."""
        while True:
            while self._messages:
                message, compressed = self._messages.popleft()
                self._read += len(message) + MESSAGE_BYTES
                if self._read >= CREDIT_BYTES or not self._messages:
                    self._front.read(self.number, self._read)
                    self._read = 0
                yield await self.decompressed(message) if compressed else message
            if self._ended:
                return
            self._changed = asyncio.get_running_loop().create_future()
            await self._changed

    async def decompressed(self, message: bytes) -> bytes:
        """Return a message that was compressed; raises what the caller is to be told."""
        return await asyncio.to_thread(compression.decompress, message, self.encoding)

    def received(self, message: bytes, *, compressed: bool) -> None:
        """Take a message of a stream."""
        self._messages.append((message, compressed))
        self._wake()

    def end(self) -> None:
        """Take that no more messages come."""
        self._ended = True
        self._wake()

    def has_room(self) -> None:
        """Take that the caller has room."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def gone(self) -> None:
        """Take that the caller is gone."""
        self.finished = True
        if self.task is not None:
            self.task.cancel()

    def over(self) -> None:
        """Let go of everything; whoever wanted to know is told."""
        self.finished = True
        self.task = None
        self._messages.clear()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def _finish_too_large(self) -> None:
        code = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        self.finish(code, f"the answer has more than {MAX_MESSAGE_BYTES} bytes")

    def _wake(self) -> None:
        self._heard = True
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)


def _metadatum(name: bytes, value: bytes) -> tuple[str, str | bytes]:
    key = name.decode("ascii")
    if key.endswith(_BINARY):
        try:
            return key, base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
        except binascii.Error:
            raise InvalidArgumentError(
                "REQUEST_MALFORMED", f"the metadata {key} is no base64", message="metadata"
            ) from None
    return key, value.decode("utf-8", "replace")


def _field(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    data = value.encode() if isinstance(value, str) else value
    if name.endswith(_BINARY):
        data = base64.b64encode(data).rstrip(b"=")
    return name.encode("ascii"), data


def _percent_encoded(text: str) -> bytes:
    """Return a status message as gRPC sends it."""
    data = text.encode("utf-8", "replace")
    return b"".join(bytes([byte]) if byte in _PLAIN else b"%%%02X" % byte for byte in data)


def status_fields(code: int, details: str = "", metadata: Metadata = ()) -> list[tuple[bytes, bytes]]:
    """Return the trailers of a status."""
    said = [(b"grpc-status", str(code).encode())]
    if details:
        said.append((b"grpc-message", _percent_encoded(details)))
    return said + [_field(name, value) for name, value in metadata]
