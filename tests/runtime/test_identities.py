"""Mutual TLS beside tokens: what the holder of a certificate may do, and who stands in the history."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message_factory import GetMessageClass

from neuralmesh import AsyncClient, TlsFiles, _service, exceptions
from neuralmesh_server.registry.access import RULES
from neuralmesh_server.runtime import tokens
from neuralmesh_server.runtime.access import Access, Grant, Guard
from neuralmesh_server.runtime.certificates import create_authority
from neuralmesh_server.runtime.handlers import service_handler
from neuralmesh_server.runtime.server import Server
from neuralmesh_server.settings import Endpoint, ServerSettings, TlsSettings
from tests.runtime.test_guard import Servicer


class Guarded:
    """A registry that does nothing, behind mutual TLS and a tokens file."""

    def __init__(self, folder: Path) -> None:
        create_authority(folder, ["server", "ci", "stranger"], force=False)
        self.folder = folder
        grants = [tokens.make_entry("ci", [Grant("promoter", ("digits",))], token=None)]
        grants.append(tokens.make_entry("robot", [Grant("admin", ("*",))], token="nmt_robot"))
        tokens.write(folder / "tokens.json", grants)
        access = Access(tokens.TokenFile(folder / "tokens.json"))
        self.servicer = Servicer(_service.REGISTRY, GetMessageClass)
        handler = service_handler(_service.REGISTRY, self.servicer, GetMessageClass, guard=Guard(access, RULES))
        tls = TlsSettings(*(folder / name for name in ("server.crt", "server.key", "ca.crt")))
        settings = ServerSettings(
            Endpoint("127.0.0.1", 0), tls=tls, drain_seconds=1, socket=Endpoint.unix(str(folder / "s"), name="s")
        )
        self.server = Server(settings, [(_service.REGISTRY, handler)], access)

    def client(self, certificate: str, token: str = "", address: str = "") -> AsyncClient:
        files = TlsFiles(
            ca=self.folder / "ca.crt", cert=self.folder / f"{certificate}.crt", key=self.folder / f"{certificate}.key"
        )
        return AsyncClient(registry=address or str(self.server.endpoint), tls=files, token=token)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    guarded = Guarded(tmp_path)
    await guarded.server.start()
    yield guarded
    await guarded.server.stop()


async def test_a_certificate_may_do_what_its_name_is_given(guarded: Guarded) -> None:
    """The common name has the entry's role for the entry's models, and is the actor."""
    async with guarded.client("ci") as client:
        await client.registry.promote_alias("digits", "production", 1)
        with pytest.raises(exceptions.PermissionDeniedError, match="'ci' lacks the role promoter"):
            await client.registry.promote_alias("other", "production", 1)
    assert guarded.servicer.calls == [("PromoteAlias", "ci")]


async def test_a_good_certificate_without_an_entry_may_do_nothing(guarded: Guarded) -> None:
    """That the authority signed a certificate says who it is, and permits nothing where access is on."""
    async with guarded.client("stranger") as client:
        with pytest.raises(exceptions.PermissionDeniedError, match="'stranger' has no role here"):
            await client.registry.get_model("digits")


async def test_a_token_over_tls_stands_over_the_certificate(guarded: Guarded) -> None:
    """A token that is sent decides, for better and for worse."""
    async with guarded.client("stranger", "nmt_robot") as client:
        await client.registry.get_model("other")
    assert guarded.servicer.calls == [("GetModel", "robot")]
    async with guarded.client("ci", "nmt_unknown") as client:
        with pytest.raises(exceptions.UnauthenticatedError):
            await client.registry.get_model("digits")


async def test_the_socket_beside_tls_needs_a_token(guarded: Guarded) -> None:
    """Over the Unix socket, which is plain text, a certificate proves nothing and a token does."""
    address = f"unix:{guarded.folder / 's'}"
    async with guarded.client("ci", address=address) as client:
        with pytest.raises(exceptions.UnauthenticatedError):
            await client.registry.get_model("digits")
    async with guarded.client("ci", "nmt_robot", address) as client:
        await client.registry.get_model("digits")
