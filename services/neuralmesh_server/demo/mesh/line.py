"""A line between two programs that can be bad: a TCP proxy that delays, cuts, damages and counts.

It stands where a network would, in tests and benchmarks, since it needs no rights and works the same everywhere. One
proxy is one line; every connection through it meets the faults that are set when its bytes pass.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

PIECE_BYTES = 64 * 1024


@dataclass(slots=True)
class Faults:
    """What happens to bytes that pass.

    Attributes:
        delay_seconds: Every piece waits so long, in each direction.
        silent_up: Bytes to the server vanish; with `silent_down` alone this is a partition in one direction.
        silent_down: Bytes to the client vanish.
        cut_down_at: The connection is reset when so many bytes in all have passed to clients; None for never.
        flip_down_at: The lowest bit of this byte to clients, counted over all connections, is flipped; None for none.
        half_close_at: The server's side is closed for writing after so many bytes to clients; None for never.
    """

    delay_seconds: float = 0.0
    silent_up: bool = False
    silent_down: bool = False
    cut_down_at: int | None = None
    flip_down_at: int | None = None
    half_close_at: int | None = None


class Line:
    """A proxy on loopback; an asynchronous context manager.

    Args:
        host: Where the server is.
        port: Its port.

    Attributes:
        faults: May be changed at any time.
        address: Where clients connect, `host:port`, the same over `down` and `up`.
        up_bytes: Bytes that reached the server.
        down_bytes: Bytes that reached clients.
        connections: Connections that were ever made.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.faults = Faults()
        self.up_bytes = self.down_bytes = self.connections = 0

    @classmethod
    def to(cls, address: str) -> Self:
        """Return a line to `host:port`."""
        host, _, port = address.rpartition(":")
        return cls(host, int(port))

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def up(self) -> None:
        """Take connections, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Reset every connection and take none."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Reset every connection; new ones are taken."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        ends = [writer]
        self._open.add(writer)
        try:
            there, back = await asyncio.open_connection(*self._target)
            ends.append(back)
            self._open.add(back)
            await asyncio.gather(self._carry_up(reader, back), self._carry_down(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # whoever is at the other end learns of it by the reset
        finally:
            for end in ends:
                self._open.discard(end)
                end.transport.abort()

    async def _carry_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            await self._wait()
            if self.faults.silent_up:
                continue
            writer.write(piece)
            await writer.drain()
            self.up_bytes += len(piece)
        with suppress(OSError):
            writer.write_eof()

    async def _carry_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            await self._wait()
            faults = self.faults
            if faults.silent_down:
                continue
            piece, ends = self._damaged(piece)
            writer.write(piece)
            await writer.drain()
            self.down_bytes += len(piece)
            if ends:
                writer.transport.abort()
                return
            if faults.half_close_at is not None and self.down_bytes >= faults.half_close_at:
                faults.half_close_at = None
                writer.write_eof()
                return
        with suppress(OSError):
            writer.write_eof()

    def _damaged(self, piece: bytes) -> tuple[bytes, bool]:
        """Return what of a piece reaches the client, and whether the connection ends behind it."""
        faults, passed = self.faults, self.down_bytes
        if faults.flip_down_at is not None and passed <= faults.flip_down_at < passed + len(piece):
            at = faults.flip_down_at - passed
            piece = piece[:at] + bytes((piece[at] ^ 1,)) + piece[at + 1 :]
            faults.flip_down_at = None
        if faults.cut_down_at is not None and passed + len(piece) >= faults.cut_down_at:
            piece = piece[: max(faults.cut_down_at - passed, 0)]
            faults.cut_down_at = None
            return piece, True
        return piece, False

    async def _wait(self) -> None:
        if self.faults.delay_seconds:
            await asyncio.sleep(self.faults.delay_seconds)
