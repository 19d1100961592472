"""Deadlines, retries, pages and streams, against a scripted server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from neuralmesh import AsyncClient, Client, _channel, _service, exceptions, oip
from neuralmesh._artifact import read_artifact
from neuralmesh._offload import BrokenOffError, answered_async
from neuralmesh.registry.v1 import registry_service_pb2 as pb
from neuralmesh_server import errors


async def test_the_timeout_reaches_the_server_as_the_deadline(scripted):
    """The server sees the client's timeout as the time that remains."""
    remaining = []

    def behaviour(name, request, call):
        remaining.append(call.time_remaining())

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address, timeout=7.0) as client:
        await client.registry.get_model("m")
    assert 5.0 < remaining[0] < 7.5  # the header is rounded up


async def test_a_call_that_takes_too_long_raises_deadline_exceeded():
    """A call to a peer that accepts and never answers ends with DeadlineExceededError, which names it."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        async with AsyncClient(registry=address, timeout=0.3) as client:
            with pytest.raises(exceptions.DeadlineExceededError, match=address):
                await client.registry.get_model("m")


async def test_reads_are_repeated_while_a_server_is_unavailable(scripted):
    """A read that meets UNAVAILABLE twice is answered by its third attempt, in both clients."""
    asked = []

    def behaviour(name, request, call):
        asked.append(name)
        if len(asked) % 3:
            raise errors.UnavailableError("NOT_SERVING", "starting")

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        await client.registry.get_model("m")
    assert asked == ["GetModel"] * 3
    with Client(registry=address) as client:
        await asyncio.to_thread(client.registry.get_model, "m")
    assert asked == ["GetModel"] * 6


async def test_changes_are_not_repeated(scripted):
    """A change that meets UNAVAILABLE is reported at once, since the caller must decide."""

    def behaviour(name, request, call):
        raise errors.UnavailableError("NOT_SERVING", "draining")

    servicer, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        with pytest.raises(exceptions.UnavailableError, match="draining"):
            await client.registry.promote_alias("m", "production", 1)
    assert servicer.calls == ["PromoteAlias"]


def test_only_reads_are_repeated():
    """No method that changes something or runs a model is in the retry policy."""
    services = (_service.REGISTRY, _service.METRICS, oip.SERVICE)
    repeated = {method.name for service in services for method in service.methods if _channel.is_retried(method.name)}
    assert not repeated & {"CreateModel", "CreateVersion", "UploadArtifact", "PromoteAlias", "RollbackAlias"}
    assert not repeated & {"RegisterNode", "IngestDelta", "RecordOutcome", "ModelInfer", "ModelStreamInfer", "Watch"}
    assert {"GetModel", "ListEvents", "TracePrediction", "CompareVersions", "RepositoryIndex"} <= repeated


async def test_lists_run_through_all_pages(scripted):
    """A list yields the resources of every page and asks for no page that is not needed."""
    tokens = []

    def behaviour(name, request, call):
        tokens.append(request.page_token)
        page = len(tokens) - 1
        token = f"t{page}" if page < 2 else ""
        return pb.ListModelsResponse(models=[{"name": f"models/{page}{i}"} for i in "ab"], next_page_token=token)

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        names = [model.name async for model in client.registry.list_models()]
    assert names == ["models/0a", "models/0b", "models/1a", "models/1b", "models/2a", "models/2b"]
    assert tokens == ["", "t0", "t1"]


async def test_a_stream_ends_with_the_typed_error(scripted):
    """What a stream delivered before its error arrives, then the exception of the error."""

    def behaviour(name, request, call):
        yield pb.WatchResponse(revision=1)
        raise errors.FailedPreconditionError("REVISION_AHEAD", "you are ahead", revision=9)

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address) as client:
        watching = client.registry.watch(from_revision=9)
        assert (await anext(watching)).revision == 1
        with pytest.raises(exceptions.FailedPreconditionError, match="ahead"):
            await anext(watching)
    with Client(registry=address) as client:
        watching = client.registry.watch(from_revision=9)
        assert (await asyncio.to_thread(next, watching)).revision == 1
        with pytest.raises(exceptions.FailedPreconditionError, match="ahead"):
            await asyncio.to_thread(next, watching)


async def test_a_closed_client_stays_closed(scripted):
    """Closing ends the channels for good: a further call, or a list, raises and asks nothing; closing again is fine."""
    servicer, address = await scripted(lambda *_: None)
    client = AsyncClient(registry=address)
    await client.registry.get_model("m")
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.registry.get_model("m")
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.inference.server_live()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await anext(aiter(client.registry.list_models()))
    await client.close()
    assert servicer.calls == ["GetModel"]


async def test_the_actor_stands_in_every_change(scripted):
    """The client's actor, the reason and the request id stand in the requests that change something."""
    seen = []

    def behaviour(name, request, call):
        seen.append((name, request.actor, request.reason, request.request_id))

    _, address = await scripted(behaviour)
    async with AsyncClient(registry=address, actor="ada") as client:
        await client.registry.create_model("m", reason="why", request_id="1")
        await client.registry.create_version("m", kind="k", files=[], reason="why", request_id="1")
        await client.registry.promote_alias("m", "a", 1, reason="why", request_id="1")
        await client.registry.rollback_alias("m", "a", reason="why", request_id="1")
    names = ["CreateModel", "CreateVersion", "PromoteAlias", "RollbackAlias"]
    assert seen == [(name, "ada", "why", "1") for name in names]


async def test_what_fails_in_making_a_request_is_raised_as_it_is(registry, tmp_path):
    """A file that is gone when it is to be sent is FileNotFoundError, and no cancellation of grpc's."""
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    artifact = read_artifact(path)
    path.unlink()
    async with AsyncClient(registry=registry) as client:
        with pytest.raises(FileNotFoundError):
            await client.registry.upload_artifact(artifact)
    with Client(registry=registry) as client, pytest.raises(FileNotFoundError):
        await asyncio.to_thread(client.registry.upload_artifact, artifact)


async def test_a_call_that_grpc_cancels_itself_is_no_cancelled_task():
    """Where the line breaks between two requests grpc cancels its call; a task that is cancelled still ends as one."""
    call = asyncio.get_running_loop().create_future()
    call.cancel()
    with pytest.raises(BrokenOffError):
        await answered_async(call)
    task = asyncio.create_task(answered_async(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exceptions.broken_off("127.0.0.1:1").reason == "PEER_UNREACHABLE"
