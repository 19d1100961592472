"""Clients that attack the native front: they are cut off, and everybody else is served."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress

import hpack
import pytest

from neuralmesh_server.runtime.server import Server
from tests.processes import PATIENCE
from tests.runtime.echo import STREAM
from tests.runtime.front import MEBIBYTE, Handler, assert_serves, quiet, resident
from tests.runtime.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS, frame
from tests.runtime.peer import REQUEST, Peer


async def flood(peer: Peer, unit: bytes, times: int) -> None:
    """Send the same bytes again and again, whether anything is answered or not, until nothing more is taken."""
    writer = peer._writer
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(1):
            for _ in range(times):
                writer.write(unit)
                await writer.drain()


async def cut_off(peer: Peer, bursts: list[bytes]) -> bytes:
    """Send until the server has had enough; returns the last that it said.

    What is sent is made beforehand, since a slow sender is no flood, and what comes is read meanwhile, since a
    connection that breaks while it is written to takes along what was not read.
    """
    last = b""

    async def listen() -> None:
        nonlocal last
        with suppress(ConnectionError):
            while data := await peer._reader.read(1 << 18):
                last = (last + data)[-200:]

    async with asyncio.timeout(PATIENCE):
        listening = asyncio.ensure_future(listen())
        for burst in bursts:
            if listening.done():
                break
            with suppress(ConnectionError):
                await peer.raw(burst)
        await listening
    return last


def opened_and(ending: Callable[[int], bytes], fields: list[tuple[str, str]]) -> list[bytes]:
    """Return 20,000 calls, each with what ends it, in bursts of a hundred."""
    encoder = hpack.Encoder()
    calls = [
        frame(HEADERS, END_HEADERS, stream, encoder.encode(fields)) + ending(stream) for stream in range(1, 40_001, 2)
    ]
    return [b"".join(calls[at : at + 100]) for at in range(0, len(calls), 100)]


STREAMED = [(name, STREAM if name == ":path" else value) for name, value in REQUEST]
ENHANCE_YOUR_CALM = bytes([0, 0, 0, 11])


async def test_rapid_resets_are_cut_off(handler: Handler, server: Server) -> None:
    """Who opens calls to cancel them is told ENHANCE_YOUR_CALM; everybody else is served meanwhile, and nothing is left."""
    bursts = opened_and(lambda stream: frame(RST_STREAM, 0, stream, bytes(4)), STREAMED)
    async with await Peer.open(server.endpoint) as peer:
        last, *_ = await asyncio.gather(cut_off(peer, bursts), *(assert_serves(server) for _ in range(5)))
    assert ENHANCE_YOUR_CALM in last
    await quiet(server)


@pytest.mark.parametrize("why", ["window", "length", "priority", "more data"])
async def test_resets_that_the_server_is_made_to_send_are_cut_off_too(server: Server, why: str) -> None:
    """Calls that are ended by broken rules cost as much as cancelled ones and count as such (CVE-2025-8671)."""
    breaking = {
        "window": lambda stream: frame(8, 0, stream, bytes(4)),
        "length": lambda stream: frame(DATA, 0, stream, b"more than was said"),
        "priority": lambda stream: frame(2, 0, stream, struct.pack(">IB", stream, 1)),
        "more data": lambda stream: frame(DATA, END_STREAM, stream) + frame(DATA, 0, stream, b"x"),
    }[why]
    bursts = opened_and(breaking, [*STREAMED, *([("content-length", "5")] if why == "length" else [])])
    async with await Peer.open(server.endpoint) as peer:
        assert ENHANCE_YOUR_CALM in await cut_off(peer, bursts)
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
