"""TLS and credentials on the way to an upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.upstreams.connections import Connections
from neuralmesh_server.inference.upstreams.link import Target
from neuralmesh_server.inference.upstreams.link_upstream import connect
from neuralmesh_server.runtime.certificates import create_authority
from neuralmesh_server.settings import TlsSettings, UpstreamCredentials, UpstreamSettings
from tests.inference.conftest import Suite, when, when_ready
from tests.inference.test_remote_nodes import push_remote
from tests.inference.test_remote_servers import DOUBLE, X
from tests.inference.upstreams import FakeUpstream


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with an authority and certificates for a node and a server."""
    folder = tmp_path / "certs"
    create_authority(folder, ["front", "server"])
    return folder


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    """A foreign server that is not started yet."""
    server = FakeUpstream()
    yield server
    await server.stop()


def server_credentials(folder: Path, *, mutual: bool) -> grpc.ServerCredentials:
    """Return a server's credentials."""
    pair = ((folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes())
    authority = (folder / "ca.crt").read_bytes() if mutual else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=mutual)


async def test_a_server_with_its_own_authority_and_a_token(
    suite: Suite, fake: FakeUpstream, certificates: Path
) -> None:
    """Over TLS, an upstream proves itself by the authority of the credentials and is shown their token in each call."""
    await fake.start(server_credentials(certificates, mutual=False))
    settings = UpstreamSettings(
        credentials={"prod": UpstreamCredentials(fake.address, "secret", certificates / "ca.crt")}
    )
    node = await suite.start_node("front", upstreams=settings)
    client = suite.client(node)
    await push_remote(client, "far", fake.address, "double", signature=DOUBLE, tls="system", credentials="prod")
    await push_remote(client, "strange", fake.address, "double", signature=DOUBLE, tls="system")
    await when_ready(node, "far", 1)
    assert (await client.infer("far", {"x": X})).outputs["y"].tolist() == [[2, 4], [6, 8]]
    assert fake.requests[0][1]["authorization"] == "Bearer secret"
    snapshot = await when(node, lambda s: ("strange", 1) in s.states and bool(s.states["strange", 1].reason))
    assert "answered UNAVAILABLE" in snapshot.states["strange", 1].reason  # nobody vouches for the certificate
    assert "secret" not in str(await client.inference.repository_index())


async def test_a_node_proves_itself_with_its_own_certificate(fake: FakeUpstream, certificates: Path) -> None:
    """With `mesh`, both sides prove themselves by the mesh's authority."""
    await fake.start(server_credentials(certificates, mutual=True))
    tls = TlsSettings(certificates / "front.crt", certificates / "front.key", certificates / "ca.crt")
    connections = Connections(UpstreamSettings(), tls, connect)
    link = connections.open(Target(fake.address, "mesh", ""))
    assert await link.ready("double", "", 10.0)
    assert connections.open(Target(fake.address, "mesh", "")) is link
    await connections.close()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("203.0.113.1:1", "off", "prod"), "not sent to 203.0.113.1:1 in plain text"),
        (Target("203.0.113.2:1", "system", "prod"), "not meant for 203.0.113.2:1"),
        (Target("203.0.113.3:1", "system", ""), "does not permit this node to call 203.0.113.3:1"),
        (Target("203.0.113.1:1", "mesh", ""), "this node has none"),
        (Target("203.0.113.1:1", "system", "gone"), "cannot be read"),
    ],
)
async def test_what_is_refused_before_anything_is_sent(target: Target, said: str) -> None:
    """A connection that the node's settings do not permit is not opened, and leaves nothing behind."""
    settings = UpstreamSettings(
        ("203.0.113.[12]:1",),
        {
            "prod": UpstreamCredentials("203.0.113.1:1", "secret"),
            "gone": UpstreamCredentials("203.0.113.1:1", "", Path("/nowhere/ca.crt")),
        },
    )
    connections = Connections(settings, None, connect)
    with pytest.raises(LoadError, match=said):
        connections.open(target)
    await connections.close()
