"""The caller of `native/include/unary.h`, bound: unary gRPC calls over one connected socket, without TLS.

Nothing here waits: whoever owns the socket watches it, and calls `receive` and `send` when something can be done.
Metadata is as in `liam_core.front`.
"""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from liam_core.front import pack_fields, unpack_fields
from liam_core.kernel import ffi, lib

__all__ = ["AVAILABLE", "Caller", "End", "State", "pack_fields"]

AVAILABLE: Final = hasattr(lib, "unary_new")
"""False where there is no native front either."""

_buffer: Final = ffi.buffer
_ABI_VERSION: Final = 1


class State:
    """What a connection is; see UNARY_* in unary.h."""

    GREETING: Final[int] = 0
    OPEN: Final[int] = 1
    LEAVING: Final[int] = 2
    LOST: Final[int] = 3


@dataclass(frozen=True, slots=True)
class End:
    """How a call ended.

    Attributes:
        call: Its number.
        status: Number of the gRPC status.
        unseen: The peer did not look at the request.
        why: Text where the status is not the peer's own; else empty.
        message: The answer, where the status is OK.
        fields: The trailers.
    """

    call: int
    status: int
    unseen: bool
    why: str
    message: bytes
    fields: tuple[tuple[bytes, bytes], ...]


class Caller:
    """A connection on which nothing was said yet.

    Args:
        message_bytes: Largest message of an answer.
        held_bytes: Requests that wait, and answers, that are held at a time.
        calls: Most calls that are under way at a time.
    """

    def __init__(self, *, message_bytes: int, held_bytes: int, calls: int) -> None:
        if lib.unary_abi_version() != _ABI_VERSION:
            raise RuntimeError(f"liam_core wants unary ABI {_ABI_VERSION}, the extension has {lib.unary_abi_version()}")
        limits = ffi.new("unary_limits *")
        limits.message_bytes, limits.held_bytes, limits.calls = message_bytes, held_bytes, calls
        self._unary: Any = lib.unary_new(limits)
        if self._unary == ffi.NULL:
            raise MemoryError("no memory for a connection")
        self._end = ffi.new("unary_end *")
        weakref.finalize(self, lib.unary_free, self._unary)

    @property
    def state(self) -> int:
        """See `State`."""
        found: int = lib.unary_state(self._unary)
        return found

    @property
    def under_way(self) -> int:
        """Calls that have not ended."""
        count: int = lib.unary_under_way(self._unary)
        return count

    @property
    def heard(self) -> int:
        """Bytes that came so far."""
        count: int = lib.unary_heard(self._unary)
        return count

    def call(self, fields: bytes, message: bytes) -> int:
        """Begin a call with fields as `pack_fields` gives them; its number, or 0 when it is not taken."""
        number: int = lib.unary_call(self._unary, fields, len(fields), message, len(message))
        return number

    def cancel(self, call: int) -> None:
        """End a call; nothing of it is returned any more."""
        lib.unary_cancel(self._unary, call)

    def ping(self) -> None:
        """Ask the peer for a sign of life, which `heard` counts."""
        lib.unary_ping(self._unary)

    def send(self, socket: int) -> bool:
        """Send what waits, as far as the socket takes it; returns whether more waits."""
        return bool(lib.unary_send(self._unary, socket))

    def receive(self, socket: int) -> bool:
        """Read what is there; returns whether something waits to be sent that the socket does not take."""
        return bool(lib.unary_receive(self._unary, socket))

    def lose(self) -> None:
        """End every call: the line is gone."""
        lib.unary_lose(self._unary, _LOST)

    def ends(self) -> Iterator[End]:
        """Yield the calls that ended since, in their order."""
        end = self._end
        while lib.unary_next(self._unary, end):
            yield End(
                end.call,
                end.status,
                bool(end.unseen),
                "" if end.why == ffi.NULL else ffi.string(end.why).decode(),
                _buffer(end.message, end.message_bytes)[:] if end.message_bytes else b"",
                tuple(unpack_fields(_buffer(end.fields, end.fields_bytes)[:])) if end.status else (),
            )


_LOST: Final = ffi.new("char[]", b"the connection was closed here")
