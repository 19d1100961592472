"""Addresses that the native front listens on, and those that it cannot have."""

import socket

import grpc
import pytest

from neuralmesh_server.runtime.server import Server
from neuralmesh_server.settings import Endpoint, SettingsError
from tests.runtime.echo import INFER, make_server
from tests.runtime.front import assert_serves


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
