"""Messages to the native front in frames of every size, and compressed."""

import gzip
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralmesh_server.runtime.server import Server
from neuralmesh_server.runtime.transport import MAX_MESSAGE_BYTES
from tests.runtime.echo import INFER, STREAM
from tests.runtime.front import OK, resident
from tests.runtime.peer import Peer, grpc_message

# ---- Frames


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


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
