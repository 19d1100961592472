"""Many calls at once on one connection: all reach the handlers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest

from neuralmesh_server.runtime.server import Server
from tests.runtime.echo import INFER, make_server

CALLS = 6000


@pytest.fixture
async def server(transport: str) -> AsyncIterator[Server]:
    """A server that answers with the request."""
    server = make_server(transport=transport)
    await server.start()
    yield server
    await server.stop()


async def test_a_burst_on_one_connection_is_answered(server: Server) -> None:
    """Thousands of calls that arrive together are all answered; grpc cancels none before a handler sees it."""
    async with grpc.aio.insecure_channel(str(server.endpoint)) as channel:
        infer = channel.unary_unary(INFER)

        async def one() -> str:
            try:
                await infer(b"request", timeout=60)
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name}: {error.details()}"
            return "answered"

        found = Counter(await asyncio.gather(*(one() for _ in range(CALLS))))
    assert found == {"answered": CALLS}
