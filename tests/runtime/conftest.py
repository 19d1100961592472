"""What a server of these tests listens with, and the server of the tests of the front."""

from collections.abc import AsyncIterator

import pytest

from neuralmesh_server.runtime.server import Server
from neuralmesh_server.settings import GRPC, NATIVE
from tests.runtime.echo import make_server
from tests.runtime.front import Handler, quiet
from tests.runtime.peer import Peer


@pytest.fixture(params=[NATIVE, GRPC])
def transport(request: pytest.FixtureRequest) -> str:
    """Have the test run over the native front and over grpcio's server."""
    return str(request.param)


@pytest.fixture
async def handler() -> Handler:
    """What answers behind `server`."""
    return Handler()


@pytest.fixture
async def server(handler: Handler) -> AsyncIterator[Server]:
    """A server with the native front; at the end no call may be left in it."""
    server = make_server(handler.infer, handler.stream, drain_seconds=0.2)
    await server.start()
    yield server
    handler.release.set()
    await quiet(server)
    await server.stop()


@pytest.fixture
async def peer(server: Server) -> AsyncIterator[Peer]:
    """A connection to `server`."""
    async with await Peer.open(server.endpoint) as peer:
        yield peer
