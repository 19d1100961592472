"""The native front of `native/include/front.h`, bound: gRPC over HTTP/2, served by a thread that needs no interpreter.

Calls that it does not answer by itself come out of `take` as events, and are answered by their number. Metadata is a
sequence of names and values, both bytes.
"""

import struct
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from liam_core.kernel import ffi, lib
from liam_core.oip import Codec, Table

__all__ = [
    "AVAILABLE",
    "BATCH",
    "BEGUN",
    "COMPRESSED",
    "CallKind",
    "EventKind",
    "Front",
    "Limits",
    "data_of",
    "fields_of",
]

AVAILABLE: Final = hasattr(lib, "front_new")
"""False on systems that the front does not know, which are all but Linux."""
COMPRESSED: Final[int] = 1
"""Flag of an event: its message is compressed as the field grpc-encoding says."""
BEGUN: Final[int] = 2
"""Flag of an event: the codec found the message valid and leaves the run to whoever takes it."""
MESSAGE_BYTES: Final = 128
"""What `Front.read` counts for a message beside its own bytes."""

_buffer: Final = ffi.buffer
BATCH: Final = 64
"""Most events that `Front.take` returns."""
_SIZES: Final = struct.Struct("=II")
_ABI_VERSION: Final = 2


class CallKind:
    """How calls of a method are handed over; see FRONT_* in front.h."""

    INFER: Final[int] = 0
    UNARY: Final[int] = 1
    STREAM: Final[int] = 2
    INFERS: Final[int] = 3


class EventKind:
    """What happened to a call; see FRONT_* in front.h."""

    CALL: Final[int] = 0
    MESSAGE: Final[int] = 1
    END: Final[int] = 2
    ROOM: Final[int] = 3
    GONE: Final[int] = 4
    IDLE: Final[int] = 5
    RETIRED: Final[int] = 6


@dataclass(frozen=True, slots=True)
class Limits:
    """What a front takes at most.

    Attributes:
        message_bytes: Of a request's message.
        held_bytes: Of messages, answers and events that are held at a time, of all connections together.
        connection_bytes: Of messages and answers of one connection.
        streams: Calls under way on a connection.
        greeting_seconds: For a connection to say what it is.
        workers: Threads that run what is too long for the front's own.
        waiting: Calls that wait for one of these.
    """

    message_bytes: int
    held_bytes: int
    connection_bytes: int
    streams: int
    greeting_seconds: float
    workers: int = 0
    waiting: int = 0


class Front:
    """A front; it listens on the sockets that it is given, from `start` to `stop`.

    Raises:
        OSError: There is no memory or no descriptor left.
    """

    def __init__(self, limits: Limits) -> None:
        if lib.front_abi_version() != _ABI_VERSION:
            raise RuntimeError(f"liam_core wants front ABI {_ABI_VERSION}, the extension has {lib.front_abi_version()}")
        given = ffi.new("front_limits *")
        given.message_bytes, given.held_bytes = limits.message_bytes, limits.held_bytes
        given.connection_bytes = limits.connection_bytes
        given.streams, given.greeting_ms = limits.streams, int(limits.greeting_seconds * 1000)
        given.workers, given.waiting = limits.workers, limits.waiting
        self._front: Any = lib.front_new(given)
        if self._front == ffi.NULL:
            raise OSError("no memory or descriptor for the front")
        self._events = ffi.new("front_event[]", BATCH)
        self._slots = [self._events[index] for index in range(BATCH)]
        self._served: dict[int, tuple[Codec, Table, object]] = {}
        # The thread looks into the codec's memory: it has to end before the interpreter takes that away.
        self._free = weakref.finalize(self, lib.front_free, self._front)

    @property
    def descriptor(self) -> int:
        """A descriptor that is readable while events wait."""
        found: int = lib.front_descriptor(self._front)
        return found

    @property
    def running(self) -> int:
        """Calls that were handed over and are not finished, or are answered and not sent; for whoever looks on."""
        count: int = lib.front_running(self._front)
        return count

    def method(self, path: str, kind: int) -> int:
        """Know a method by `/package.Service/Method`, before `start`; returns its number."""
        name = path.encode()
        return _checked(lib.front_method(self._front, name, len(name), kind))

    def listen(self, socket: int) -> None:
        """Accept from a listening socket, which is the front's to close from now on."""
        _checked(lib.front_listen(self._front, socket))

    def start(self) -> None:
        """Start the thread."""
        _checked(lib.front_start(self._front))

    def refuse(self, trailers: Iterable[tuple[bytes, bytes]]) -> None:
        """Answer every call that begins from now on with these trailers; IDLE follows when none is under way."""
        fields = pack_fields(trailers)
        _checked(lib.front_refuse(self._front, fields, len(fields)))

    def stop(self, patience: float) -> None:
        """Say farewell, let connections take what waits for them within `patience` seconds, close all; blocks."""
        lib.front_stop(self._front, int(patience * 1000))
        self._served.clear()

    def serve(self, codec: Codec, table: Table, holding: object = None) -> None:
        """Answer inferences with these from now on, and keep them, and what is `holding`, until they are out of use.

        Those before are when it returns, unless a worker has a call that began with them; RETIRED says when it has not.
        """
        number = lib.front_serve(self._front, codec.block, table.block)
        self._served[number] = codec, table, holding
        self.retire()

    def retire(self) -> None:
        """Let go what was served before and is out of use."""
        oldest = lib.front_in_use(self._front)
        for number in [number for number in self._served if number < oldest]:
            del self._served[number]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the front's thread off: nothing that it counts changes. Not to be nested, and not for long."""
        lib.front_hold(self._front)
        try:
            yield
        finally:
            lib.front_go_on(self._front)

    def take(self) -> list[Any]:
        """Return what happened, oldest first, each a `front_event`; less than BATCH of them were all.

        They are what the C side wrote: `call`, `kind`, `flags`, `method` and `deadline_ns` are read off them, `data_of`
        and `fields_of` give the rest. All of it is gone with the next call.
        """
        return self._slots[: lib.front_take(self._front, self._events, BATCH)]

    def answer(self, call: int, message: bytes) -> bool:
        """Answer with a message and the status OK; False when the call is gone."""
        return bool(lib.front_answer(self._front, call, message, len(message)))

    def begin(self, call: int, metadata: Iterable[tuple[bytes, bytes]]) -> bool:
        """Send initial metadata; False when the call is gone or has begun to be answered."""
        fields = pack_fields(metadata)
        return bool(lib.front_begin(self._front, call, fields, len(fields)))

    def send(self, call: int, message: bytes) -> int:
        """Send a message; 0 when the call is gone, 2 when ROOM will say that more can be sent."""
        status: int = lib.front_send(self._front, call, message, len(message))
        return status

    def finish(self, call: int, trailers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Finish with trailers, `grpc-status` among them; False when the call is gone."""
        fields = pack_fields(trailers)
        return bool(lib.front_finish(self._front, call, fields, len(fields)))

    def read(self, call: int, size: int) -> None:
        """Let as many bytes come as messages of a stream were read: each counts MESSAGE_BYTES more than it has."""
        lib.front_read(self._front, call, size)


def pack_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return metadata in the form in which it crosses."""
    return b"".join(_SIZES.pack(len(name), len(value)) + name + value for name, value in fields)


def unpack_fields(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the metadata that crossed."""
    found, at = [], 0
    while at < len(data):
        name, value = _SIZES.unpack_from(data, at)
        middle = at + _SIZES.size + name
        found.append((data[at + _SIZES.size : middle], data[middle : middle + value]))
        at = middle + value
    return found


def data_of(event: Any) -> bytes:
    """Return the message of an event."""
    size = event.data_bytes
    return _buffer(event.data, size)[:] if size else b""


def fields_of(event: Any) -> bytes:
    """Return the metadata of a call that begins, as it crossed; see `unpack_fields`."""
    size = event.fields_bytes
    return _buffer(event.fields, size)[:] if size else b""


def _checked(status: int) -> int:
    if status < 0:
        raise OSError(-status, "the front refuses")
    return status
