"""The registry as a whole: its folder, its health, its place in gRPC."""

from __future__ import annotations

import asyncio
import stat

import apsw
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import registry_service_pb2_grpc as api_grpc
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.registry.store_sqlite_schema import STEPS
from neuralmesh_server.runtime.certificates import create_authority
from neuralmesh_server.settings import Endpoint, RegistrySettings, ServerSettings, SettingsError, TlsSettings
from tests.channels import OWN

SERVICE = "neuralmesh.registry.v1.RegistryService"


async def test_one_process_owns_a_folder(registry, serving, tmp_path):
    """A second registry on the same folder is refused with words that name the folder; the first goes on."""
    with pytest.raises(SettingsError, match="another registry process uses the data folder"):
        async with serving(tmp_path / "data"):
            pytest.fail("two registries opened one folder")
    assert (await registry.model()).uid == 1


async def test_a_folder_of_a_newer_registry_is_refused(serving, tmp_path):
    """A database whose schema is newer than this code is refused and left as it is."""
    async with serving(tmp_path / "data"):
        pass
    path = tmp_path / "data" / "registry.sqlite"
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", len(STEPS) + 1)
    connection.close()
    for _ in range(2):
        with pytest.raises(SettingsError, match="a newer one wrote it"):
            async with serving(tmp_path / "data"):
                pytest.fail("a newer database was opened")


async def test_a_damaged_database_is_refused(serving, tmp_path):
    """A database file that is none is refused with words that name it, and is left as it is."""
    path = tmp_path / "data" / "registry.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"this is no database " * 1000)
    with pytest.raises(SettingsError, match="cannot be opened"):
        async with serving(tmp_path / "data"):
            pytest.fail("a damaged database was opened")
    assert path.read_bytes().startswith(b"this is no database")


async def test_the_folder_is_private(registry, tmp_path):
    """The data folder, which holds the nodes' keys, is open to its owner only."""
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


async def test_health_follows_the_life(registry):
    """Health says SERVING for the server and the service once it serves."""
    async with grpc.aio.insecure_channel(str(registry.app.endpoint), OWN) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_restart_changes_nothing(serving, tmp_path):
    """Models, versions, aliases, artifacts and history are the same after a restart, and numbers go on."""
    async with serving(tmp_path / "data") as registry:
        await registry.versions(2)
        await registry.promote(1)
        await registry.promote(2)
        before = await registry.events()
        alias = (await registry.stub.GetAlias(api.GetAliasRequest(name="models/digits/aliases/production"))).alias
    async with serving(tmp_path / "data") as registry:
        assert await registry.events() == before
        again = await registry.stub.GetAlias(api.GetAliasRequest(name="models/digits/aliases/production"))
        assert again.alias == alias
        assert (await registry.version(data=b"next")).version == 3
        assert (await registry.rollback(etag=alias.etag)).alias.state.version == 1


async def test_a_stopped_registry_leaves_one_file(serving, tmp_path):
    """After a clean stop the write-ahead log is folded into the database, so that one file can be copied."""
    async with serving(tmp_path / "data") as registry:
        await registry.versions(3)
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names == {"registry.sqlite", "fleet.sqlite", "lock", "artifacts"}


async def test_a_certificate_names_the_actor(tmp_path):
    """Under mutual TLS the certificate's name is the authenticated actor, and a claimed actor is whom it acts for."""
    certificates = tmp_path / "certs"
    create_authority(certificates, ["registry", "ann"])
    authority, key, chain = (certificates / name for name in ("ca.crt", "registry.key", "registry.crt"))
    server = ServerSettings(Endpoint("127.0.0.1", 0), tls=TlsSettings(chain, key, authority), drain_seconds=1.0)
    app = RegistryApp(RegistrySettings(server, tmp_path / "data"))
    try:
        endpoint = await app.start()
        credentials = grpc.ssl_channel_credentials(
            authority.read_bytes(), (certificates / "ann.key").read_bytes(), (certificates / "ann.crt").read_bytes()
        )
        async with grpc.aio.secure_channel(str(endpoint), credentials) as channel:
            stub = api_grpc.RegistryServiceStub(channel)
            await stub.CreateModel(api.CreateModelRequest(model_id="one"))
            await stub.CreateModel(api.CreateModelRequest(model_id="two", actor="bob"))
            events = (await stub.ListEvents(api.ListEventsRequest())).events
    finally:
        await app.stop()
    told = [(event.actor.id, event.actor.authenticated, event.actor.on_behalf_of) for event in events]
    assert told == [("ann", True, "bob"), ("ann", True, "")]


async def test_a_stop_in_the_middle_of_an_upload_keeps_its_part(tmp_path, digest_of):
    """A registry that is stopped while an artifact comes in ends the call in time and keeps what it has."""
    data = bytes(3_000_000)
    settings = RegistrySettings(ServerSettings(Endpoint("127.0.0.1", 0), drain_seconds=0.2), tmp_path / "data")
    app = RegistryApp(settings)
    endpoint = await app.start()
    async with grpc.aio.insecure_channel(str(endpoint), OWN) as channel:
        call = api_grpc.RegistryServiceStub(channel).UploadArtifact()
        request = api.UploadArtifactRequest(digest=digest_of(data), size_bytes=len(data), data=data[:500_000])
        await call.write(request)
        probe = api.GetArtifactRequest(digest=digest_of(data))
        stub = api_grpc.RegistryServiceStub(channel)
        async with asyncio.timeout(20):
            while not (await stub.GetArtifact(probe)).committed_bytes:
                continue
        async with asyncio.timeout(5):
            await app.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    again = RegistryApp(settings)
    endpoint = await again.start()
    async with grpc.aio.insecure_channel(str(endpoint), OWN) as channel:
        stored = await api_grpc.RegistryServiceStub(channel).GetArtifact(probe)
    await again.stop()
    assert (stored.committed_bytes, stored.complete) == (500_000, False)


async def test_a_defect_in_the_background_ends_the_service(registry, monkeypatch):
    """The registry says that it cannot go on, so that whoever runs it starts it anew, and does not go on half."""

    async def defective():
        raise ZeroDivisionError

    monkeypatch.setattr(registry.app._hub, "refresh", defective)
    await registry.model()
    async with asyncio.timeout(10):
        with pytest.raises(ZeroDivisionError):
            await registry.app.failure
