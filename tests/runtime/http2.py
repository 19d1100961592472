"""As much HTTP/2 as a hostile client needs: frames by hand over a plain socket, and nothing that helps the server."""

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4


@dataclass(frozen=True)
class Frame:
    """A frame as it was received."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(path: str) -> bytes:
    """Return a block of request headers, without compression."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "test",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    block = b""
    for name, value in fields.items():
        block += b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return block


def prefix(length: int) -> bytes:
    """Return what gRPC puts before a message of a length."""
    return struct.pack(">BI", 0, length)


class Connection:
    """One connection, whose frames the test writes and reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int, hello: bytes) -> Self:
        """Connect and send the first bytes."""
        connection = cls(*await asyncio.open_connection(host, port))
        await connection.write(hello)
        return connection

    async def write(self, data: bytes) -> None:
        """Send bytes; returns when the system has taken them."""
        self._writer.write(data)
        await self._writer.drain()

    async def request(self, stream: int, path: str, body: bytes, *, end: bool) -> None:
        """Open a stream with headers and the beginning of its body."""
        await self.write(frame(HEADERS, END_HEADERS, stream, headers(path)))
        await self.write(frame(DATA, END_STREAM if end else 0, stream, body))

    async def read(self) -> Frame | None:
        """Return the next frame, or None when the server has closed the connection."""
        try:
            head = await self._reader.readexactly(9)
            length, kind, flags, stream = int.from_bytes(head[:3]), head[3], head[4], int.from_bytes(head[5:])
            return Frame(kind, flags, stream, await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def end_of(self, stream: int) -> Frame | None:
        """Return the frame that ends a stream, or None when the whole connection is ended."""
        while (found := await self.read()) is not None:
            ends = found.kind == RST_STREAM or (found.kind in {DATA, HEADERS} and found.flags & END_STREAM)
            if found.kind == GOAWAY or (found.stream == stream and ends):
                break
        return found

    async def close(self) -> None:
        """Close the connection without a word."""
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
