"""What stands in for the node further up: a server that answers as a test tells it, and a link without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import grpc

from neuralmesh import oip
from neuralmesh_server.inference.upstreams.link import Passing, UpstreamError
from tests.inference.upstreams import FakeUpstream

ANSWER = oip.ModelInferResponse(model_name="far", id="odd").SerializeToString() + b"\xf2\x3f\x03own"
"""An answer with a field that nobody knows, so that it shows whether somebody wrote it anew."""


def unknown(model: str, version: str) -> str:
    """Know no digest."""
    return ""


async def at_once(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
    """Answer."""
    return ANSWER


async def never(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
    """Wait until the call is over."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


class Above(FakeUpstream):
    """A server whose ModelInfer takes and gives bytes.

    Attributes:
        respond: What answers.
        calls: Bytes, metadata and time left of every call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.respond: Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]] = at_once
        self.calls: list[tuple[bytes, Mapping[str, str], float | None]] = []

    async def _infer(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        self.calls.append((data, metadata, context.time_remaining()))
        self.reached.set()
        try:
            return await self.respond(data, context)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Link:
    """A link that answers when it is told to.

    Attributes:
        passed: What was passed on.
        answers: Futures of the answers, in the order of the calls; made by the calls.
        cancelled: How many calls were cancelled.
    """

    def __init__(self) -> None:
        self.passed: list[Passing] = []
        self.answers: list[asyncio.Future[bytes]] = []
        self.cancelled = 0
        self._asked = asyncio.Condition()

    async def pass_on(self, passing: Passing) -> bytes:
        """Wait for an answer."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.passed.append(passing)
        self.answers.append(answer)
        try:
            async with self._asked:
                self._asked.notify_all()
            return await answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def asked(self, count: int = 1) -> None:
        """Return when so many calls came."""
        async with self._asked:
            await asyncio.wait_for(self._asked.wait_for(lambda: len(self.passed) >= count), 20)

    async def close(self) -> None:
        """Close nothing."""


class Ready(Link):
    """A link that answers at once: with bytes, or with an error."""

    def __init__(self, answer: bytes | UpstreamError = ANSWER) -> None:
        super().__init__()
        self.answer = answer

    async def pass_on(self, passing: Passing) -> bytes:
        """Answer."""
        self.passed.append(passing)
        if isinstance(self.answer, UpstreamError):
            raise self.answer
        return self.answer
