"""Searches that the front's workers run: over the wire, beside others, and held within their run by a gate in C's place."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from liam_core.kernel import ffi
from neuralmesh import exceptions, oip
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.backends import execution
from neuralmesh_server.inference.evidence.receipts import outputs_digest
from neuralmesh_server.inference.policy import Limits, ModelPolicy
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import Route
from neuralmesh_server.runtime import listener_front
from tests.inference import kinds
from tests.inference.conftest import PATIENCE, Suite, pb, when, when_ready
from tests.inference.kinds import INDEX, QUERIES

INFER = "/inference.GRPCInferenceService/ModelInfer"
WORKERS, WAITING = 1, 2


@pytest.fixture(autouse=True)
def few_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every run to a worker, of whom there is one."""
    monkeypatch.setattr(execution, "INLINE_NS", 0)
    monkeypatch.setattr(listener_front, "MAX_WORKERS", WORKERS)
    monkeypatch.setattr(listener_front, "MAX_WAITING", WAITING)


async def serving(suite: Suite, **how: object) -> InferenceApp:
    """Return a node that serves an index, and no more of its versions than it has to."""
    node = await suite.start_node(keep_newest=1)
    await suite.client(node).push("m", kind=INDEX, files={"m.safetensors": kinds.index(suite.folder, **how)})
    await when_ready(node, "m", 1)
    return node


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node that serves an index."""
    return await serving(suite)


def request(rows: int = 1, queries: Any = QUERIES, datatype: str = "FP32", **fields: object) -> bytes:
    """Return the bytes of a good request."""
    message = oip.ModelInferRequest(model_name="m", **fields)
    message.inputs.add(name="input", datatype=datatype, shape=[rows, queries.shape[1]])
    message.raw_input_contents.append(queries[:rows].tobytes())
    return message.SerializeToString()


def loaded(node: InferenceApp) -> Any:
    """Return the version that is served."""
    return node._serving.snapshot().route("m", "").served.loaded


class Gate:
    """Holds the runs of an index, which take place in a thread of C's, until they are let go."""

    def __init__(self, node: InferenceApp) -> None:
        self.begun, self.go_on = threading.Semaphore(0), threading.Event()
        self.runs = 0
        self._block = loaded(node).runner.native.block
        search = self._block.run

        def run(*arguments: Any) -> int:
            self.runs += 1
            self.begun.release()
            return search(*arguments) if self.go_on.wait(PATIENCE) else 0

        self._run = ffi.callback(ffi.typeof(search), run)
        self._block.run = self._run

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=PATIENCE)


@pytest.fixture
def gate(node: InferenceApp) -> Iterator[Gate]:
    """The gate of the node's index."""
    gate = Gate(node)
    yield gate
    gate.go_on.set()


async def waiting(node: InferenceApp, count: int) -> None:
    """Return when the front has so many calls under way."""
    while node._server.front.running != count:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)


def without_id(data: bytes) -> oip.ModelInferResponse:
    """Return an answer but for what no two have in common."""
    answer = oip.ModelInferResponse.FromString(data)
    del answer.parameters["prediction_id"]
    return answer


async def code_of(call: Any) -> grpc.StatusCode:
    """Return the status with which a call ends."""
    code: grpc.StatusCode = await call.code()
    return code


def front_block(node: InferenceApp) -> Any:
    """Return what the front counted of the version."""
    return loaded(node).activity.front_stats.block


FORMS = {
    "hamming": {},
    "dot": {"metric": "dot"},
    "jaccard": {"metric": "jaccard"},
    "packed": {"input_form": "packed"},
    "thresholds": {"thresholds": QUERIES[0].copy()},
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("inline", [0, 10**9])
async def test_answers_are_those_of_the_ordinary_way(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, name: str, inline: int
) -> None:
    """Searched where they are read or by a worker, queries get the bytes that Python finds, and are counted there."""
    monkeypatch.setattr(execution, "INLINE_NS", inline)
    node = await serving(suite, **FORMS[name])
    queries, datatype = (kinds.packed(QUERIES), "UINT8") if name == "packed" else (QUERIES, "FP32")
    wanted = kinds.opened(suite.folder, kinds.index(suite.folder, **FORMS[name]))
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        for rows in (1, 2, 6):
            for note in ("", "x", "xy", "xyz"):  # elements lie at every place between two words
                data = request(rows, queries, datatype, id=note)
                given = await channel.unary_unary(INFER)(data, timeout=PATIENCE)
                answer = oip.ModelInferResponse.FromString(given)
                assert list(answer.raw_output_contents) == [part.tobytes() for part in wanted.run(queries[:rows])]
                assert [list(output.shape) for output in answer.outputs] == [[rows, 5], [rows, 5]]
                assert (answer.model_version, answer.id) == ("1", note)
                ordinary = await node._service.infer(data, Caller())
                assert without_id(given) == without_id(ordinary.data)
    block = front_block(node)
    assert (block.requests, block.rows, block.recorded) == (12, 36, 12)
    assert block.queued == (0 if inline else 12)


async def test_chosen_outputs_in_any_order(suite: Suite, node: InferenceApp) -> None:
    """What is asked for is answered, in the order in which it is."""
    ids, distances = kinds.opened(suite.folder, kinds.index(suite.folder)).run(QUERIES[:1])
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        for names, parts in ((["distances"], [distances]), (["distances", "ids"], [distances, ids])):
            data = request(outputs=[oip.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in names])
            answer = oip.ModelInferResponse.FromString(await channel.unary_unary(INFER)(data, timeout=PATIENCE))
            assert list(answer.raw_output_contents) == [part.tobytes() for part in parts]
    assert front_block(node).requests == 2


async def test_others_are_answered_meanwhile(suite: Suite, node: InferenceApp, gate: Gate) -> None:
    """While a search goes on, its connection and others have answers, from the loop and from the front itself."""
    client = suite.client(node)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = asyncio.ensure_future(channel.unary_unary(INFER)(request(2), timeout=PATIENCE))
        await gate.wait()
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        assert oip.ServerLiveResponse.FromString(await live(b"", timeout=PATIENCE)).live
        assert await client.inference.model_ready("m")
        assert not call.done()
        gate.go_on.set()
        assert oip.ModelInferResponse.FromString(await call).outputs[0].shape == [2, 5]


async def test_what_finds_no_place_takes_the_ordinary_way(node: InferenceApp, gate: Gate) -> None:
    """With a worker at work and as many waiting as may, the next request is answered by Python, at once."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary(INFER)
        held = [asyncio.ensure_future(infer(request(id="0"), timeout=PATIENCE))]
        await gate.wait()
        held += [asyncio.ensure_future(infer(request(id=str(i)), timeout=PATIENCE)) for i in range(1, WAITING + 1)]
        await waiting(node, WORKERS + WAITING)
        answer = oip.ModelInferResponse.FromString(await infer(request(3), timeout=PATIENCE))
        assert answer.outputs[0].shape == [3, 5]
        assert (front_block(node).requests, loaded(node).activity.requests) == (0, 1)
        gate.go_on.set()
        assert [oip.ModelInferResponse.FromString(one).id for one in await asyncio.gather(*held)] == ["0", "1", "2"]
    assert (front_block(node).requests, loaded(node).activity.requests) == (3, 4)


async def test_what_is_cancelled_while_it_waits_does_not_run(node: InferenceApp, gate: Gate) -> None:
    """A call that its caller gives up is gone from the queue; one that is being searched for ends with its search."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary(INFER)
        first = infer(request(), timeout=PATIENCE)
        await gate.wait()
        second = infer(request(2), timeout=PATIENCE)
        await waiting(node, 2)
        second.cancel()
        await waiting(node, 1)
        first.cancel()
        await waiting(node, 0)
        gate.go_on.set()
        await infer(request(3), timeout=PATIENCE)
    assert gate.runs == 2
    assert (front_block(node).requests, front_block(node).rows) == (1, 3)
    assert loaded(node).activity.errors == {"CANCELLED": 2}


async def test_a_deadline_is_looked_at_before_the_search(node: InferenceApp, gate: Gate) -> None:
    """What has waited beyond its deadline is not searched for, and is counted as late or as gone with its caller."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary(INFER)
        first = asyncio.ensure_future(infer(request(), timeout=PATIENCE))
        await gate.wait()
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await infer(request(2), timeout=0.2)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.go_on.set()
        await first
        await infer(request(3), timeout=PATIENCE)
    assert gate.runs == 2
    assert (front_block(node).requests, front_block(node).failures) == (2, 1)


async def test_a_version_is_held_for_as_long_as_it_is_searched(suite: Suite, node: InferenceApp, gate: Gate) -> None:
    """A search outlives the swap in which its version goes: it answers by it, is counted, and then the version is let go."""
    client = suite.client(node)
    activity, version = loaded(node).activity, weakref.ref(loaded(node))
    index = weakref.ref(loaded(node).runner)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = asyncio.ensure_future(channel.unary_unary(INFER)(request(2), timeout=PATIENCE))
        await gate.wait()
        await client.push("m", kind=INDEX, files={"m.safetensors": kinds.index(suite.folder, k=2)})
        await client.promote("m", 2)
        await when_ready(node, "m", 2)
        await when(node, lambda snapshot: ("m", 1) not in snapshot.served)
        node._activity.fold()
        gc.collect()
        assert version() is not None
        assert activity in list(node._activity)
        retired = asyncio.Event()
        usual = node._server.front.retire
        node._server.front.retire = lambda: (usual(), retired.set())
        gate.go_on.set()
        answer = oip.ModelInferResponse.FromString(await call)
        await asyncio.wait_for(retired.wait(), PATIENCE)
    assert answer.model_version == "1"
    assert activity.requests == 1
    gc.collect()
    assert (version(), index()) == (None, None)
    node._activity.fold()
    assert activity not in list(node._activity)


async def test_a_stop_tells_what_still_runs(node: InferenceApp, gate: Gate) -> None:
    """A node that stops waits for searches, and tells CANCELLED to those that take too long; it ends after them."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = asyncio.ensure_future(channel.unary_unary(INFER)(request(2)))
        await gate.wait()
        later = asyncio.ensure_future(channel.unary_unary(INFER)(request(3)))
        await waiting(node, 2)
        stopping = asyncio.ensure_future(node.stop())
        for one in (call, later):
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await one
            assert ended.value.code() is grpc.StatusCode.CANCELLED
        assert not stopping.done()
        gate.go_on.set()
        await stopping
    assert gate.runs == 1


async def test_a_stop_lets_a_search_finish(node: InferenceApp, gate: Gate) -> None:
    """What a worker has when the node begins to stop is answered."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = asyncio.ensure_future(channel.unary_unary(INFER)(request(2)))
        await gate.wait()
        stopping = asyncio.ensure_future(node.stop())
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        while await code_of(live(b"")) is not grpc.StatusCode.UNAVAILABLE:
            pass  # it has not begun to stop
        gate.go_on.set()
        assert oip.ModelInferResponse.FromString(await call).outputs[0].shape == [2, 5]
        await stopping


async def test_a_failing_search_is_told_by_the_ordinary_way(suite: Suite, node: InferenceApp) -> None:
    """What C cannot run is run by Python, which answers or says why not."""
    block = loaded(node).runner.native.block
    failing = ffi.callback(ffi.typeof(block.run), lambda *_: 0)
    block.run = failing
    found = await suite.client(node).infer("m", {"input": QUERIES})
    assert found.outputs["ids"].shape == (6, 5)
    assert (front_block(node).requests, loaded(node).activity.requests) == (0, 1)


POLICIES = {
    "its queue's length": (ModelPolicy(limits=Limits(max_queued=3)), False),
    "its longest wait": (ModelPolicy(limits=Limits(max_wait_ms=5)), False),
    "a canary beside it": (ModelPolicy(), True),
}


@pytest.mark.parametrize("name", POLICIES)
async def test_what_a_policy_may_make_wait_is_left_to_python(node: InferenceApp, name: str) -> None:
    """Where the model's queue has limits of its own, or shares, long searches go where these are obeyed."""
    policy, shared = POLICIES[name]
    snapshot = node._serving.snapshot()
    routes = {key: Route(one.served, policy=policy, shared=shared) for key, one in snapshot.routes.items()}
    node._serving.replace(type(snapshot)(**{**{f: getattr(snapshot, f) for f in snapshot.__slots__}, "routes": routes}))
    node._hot.refresh()
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        await channel.unary_unary(INFER)(request(), timeout=PATIENCE)
        assert (front_block(node).requests, loaded(node).activity.requests) == (0, 1)
        node._serving.replace(snapshot)
        node._hot.refresh()
        await channel.unary_unary(INFER)(request(), timeout=PATIENCE)
        assert (front_block(node).requests, loaded(node).activity.requests) == (1, 2)


@pytest.mark.parametrize("how", [{"radius": 20}, {"oversample": 2}], ids=["radius", "rescoring"])
async def test_what_c_alone_does_not_search_is_pythons(suite: Suite, how: dict[str, object]) -> None:
    """Indexes with a radius or rescoring have no runner."""
    node = await serving(suite, **how)
    assert loaded(node).runner.native is None
    await suite.client(node).infer("m", {"input": QUERIES})
    assert front_block(node).requests == 0


async def test_receipts_are_kept(suite: Suite, node: InferenceApp) -> None:
    """Digest receipts of such answers are those of the ordinary way: a replay finds the same outputs."""
    client = suite.client(node)
    policy = pb.ModelPolicy(receipts=pb.ReceiptPolicy(mode=pb.ReceiptPolicy.MODE_ALL))
    await client.registry.set_model_policy("m", policy)
    await when(node, lambda snapshot: snapshot.route("m", "").policy.receipts.sample_ppm > 0)
    prediction = await client.infer("m", {"input": QUERIES})
    assert front_block(node).requests == 1
    for _ in range(500):
        try:
            receipt = await client.node.get_receipt(prediction.prediction_id)
            break
        except exceptions.NotFoundError:
            await asyncio.sleep(0.02)
    assert receipt.numerics == type(receipt).NUMERICS_BIT_EXACT
    ordinary = await node._service.infer(request(6), Caller())
    assert receipt.outputs_digest == "sha256:" + outputs_digest(ordinary.outputs).hex()
