"""Compressed fields as another implementation writes them, through a socket and back."""

import json
from collections.abc import AsyncIterator
from typing import Any

import hpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralmesh_server.runtime.server import Server
from tests.runtime.echo import make_server
from tests.runtime.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, frame
from tests.runtime.peer import REQUEST, Peer, grpc_message

NAME = st.one_of(
    st.sampled_from(["accept-charset", "cookie", "x", "authorization", "user-agent", "www-authenticate", "via"]),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=40),
).filter(lambda name: not name.endswith("-bin") and not name.startswith("grpc-") and name not in HOP)
HOP = {
    "te",
    "connection",
    "keep-alive",
    "upgrade",
    "transfer-encoding",
    "proxy-connection",
    "content-length",
    "content-type",
}
VALUE = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
    st.integers(0, 3000).map(lambda size: "v" * size),
)
CALLS = st.lists(
    st.tuples(
        st.lists(st.tuples(NAME, VALUE, st.booleans()), max_size=10),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 4096)),
        st.integers(0, 400),
    ),
    min_size=1,
    max_size=12,
)
"""Calls of one connection: their fields, which may not enter a table; whether texts are coded by Huffman; the size to
which the table changes before, and the bytes of a first frame of the block."""


async def told(data: bytes, context: Any) -> bytes:
    """Answer with the metadata."""
    return json.dumps(context.invocation_metadata()).encode()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = make_server(told)
    await server.start()
    yield server
    await server.stop()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
async def test_fields_are_read_as_they_were_written(server: Server, calls: list[Any]) -> None:
    """Whatever an encoder keeps in its table, codes or changes from call to call, the handler sees the same fields."""
    encoder = hpack.Encoder()
    async with await Peer.open(server.endpoint) as peer:
        for fields, coded, size, cut in calls:
            stream = peer.h2.get_next_available_stream_id()
            peer.h2.send_headers(stream, REQUEST)  # for h2 to know the stream; what is sent is written here
            peer.h2.clear_outbound_data_buffer()
            if size is not None:
                encoder.header_table_size = size
            kept = [(name, value, False) for name, value in REQUEST]
            entered = [
                hpack.NeverIndexedHeaderTuple(n, v) if never else hpack.HeaderTuple(n, v)
                for n, v, never in [*kept, *fields]
            ]
            block = encoder.encode(entered, huffman=coded)
            sent = frame(HEADERS, 0, stream, block[:cut]) + frame(9, END_HEADERS, stream, block[cut:])
            await peer.raw(sent + frame(DATA, END_STREAM, stream, grpc_message(b"")))
            reply = await peer.reply(stream)
            (answer,) = reply.messages()
            assert json.loads(answer) == [[name, value] for name, value, _ in fields]
