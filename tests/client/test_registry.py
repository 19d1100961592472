"""The high-level client against a real registry: push, resume, promote, roll back."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from neuralmesh import AsyncClient, Client, exceptions
from neuralmesh._artifact import CHUNK_BYTES
from neuralmesh.registry.v1 import registry_service_pb2 as pb
from neuralmesh.registry.v1 import resources_pb2
from neuralmesh_server import errors


async def test_push_makes_the_model_and_the_version(registry, tmp_path):
    """A push creates the model, stores every file of a folder and returns the version as committed."""
    folder = tmp_path / "model"
    (folder / "parts").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a" * (CHUNK_BYTES + 5))
    (folder / "parts" / "empty.bin").write_bytes(b"")
    seen = []
    async with AsyncClient(registry=registry, actor="ada") as client:
        version = await client.push(
            "m",
            folder,
            kind="test",
            signature=resources_pb2.Signature(inputs=[{"name": "x", "datatype": "FP32", "shape": [-1]}]),
            description="d",
            metadata={"k": "v"},
            reason="because",
            progress=lambda name, done, total: seen.append((name, done, total)),
        )
        assert version == await client.registry.get_version("m", 1)
        chunks = [chunk.data async for chunk in client.registry.download_artifact(version.files[0].digest)]
    assert [file.path for file in version.files] == ["a.bin", "parts/empty.bin"]
    assert b"".join(chunks) == b"a" * (CHUNK_BYTES + 5)
    assert (version.kind, version.description, dict(version.metadata)) == ("test", "d", {"k": "v"})
    assert (version.actor.id, version.actor.authenticated) == ("ada", False)
    assert version.signature.inputs[0].name == "x"
    assert ("a.bin", CHUNK_BYTES, CHUNK_BYTES + 5) in seen
    assert ("a.bin", CHUNK_BYTES + 5, CHUNK_BYTES + 5) in seen


async def test_the_same_content_again_is_the_same_version(registry):
    """Pushing content that the model has returns the version that holds it and sends no bytes."""
    sent = []
    async with AsyncClient(registry=registry) as client:
        first = await client.push("m", files={"w": b"1"}, kind="test")
        await client.push("m", files={"w": b"2"}, kind="test")
        again = await client.push("m", files={"w": b"1"}, kind="test", progress=lambda *step: sent.append(step))
        assert again == first
        assert [version.version async for version in client.registry.list_versions("m")] == [2, 1]
    assert sent == []


async def test_a_cut_upload_goes_on_where_it_stopped(registry):
    """After an upload that was cut half way only the rest is sent, and the artifact is complete and correct."""
    data = bytes(range(256)) * 4096 * 3
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    first = pb.UploadArtifactRequest(digest=digest, size_bytes=len(data), offset=0, data=data[:CHUNK_BYTES])
    steps = []
    async with AsyncClient(registry=registry) as client:
        cut = await client.registry._connection.upload("UploadArtifact", pb.UploadArtifactResponse, iter([first]))
        assert (cut.committed_bytes, cut.complete) == (CHUNK_BYTES, False)
        stored = await client.registry.upload_artifact(data, progress=lambda *step: steps.append(step))
        assert stored.complete
        assert await client.registry.list_missing_artifacts([digest]) == []
        chunks = [chunk.data async for chunk in client.registry.download_artifact(digest, offset=CHUNK_BYTES - 1)]
    assert steps[0] == (2 * CHUNK_BYTES, len(data))
    assert b"".join(chunks) == data[CHUNK_BYTES - 1 :]


async def test_an_upload_resumes_after_the_transport_broke(scripted):
    """UNAVAILABLE in the middle of an upload makes the client ask for the committed size and go on there."""
    size = 3 * CHUNK_BYTES
    committed = 0
    attempts = []

    def behaviour(name, request, call):
        return pb.GetArtifactResponse(committed_bytes=committed, complete=committed == size)

    async def breaking(method, answer, requests):
        nonlocal committed
        attempts.append(next(iter(requests)).offset)
        committed += CHUNK_BYTES
        if committed < size:
            raise exceptions.UnavailableError("PEER_UNREACHABLE", "cut")

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        client.registry._connection.upload = breaking  # fault injection: the transport breaks twice
        assert (await client.registry.upload_artifact(b"x" * size)).complete
    assert attempts == [0, CHUNK_BYTES, 2 * CHUNK_BYTES]


async def test_an_upload_that_stores_nothing_is_given_up(scripted):
    """An upload whose every attempt fails without progress ends with the last failure."""

    def behaviour(name, request, call):
        if name == "UploadArtifact":
            raise errors.AbortedError("UPLOAD_IN_PROGRESS", "another upload is running")

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        with pytest.raises(exceptions.AbortedError, match="another upload"):
            await client.registry.upload_artifact(b"x")


async def test_promote_compares_and_sets(registry):
    """Promote moves the alias that it read; a stale etag is AbortedError and moves nothing."""
    async with AsyncClient(registry=registry, actor="ada") as client:
        for content in (b"1", b"2", b"3"):
            await client.push("m", files={"w": content}, kind="test")
        first = await client.promote("m", 1, reason="one")
        assert not first.HasField("previous_state")
        stale = first.alias.etag
        await client.promote("m", 2, reason="two")
        with pytest.raises(exceptions.AbortedError) as caught:
            await client.registry.promote_alias("m", "production", 3, etag=stale)
        assert caught.value.reason == "ETAG_MISMATCH"
        assert (await client.registry.get_alias("m", "production")).state.version == 2
        with pytest.raises(exceptions.NotFoundError):
            await client.promote("m", 9)
        with pytest.raises(exceptions.NotFoundError, match="nope"):
            await client.promote("nope", 1)


async def test_rollback_compares_and_sets(scripted):
    """Rollback sends the etag of the alias that it read, so that of two at the same moment one is AbortedError."""
    sent = []

    def behaviour(name, request, call):
        del call
        if name == "GetAlias":
            return pb.GetAliasResponse(alias=resources_pb2.Alias(etag='"7"'))
        sent.append(request.etag)
        raise errors.AbortedError("ETAG_MISMATCH", "somebody else moved it")

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        with pytest.raises(exceptions.AbortedError) as caught:
            await client.rollback("m")
    assert (sent, caught.value.reason) == (['"7"'], "ETAG_MISMATCH")


async def test_of_two_rollbacks_at_once_one_moves_the_alias(registry):
    """Two rollbacks that start from the same alias go back one version, not two."""
    async with AsyncClient(registry=registry) as first, AsyncClient(registry=registry) as second:
        for content in (b"1", b"2", b"3"):
            await first.push("m", files={"w": content}, kind="test")
        for version in (1, 2, 3):
            await first.promote("m", version)
        etag = (await first.registry.get_alias("m", "production")).etag
        await second.rollback("m")
        with pytest.raises(exceptions.AbortedError):
            await first.registry.rollback_alias("m", "production", etag=etag)
        assert (await first.registry.get_alias("m", "production")).state.version == 2


def _walk(registry: str) -> list[int]:
    seen = []
    with Client(registry=registry, actor="bob") as client:
        for content in (b"1", b"2", b"3"):
            client.push("m", files={"w": content}, kind="test")
        for version in (1, 2, 3):
            client.promote("m", version, alias="canary-free", reason=f"to {version}")
        seen.append(client.rollback("m", alias="canary-free", reason="bad").alias.state.version)
        seen.append(client.rollback("m", alias="canary-free", to_version=1).alias.state.version)
        with pytest.raises(exceptions.FailedPreconditionError):
            client.rollback("m", alias="canary-free")
        events = list(client.registry.list_events("m", "canary-free"))
        assert [event.reason for event in events] == ["", "bad", "to 3", "to 2", "to 1"]
        assert {event.actor.id for event in events} == {"bob"}
        assert [alias.name for alias in client.registry.list_aliases("m")] == ["models/m/aliases/canary-free"]
        assert [model.name for model in client.registry.list_models()] == ["models/m"]
    return seen


async def test_the_synchronous_client_does_the_same(registry):
    """The synchronous client pushes, promotes, rolls back and reads the history."""
    assert await asyncio.to_thread(_walk, registry) == [2, 1]


@pytest.mark.parametrize("arguments", [{}, {"path": "x", "files": {"w": b""}}, {"files": {}}])
async def test_a_push_needs_files(arguments):
    """A push without files, or with both forms of them, is refused before anything is asked of a server."""
    async with AsyncClient(registry="127.0.0.1:1") as client:
        with pytest.raises(exceptions.InvalidArgumentError):
            await client.push("m", kind="test", **arguments)


async def test_watch_gives_a_snapshot_and_then_changes(registry):
    """A watcher receives the state and then each change as it is committed."""
    async with AsyncClient(registry=registry) as client:
        await client.push("m", files={"w": b"1"}, kind="test")
        watching = client.registry.watch(node="n")
        async for step in watching:
            if step.HasField("snapshot") and step.snapshot.last:
                break
        before = step.revision
        await client.promote("m", 1)
        async for step in watching:
            if step.HasField("events"):
                break
        await watching.aclose()
    assert step.revision == before + 1
    assert step.events.events[0].alias_moved.after.version == 1
