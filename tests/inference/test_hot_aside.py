"""The short way through a thread: runs that are foreseen and too long for the loop, over the wire and beside others.

An index stands for what only Python runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest

from neuralmesh import exceptions, oip
from neuralmesh_server.inference import hot
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.backends import execution
from neuralmesh_server.inference.policy import Batching, Limits, ModelPolicy
from neuralmesh_server.inference.serving import Route
from neuralmesh_server.settings import NATIVE
from tests.inference import kinds
from tests.inference.conftest import Suite, pb, when_ready
from tests.inference.kinds import INDEX, QUERIES, WIDTH

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(autouse=True)
def nothing_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every run to a thread of Python's."""
    monkeypatch.setattr(execution, "INLINE_NS", 0)
    monkeypatch.setattr(hot, "_native", lambda _: None)


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node that serves an index behind the native front."""
    suite.node_server = replace(suite.node_server, transport=NATIVE)
    node = await suite.start_node()
    await suite.client(node).push("m", kind=INDEX, files={"m.safetensors": kinds.index(suite.folder)})
    await when_ready(node, "m", 1)
    return node


@pytest.fixture
def ordinary(node: InferenceApp) -> list[object]:
    """Requests that take the ordinary way."""
    made: list[object] = []
    usual = node._answering.answer

    async def watched(*arguments: Any) -> Any:
        made.append(arguments)
        return await usual(*arguments)

    node._answering.answer = watched  # type: ignore[method-assign]
    return made


class Gate:
    """Holds an index's runs until they are let go."""

    def __init__(self, node: InferenceApp) -> None:
        self.begun, self.go_on = threading.Semaphore(0), threading.Event()
        self.threads: set[str] = set()
        runner = node._serving.snapshot().route("m", "").served.loaded.runner
        self._run = runner.run
        runner.run = self.run  # type: ignore[method-assign]

    def run(self, inputs: Any, ending: Any = None) -> Any:
        self.threads.add(threading.current_thread().name.partition("_")[0])
        self.begun.release()
        assert self.go_on.wait(20)
        return self._run(inputs, ending)

    async def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.begun.acquire, timeout=20)


@pytest.fixture
def gate(node: InferenceApp) -> Iterator[Gate]:
    """The gate of the node's index."""
    gate = Gate(node)
    yield gate
    gate.go_on.set()


def request(rows: int = 1, **fields: object) -> bytes:
    """Return the bytes of a good request."""
    message = oip.ModelInferRequest(model_name="m", **fields)
    message.inputs.add(name="input", datatype="FP32", shape=[rows, WIDTH])
    message.raw_input_contents.append(QUERIES[:rows].tobytes())
    return message.SerializeToString()


def expected(suite: Suite, rows: int) -> list[bytes]:
    """Return the raw outputs of a good request."""
    return [part.tobytes() for part in kinds.opened(suite.folder, kinds.index(suite.folder)).run(QUERIES[:rows])]


def activity(node: InferenceApp) -> Any:
    """Return what counts the version."""
    return node._serving.snapshot().route("m", "").served.loaded.activity


async def test_callers_get_what_the_ordinary_way_gives(
    suite: Suite, node: InferenceApp, ordinary: list[object]
) -> None:
    """Answers come by the short way, with outputs, id and parameters as ever, and are counted once."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary(INFER)
        for rows in (1, 6):
            answer = oip.ModelInferResponse.FromString(await infer(request(rows, id="mine")))
            assert list(answer.raw_output_contents) == expected(suite, rows)
            assert [list(output.shape) for output in answer.outputs] == [[rows, 5], [rows, 5]]
            assert (answer.model_version, answer.id) == ("1", "mine")
            assert answer.parameters["prediction_id"].string_param.startswith("nm1.local.")
        assert ordinary == []
        assert (activity(node).requests, activity(node).rows) == (2, 7)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await infer(request().replace(b"FP32", b"FP64"))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(ordinary) == 1


async def test_the_other_listener_takes_it_too(suite: Suite, ordinary: list[object], node: InferenceApp) -> None:
    """What grpcio's server hands over is begun on the loop, run in a thread and finished on the loop."""

    class Context:
        def invocation_metadata(self) -> tuple[()]:
            return ()

    answer = await node._service.model_infer(request(2), Context())
    assert list(oip.ModelInferResponse.FromString(answer).raw_output_contents) == expected(suite, 2)
    assert ordinary == []


async def test_the_loop_answers_others_meanwhile(suite: Suite, node: InferenceApp, gate: Gate) -> None:
    """While runs are in their threads, the loop goes on, and each answer is its own request's."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary(INFER)
        calls = [asyncio.ensure_future(infer(request(rows, id=str(rows)))) for rows in (1, 2, 3)]
        await gate.wait(3)
        assert await suite.client(node).inference.model_ready("m")
        gate.go_on.set()
        for rows, call in enumerate(calls, start=1):
            answer = oip.ModelInferResponse.FromString(await call)
            assert answer.id == str(rows)
            assert list(answer.raw_output_contents) == expected(suite, rows)
    assert gate.threads == {"aside"}


async def test_what_finds_no_thread_waits_where_all_wait(
    suite: Suite, node: InferenceApp, gate: Gate, ordinary: list[object]
) -> None:
    """With all threads that a model may have at work, the next request takes the ordinary way, and its queue."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary(INFER)
        calls = [asyncio.ensure_future(infer(request(2))) for _ in range(3)]
        await gate.wait(3)
        calls.append(asyncio.ensure_future(infer(request(2))))
        while not ordinary:  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)
        gate.go_on.set()
        for call in calls:
            answer = oip.ModelInferResponse.FromString(await call)
            assert list(answer.raw_output_contents) == expected(suite, 2)
    assert len(ordinary) == 1
    assert node._lanes._admission._lanes == {}


async def test_a_failing_run_is_told_by_the_ordinary_way(node: InferenceApp, ordinary: list[object]) -> None:
    """What a thread cannot run is run again by the way that says why, and the thread's place is free again."""
    runner = node._serving.snapshot().route("m", "").served.loaded.runner

    def broken(*_: object) -> None:
        raise ValueError("broken")

    runner.run = broken  # type: ignore[method-assign]
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary(INFER)(request())
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert len(ordinary) == 1
    assert node._lanes._admission._lanes == {}
    assert activity(node).requests == 0


async def test_a_defect_after_the_run_is_told(node: InferenceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong when a result is taken up reaches the caller as INTERNAL, and the thread's place is free again."""

    def broken(*_: object) -> None:
        raise ValueError("broken")

    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        with monkeypatch.context() as patch:
            patch.setattr(type(node._hot), "_finish", broken)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await channel.unary_unary(INFER)(request(), timeout=30)
        assert failed.value.code() is grpc.StatusCode.INTERNAL
        await channel.unary_unary(INFER)(request())
    assert node._server._listener._calls == {}
    assert node._lanes._admission._lanes == {}


async def test_a_caller_that_went_away_leaves_nothing(node: InferenceApp, gate: Gate) -> None:
    """A cancelled call ends at once for its caller; the run ends by itself, and its place is free again."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.unary_unary(INFER)(request())
        await gate.wait()
        call.cancel()
        gate.go_on.set()
        answer = await channel.unary_unary(INFER)(request(3))
        assert oip.ModelInferResponse.FromString(answer).outputs[0].shape == [3, 5]
    assert node._server._listener._calls == {}
    assert node._lanes._admission._lanes == {}


async def test_a_deadline_that_passes_is_told(node: InferenceApp, gate: Gate) -> None:
    """An answer that comes after the caller's deadline is none."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.unary_unary(INFER)(request(), timeout=0.2)
        await gate.wait()
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await call
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.go_on.set()


async def test_a_version_that_is_let_go_answers_what_it_began(suite: Suite, node: InferenceApp, gate: Gate) -> None:
    """A run outlives the snapshot in which it began, and is counted."""
    client = suite.client(node)
    counted = activity(node)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = asyncio.ensure_future(channel.unary_unary(INFER)(request(2)))
        await gate.wait()
        await client.push("m", kind=INDEX, files={"m.safetensors": kinds.index(suite.folder, k=2)})
        await client.promote("m", 2)
        await when_ready(node, "m", 2)
        gate.go_on.set()
        answer = oip.ModelInferResponse.FromString(await call)
    assert answer.model_version == "1"
    assert list(answer.raw_output_contents) == expected(suite, 2)
    assert counted.requests == 1


POLICIES = {
    "batching": ModelPolicy(batching=Batching(8, 100)),
    "limits": ModelPolicy(limits=Limits(max_running=1)),
}


@pytest.mark.parametrize("name", POLICIES)
async def test_what_may_be_joined_or_held_takes_the_ordinary_way(node: InferenceApp, name: str) -> None:
    """A policy for batches or limits concerns runs in threads, so they go where it is obeyed."""
    snapshot = node._serving.snapshot()
    begun = node._hot.begin(request())
    assert isinstance(begun, asyncio.Future)
    assert await begun is not None
    routes = {key: Route(route.served, policy=POLICIES[name]) for key, route in snapshot.routes.items()}
    node._serving.replace(type(snapshot)(**{**{f: getattr(snapshot, f) for f in snapshot.__slots__}, "routes": routes}))
    assert node._hot.begin(request()) is None
    node._serving.replace(snapshot)
    assert isinstance(node._hot.begin(request()), asyncio.Future)


async def test_answers_at_once_are_none_of_these(node: InferenceApp) -> None:
    """Who can only take an answer at once gets none, and streams then take their own way."""
    assert node._hot.answer(request()) is None

    async def requests() -> Any:
        for rows in (1, 2):
            yield oip.ModelInferRequest.FromString(request(rows))

    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        stream = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=oip.ModelStreamInferResponse.FromString,
        )(requests())
        shapes = [list(answer.infer_response.outputs[0].shape) async for answer in stream]
    assert shapes == [[1, 5], [2, 5]]


async def test_what_takes_too_long_to_leave_alone_can_be_ended(
    suite: Suite, node: InferenceApp, ordinary: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is expected to take longer than a moment goes where it can be ended."""
    monkeypatch.setattr(execution, "FORESEEN_NS", 0)
    node._serving.replace(node._serving.snapshot())
    node._hot._snapshot = None
    node._hot._prepared.clear()
    node._hot.refresh()
    await suite.client(node).infer("m", {"input": QUERIES})
    assert len(ordinary) == 1


async def test_a_stop_waits_for_runs(suite: Suite, node: InferenceApp, gate: Gate) -> None:
    """A node that stops answers what runs, and tells CANCELLED to what runs too long."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = asyncio.ensure_future(channel.unary_unary(INFER)(request(2)))
        await gate.wait()
        stopping = asyncio.ensure_future(node.stop())
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call
        assert ended.value.code() is grpc.StatusCode.CANCELLED
        gate.go_on.set()
        await stopping


async def test_receipts_are_kept(suite: Suite, node: InferenceApp) -> None:
    """Digest receipts of such answers say that they repeat bit by bit."""
    client = suite.client(node)
    policy = pb.ModelPolicy(receipts=pb.ReceiptPolicy(mode=pb.ReceiptPolicy.MODE_ALL))
    await client.registry.set_model_policy("m", policy)
    while node._serving.snapshot().route("m", "").policy.receipts.sample_ppm == 0:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    prediction = await client.infer("m", {"input": QUERIES})
    assert np.array_equal(prediction.outputs["ids"].shape, (6, 5))
    for _ in range(200):
        try:
            receipt = await client.node.get_receipt(prediction.prediction_id)
            break
        except exceptions.NotFoundError:
            await asyncio.sleep(0.02)
    assert receipt.version == 1
    assert receipt.numerics == type(receipt).NUMERICS_BIT_EXACT
