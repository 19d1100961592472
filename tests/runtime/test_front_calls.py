"""Calls to the native front as a client sees them that knows nothing but the RFCs and gRPC's own specification."""

import urllib.parse
from base64 import b64encode

import pytest

from neuralmesh_server.runtime.server import Server
from tests.runtime.echo import INFER, STREAM
from tests.runtime.front import OK, Handler, quiet
from tests.runtime.peer import Peer, grpc_message

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
