"""What takes longer than it may is ended, and what means something else now is loaded anew."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from neuralmesh import AsyncClient, exceptions, oip
from neuralmesh_server.errors import DeadlineExceededError
from neuralmesh_server.inference.app import RUN_THREADS, InferenceApp
from neuralmesh_server.inference.backends.ending import Ended, EndedError, Ending
from neuralmesh_server.inference.holding import opening
from neuralmesh_server.settings import RegistrySettings
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready

ENDLESS = 2**40
ROWS = np.random.default_rng(7).random((2, 64), dtype=np.float32)


async def push_looping(client: AsyncClient, turns: int = 0) -> int:
    """Push a version of `looping`; returns its number."""
    version = await client.push("looping", kind="onnx", files={"model.onnx": models.looping_onnx(turns)})
    number: int = version.version
    return number


async def looping_node(suite: Suite) -> tuple[InferenceApp, AsyncClient]:
    """Return a node that serves `looping` and `digits`."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_looping(client)
    await push_digits(client, models.digits_onnx())
    await when_ready(node, "looping", 1)
    await when_ready(node, "digits", 1)
    return node, client


def looping(turns: int) -> dict[str, np.ndarray]:
    """Return an input that makes `looping` turn so often."""
    return {"x": np.array([[turns]], np.int64)}


async def test_a_run_without_end_is_ended_and_holds_up_nobody(suite: Suite) -> None:
    """While a valid request loops for ever, health and another model answer; it ends with DEADLINE_EXPIRED."""
    node, client = await looping_node(suite)
    node._execution._max_seconds = 3.0
    endless = [asyncio.create_task(client.infer("looping", looping(ENDLESS))) for _ in range(RUN_THREADS - 1)]
    while len(node._execution._ended._waiting) < len(endless):  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert (await client.infer("digits", {"input": ROWS})).version == 1
    assert not any(task.done() for task in endless)
    for task in endless:
        with pytest.raises(exceptions.DeadlineExceededError) as failure:
            await task
        assert failure.value.reason == "DEADLINE_EXPIRED"
    answer = await client.infer("looping", looping(3))
    assert answer.outputs["y"].tolist() == [[3]]


async def test_a_run_ends_with_its_callers_deadline(suite: Suite) -> None:
    """More calls than threads loop for ever; when their deadlines pass, all threads are free again."""
    node, client = await looping_node(suite)
    request = oip.ModelInferRequest(model_name="looping", raw_input_contents=[looping(ENDLESS)["x"].tobytes()])
    request.inputs.add(name="x", datatype="INT64", shape=[1, 1])
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        calls = [infer(request.SerializeToString(), timeout=0.5) for _ in range(RUN_THREADS + 2)]
        assert {await call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    answers = await asyncio.gather(*(client.infer("looping", looping(turns)) for turns in range(RUN_THREADS)))
    assert [answer.outputs["y"].tolist() for answer in answers] == [[[turns]] for turns in range(RUN_THREADS)]


async def test_a_stopping_node_ends_its_runs(suite: Suite) -> None:
    """A node with a run that never ends stops after its drain time, without being killed."""
    node, client = await looping_node(suite)
    endless = asyncio.create_task(client.infer("looping", looping(ENDLESS)))
    while not node._execution._ended._waiting:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)
    listener = node._server._listener
    listener._settings = replace(listener._settings, drain_seconds=2.0)  # after the last call, which is due
    await asyncio.wait_for(node.stop(), PATIENCE / 4)
    with pytest.raises(exceptions.DeadlineExceededError, match="this node stops"):
        await endless


async def test_runs_that_are_closed_do_not_say_that_nothing_ran(suite: Suite) -> None:
    """A run that is ended by the shutdown is DEADLINE_EXCEEDED, since UNAVAILABLE promises that nothing ran."""
    node, _ = await looping_node(suite)
    served = node._serving.snapshot().resolve("looping", "1").loaded
    run = asyncio.create_task(node._execution.run(served, 1, None, looping(ENDLESS)))
    await asyncio.sleep(0)
    node._execution.close()
    with pytest.raises(DeadlineExceededError, match="this node stops") as failure:
        await run
    assert failure.value.reason == "DEADLINE_EXPIRED"


async def test_a_version_whose_warm_up_never_ends_fails(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that cannot be warmed up in time are FAILED with the reason; others load, and a restart gets READY."""
    monkeypatch.setattr(opening, "OPEN_SECONDS", 1.0)
    client = suite.client()
    for more in range(3):
        await push_looping(client, ENDLESS + more)
    await push_digits(client, models.digits_onnx())
    for _ in range(2):
        node = await suite.start_node()
        await when_ready(node, "digits", 1)
        snapshot = await when(
            node, lambda snapshot: all(snapshot.states["looping", version].reason for version in (1, 2, 3))
        )
        for version in (1, 2, 3):
            reason = snapshot.states["looping", version].reason
            assert reason == "failed to load: opening and warm-up took more than 1 seconds"
        assert [one.state for one in node._loader.reports()] == ["READY", "FAILED", "FAILED", "FAILED"]
        await node.stop()


async def test_a_stopping_node_ends_a_warm_up(suite: Suite) -> None:
    """A node that warms up a version for ever stops at once."""
    node = await suite.start_node()
    await push_looping(suite.client(node), ENDLESS)
    await when(node, lambda snapshot: ("looping", 1) in snapshot.states)
    while not node._loader._opening._ended._waiting:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)
    await asyncio.wait_for(node.stop(), PATIENCE / 4)
    assert not node._loader._opening._ended._waiting


async def test_a_number_that_means_other_bytes_now_is_loaded_anew(suite: Suite) -> None:
    """After the registry was restored to another history, the node serves what the number means there."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await when_ready(node, "digits", 1)
    await suite.stop_registry()
    suite.registry_settings = RegistrySettings(suite.registry_settings.server, suite.folder / "restored")
    await suite.start_registry()
    await push_digits(client, models.digits_onnx(2))
    for name in ("a", "b", "c"):  # the new history is longer than what the node has seen
        await client.registry.create_model(name)
    digest = (await client.registry.get_version("digits", 1)).digest
    await when(node, lambda snapshot: "c" in snapshot.models and ("digits", 1) in snapshot.served)
    answer = await client.infer("digits", {"input": ROWS}, version="1")
    assert answer.digest == digest
    np.testing.assert_allclose(answer.outputs["scores"], ROWS @ models.digits_weights(2), rtol=1e-4, atol=1e-4)
    assert [(one.state, one.digest) for one in node._loader.reports()] == [("READY", digest)]


async def test_what_loads_under_a_number_that_is_gone_is_dropped(suite: Suite) -> None:
    """A model that vanishes while its version loads leaves nothing behind and stops nothing."""
    node = await suite.start_node()
    await push_looping(suite.client(node), ENDLESS)
    while not node._loader._opening._ended._waiting:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)
    node._replica.models.clear()
    node._replica.versions.clear()
    node._loader.changed()
    assert [one.state for one in node._loader.reports()] == ["LOADING"]
    while node._loader._tasks:  # noqa: ASYNC110 - there is nothing to wait for
        await asyncio.sleep(0)
    assert node._loader.reports() == ()
    assert node.failure is not None
    assert not node.failure.done()


async def test_no_rows_are_answered_without_the_model(suite: Suite) -> None:
    """A graph that fails on an empty batch gives no rows for no rows."""
    _, client = await looping_node(suite)
    answer = await client.infer("looping", {"x": np.empty((0, 1), np.int64)})
    assert (answer.outputs["y"].shape, answer.outputs["y"].dtype) == ((0, 1), np.int64)


async def test_a_thread_that_does_not_obey_is_left() -> None:
    """Work that cannot be ended stops nobody from being told in time, and what waits behind it never begins."""
    begun: list[Ending] = []
    release = threading.Event()

    def obstinate(ending: Ending) -> None:
        begun.append(ending)
        release.wait(PATIENCE)

    with ThreadPoolExecutor(1) as threads:
        ended = Ended(threads)
        results = await asyncio.gather(*(ended.run(obstinate, 0.1) for _ in range(2)), return_exceptions=True)
        release.set()
    assert [type(result) for result in results] == [EndedError, EndedError]
    assert [ending.ended for ending in begun] == [True]


def test_what_ended_before_it_began_is_not_begun() -> None:
    """An end that comes before the work says how to end it is not lost."""
    ending = Ending()
    ending.end()
    called: list[bool] = []
    with pytest.raises(EndedError):
        ending.by(lambda: called.append(True))
    ending.end()
    assert called == [True]
