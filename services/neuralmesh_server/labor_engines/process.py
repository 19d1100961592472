"""One process of a pool, seen from the pool: started, talked to, and known to be gone as soon as it is."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from neuralmesh_server.labor_engines import messages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from neuralmesh_server.canonical import Fact

MODULE = "neuralmesh_server.labor_engines.child"
END_SECONDS = 5.0
"""What a process may take to end after its line is cut, before it is killed."""


class LocalProcess:
    """A process on this machine; made by `start`. See `seat.Process`.

    Attributes:
        pid: Its number.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, results: Path, environment: Mapping[str, str] | None, module: str = MODULE) -> Self:
        """Start a process that leaves files of results in a folder; raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                str(theirs.fileno()),
                str(results),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=None if environment is None else dict(environment),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return cls(process, reader, writer)

    def send(self, message: Fact) -> None:
        """Send a message; what is sent to a process that is gone is lost."""
        if not self._writer.is_closing():
            self._writer.write(messages.encode(message))

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message; None as soon as the process is gone."""
        try:
            head = await self._reader.readexactly(messages.LENGTH_BYTES)
            return messages.decode(await self._reader.readexactly(messages.length(head)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def ended(self) -> str:
        """Return how it ended, once it has."""
        code = await self._process.wait()
        if code >= 0:
            return f"ended with status {code}"
        return f"was ended by {signal.Signals(-code).name}"

    async def end(self) -> None:
        """Have it end, and wait until it has."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
