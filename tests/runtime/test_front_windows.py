"""Callers and handlers that do not read: the other side stands still, and little is held for them."""

import h2.settings
import pytest

from neuralmesh_server.runtime.server import Server
from tests.runtime.echo import STREAM
from tests.runtime.front import MEBIBYTE, OK, Handler, assert_serves, quiet, resident, until
from tests.runtime.peer import Peer, grpc_message


async def test_a_stream_whose_caller_does_not_read_stands_still(peer: Peer, handler: Handler, server: Server) -> None:
    """What answers waits when the caller's windows are closed, and goes on when they open."""
    before = resident()
    peer.reading = False
    stream = await peer.begin(path=STREAM)
    await peer.send(stream, grpc_message(b"flood"))
    await peer.until(lambda: len(peer.replies[stream].data) == 65535)
    given = -1
    while given != handler.given:  # until it stands
        given = handler.given
        await assert_serves(server)
    assert given < 50
    assert resident() - before < 48 * MEBIBYTE  # what flows later is held by the caller too
    peer.reading = True
    peer.h2.acknowledge_received_data(65535, stream)
    await peer.flush()
    await peer.until(lambda: len(peer.replies[stream].data) > 3 * MEBIBYTE)
    peer.replies.clear()
    await peer.cancel(stream)
    await quiet(server)
    assert handler.cancelled == 1


async def test_a_socket_that_nobody_reads_stands_still(handler: Handler, server: Server) -> None:
    """The same when the windows are as wide as can be, and the client stops to read its socket."""
    wide = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1}
    async with await Peer.open(server.endpoint, wide) as peer:
        peer.h2.increment_flow_control_window(2**31 - 1 - 65535)
        stream = await peer.begin(path=STREAM)
        before = resident()
        await peer.send(stream, grpc_message(b"flood"))
        given = -1
        while given != handler.given:
            given = handler.given
            await assert_serves(server)
            await assert_serves(server)
        assert 0 < given < 3000
        assert resident() - before < 48 * MEBIBYTE
    await quiet(server)
    assert handler.cancelled == 1


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000])
async def test_a_stream_that_is_not_read_stops_its_sender(
    peer: Peer, handler: Handler, server: Server, size: int
) -> None:
    """A handler that reads nothing more closes the window; when it reads again, everything is there."""
    before = resident()
    stream = await peer.begin(path=STREAM)
    await peer.send(stream, grpc_message(b"stop reading"))
    await until(lambda: handler.taken == 1, "the handler waits")
    unit = grpc_message(b"m" * size)
    many = unit * max(1, 50_000 // len(unit))
    sent = 0
    while True:
        await peer.ping()  # what the server gives back of the window is known
        if peer.h2.local_flow_control_window(stream) < len(many):
            break
        await peer.send(stream, many)
        sent += len(many)
        assert sent < 4 * MEBIBYTE
    assert resident() - before < 64 * MEBIBYTE
    if size < 1000:  # these are too many to be echoed here
        await peer.cancel(stream)
        return
    handler.release.set()
    await peer.send(stream, many, end=True)
    reply = await peer.reply(stream)
    assert reply.status == OK
    assert reply.messages() == [b"m" * size] * ((sent + len(many)) // len(unit))


async def test_tiny_messages_that_are_not_read_cost_little(handler: Handler, server: Server) -> None:
    """A hundred streams full of empty messages, for handlers that do not read, are held as they came."""
    before = resident()
    async with await Peer.open(server.endpoint) as peer:
        for _ in range(100):
            stream = await peer.begin(path=STREAM)
            await peer.send(stream, grpc_message(b"stop reading") + grpc_message(b"") * 100_000, frame=1 << 18)
        await until(lambda: handler.taken == 100, "all wait")
        await peer.ping()
        assert resident() - before < 300 * MEBIBYTE
    await quiet(server)
