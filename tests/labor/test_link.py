"""What the labor service asks of a real registry: aliases and versions, resolved to what plans pin."""

from __future__ import annotations

import pytest

from neuralmesh import AsyncClient
from neuralmesh.registry.v1 import resources_pb2 as pb
from neuralmesh_server.errors import InvalidArgumentError, NotFoundError, NotSupportedError, UnavailableError
from neuralmesh_server.labor.link_registry import GrpcVersions
from neuralmesh_server.labor.plan import EXACT, Numerics
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.settings import Endpoint, RegistrySettings, ServerSettings


def numerics(kind: str) -> Numerics:
    """Return numerics of the only kind that there is."""
    if kind != "liam.binary_network":
        raise NotSupportedError("NOT_SUPPORTED", f"versions of kind {kind!r} cannot be run by jobs", feature=kind)
    return Numerics("liam/1", EXACT)


@pytest.fixture
async def client(tmp_path):
    """A client of a running registry with two versions of `digits` and one of `remote`."""
    registry = RegistryApp(RegistrySettings(ServerSettings(Endpoint("127.0.0.1", 0)), tmp_path / "registry"))
    await registry.start()
    async with AsyncClient(registry=str(registry.endpoint)) as made:
        for content in (b"one", b"two"):
            await made.push("digits", kind="liam.binary_network", files={"model": content, "notes": b"none"})
        await made.push("far", kind="remote", files={"remote.json": b"{}"})
        await made.promote("digits", 1)
        yield made
    await registry.stop()


async def test_versions_are_pinned(client) -> None:
    """An alias and a number give the version with its digest, its files and the numerics of its kind."""
    versions = GrpcVersions(client, numerics)
    resolved = await versions.resolve("digits@production")
    pin = resolved.pin
    assert dict(resolved.inputs) == {}
    said = await client.registry.get_version("digits", 1)
    assert (pin.model, pin.version, pin.kind, pin.digest) == ("digits", 1, "liam.binary_network", said.digest)
    assert [(file.path, file.size, file.digest) for file in pin.files] == [
        (file.path, file.size_bytes, file.digest) for file in said.files
    ]
    assert pin.numerics == Numerics("liam/1", EXACT)
    assert (await versions.resolve("digits/2")).pin.version == 2
    await client.promote("digits", 2)
    assert (await versions.resolve("digits@production")).pin.version == 2


async def test_what_a_version_takes_is_known(client) -> None:
    """A version that declares its inputs is resolved with the shapes of their rows, or refused where they are no rows."""
    versions = GrpcVersions(client, numerics)

    async def declare(datatype: str, *shape: int) -> str:
        spec = pb.TensorSpec(name="x", datatype=datatype, shape=shape)
        signature = pb.Signature(inputs=[spec], outputs=[pb.TensorSpec(name="y", datatype="FP32", shape=[-1, 1])])
        files = {"model": f"{datatype} {shape}".encode()}
        made = await client.push("digits", kind="liam.binary_network", files=files, signature=signature)
        return f"digits/{made.version}"

    assert dict((await versions.resolve(await declare("FP32", -1, 8, 8))).inputs) == {"x": (8, 8)}
    with pytest.raises(NotSupportedError, match="BYTES"):
        await versions.resolve(await declare("BYTES", -1, 8))
    with pytest.raises(NotSupportedError, match="first dimension"):
        await versions.resolve(await declare("FP32", 4, 8))


async def test_what_is_not_there_is_named(client) -> None:
    """Absent aliases and versions, and kinds that jobs cannot run, are refused with the registry's reason."""
    versions = GrpcVersions(client, numerics)
    for reference, reason in (("digits@stage", "ALIAS_NOT_FOUND"), ("digits/9", "VERSION_NOT_FOUND")):
        with pytest.raises(NotFoundError) as raised:
            await versions.resolve(reference)
        assert raised.value.reason == reason
    with pytest.raises(NotSupportedError):
        await versions.resolve("far/1")
    with pytest.raises(InvalidArgumentError):
        await versions.resolve("digits/x")


async def test_a_registry_that_is_away_is_unavailable() -> None:
    """Where the registry cannot be asked, the wish may be tried again."""
    async with AsyncClient(registry="127.0.0.1:1", timeout=5.0) as client:
        with pytest.raises(UnavailableError) as raised:
            await GrpcVersions(client, numerics).resolve("digits/1")
        assert raised.value.reason == "PEER_UNREACHABLE"
