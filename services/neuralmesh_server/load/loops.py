"""Sends a workload, at the moments of a schedule or from a number of callers, and records what comes back.

Open loop: requests go out when they are due, however slow the server is. Closed loop: each caller sends its next
request when the last one is answered, which measures capacity and hides waiting. Every answer is judged (`answers`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh import AsyncClient
from neuralmesh.exceptions import NeuralMeshError
from neuralmesh_server.errors import NeuralMeshError as HarnessError
from neuralmesh_server.load.answers import EXACT_KINDS, Answers, Tolerance, read_answer
from neuralmesh_server.load.pacer import make_pacer
from neuralmesh_server.load.record import Outcome, Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Self

    from numpy.typing import NDArray

    from neuralmesh_server.load.workload import Workload

MOST_OPEN = 10_000
"""Requests under way at once; at this limit the client waits, which counts as latency and is said."""

READING_FAILED = "ANSWER_UNREADABLE"
ASKED_AT_ONCE = 32
DEFAULT_TOLERANCE = Tolerance()


@dataclass(slots=True)
class Connections:
    """Several connections to one server; a context manager.

    Args:
        options: Arguments of AsyncClient: address, TLS files, timeout and so on.
        count: How many; requests take them in turn.
    """

    options: Mapping[str, Any]
    count: int
    calls: tuple[Callable[[bytes], Awaitable[bytes]], ...] = ()
    _stack: AsyncExitStack | None = None
    _first: AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Open them, so that no request pays for connecting.

        Raises:
            UnavailableError: The server cannot be reached.
        """
        self._stack = AsyncExitStack()
        clients = [await self._stack.enter_async_context(AsyncClient(**self.options)) for _ in range(self.count)]
        try:
            await asyncio.gather(*(client.inference.server_live() for client in clients))
        except BaseException:
            await self._stack.aclose()
            raise
        self.calls = tuple(client.inference.infer_bytes for client in clients)
        self._first = clients[0]
        return self

    async def platform(self, model: str, version: str) -> str:
        """Return what executes a version, as its metadata says."""
        assert self._first is not None
        return str((await self._first.inference.model_metadata(model, version)).platform)

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        if self._stack is not None:
            await self._stack.aclose()


class Harness:
    """Sends the requests of one workload over some connections, once.

    Args:
        connections: Open ones.
        workload: What is sent.
        tolerance: How far outputs may be from the expected ones where a version does not promise equal bits.

    Attributes:
        record: What happened so far; a display may read it at any time.
        answers: What was answered so far.
    """

    def __init__(
        self, connections: Connections, workload: Workload, tolerance: Tolerance | None = DEFAULT_TOLERANCE
    ) -> None:
        self._connections = connections
        self._calls = connections.calls
        self._tolerance = tolerance
        self._workload = workload
        self._requests = workload.requests
        self.record = Record()
        self.answers = Answers()

    async def current(self) -> str:
        """Return the version that answers the first request now.

        Raises:
            neuralmesh.exceptions.NeuralMeshError: None does.
        """
        return read_answer(await self._calls[0](self._requests[0]))[0]

    async def expect(self, version: str) -> None:
        """Ask a version by its number for what the answer to each request must be.

        Raises:
            neuralmesh.exceptions.NeuralMeshError: The version cannot be asked.
        """
        platform = await self._connections.platform(self._workload.model, version)
        call, requests = self._calls[0], self._workload.pinned(version)
        answers = []
        for start in range(0, len(requests), ASKED_AT_ONCE):
            answers += await asyncio.gather(*(call(request) for request in requests[start : start + ASKED_AT_ONCE]))
        self.answers.know(version, answers, None if platform in EXACT_KINDS else self._tolerance)

    async def open_loop(self, schedule: NDArray[Any], most_open: int = MOST_OPEN) -> Outcome:
        """Send a request at every moment of a schedule and wait for all answers."""
        tasks: set[asyncio.Task[None]] = set()
        pacer, loop, record = make_pacer(), asyncio.get_running_loop(), self.record
        monotonic, calls, requests = time.monotonic, self._calls, len(self._requests)
        with _Busy(record):
            start = monotonic() + 0.01
            try:
                for number, moment in enumerate((schedule + start).tolist()):
                    if moment > monotonic():
                        await pacer.until(moment)
                    elif not number % 32:
                        await asyncio.sleep(0)  # behind the schedule: let answers in between
                    while record.open >= most_open:
                        record.held_back += 1
                        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    record.sending(monotonic() - moment)
                    task = loop.create_task(self._one(calls[number % len(calls)], number % requests, moment))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                if tasks:
                    await asyncio.wait(tasks)
            finally:
                pacer.close()
                for task in tasks:
                    task.cancel()
        return await self._finish()

    async def closed_loop(self, callers: int, seconds: float = 0.0, requests: int = 0) -> Outcome:
        """Let callers send one request after the other, for a time or until so many have been sent."""
        if not seconds and not requests:
            raise ValueError("a closed loop ends after a time or after a number of requests")
        with _Busy(self.record):
            end = time.monotonic() + seconds if seconds else float("inf")
            most = requests or float("inf")
            await asyncio.gather(*(self._caller(number, end, most) for number in range(callers)))
        return await self._finish()

    async def _caller(self, number: int, end: float, most: float) -> None:
        call, record, monotonic = self._calls[number % len(self._calls)], self.record, time.monotonic
        while record.sent < most and (now := monotonic()) < end:
            place = record.sent % len(self._requests)
            record.sending(0.0)
            await self._one(call, place, now)

    async def _one(self, call: Callable[[bytes], Awaitable[bytes]], place: int, moment: float) -> None:
        """Send one request, and count and judge what comes back."""
        sent = time.monotonic()
        try:
            answer = await call(self._requests[place])
        except NeuralMeshError as error:
            self.record.failure(error.code.name, error.reason, error.message)
            return
        now = time.monotonic()
        try:
            self.answers.take(place, answer)
        except HarnessError as error:
            self.record.failure("OK", READING_FAILED, error.message)
            return
        self.record.answer(now - moment, now - sent)

    async def _finish(self) -> Outcome:
        """Ask the versions that answered and are not known yet, and judge what waits for them."""
        for version in self.answers.unknown():
            try:
                await self.expect(version)
            except NeuralMeshError as error:
                self.answers.unasked[version] = error.message  # its answers stay unjudged, which is no success
        self.answers.settle()
        return Outcome(self.record, self.answers)


class _Busy:
    """Measures how long a run took and what share of it this process was on a processor."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __enter__(self) -> None:
        self._started, self._worked = time.monotonic(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self._record.seconds = time.monotonic() - self._started
        self._record.busy = (time.process_time() - self._worked) / self._record.seconds
