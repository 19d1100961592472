"""Many streams and connections at the native front at once, up to its limit and to that of descriptors."""

import asyncio
import os
import sys

import h2.settings

from neuralmesh_server.runtime import listener_front
from neuralmesh_server.runtime.server import Server
from tests.runtime.echo import STREAM
from tests.runtime.front import Handler, until
from tests.runtime.peer import Peer, grpc_message


async def test_a_thousand_streams_of_one_connection(peer: Peer, handler: Handler, server: Server) -> None:
    """A thousand calls are under way at once, and answered in the order in which they may go on."""
    streams = []
    for _ in range(1000):
        stream = await peer.begin()
        await peer.send(stream, grpc_message(b"wait"), end=True)
        streams.append(stream)
    await until(lambda: handler.entered == 1000, "all run")
    assert server.front is not None
    assert server.front.running == 1000
    handler.release.set()
    for stream in streams:
        assert (await peer.reply(stream)).messages() == [b"wait"]


async def test_streams_beyond_the_limit_are_refused_alone(peer: Peer, handler: Handler, server: Server) -> None:
    """A caller that ignores the limit gets REFUSED_STREAM for what is beyond it, which it may try again."""
    limit = peer.h2.remote_settings.max_concurrent_streams
    assert limit == listener_front.MAX_STREAMS
    peer.h2.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = limit + 10
    peer.h2.remote_settings.acknowledge()
    streams = [await peer.begin(path=STREAM) for _ in range(limit + 1)]
    assert (await peer.reply(streams[-1])).reset == 7
    await peer.cancel(streams[0])
    assert (await peer.call(grpc_message(b"again"))).messages() == [b"again"]
    assert peer.farewell is None


async def test_three_hundred_connections(server: Server) -> None:
    """Hundreds of connections are open at once, each is served, and all of them are forgotten."""
    peers = [await Peer.open(server.endpoint) for _ in range(300)]
    for turn in range(2):
        replies = await asyncio.gather(*(peer.call(grpc_message(b"%d" % turn)) for peer in peers))
        assert {reply.data for reply in replies} == {grpc_message(b"%d" % turn)}
    for peer in peers:
        await peer.__aexit__()


_CROWDED = """
import asyncio, resource, socket, sys
from tests.runtime.echo import make_server
from tests.runtime.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS, frame
from tests.runtime.peer import Peer, grpc_message

async def main():
    server = make_server()
    endpoint = await server.start()
    await asyncio.to_thread(sum, range(3))
    used = len(__import__("os").listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, used + 20))
    clients = []
    try:
        while True:  # each takes two, and the system connects some that the server cannot accept yet
            clients.append(socket.create_connection((endpoint.host, endpoint.port)))
    except OSError as error:
        assert error.errno == 24, error
    assert len(clients) >= 10
    for client in clients:
        client.close()
    async with await Peer.open(endpoint) as peer:
        assert (await peer.call(grpc_message(b"x"))).messages() == [b"x"]
    await server.stop()

asyncio.run(main())
"""


async def test_without_descriptors_the_server_waits_for_some() -> None:
    """A process that has opened as many files as it may goes on to accept when there are descriptors again."""
    command = [sys.executable, "-c", _CROWDED]
    process = await asyncio.create_subprocess_exec(*command, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert await process.wait() == 0
