"""The native front as a client sees it that knows nothing but the RFCs and gRPC's own specification."""

import asyncio
import gzip
import os
import socket
import struct
import sys
import time
import urllib.parse
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import h2.settings
import hpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralmesh_server.runtime import listener_front
from neuralmesh_server.runtime.server import Server
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES
from neuralmesh_server.settings import Endpoint, SettingsError
from tests.runtime.echo import INFER, STREAM, make_server
from tests.runtime.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS, frame
from tests.runtime.peer import REQUEST, Peer, grpc_message

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


@pytest.fixture
async def handler() -> Handler:
    return Handler()


@pytest.fixture
async def server(handler: Handler) -> AsyncIterator[Server]:
    server = make_server(handler.infer, handler.stream, drain_seconds=0.2)
    await server.start()
    yield server
    handler.release.set()
    await quiet(server)
    await server.stop()


@pytest.fixture
async def peer(server: Server) -> AsyncIterator[Peer]:
    async with await Peer.open(server.endpoint) as peer:
        yield peer


async def until(holds: Callable[[], bool], what: str) -> None:
    """Return when something holds."""
    deadline = time.monotonic() + 20
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


# ---- Answers


async def test_an_answer_is_headers_a_message_and_trailers(peer: Peer) -> None:
    """The frames of a plain answer hold what gRPC asks for and nothing else."""
    reply = await peer.call(grpc_message(b"hello"))
    assert reply.headers == [(":status", "200"), ("content-type", "application/grpc")]
    assert reply.data == grpc_message(b"hello")
    assert reply.trailers == [("grpc-status", "0")]


async def test_an_error_is_trailers_alone(peer: Peer) -> None:
    """A call that fails before it answers gets one block of fields with status, message and metadata."""
    reply = await peer.call(grpc_message(b"abort because"))
    assert dict(reply.headers) == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": "10",
        "grpc-message": "because",
        "k": "v",
        "k-bin": "/wA",
    }
    assert (reply.data, reply.trailers) == (b"", [])


@pytest.mark.parametrize("text", ["100% ünïcode", "a\nb\r\0", "%41", "~ !", "🜃" * 50])
async def test_messages_of_errors_are_percent_encoded(peer: Peer, text: str) -> None:
    """Whatever a message says comes as printable ASCII, from which it can be had again."""
    status, message = (await peer.call(grpc_message(b"abort " + text.encode()))).status
    assert status == "10"
    assert message.isascii()
    assert message.isprintable()
    assert urllib.parse.unquote(message, errors="strict") == text


async def test_metadata_goes_both_ways(peer: Peer, handler: Handler) -> None:
    """Repeated names keep their order, binary values are bytes whether padded or not, what gRPC reads is left out."""
    extra = [
        ("a", "1"),
        ("b-bin", b64encode(b"\x00\xff").decode()),
        ("a", "2"),
        ("c-bin", "AP8"),
        ("d", ""),
        ("e-bin", ""),
    ]
    extra += [
        ("grpc-timeout", "1H"),
        ("grpc-encoding", "identity"),
        ("grpc-accept-encoding", "gzip"),
        ("user-agent", "u"),
    ]
    reply = await peer.call(grpc_message(b"headers"), extra)
    expected = [("a", "1"), ("b-bin", b"\x00\xff"), ("a", "2"), ("c-bin", b"\x00\xff"), ("d", ""), ("e-bin", b"")]
    assert list(handler.metadata) == [*expected, ("user-agent", "u")]
    assert reply.headers[2:] == [("early", "1"), ("early-bin", "AAH/"), ("large", "x" * 50_000)]
    assert reply.trailers == [("grpc-status", "0"), ("late", "2"), ("late-bin", "")]


@pytest.mark.parametrize("value", ["A", "AAAAA", "####", "ä"])
async def test_binary_metadata_that_is_none_is_the_callers_error(peer: Peer, handler: Handler, value: str) -> None:
    """A value that is no base64 never becomes an internal error of the server."""
    reply = await peer.call(grpc_message(b"x"), [("k-bin", value)])
    assert reply.reset is not None or reply.status[0] in {"0", "3"}


async def test_joined_binary_values_are_taken_apart(peer: Peer, handler: Handler) -> None:
    """Values of one binary name may come joined by commas."""
    await peer.call(grpc_message(b"x"), [("k-bin", "AA,AQ==,Ag")])
    assert [value for name, value in handler.metadata if name == "k-bin"] == [b"\x00", b"\x01", b"\x02"]


async def test_metadata_up_to_the_advertised_size_is_taken(peer: Peer, handler: Handler) -> None:
    """15 KiB of metadata arrive; with more the call is RESOURCE_EXHAUSTED, and the connection goes on."""
    assert peer.h2.remote_settings.max_header_list_size == 16384
    assert (await peer.call(grpc_message(b"x"), [("k", "v" * 15_000)])).status == OK
    assert handler.metadata == (("k", "v" * 15_000),)
    assert (await peer.call(grpc_message(b"x"), [("k", "v" * 17_000)])).status[0] == "8"
    assert (await peer.call(grpc_message(b"x"))).status == OK


# ---- Deadlines


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600), ("2M", 120), ("99999999S", 99999999), ("60000m", 60), ("60000000u", 60), ("00000030S", 30)],
)
async def test_units_of_deadlines(peer: Peer, handler: Handler, text: str, seconds: float) -> None:
    """Hours, minutes, seconds and their parts are what they say."""
    assert (await peer.call(grpc_message(b"x"), [("grpc-timeout", text)])).status == OK
    assert handler.remaining is not None
    assert seconds - 20 < handler.remaining <= seconds


@pytest.mark.parametrize("text", ["1n", "1u", "20m", "0S"])
@pytest.mark.parametrize("path", [INFER, STREAM])
async def test_a_deadline_that_is_over_ends_the_call(
    peer: Peer, handler: Handler, server: Server, text: str, path: str
) -> None:
    """The caller gets DEADLINE_EXCEEDED, and what answers is cancelled."""
    reply = await peer.call(grpc_message(b"wait"), [("grpc-timeout", text)], path=path)
    assert reply.status[0] == "4"
    await quiet(server)
    assert handler.cancelled == handler.entered


async def test_the_longest_deadline_is_one(peer: Peer) -> None:
    """A hundred million hours are more than clocks count, and no error."""
    assert (await peer.call(grpc_message(b"x"), [("grpc-timeout", "99999999H")])).status == OK


# ---- Compression


COMPRESSED = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("path", [INFER, STREAM])
@pytest.mark.parametrize("data", [b"", b"hello", bytes(300_000)], ids=len)
async def test_compressed_requests_are_read(peer: Peer, encoding: str, path: str, data: bytes) -> None:
    """Both gzip and deflate are taken in unary calls and in streams, beside messages that are not compressed."""
    body = grpc_message(COMPRESSED[encoding](data), compressed=True)
    if path == STREAM:
        body = grpc_message(b"plain") + body + grpc_message(b"plain")
    reply = await peer.call(body, [("grpc-encoding", encoding)], path=path)
    assert reply.messages() == ([data] if path == INFER else [b"plain", data, b"plain"])
    assert reply.status == OK


@pytest.mark.parametrize("path", [INFER, STREAM])
@pytest.mark.parametrize(
    ("encoding", "data", "status"),
    [
        ("gzip", gzip.compress(bytes(MAX_MESSAGE_BYTES + 1), 1), "8"),
        ("deflate", zlib.compress(bytes(MAX_MESSAGE_BYTES + 1), 1), "8"),
        ("gzip", b"no gzip", "3"),
        ("gzip", gzip.compress(b"cut off")[:-1], "3"),
        ("gzip", gzip.compress(b"more") + b"x", "3"),
        ("gzip", b"", "3"),
        ("snappy", b"x", "12"),
        ("identity", b"x", "12"),
        ("x" * 5000, b"x", "12"),
        ("gz\u00efp", b"x", "12"),
        (None, b"x", "12"),
    ],
    ids=["bomb", "deflate bomb", "noise", "cut", "more", "empty", "unknown", "identity", "long", "no ascii", "unsaid"],
)
async def test_what_cannot_be_decompressed_is_refused(
    peer: Peer, path: str, encoding: str | None, data: bytes, status: str
) -> None:
    """Bombs, noise and encodings of other names are the caller's errors, and none costs the server more than it takes."""
    before = resident()
    said = [] if encoding is None else [("grpc-encoding", encoding)]
    reply = await peer.call(grpc_message(data, compressed=True), said, path=path)
    assert reply.status[0] == status
    assert resident() - before < 4 * MAX_MESSAGE_BYTES


# ---- What is no gRPC


async def test_unknown_methods_are_unimplemented(peer: Peer) -> None:
    """A path that no service has is answered with UNIMPLEMENTED, whatever comes with it."""
    for path in ("/", "/x", INFER + "x", INFER[:-1], INFER.upper(), "*", "/inference.GRPCInferenceService/"):
        assert (await peer.call(grpc_message(b"x"), path=path)).status[0] == "12"


@pytest.mark.parametrize("content_type", ["application/json", "application/grpcx", "text/plain", "application/grp"])
async def test_other_content_is_415(peer: Peer, content_type: str) -> None:
    """A request that is not gRPC gets 415 and nothing more."""
    stream = await peer.begin(content_type=content_type, end=True)
    assert (await peer.reply(stream)).headers == [(":status", "415")]


@pytest.mark.parametrize(
    "content_type", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"]
)
async def test_all_forms_of_the_content_type_are_taken(peer: Peer, content_type: str) -> None:
    """What may follow application/grpc does not matter."""
    assert (await peer.call(grpc_message(b"x"), content_type=content_type)).status == OK


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_other_methods_are_405(peer: Peer, method: str) -> None:
    """A request that does not post gets 405 and nothing more."""
    stream = await peer.begin(method=method, end=True)
    assert (await peer.reply(stream)).headers == [(":status", "405")]


# ---- Slow ones


@pytest.mark.parametrize("path", [INFER, STREAM])
async def test_a_sender_of_single_bytes_is_served(peer: Peer, path: str) -> None:
    """A request in frames of one byte, with its end in a frame of none, is a request."""
    stream = await peer.begin(path=path)
    await peer.send(stream, grpc_message(b"byte by byte"), end=True, frame=1)
    reply = await peer.reply(stream)
    assert (reply.messages(), reply.status) == ([b"byte by byte"], OK)


@pytest.mark.parametrize("path", [INFER, STREAM])
async def test_an_empty_message_may_come_before_the_end(peer: Peer, path: str) -> None:
    """A prefix alone, and then a frame that ends the stream, is an empty message."""
    stream = await peer.begin(path=path)
    await peer.send(stream, grpc_message(b""))
    await peer.send(stream, b"", end=True)
    reply = await peer.reply(stream)
    assert (reply.messages(), reply.status) == ([b""], OK)


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
    peer.reading = True
    peer.h2.acknowledge_received_data(65535, stream)
    await peer.flush()
    await peer.until(lambda: len(peer.replies[stream].data) > 3 * MEBIBYTE)
    peer.replies.clear()
    await peer.cancel(stream)
    await quiet(server)
    assert handler.cancelled == 1
    assert resident() - before < 48 * MEBIBYTE


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


# ---- Ends


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


# ---- Many


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


# ---- Attacks


async def flood(peer: Peer, unit: bytes, times: int) -> None:
    """Send the same bytes again and again, whether anything is answered or not, until nothing more is taken."""
    writer = peer._writer
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(1):
            for _ in range(times):
                writer.write(unit)
                await writer.drain()


async def test_rapid_resets_are_cut_off(handler: Handler, server: Server) -> None:
    """Who opens calls to cancel them is told ENHANCE_YOUR_CALM; everybody else is served meanwhile, and nothing is left."""
    async with await Peer.open(server.endpoint) as peer:
        encoder = hpack.Encoder()
        block = encoder.encode([(name, STREAM if name == ":path" else value) for name, value in REQUEST])
        for first in range(1, 40_001, 200):
            burst = b""
            for stream in range(first, first + 200, 2):
                block = (
                    block if stream == 1 else encoder.encode([(n, STREAM if n == ":path" else v) for n, v in REQUEST])
                )
                burst += frame(HEADERS, END_HEADERS, stream, block) + frame(RST_STREAM, 0, stream, bytes(4))
            with suppress(ConnectionError):
                await peer.raw(burst)
            if first % 4000 == 1:
                await assert_serves(server)
        await peer.until(lambda: peer.farewell is not None)
        assert peer.farewell == 11
    await quiet(server)


@pytest.mark.parametrize("why", ["window", "length", "priority", "more data"])
async def test_resets_that_the_server_is_made_to_send_are_cut_off_too(server: Server, why: str) -> None:
    """Calls that are ended by broken rules cost as much as cancelled ones and count as such (CVE-2025-8671)."""
    async with await Peer.open(server.endpoint) as peer:
        breaking = {
            "window": lambda stream: frame(8, 0, stream, bytes(4)),
            "length": lambda stream: frame(DATA, 0, stream, b"more than was said"),
            "priority": lambda stream: frame(2, 0, stream, struct.pack(">IB", stream, 1)),
            "more data": lambda stream: frame(DATA, END_STREAM, stream) + frame(DATA, 0, stream, b"x"),
        }[why]
        fields = [(name, STREAM if name == ":path" else value) for name, value in REQUEST]
        fields += [("content-length", "5")] if why == "length" else []
        encoder = hpack.Encoder()
        for first in range(1, 40_001, 200):
            streams = range(first, first + 200, 2)
            sent = [frame(HEADERS, END_HEADERS, one, encoder.encode(fields)) + breaking(one) for one in streams]
            with suppress(ConnectionError):
                await peer.raw(b"".join(sent))
        peer.reading = False
        last = b""
        with suppress(ConnectionError):
            while data := await peer._reader.read(1 << 18):
                last = (last + data)[-200:]
        assert bytes([0, 0, 0, 11]) in last  # GOAWAY with ENHANCE_YOUR_CALM
    await quiet(server)
    await assert_serves(server)


@pytest.mark.parametrize("size", [0, 1000])
async def test_endless_fields_are_cut_off(server: Server, size: int) -> None:
    """CONTINUATION without end, empty or not, closes its connection before it costs anything."""
    before = resident()
    async with await Peer.open(server.endpoint) as peer:
        await peer.raw(frame(HEADERS, 0, 1, b""))
        await flood(peer, frame(9, 0, 1, b"\x00" * size) * 100, 100)
        await peer.until(lambda: peer.farewell is not None)
        assert peer.farewell == 11
    await assert_serves(server)
    assert resident() - before < 16 * MEBIBYTE


@pytest.mark.parametrize(
    "unit",
    [
        frame(SETTINGS, 0, 0) * 2000,
        frame(6, 0, 0, b"12345678") * 2000,
        frame(HEADERS, END_HEADERS, 2**31 - 1, b"\x82") + frame(DATA, 0, 2**31 - 1, b"") * 5000,
    ],
    ids=["settings", "pings", "data of a closed stream"],
)
async def test_answers_that_are_not_read_stop_what_asks_for_them(server: Server, unit: bytes) -> None:
    """A client that makes the server talk and does not listen is not listened to any more, and costs little."""
    before = resident()
    async with await Peer.open(server.endpoint) as peer:
        peer._writer.transport.set_write_buffer_limits(high=0)
        peer._reader._limit = 1
        await flood(peer, unit, 10_000)
        assert resident() - before < 32 * MEBIBYTE
        await assert_serves(server)
    await quiet(server)


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


# ---- Descriptors

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


# ---- Frames and messages of every size


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.one_of(st.integers(0, 20), st.integers(0, 40_000)), min_size=1, max_size=12),
    frame=st.one_of(st.integers(1, 40), st.integers(100, 16384)),
    data=st.data(),
)
async def test_messages_come_back_however_they_are_divided(
    server: Server, sizes: list[int], frame: int, data: st.DataObject
) -> None:
    """Streams of messages, and each as a call of its own, are echoed as they were, whatever the frames."""
    messages = [bytes([index]) * size for index, size in enumerate(sizes)]
    if frame < 100:
        messages = [message[:400] for message in messages]
    body = b"".join(map(grpc_message, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
    async with await Peer.open(server.endpoint) as peer:
        stream = await peer.begin(path=STREAM)
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            await peer.send(stream, body[start:end], frame=frame)
        await peer.send(stream, b"", end=True)
        reply = await peer.reply(stream)
        assert (reply.messages(), reply.status) == (messages, OK)
        for message in messages[:3]:
            stream = await peer.begin()
            await peer.send(stream, grpc_message(message), frame=frame)
            await peer.send(stream, b"", end=True)
            assert (await peer.reply(stream)).messages() == [message]


async def test_a_call_that_comes_when_the_drain_is_over_is_not_begun(server: Server, handler: Handler) -> None:
    """What was still in the queue then is refused: its handler is not asked, and its caller may repeat it."""
    server._listener._closing = True
    async with grpc.aio.insecure_channel(str(server.endpoint)) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="this server is stopping") as raised:
            await channel.unary_unary(INFER)(b"x", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert handler.entered == 0


# ---- Addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_every_kind_of_loopback_is_served(host: str) -> None:
    """Addresses of both kinds, and all that the name has, are listened on, on one port."""
    server = make_server(listen=Endpoint(host, 0))
    endpoint = await server.start()
    addresses = {str(address[0]) for *_, address in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)}
    for address in addresses:
        async with grpc.aio.insecure_channel(str(Endpoint(address, endpoint.port))) as channel:
            assert await channel.unary_unary(INFER)(b"x", timeout=10) == b"x"
    await server.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])  # noqa: S104
async def test_wildcards_stand_for_both_families(host: str) -> None:
    """Whoever listens everywhere is reached over IPv4 and IPv6, as with grpcio's server."""
    server = make_server(listen=Endpoint(host, 0), insecure=True)
    endpoint = await server.start()
    for address in ("127.0.0.1", "[::1]"):
        async with grpc.aio.insecure_channel(f"{address}:{endpoint.port}") as channel:
            assert await channel.unary_unary(INFER)(b"x", timeout=10) == b"x"
    await server.stop()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "the port is taken"),
        ("localhost", "the port is taken"),
        ("0.0.0.0", "the port is taken"),  # noqa: S104
        ("no-such-host.invalid", "Name or service not known|Temporary failure in name resolution"),
        ("192.0.2.1", "Cannot assign requested address"),
    ],
)
async def test_an_address_that_cannot_be_had_is_named(server: Server, host: str, why: str) -> None:
    """A taken port, a name that leads nowhere and a foreign address are clear errors."""
    second = make_server(listen=Endpoint(host, server.endpoint.port), insecure=True)
    with pytest.raises(SettingsError, match=f"cannot listen on {host}:{server.endpoint.port}: ({why})"):
        await second.start()
    await assert_serves(server)
