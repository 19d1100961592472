"""Loading and unloading by hand, in both dialects, over restarts and failures."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import grpc
import numpy as np
import pytest

from neuralmesh import exceptions, oip
from neuralmesh_server.errors import DeadlineExceededError
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.holding import loader, opening
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.settings import SettingsError
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready, when_settled
from tests.inference.test_service import call, refused

ROWS = np.random.default_rng(7).random((2, 64), dtype=np.float32)


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node that serves two versions of `digits`, the first of which is `production`, and one of `other`."""
    node = await suite.start_node()
    client = suite.client(node)
    for seed in (1, 2):
        await push_digits(client, models.digits_onnx(seed))
    await client.promote("digits", 1)
    await push_digits(client, models.digits_onnx(3), model="other")
    await when_ready(node, "digits", 1, 2)
    await when_ready(node, "other", 1)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    return node


async def states(node: InferenceApp) -> dict[tuple[str, str], tuple[str, str]]:
    """Return state and reason of every version in the index."""
    index = await call(node, "RepositoryIndex", oip.RepositoryIndexRequest())
    return {(one.name, one.version): (one.state, one.reason) for one in index.models}


async def unload(node: InferenceApp, model: str = "digits") -> None:
    """Unload a model."""
    await call(node, "RepositoryModelUnload", oip.RepositoryModelUnloadRequest(model_name=model))


async def load(node: InferenceApp, model: str = "digits") -> None:
    """Load a model."""
    await call(node, "RepositoryModelLoad", oip.RepositoryModelLoadRequest(model_name=model))


@pytest.mark.parametrize("field", ["model_name", "repository_name"], ids=["triton", "kserve"])
async def test_unload_and_load_in_both_dialects(node: InferenceApp, suite: Suite, field: str) -> None:
    """Case 4.20: after the unload no name of the model answers, after the load all do; other models never notice."""
    client = suite.client(node)
    answer = await call(node, "RepositoryModelUnload", oip.RepositoryModelUnloadRequest(**{field: "digits"}))
    assert (answer.model_name, answer.isUnloaded) == ("digits", True)
    for version in ("1", "2", "production", ""):
        with pytest.raises(exceptions.UnavailableError) as failure:
            await client.infer("digits", {"input": ROWS}, version=version)
        assert failure.value.reason == "VERSION_NOT_READY"
        assert failure.value.metadata["stateReason"] == "unloaded"
        assert not await client.inference.model_ready("digits", version)
    assert await states(node) == {
        ("digits", "1"): ("UNAVAILABLE", "unloaded"),
        ("digits", "2"): ("UNAVAILABLE", "unloaded"),
        ("other", "1"): ("READY", ""),
    }
    assert (await client.infer("other", {"input": ROWS})).version == 1
    answer = await call(node, "RepositoryModelLoad", oip.RepositoryModelLoadRequest(**{field: "digits"}))
    assert (answer.model_name, answer.isLoaded) == ("digits", True)
    assert (await client.infer("digits", {"input": ROWS})).version == 1
    assert (await client.infer("other", {"input": ROWS})).version == 1


async def test_both_are_repeatable(node: InferenceApp, suite: Suite) -> None:
    """Unloading what is unloaded and loading what is loaded succeed and change nothing."""
    await load(node)
    await unload(node)
    await unload(node)
    await load(node)
    await load(node)
    assert (await suite.client(node).infer("digits", {"input": ROWS})).version == 1


async def test_an_unloaded_model_stays_unloaded_over_a_restart(node: InferenceApp, suite: Suite) -> None:
    """A restarted node leaves alone what was unloaded, says READY all the same, and loads it when told."""
    await unload(node)
    await node.stop()
    node = await suite.start_node()
    await when_settled(node)
    await when_ready(node, "other", 1)
    assert (await states(node))["digits", "1"] == ("UNAVAILABLE", "unloaded")
    await load(node)
    assert (await states(node))["digits", "1"] == ("READY", "")
    await node.stop()
    node = await suite.start_node()
    await when_ready(node, "digits", 1, 2)


async def test_versions_that_come_meanwhile_wait_for_the_load(node: InferenceApp, suite: Suite) -> None:
    """A push and a promotion of an unloaded model load nothing; the load serves what the alias names by then."""
    client = suite.client(node)
    await unload(node)
    await push_digits(client, models.digits_onnx(9))
    await client.promote("digits", 3)
    await when(node, lambda snapshot: snapshot.targets["digits", "production"] == 3)
    assert (await states(node))["digits", "3"] == ("UNAVAILABLE", "unloaded")
    await load(node)
    assert (await client.infer("digits", {"input": ROWS})).version == 3


async def test_a_version_that_cannot_be_loaded_fails_the_load(node: InferenceApp, suite: Suite) -> None:
    """Loading with an alias on a broken version is FAILED_PRECONDITION with the reason; what answered before does."""
    client = suite.client(node)
    await push_digits(client, b"no model at all")
    await client.promote("digits", 3)
    await when(node, lambda snapshot: bool(snapshot.states["digits", 3].reason))
    for _ in range(2):
        with pytest.raises(exceptions.FailedPreconditionError) as failure:
            await client.inference.repository_model_load("digits")
        assert failure.value.reason == "LOAD_FAILED"
        assert failure.value.metadata["version"] == "3"
        assert "no valid ONNX model" in failure.value.metadata["stateReason"]
        assert (await client.infer("digits", {"input": ROWS})).version == 1
        await unload(node)
    await client.rollback("digits")
    await load(node)
    assert (await client.infer("digits", {"input": ROWS})).version == 1


async def test_one_fails_another_loads_and_the_first_again(suite: Suite) -> None:
    """Case 4.5: load A (fails), load B, load A again: each is answered in time."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, b"no model at all", model="a")
    await push_digits(client, models.digits_onnx(1), model="b")
    async with asyncio.timeout(PATIENCE):
        await when(node, lambda snapshot: {"a", "b"} <= snapshot.models)
        for model, fails in (("a", True), ("b", False), ("a", True), ("b", False)):
            if fails:
                expected = ("FAILED_PRECONDITION", "LOAD_FAILED")
                request = oip.RepositoryModelLoadRequest(model_name=model)
                assert await refused(node, "RepositoryModelLoad", request) == expected
            else:
                await load(node, model)
        await push_digits(client, models.digits_onnx(2), model="a")
        await when(node, lambda snapshot: ("a", 2) in snapshot.states)
        await load(node, "a")
    assert (await client.infer("a", {"input": ROWS})).version == 2


async def test_a_load_ends_with_its_deadline(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version whose warm-up takes longer than the caller waits is DEADLINE_EXPIRED, and unloading ends its work."""
    monkeypatch.setattr(opening, "OPEN_SECONDS", 60.0)
    monkeypatch.setattr(loader, "SETTLE_SECONDS", 0.05)
    node = await suite.start_node()
    client = suite.client(node)
    await client.push("looping", kind="onnx", files={"model.onnx": models.looping_onnx(2**40)})
    await when(node, lambda snapshot: ("looping", 1) in snapshot.states)
    await when_settled(node)
    request = oip.RepositoryModelLoadRequest(model_name="looping")
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        loading = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelLoad")
        done = loading(request.SerializeToString(), timeout=0.3)
        assert await done.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await states(node))["looping", "1"] == ("LOADING", "")
    await unload(node, "looping")
    assert (await states(node))["looping", "1"] == ("UNAVAILABLE", "unloaded")
    while node._loader._tasks:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)
    assert not node._loader._opening._ended._waiting


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        ("Load", {"model_name": "nope"}, ("NOT_FOUND", "MODEL_NOT_FOUND")),
        ("Load", {}, ("INVALID_ARGUMENT", "NAME_INVALID")),
        ("Load", {"model_name": "../digits"}, ("INVALID_ARGUMENT", "NAME_INVALID")),
        ("Load", {"model_name": "A" * 256}, ("INVALID_ARGUMENT", "NAME_INVALID")),
        ("Load", {"model_name": "digits", "repository_name": "r"}, ("UNIMPLEMENTED", "NOT_SUPPORTED")),
        (
            "Load",
            {"model_name": "digits", "parameters": {"config": {"string_param": "{}"}}},
            ("UNIMPLEMENTED", "NOT_SUPPORTED"),
        ),
        (
            "Load",
            {"model_name": "digits", "parameters": {"file:1/model.onnx": {"bytes_param": b"x"}}},
            ("UNIMPLEMENTED", "NOT_SUPPORTED"),
        ),
        (
            "Load",
            {"model_name": "digits", "parameters": {"other": {"bool_param": True}}},
            ("INVALID_ARGUMENT", "PARAMETER_INVALID"),
        ),
        ("Unload", {"model_name": "nope"}, ("NOT_FOUND", "MODEL_NOT_FOUND")),
        ("Unload", {"repository_name": "/etc/passwd"}, ("INVALID_ARGUMENT", "NAME_INVALID")),
        (
            "Unload",
            {"model_name": "digits", "parameters": {"unload_dependents": {"int64_param": 1}}},
            ("INVALID_ARGUMENT", "PARAMETER_INVALID"),
        ),
        (
            "Unload",
            {"model_name": "digits", "parameters": {"x": {"bool_param": True}}},
            ("INVALID_ARGUMENT", "PARAMETER_INVALID"),
        ),
    ],
)
async def test_what_is_refused(
    node: InferenceApp, method: str, request_: dict[str, object], expected: tuple[str, str]
) -> None:
    """Unknown models, wrong names and parameters that cannot be obeyed are refused, and nothing changes."""
    kind = oip.RepositoryModelLoadRequest if method == "Load" else oip.RepositoryModelUnloadRequest
    assert await refused(node, f"RepositoryModel{method}", kind(**request_)) == expected
    assert {state for state, _ in (await states(node)).values()} == {"READY"}


async def test_dependents_may_be_named(node: InferenceApp) -> None:
    """The parameter `unload_dependents` is taken, since no model depends on another one."""
    request = oip.RepositoryModelUnloadRequest(
        model_name="digits", parameters={"unload_dependents": {"bool_param": True}}
    )
    assert (await call(node, "RepositoryModelUnload", request)).isUnloaded


async def test_a_change_ends_with_its_deadline_and_is_made_whole(
    node: InferenceApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk hangs callers get their deadline or go away; what is kept and what is served agree afterwards."""
    repository, store = node._repository, node._repository._store
    entered, release, change = threading.Event(), threading.Event(), store.change

    def hanging(model: str, *, unloaded: bool) -> frozenset[str]:
        entered.set()
        assert release.wait(PATIENCE)
        return change(model, unloaded=unloaded)

    monkeypatch.setattr(store, "change", hanging)
    gone = asyncio.create_task(repository.unload("digits"))
    await asyncio.to_thread(entered.wait, PATIENCE)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    for late in (repository.load, repository.unload):
        with pytest.raises(DeadlineExceededError) as failure:
            await late("other", Caller(time.monotonic() + 0.05))
        assert failure.value.reason == "DEADLINE_EXPIRED"
    release.set()
    await asyncio.gather(*repository._changes)
    assert store.load() == node._loader.unloaded == {"digits", "other"}


async def test_requests_that_run_are_answered(suite: Suite) -> None:
    """An unload lets the requests finish that run, and the index says UNLOADING until they have."""
    node = await suite.start_node()
    client = suite.client(node)
    await client.push("looping", kind="onnx", files={"model.onnx": models.looping_onnx(0)})
    await when_ready(node, "looping", 1)
    running = asyncio.create_task(client.infer("looping", {"x": np.array([[300_000]], np.int64)}))
    while not node._execution._ended._waiting:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)
    await unload(node, "looping")
    assert (await states(node))["looping", "1"] == ("UNLOADING", "unloaded")
    assert (await running).outputs["y"].tolist() == [[300_000]]
    node._hot.refresh()
    assert (await states(node))["looping", "1"] == ("UNAVAILABLE", "unloaded")


async def test_counters_outlive_an_unload(node: InferenceApp, suite: Suite) -> None:
    """Case 4.21: statistics of an unloaded version are still there, and go on after the load."""
    client = suite.client(node)
    await client.infer("digits", {"input": ROWS})
    await unload(node)
    (one,) = (await client.inference.model_statistics("digits", 1)).model_stats
    assert one.inference_stats.success.count == 1
    await load(node)
    await client.infer("digits", {"input": ROWS})
    (one,) = (await client.inference.model_statistics("digits", 1)).model_stats
    assert one.inference_stats.success.count == 2


async def test_unloaded_versions_leave_their_sums_alone(node: InferenceApp, suite: Suite) -> None:
    """The block in which a version was counted goes with it; its statistics are still listed, and added to."""
    client = suite.client(node)
    await client.infer("digits", {"input": ROWS})
    block = weakref.ref(node._activity.version("digits", 1, *_identity(node, 1)).stats._memory)
    for round_ in range(2):
        await unload(node)
        gc.collect()
        node._published()
        assert [one.model for one in node._activity] == ["other"]
        (one,) = (await client.inference.model_statistics("digits", 1)).model_stats
        assert one.inference_stats.success.count == 1 + round_
        await load(node)
        await client.infer("digits", {"input": ROWS})
    assert block() is None


def _identity(node: InferenceApp, version: int) -> tuple[str, int]:
    loaded = node._serving.snapshot().served["digits", version].loaded
    return loaded.digest, loaded.uid


async def test_a_damaged_list_of_unloaded_models_stops_the_start(node: InferenceApp, suite: Suite) -> None:
    """A node does not guess what somebody took out of service: it names the file and does not start."""
    await unload(node)
    await node.stop()
    (suite.folder / "local" / "unloaded.json").write_text("{")
    with pytest.raises(SettingsError, match=r"unloaded\.json"):
        await suite.start_node()
    (suite.folder / "local" / "unloaded.json").unlink()
    await when_ready(await suite.start_node(), "digits", 1)


async def test_an_unload_that_cannot_be_kept_changes_nothing(
    node: InferenceApp, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the unload fails and the model goes on answering."""

    def full(models: object) -> None:
        del models
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(node._repository._store, "_save", full)
    request = oip.RepositoryModelUnloadRequest(model_name="digits")
    assert await refused(node, "RepositoryModelUnload", request) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
    assert (await suite.client(node).infer("digits", {"input": ROWS})).version == 1


async def test_workers_do_what_one_of_them_was_told(suite: Suite) -> None:
    """With several workers on one folder, a model that one unloads is unloaded by the other, and loaded again with it."""
    nodes = [await suite.start_node(f"w{number}", shared=suite.folder, worker=number, workers=2) for number in (1, 2)]
    client = suite.client(nodes[0])
    await push_digits(client, models.digits_onnx(1))
    for node in nodes:
        await when_ready(node, "digits", 1)
    await unload(nodes[0])
    await when(nodes[1], lambda snapshot: snapshot.states["digits", 1].reason == "unloaded")
    await load(nodes[1])
    await when_ready(nodes[0], "digits", 1)
    store = nodes[0]._repository._store
    work = [asyncio.to_thread(store.change, f"m{number}", unloaded=True) for number in range(20)]
    await asyncio.gather(*work)
    assert store.load() == {f"m{number}" for number in range(20)}
