"""What the loader does when versions load slowly, never, or mean something else than before; over a real registry."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from neuralmesh import exceptions
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.holding import artifacts, loader
from neuralmesh_server.inference.holding.opening import Turns
from neuralmesh_server.settings import RegistrySettings
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready, when_settled

ROWS = np.random.default_rng(7).random((2, 64), dtype=np.float32)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class StalledDownloads:
    """A registry link whose downloads of some files bring nothing, until it is told otherwise."""

    def __init__(self, node: InferenceApp) -> None:
        source = node._loader._opening._artifacts
        self._link = source._source
        self.stalled: set[str] = set()
        self.waiting: set[str] = set()
        self.reached = asyncio.Event()
        source._source = self

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield the bytes, or wait for ever."""
        if digest in self.stalled:
            self.waiting.add(digest)
            self.reached.set()
            await asyncio.Event().wait()
        async for data in self._link.download(digest, offset):
            yield data


async def push_stalled(suite: Suite, node: InferenceApp, link: StalledDownloads, count: int) -> int:
    """Push versions whose download brings nothing; returns the number of the last."""
    client = suite.client(node)
    number = 0
    for seed in range(count):
        content = models.digits_onnx(100 + seed)
        link.stalled.add("sha256:" + hashlib.sha256(content).hexdigest())
        number = await push_digits(client, content)
    return number


async def test_stalled_downloads_hold_up_nothing_else(suite: Suite) -> None:
    """While more downloads than may be opened at once bring nothing, another version is loaded and promoted."""
    node = await suite.start_node()
    link = StalledDownloads(node)
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await push_stalled(suite, node, link, 5)
    number = await push_digits(client, models.digits_onnx(2))
    await client.promote("digits", number)
    await when(node, lambda snapshot: snapshot.aliases.get(("digits", "production")) == number)
    assert len(link.waiting) == 5
    assert (await client.infer("digits", {"input": ROWS})).version == number


async def test_an_alias_that_moves_to_a_stalled_version_stays_where_it_was(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version before goes on answering; the state says LOADING, then why it failed; and it is tried again."""
    node = await suite.start_node()
    link = StalledDownloads(node)
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await client.promote("digits", 1)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    monkeypatch.setattr(artifacts, "STALL_SECONDS", 0.2)
    number = await push_stalled(suite, node, link, 1)
    await client.promote("digits", number)
    snapshot = await when(
        node, lambda snapshot: bool(snapshot.states.get(("digits", 2)) and snapshot.states["digits", 2].reason)
    )
    assert "failed to fetch: model.onnx: nothing came for 0.2 seconds" in snapshot.states["digits", 2].reason
    assert (await client.infer("digits", {"input": ROWS}, version="production")).version == 1
    with pytest.raises(exceptions.UnavailableError):
        await client.infer("digits", {"input": ROWS}, version="2")
    link.stalled.clear()
    await when(node, lambda snapshot: snapshot.aliases["digits", "production"] == 2)


async def test_a_download_ends_when_nothing_calls_for_its_version(suite: Suite) -> None:
    """A version that waits for the line is let go when a newer one takes its place: it is not fetched to be dropped."""
    node = await suite.start_node(keep_newest=1)
    link = StalledDownloads(node)
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await client.promote("digits", 1)
    await push_stalled(suite, node, link, 1)
    await asyncio.wait_for(link.reached.wait(), PATIENCE)
    number = await push_digits(client, models.digits_onnx(2))
    await when(node, lambda snapshot: ("digits", number) in snapshot.served)
    assert ("digits", 2) not in node._loader._tasks


async def test_a_node_is_ready_though_an_unnamed_version_never_loads(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 4.6: a version that no alias names may load for ever; the node says READY and answers for the alias."""
    monkeypatch.setattr(loader, "SETTLE_SECONDS", 0.1)
    client = suite.client()
    await push_digits(client, models.digits_onnx(1))
    await client.promote("digits", 1)
    await client.push("looping", kind="onnx", files={"model.onnx": models.looping_onnx(2**40)})
    node = await suite.start_node()
    await when_settled(node)
    assert node._loader._tasks.keys() == {("looping", 1)}
    client = suite.client(node)
    assert await client.inference.server_ready()
    assert (await client.infer("digits", {"input": ROWS})).version == 1


async def test_a_node_comes_up_with_an_alias_on_a_broken_version(suite: Suite) -> None:
    """Case 4.6: the alias of a version that fails is UNAVAILABLE with the reason, and works once it is moved."""
    client = suite.client()
    await push_digits(client, b"no model")
    await push_digits(client, models.digits_onnx(1))
    await client.promote("digits", 1)
    node = await suite.start_node()
    await when_settled(node)
    client = suite.client(node)
    with pytest.raises(exceptions.UnavailableError, match="no valid ONNX model"):
        await client.infer("digits", {"input": ROWS})
    await client.promote("digits", 2)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    assert (await client.infer("digits", {"input": ROWS})).version == 2


async def test_a_number_that_means_another_version_answers_for_no_alias(suite: Suite) -> None:
    """After a restore, a version with the number of one that answered for an alias does not answer in its place."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await client.promote("digits", 1)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    await suite.stop_registry()
    suite.registry_settings = RegistrySettings(suite.registry_settings.server, suite.folder / "other")
    await suite.start_registry()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(9))
    await push_digits(client, b"no model")
    await client.promote("digits", 2)
    for step in range(4):  # as far as the first registry was, so that the node follows again
        await push_digits(client, models.digits_onnx(20 + step), model=f"filler{step}")
    digest = (await client.registry.get_version("digits", 1)).digest
    snapshot = await when(
        node,
        lambda snapshot: (
            ("digits", 1) in snapshot.served
            and snapshot.served["digits", 1].loaded.digest == digest
            and bool(snapshot.states.get(("digits", 2)) and snapshot.states["digits", 2].reason)
        ),
    )
    assert snapshot.targets["digits", "production"] == 2
    assert ("digits", "production") not in snapshot.aliases
    with pytest.raises(exceptions.UnavailableError):
        await client.infer("digits", {"input": ROWS})


async def test_places_go_to_the_most_urgent() -> None:
    """Who waits for a place is let in by rank, whoever came first; who gives up leaves it to the next."""
    turns, order = Turns(1, lambda key: key[1]), []
    hold = asyncio.Event()

    async def work(number: int) -> None:
        async with turns.turn(("m", number)):
            order.append(number)
            await hold.wait()

    tasks = [asyncio.create_task(work(number)) for number in (5, 4, 3, 2, 1)]
    await asyncio.sleep(0)
    tasks[4].cancel()
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [5, 2, 3, 4]
    await asyncio.wait_for(work(9), PATIENCE)


async def test_a_loader_that_is_stopped_as_it_wakes_ends(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation in the moment of a wake is not lost, so that a node which is stopped just then stops."""
    node = await suite.start_node()
    monkeypatch.setattr(node._loader, "_until_next", lambda: PATIENCE)
    running = asyncio.create_task(node._loader.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    node._loader._wake.set()
    running.cancel()
    await asyncio.wait([running], timeout=PATIENCE)
    assert running.cancelled()


# ---- Health -----------------------------------------------------------------------------------------------------


async def check(channel: grpc.aio.Channel, name: str) -> object:
    """Return the health of a name, or the code of the refusal."""
    try:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    except grpc.aio.AioRpcError as error:
        return error.code()
    return answer.status


async def test_health_knows_models_versions_and_aliases(suite: Suite) -> None:
    """Each name says whether it would be answered; what is not known is NOT_FOUND."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await push_digits(client, b"no model")
    await client.promote("digits", 1)
    await client.promote("digits", 2, alias="next")
    await when(
        node, lambda snapshot: ("digits", "production") in snapshot.aliases and snapshot.states["digits", 2].reason
    )
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        names = ("inference/digits", "inference/digits/1", "inference/digits/production")
        assert [await check(channel, name) for name in names] == [SERVING] * 3
        names = ("inference/digits/2", "inference/digits/next")
        assert [await check(channel, name) for name in names] == [NOT_SERVING] * 2
        for name in ("inference/nope", "inference/digits/3", "inference/digits/staging", "digits", "inference/"):
            assert await check(channel, name) is grpc.StatusCode.NOT_FOUND


async def test_health_is_watched_through_load_unload_and_moves(suite: Suite) -> None:
    """Several watchers of one name see it unknown, coming, going and coming back; one that left disturbs nobody."""
    node = await suite.start_node()
    client = suite.client(node)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def watch(name: str) -> grpc.aio.UnaryStreamCall:
            return stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)

        first, second, alias = (
            watch(name) for name in ("inference/digits", "inference/digits", "inference/digits/next")
        )
        for call in (first, second, alias):
            assert (await call.read()).status == UNKNOWN
        await push_digits(client, models.digits_onnx(1))
        await _reaches(first, SERVING)
        first.cancel()
        await _reaches(second, SERVING)
        await client.inference.repository_model_unload("digits")
        await _reaches(second, NOT_SERVING)
        await client.inference.repository_model_load("digits")
        await _reaches(second, SERVING)
        await client.promote("digits", 1, alias="next")
        await _reaches(alias, SERVING)
        await node.stop()
        last = SERVING
        while (answer := await second.read()) is not grpc.aio.EOF:
            last = answer.status
        assert last == NOT_SERVING
    assert not node._server.health._watchers


async def _reaches(call: grpc.aio.UnaryStreamCall, status: object) -> None:
    while (await call.read()).status != status:
        pass


async def test_a_watcher_that_does_not_read_holds_up_nobody(suite: Suite) -> None:
    """Health goes on changing while a watcher's stream is full."""
    node = await suite.start_node()
    await when_settled(node)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        for turn in range(200):
            await asyncio.wait_for(node._server.set_serving(serving=turn % 2 == 0), PATIENCE)
        await node._server.set_serving(serving=True)
        assert await check(channel, "") == SERVING


async def test_new_versions_and_names_are_ready_one_by_one(suite: Suite) -> None:
    """ModelReady speaks of the very version that is asked for."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await push_digits(client, b"no model")
    await when_ready(node, "digits", 1)
    await when(node, lambda snapshot: bool(snapshot.states.get(("digits", 2)) and snapshot.states["digits", 2].reason))
    ready = [await client.inference.model_ready("digits", version) for version in ("", 1, 2, 3, "production")]
    assert ready == [True, True, False, False, False]
