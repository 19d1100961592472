"""The requests of one stream: answered in their order, several at once, within bounds.

It knows neither messages nor calls: it takes requests as bytes and what answers them. As long as every request is
answered at once, which plain ones are, the stream is a loop without tasks; from the first request that takes its time
on, requests are read ahead while earlier ones are worked on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from neuralmesh_server.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

MAX_REQUESTS = 16
"""Most requests of one stream that are worked on or wait for an earlier one."""
MAX_BYTES = 64 * 1024 * 1024
"""Most bytes of these requests, except that one request may always be worked on."""

Taken: TypeAlias = "tuple[bytes | asyncio.Task[bytes], int]"
"""An answer, or what makes it, and the size of its request."""


class Stream:
    """Answers one stream.

    Args:
        requests: The requests as they come.
        quick: Returns the answer to a request that can be answered at once, else None.
        slow: Answers any other request; what it raises ends the stream when it is that request's turn.
    """

    def __init__(
        self,
        requests: AsyncIterator[bytes],
        quick: Callable[[bytes], bytes | None],
        slow: Callable[[bytes], Coroutine[None, None, bytes]],
    ) -> None:
        self._requests = requests
        self._quick = quick
        self._slow = slow
        self._taken: asyncio.Queue[Taken | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._held = 0
        self._held_bytes = 0
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._ended = False

    async def answers(self) -> AsyncIterator[bytes]:
        """Yield one answer for each request, in order; ends when the requests have ended and all are answered.

        Raises:
            UnavailableError: NOT_SERVING: the node ended the stream; what was not answered did not run.
            BaseException: What `slow` raised for the request whose turn it is, or what reading a request raised.
        """
        self._check()
        quick, requests = self._quick, aiter(self._requests)
        while (data := await self._next(requests)) is not None:
            answer = quick(data)
            if answer is None:
                break
            yield answer
        else:
            return
        self._reader = reader = asyncio.create_task(self._read_ahead(data, requests))
        try:
            while (taken := await self._taken.get()) is not None:
                answered, size = taken
                yield answered if isinstance(answered, bytes) else await answered
                self._held -= 1
                self._held_bytes -= size
                self._room.set()
            self._check()
            await reader  # raises what reading raised
        finally:
            self.close()

    def close(self) -> None:
        """Work on nothing more; what waits in queues leaves them. Closing again does no harm."""
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None  # its end holds what it read last, and this
        for task in self._tasks:
            task.cancel()

    def end(self) -> None:
        """Read no more, answer what was taken, and end the stream with NOT_SERVING."""
        self._ended = True
        for task in (self._waiting, self._reader):
            if task is not None:
                task.cancel()

    def _check(self) -> None:
        if self._ended:
            raise UnavailableError("NOT_SERVING", "this node stops; requests without an answer did not run")

    async def _next(self, requests: AsyncIterator[bytes]) -> bytes | None:
        """Return the next request, None after the last; waits nowhere else while the stream has no tasks."""
        self._check()
        self._waiting = task = asyncio.current_task()
        try:
            return await anext(requests, None)
        except asyncio.CancelledError:
            if self._ended and task is not None and task.uncancel() == 0:
                self._check()
            raise
        finally:
            self._waiting = None

    async def _read_ahead(self, data: bytes, requests: AsyncIterator[bytes]) -> None:
        try:
            await self._take(data)
            async for following in requests:
                await self._take(following)
        finally:
            self._taken.put_nowait(None)

    async def _take(self, data: bytes) -> None:
        size = len(data)
        while self._held >= MAX_REQUESTS or (self._held and self._held_bytes + size > MAX_BYTES):
            self._room.clear()
            await self._room.wait()
        self._held += 1
        self._held_bytes += size
        answer = self._quick(data)
        if answer is not None:
            self._taken.put_nowait((answer, size))
            return
        task = asyncio.create_task(self._slow(data))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        self._taken.put_nowait((task, size))

    def _forget(self, task: asyncio.Task[bytes]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a later request that fails is not reported once an earlier one ended the stream
