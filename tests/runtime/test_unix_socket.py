"""The Unix socket beside the port: who may connect, what a dead process leaves, what is not taken over."""

import asyncio
import socket
from pathlib import Path

import grpc
import pytest

from neuralmesh import AsyncClient
from neuralmesh_server.settings import Endpoint, ServerSettings, SettingsError
from tests.runtime.echo import INFER, make_server


def endpoint(path: Path) -> Endpoint:
    """Return the endpoint of a path."""
    return Endpoint.unix(str(path), name="SOCKET")


async def test_both_addresses_answer_and_the_socket_is_private(tmp_path: Path, transport: str) -> None:
    """Port and socket lead to the same server; only the owner may connect; the file goes with the server."""
    path = tmp_path / "s"
    server = make_server(socket=endpoint(path), transport=transport)
    port = await server.start()
    assert path.stat().st_mode & 0o777 == 0o600
    for address in (str(port), f"unix:{path}"):
        async with grpc.aio.insecure_channel(address) as channel:
            assert await channel.unary_unary(INFER)(b"x") == b"x"
    async with AsyncClient(inference=f"unix:{path}") as client:
        assert (await client.inference.server_live()) is False
    await server.stop()
    assert not path.exists()


async def test_what_a_dead_process_left_is_replaced(tmp_path: Path, transport: str) -> None:
    """A socket on which nobody listens any more is taken over."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    server = make_server(socket=endpoint(path), transport=transport)
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        assert await channel.unary_unary(INFER)(b"x") == b"x"
    await server.stop()


async def test_a_living_socket_is_not_taken_over(tmp_path: Path, transport: str) -> None:
    """A second server on the path is refused at its start and the first one goes on."""
    path = tmp_path / "s"
    first, second = (
        make_server(socket=endpoint(path), transport=transport),
        make_server(socket=endpoint(path), transport=transport),
    )
    await first.start()
    with pytest.raises(SettingsError, match="another process does"):
        await second.start()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        assert await channel.unary_unary(INFER)(b"x") == b"x"
    await first.stop()


async def test_a_socket_whose_queue_is_full_is_alive(tmp_path: Path, transport: str) -> None:
    """A listener that does not accept at the moment still owns its path."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as owner:
        owner.bind(str(path))
        owner.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.setblocking(False)
            waiting.connect(str(path))
            with pytest.raises(SettingsError, match="another process does"):
                await make_server(socket=endpoint(path), transport=transport).start()


async def test_other_files_are_left_alone(tmp_path: Path, transport: str) -> None:
    """A path that holds something else, or whose folder is missing, is refused and nothing is removed."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(SettingsError, match="no socket"):
        await make_server(socket=endpoint(path), transport=transport).start()
    assert path.read_text() == "data"
    with pytest.raises(SettingsError, match="cannot listen on"):
        await make_server(socket=endpoint(tmp_path / "missing" / "s"), transport=transport).start()


async def test_a_stop_under_load_ends_calls_over_the_socket_too(tmp_path: Path, transport: str) -> None:
    """Callers on the socket see answers, then errors, and the stop comes to its end."""
    path = tmp_path / "s"
    server = make_server(socket=endpoint(path), transport=transport)
    await server.start()
    answered = asyncio.Event()

    async def ask() -> grpc.StatusCode:
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            while True:
                try:
                    await channel.unary_unary(INFER)(b"x")
                except grpc.aio.AioRpcError as error:
                    return error.code()
                answered.set()

    asking = asyncio.create_task(ask())
    await answered.wait()
    await server.stop()
    assert await asking is grpc.StatusCode.UNAVAILABLE


def test_endpoints_of_sockets_read_as_they_print() -> None:
    """`unix:/path` is an address of a peer, counts as loopback, and has the system's limits."""
    found = Endpoint.parse_peer("unix:/run/nm.sock", name="X")
    assert (str(found), found.is_loopback, found.path) == ("unix:/run/nm.sock", True, "/run/nm.sock")
    assert Endpoint.parse_peer("h:1", name="X") == Endpoint("h", 1)
    for text in ("unix:", "unix:/" + "x" * 107):
        with pytest.raises(SettingsError, match="X:"):
            Endpoint.parse_peer(text, name="X")
    env = {"P_SOCKET": "/run/a"}
    assert str(ServerSettings.from_env(env, "P", 1).socket) == "unix:/run/a"
    assert ServerSettings.from_env({"P_SOCKET": ""}, "P", 1).socket is None
