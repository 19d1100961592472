"""The two ways to ask a node further up, which must tell the same: the kernel's own client, and grpcio's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

import grpc
import pytest

from neuralmesh_server.errors import NotFoundError, ResourceExhaustedError
from neuralmesh_server.inference.upstreams import link_direct
from neuralmesh_server.inference.upstreams.link import Passing, UpstreamError, UpwardLink
from neuralmesh_server.inference.upstreams.link_direct import DirectUpstream
from neuralmesh_server.inference.upstreams.link_upstream import GrpcUpstream, connect_upward
from neuralmesh_server.runtime.handlers import abort
from neuralmesh_server.settings import Endpoint, InferenceSettings, ServerSettings
from tests.inference.upward.above import ANSWER, Above, never
from tests.runtime.http2 import END_HEADERS, GOAWAY, HEADERS, RST_STREAM, SETTINGS, frame

Connect = Callable[..., UpwardLink]
PING = 6


def passing(data: bytes = b"x", seconds: float = 20.0, **metadata: str) -> Passing:
    """Return a request to pass on."""
    return Passing(data, seconds, tuple(metadata.items()))


@pytest.fixture(params=["direct", "grpc"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Return what makes a link to an address; links are closed in the end."""
    made: list[UpwardLink] = []

    def one(address: str, token: str = "") -> UpwardLink:
        endpoint = Endpoint.parse_peer(address, name="upstream")
        direct = request.param == "direct"
        made.append(DirectUpstream(endpoint, token) if direct else GrpcUpstream(address, None, token))
        return made[-1]

    yield one
    for link in made:
        await link.close()


@pytest.fixture
async def direct() -> AsyncIterator[Callable[[str], DirectUpstream]]:
    """Return what makes a link of our own."""
    made: list[DirectUpstream] = []

    def one(address: str) -> DirectUpstream:
        made.append(DirectUpstream(Endpoint.parse_peer(address, name="upstream"), ""))
        return made[-1]

    yield one
    for link in made:
        await link.close()


@pytest.fixture
async def above() -> AsyncIterator[Above]:
    """A server further up."""
    server = Above()
    await server.start()
    yield server
    await server.stop()


async def fails(link: UpwardLink, asked: Passing) -> UpstreamError:
    """Return the error of a call."""
    with pytest.raises(UpstreamError) as caught:
        await link.pass_on(asked)
    return caught.value


# ---- What both do


async def test_bytes_metadata_deadline_and_token_arrive(connect: Connect, above: Above) -> None:
    """The server gets the bytes, the metadata, the token and what is left of the time; the caller gets its bytes."""
    link = connect(above.address, "secret")
    for _ in range(3):
        assert (
            await link.pass_on(passing(b"\x00bytes\xff", 7.0, **{"neuralmesh-hops": "1", "traceparent": "a"})) == ANSWER
        )
    data, metadata, left = above.calls[-1]
    assert data == b"\x00bytes\xff"
    assert (metadata["neuralmesh-hops"], metadata["traceparent"]) == ("1", "a")
    assert metadata["authorization"] == "Bearer secret"
    assert left is not None
    assert 0 < left < 7.1


@pytest.mark.parametrize("size", [0, 1, 16_384, 70_000, 3_000_000])
async def test_messages_of_all_sizes(connect: Connect, above: Above, size: int) -> None:
    """A message comes as it was sent, whatever windows and frames are between, in both directions."""

    async def echo(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return data[::-1]

    above.respond = echo
    data = bytes(index * 7 % 251 for index in range(min(size, 5000))) * (size // 5000 or 1)
    assert await connect(above.address).pass_on(passing(data)) == data[::-1]


async def test_many_calls_at_once(connect: Connect, above: Above) -> None:
    """Calls share a connection, and each gets its own answer, in whatever order they come."""

    async def echo(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await asyncio.sleep(int(data) % 7 / 1000)
        return data

    above.respond = echo
    link = connect(above.address)
    wanted = [str(number).encode() for number in range(300)]
    assert await asyncio.gather(*(link.pass_on(passing(data)) for data in wanted)) == wanted


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_every_status(connect: Connect, above: Above, code: grpc.StatusCode) -> None:
    """A status comes with its text, in whatever language; it was sent, and has no reason of the contract's."""

    async def refuse(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await context.abort(code, "Größe % falsch\n")
        return b""

    above.respond = refuse
    error = await fails(connect(above.address), passing())
    assert (error.code, str(error), error.reason, error.sent) == (code.name, "Größe % falsch\n", "", True)
    assert error.retry_seconds is None


async def test_reasons_and_hints(connect: Connect, above: Above) -> None:
    """The contract's reason and the hint when to try again are read off the status."""
    errors = [
        NotFoundError("MODEL_NOT_FOUND", "no model"),
        ResourceExhaustedError("QUEUE_FULL", "full").retry_after(0.5),
    ]

    async def refuse(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await abort(context, errors[int(data)])
        return b""

    above.respond = refuse
    link = connect(above.address)
    missing, full = await fails(link, passing(b"0")), await fails(link, passing(b"1"))
    assert (missing.code, missing.reason, missing.retry_seconds) == ("NOT_FOUND", "MODEL_NOT_FOUND", None)
    assert (full.code, full.reason, full.retry_seconds) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL", 0.5)


async def test_the_deadline_ends_the_call_on_both_sides(connect: Connect, above: Above) -> None:
    """A call that takes too long is DEADLINE_EXCEEDED here, and cancelled there."""
    above.respond = never
    link = connect(above.address)
    error = await fails(link, passing(seconds=0.3))
    assert (error.code, error.sent) == ("DEADLINE_EXCEEDED", True)
    await asyncio.wait_for(above.cancelled.wait(), 10)
    above.respond = Above().respond
    assert await link.pass_on(passing()) == ANSWER


async def test_a_call_that_is_given_up_is_cancelled_there(connect: Connect, above: Above) -> None:
    """Whoever cancels the call cancels the upstream's."""
    above.respond = never
    link = connect(above.address)
    call = asyncio.create_task(link.pass_on(passing()))
    await asyncio.wait_for(above.reached.wait(), 10)
    call.cancel()
    await asyncio.wait_for(above.cancelled.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_nobody_listens_and_then_somebody_does(connect: Connect, above: Above) -> None:
    """A server that cannot be reached got nothing; one that comes back on the same address answers."""
    await above.stop()
    link = connect(above.address)
    for _ in range(2):
        error = await fails(link, passing())
        assert (error.code, error.sent) == ("UNAVAILABLE", False)
    await above.start()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await link.pass_on(passing()) == ANSWER
            except UpstreamError as error:
                assert not error.sent  # noqa: PT017 - it may be told of the attempt before
                await asyncio.sleep(0.05)
            else:
                break


async def test_a_server_that_dies_in_the_middle(connect: Connect, above: Above) -> None:
    """What was sent to a server that went away may have run."""
    above.respond = never
    call = asyncio.create_task(fails(connect(above.address), passing()))
    await asyncio.wait_for(above.reached.wait(), 10)
    await above.stop()
    error = await call
    assert error.sent
    assert error.code in {"UNAVAILABLE", "CANCELLED"}


async def test_a_server_that_accepts_and_says_nothing(connect: Connect) -> None:
    """Nothing is sent to one that never says that it speaks HTTP/2, within the time of the call."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await fails(connect(f"127.0.0.1:{silent.getsockname()[1]}"), passing(seconds=0.3))
    assert (error.code, error.sent) == ("DEADLINE_EXCEEDED", False)


async def test_a_unix_socket(connect: Connect, tmp_path: Path) -> None:
    """A link goes through a Unix socket as well."""

    class OnSocket(Above):
        address = f"unix:{tmp_path / 's'}"

    server = OnSocket()
    await server.start()
    assert await connect(server.address).pass_on(passing()) == ANSWER
    await server.stop()


# ---- Which one is used


def test_plain_text_goes_direct_and_all_else_through_grpcio(tmp_path: Path) -> None:
    """TLS is grpcio's, and so is everything where the settings ask for it."""
    address = Endpoint.parse("127.0.0.1:1", name="upstream")
    assert isinstance(connect_upward(address, None, "token"), DirectUpstream)
    settings = InferenceSettings.for_edge({"NEURALMESH_EDGE_STORE": str(tmp_path), "NEURALMESH_TRANSPORT": "grpc"})
    assert (settings.direct, InferenceSettings(ServerSettings(address), tmp_path).direct) == (False, True)


# ---- What only a peer by hand says


class Peer:
    """A server whose frames a test writes; each connection is greeted."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.connections = 0
        self.heard = bytearray()
        self.gone = asyncio.Event()
        self._served: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._served:
            task.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answer = self._answers.pop(0)
        writer.write(answer if answer.startswith(b"HTTP") else frame(SETTINGS, 0, 0))
        asked = False
        while data := await reader.read(65536):
            self.heard += data
            if b"ModelInfer" in data and not asked:
                asked = True
                writer.write(answer)
        self.gone.set()


OK = (
    frame(HEADERS, END_HEADERS, 1, b"\x88")
    + frame(0, 0, 1, b"\0\0\0\0\4fine")
    + frame(HEADERS, END_HEADERS | 1, 1, b"\x00\x0bgrpc-status\x010")
)


async def test_a_farewell_says_what_was_not_looked_at(direct: Callable[[str], DirectUpstream]) -> None:
    """A call beyond the last stream that a farewell names did not run; the next one goes on a connection of its own."""
    async with Peer(frame(GOAWAY, 0, 0, bytes(8)), OK) as peer:
        link = direct(peer.address)
        error = await fails(link, passing())
        assert (error.code, error.sent) == ("UNAVAILABLE", False)
        assert await link.pass_on(passing()) == b"fine"
        assert peer.connections == 2
        await asyncio.wait_for(peer.gone.wait(), 10)  # the first one is closed, since nothing is under way on it


async def test_calls_before_a_farewell_are_answered(direct: Callable[[str], DirectUpstream]) -> None:
    """A connection that takes no new calls is kept until those under way have their answers."""
    async with Peer(frame(GOAWAY, 0, 0, b"\0\0\0\1\0\0\0\0") + OK) as peer:
        assert await direct(peer.address).pass_on(passing()) == b"fine"
        await asyncio.wait_for(peer.gone.wait(), 10)


async def test_a_stream_that_is_refused_did_not_run(direct: Callable[[str], DirectUpstream]) -> None:
    """REFUSED_STREAM is the peer's word that it looked at nothing; a reset with another code is not."""
    for code, expected in ((7, ("UNAVAILABLE", False)), (2, ("INTERNAL", True)), (8, ("CANCELLED", True))):
        async with Peer(frame(RST_STREAM, 0, 1, bytes([0, 0, 0, code]))) as peer:
            error = await fails(direct(peer.address), passing())
            assert (error.code, error.sent) == expected


async def test_a_server_that_speaks_something_else(direct: Callable[[str], DirectUpstream]) -> None:
    """One that answers in HTTP/1 gets no request; who asks again at once hears of the same attempt."""
    async with Peer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as peer:
        link = direct(peer.address)
        for _ in range(2):
            error = await fails(link, passing())
            assert (error.code, error.sent) == ("UNAVAILABLE", False)
        assert peer.connections == 1
        assert b"ModelInfer" not in peer.heard


async def test_who_waits_shares_one_attempt(direct: Callable[[str], DirectUpstream]) -> None:
    """Calls that come while a connection is made share it, and one that is given up does not end it for the others."""
    async with Peer(OK) as peer:
        link = direct(peer.address)
        first, second = (asyncio.create_task(link.pass_on(passing())) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == b"fine"
        assert peer.connections == 1


async def test_a_peer_that_hangs_is_let_go(
    direct: Callable[[str], DirectUpstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a call under way and nothing heard the peer is asked for a sign of life, and let go when it gives none."""
    monkeypatch.setattr(link_direct, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(link_direct, "PING_SECONDS", 0.05)
    async with Peer(b"") as peer:
        error = await fails(direct(peer.address), passing())
        assert (error.code, error.sent) == ("UNAVAILABLE", True)
        await asyncio.wait_for(peer.gone.wait(), 10)
        assert frame(PING, 0, 0, b"neurmesh") in peer.heard


async def test_a_peer_that_lives_is_waited_for(connect: Connect, above: Above, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that answers pings may take its time."""
    monkeypatch.setattr(link_direct, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(link_direct, "PING_SECONDS", 5.0)

    async def late(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await asyncio.sleep(0.3)
        return ANSWER

    above.respond = late
    assert await connect(above.address).pass_on(passing()) == ANSWER


async def test_closing_ends_calls(direct: Callable[[str], DirectUpstream], above: Above) -> None:
    """When the link is closed its calls end, and the server hears of it."""
    above.respond = never
    link = direct(above.address)
    call = asyncio.create_task(fails(link, passing()))
    await asyncio.wait_for(above.reached.wait(), 10)
    await link.close()
    assert (await call).code == "UNAVAILABLE"
    await asyncio.wait_for(above.cancelled.wait(), 10)
