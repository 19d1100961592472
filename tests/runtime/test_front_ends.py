"""Ends of calls and connections at the native front: cancelled, vanished, stopped, never greeted."""

import asyncio

import grpc
import pytest

from neuralmesh_server.runtime import listener_front
from neuralmesh_server.runtime.server import Server
from tests.runtime.echo import INFER, STREAM, make_server
from tests.runtime.front import OK, Handler, assert_serves, quiet, until
from tests.runtime.peer import REQUEST, Peer, grpc_message


async def test_a_call_may_be_cancelled_at_every_moment(peer: Peer, handler: Handler, server: Server) -> None:
    """After every part of a call a reset ends it: what answers is cancelled and nothing is left."""
    body = grpc_message(b"wait")
    for path in (INFER, STREAM):
        for size in range(len(body) + 1):
            for wait in (False, True):
                before = handler.entered
                stream = await peer.begin(path=path)
                if size:
                    await peer.send(stream, body[:size])
                if wait and path == STREAM:
                    await until(lambda before=before: handler.entered > before, "the handler runs")
                await peer.cancel(stream)
        stream = await peer.begin(path=path)
        before = handler.entered
        await peer.send(stream, body, end=True)
        await until(lambda before=before: handler.entered > before, "the handler runs")
        await peer.cancel(stream)
        await quiet(server)
    assert handler.entered == handler.cancelled > 10
    assert (await peer.call(grpc_message(b"x"))).status == OK


@pytest.mark.parametrize("path", [INFER, STREAM])
async def test_calls_that_are_cancelled_as_they_come_leave_nothing(peer: Peer, server: Server, path: str) -> None:
    """A whole call and its reset in one packet are forgotten, hundreds of times."""
    for _ in range(300):
        stream = peer.h2.get_next_available_stream_id()
        fields = [(name, path if name == ":path" else value) for name, value in REQUEST]
        peer.h2.send_headers(stream, fields)
        peer.h2.send_data(stream, grpc_message(b"wait"), end_stream=True)
        peer.h2.reset_stream(stream, 8)
    await peer.flush()
    await quiet(server)
    assert (await peer.call(grpc_message(b"x"))).status == OK


async def test_a_client_that_vanishes_leaves_nothing(handler: Handler, server: Server) -> None:
    """Connections that end without a word, in the middle of calls of every kind, cancel what answers them."""
    for _ in range(5):
        async with await Peer.open(server.endpoint) as peer:
            for _ in range(20):
                stream = await peer.begin()
                await peer.send(stream, grpc_message(b"wait"), end=True)
                stream = await peer.begin(path=STREAM)
                await peer.send(stream, grpc_message(b"flood"))
                stream = await peer.begin(path=STREAM)
                await peer.send(stream, grpc_message(b"half")[:-1])
                await peer.begin()
            await peer.receive()
        await quiet(server)
    assert handler.cancelled == handler.entered > 0
    await assert_serves(server)


async def test_a_stop_says_farewell(peer: Peer, handler: Handler, server: Server) -> None:
    """Who is connected is told GOAWAY without an error, after the calls under way."""
    stream = await peer.begin()
    await peer.send(stream, grpc_message(b"wait"), end=True)
    await until(lambda: handler.entered == 1, "the handler runs")
    stopping = asyncio.create_task(server.stop())
    while (await peer.call(grpc_message(b"x"))).status[0] != "14":
        pass  # the stop has not begun
    handler.release.set()
    assert (await peer.reply(stream)).status == OK
    await peer.until(lambda: peer.closed)
    assert peer.farewell == 0
    await stopping


async def test_a_call_that_comes_when_the_drain_is_over_is_not_begun(server: Server, handler: Handler) -> None:
    """What was still in the queue then is refused: its handler is not asked, and its caller may repeat it."""
    server._listener._closing = True
    async with grpc.aio.insecure_channel(str(server.endpoint)) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="this server is stopping") as raised:
            await channel.unary_unary(INFER)(b"x", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert handler.entered == 0


async def test_strangers_who_say_nothing_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not greet in time, or not to the end, is closed; one that has greeted stays."""
    monkeypatch.setattr(listener_front, "GREETING_SECONDS", 0.1)
    server = make_server()
    await server.start()
    async with await Peer.open(server.endpoint) as peer:
        for said in (b"", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"):
            reader, writer = await asyncio.open_connection(server.endpoint.host, server.endpoint.port)
            writer.write(said)
            async with asyncio.timeout(10):
                while await reader.read(1000):
                    pass
            writer.close()
        assert (await peer.call(grpc_message(b"x"))).status == OK
    await server.stop()
