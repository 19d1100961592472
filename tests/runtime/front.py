"""A handler behind the front that does as its requests say and counts, and what tests wait for and measure."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc

from neuralmesh_server.runtime.server import Server
from tests.processes import PATIENCE
from tests.runtime.peer import Peer, grpc_message

MEBIBYTE = 1024 * 1024
OK = ("0", "")


class Handler:
    """Answers calls as the test says, and knows how they went.

    Attributes:
        metadata: What the last call brought.
        remaining: How much time it had.
        entered, cancelled: How many calls began, and how many were cancelled.
        taken, given: Messages of streams that were read, and that were sent.
        release: What calls wait for that say `wait`.
    """

    def __init__(self) -> None:
        self.metadata: tuple[tuple[str, str | bytes], ...] = ()
        self.remaining: float | None = None
        self.entered = self.cancelled = self.taken = self.given = 0
        self.release = asyncio.Event()

    async def infer(self, data: bytes, context: Any) -> bytes:
        self.entered += 1
        try:
            return await self._answer(data, context)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _answer(self, data: bytes, context: Any) -> bytes:
        self.metadata, self.remaining = context.invocation_metadata(), context.time_remaining()
        if data == b"wait":
            await self.release.wait()
        elif data.startswith(b"abort "):
            await context.abort(grpc.StatusCode.ABORTED, data[6:].decode(), (("k", "v"), ("k-bin", b"\xff\x00")))
        elif data == b"headers":
            await context.send_initial_metadata(
                (("early", "1"), ("early-bin", b"\x00\x01\xff"), ("large", "x" * 50_000))
            )
            context.set_trailing_metadata((("late", "2"), ("late-bin", b"")))
        return data

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        self.entered += 1
        try:
            async for data in requests:
                self.taken += 1
                if data == b"stop reading":
                    await self.release.wait()
                elif data == b"flood":
                    while True:
                        yield b"x" * 10_000
                        self.given += 1
                else:
                    yield await self._answer(data, context)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise


async def until(holds: Callable[[], bool], what: str) -> None:
    """Return when something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"it is still not so that {what}"
        await asyncio.sleep(0.002)


async def quiet(server: Server) -> None:
    """Return when nothing of any call is left, neither in the front nor beside it."""
    front, calls = server.front, server._listener._calls
    assert front is not None
    await until(lambda: front.running == 0 and not calls, "no call is under way")


async def assert_serves(server: Server) -> None:
    """Check that another client is answered."""
    async with await Peer.open(server.endpoint) as other:
        reply = await other.call(grpc_message(b"honest"))
        assert (reply.messages(), reply.status) == ([b"honest"], OK)


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
