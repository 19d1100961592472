"""The short way of plain requests on a real node: the same answers and counts as the ordinary way, through every swap."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import grpc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from liam_core.oip import Numbers
from neuralmesh import oip
from neuralmesh_server import prediction_id
from neuralmesh_server.inference import convert
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.hot import Hot
from neuralmesh_server.inference.policy import Batching, Limits, ModelPolicy, ReceiptMode, Receipts
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import Route, Serving
from neuralmesh_server.prediction_id import Issuer
from tests.inference import models
from tests.inference.conftest import Suite, push_digits, when, when_ready

ROWS = np.random.default_rng(3).random((4, 64), dtype=np.float32)


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node with an ONNX model as version 1, which is `production`, and two packed networks as 2 and 3."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await push_digits(client, models.digits_liam(suite.folder, 1), "liam.binary_network")
    await push_digits(client, models.digits_liam(suite.folder, 2), "liam.binary_network")
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1, 2, 3)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    return node


def request(version: str = "", rows: int = 1, **fields: object) -> bytes:
    """Return the bytes of a good request."""
    message = oip.ModelInferRequest(model_name="digits", model_version=version, **fields)
    message.inputs.add(name="input", datatype="FP32", shape=[rows, 64])
    message.raw_input_contents.append(ROWS[:rows].tobytes())
    return message.SerializeToString()


def read(answer: bytes) -> tuple[object, str]:
    """Return an answer without its prediction id, and the id."""
    message = oip.ModelInferResponse.FromString(answer)
    issued = message.parameters["prediction_id"].string_param
    del message.parameters["prediction_id"]
    return message, issued


async def ordinary(node: InferenceApp, data: bytes) -> bytes:
    """Return what the ordinary way answers."""
    return (await node._answering.answer(convert.read_request(data), Caller())).data


@pytest.mark.parametrize("version", ["", "1", "2", "3", "production"])
@pytest.mark.parametrize("rows", [1, 3])
async def test_both_ways_answer_alike(node: InferenceApp, version: str, rows: int) -> None:
    """Outputs, model, version, id and parameters are the same; the prediction ids name the same version."""
    data = request(version, rows, id="mine")
    short = node._hot.answer(data)
    assert short is not None
    found, issued = read(short)
    expected, other = read(await ordinary(node, data))
    assert found == expected
    first, second = prediction_id.parse(issued), prediction_id.parse(other)
    assert second.sequence == first.sequence + 1
    assert (first.model_uid, first.version, first.digest_prefix, first.revision) == (
        second.model_uid, second.version, second.digest_prefix, second.revision,
    )  # fmt: skip


async def test_both_ways_count_alike(node: InferenceApp) -> None:
    """Requests, rows, executions and latencies of both ways add up in the same totals."""
    (activity,) = [one for one in node._loader._opening._activity if one.version == 2]
    for turn in range(1, 4):
        assert node._hot.answer(request("2", 3)) is not None
        await ordinary(node, request("2", 2))
        assert (activity.requests, activity.executions, activity.rows) == (2 * turn, 2 * turn, 5 * turn)
    assert activity.latency.copy().count == 6
    assert activity.success_ns >= activity.input_ns + activity.infer_ns + activity.output_ns > 0
    assert activity.last_ms > 1_600_000_000_000
    assert activity.latency.take().sum == pytest.approx(activity.success_ns * 1e-9)
    assert activity.latency.copy().count == 0
    assert activity.requests == 6


async def test_callers_get_the_short_way(node: InferenceApp) -> None:
    """A call over the wire is answered without a request object being made."""
    made = []
    usual = node._answering.answer

    async def watched(*arguments: object) -> object:
        made.append(arguments)
        return await usual(*arguments)

    node._answering.answer = watched
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for version in ("1", "2"):
            assert oip.ModelInferResponse.FromString(await infer(request(version))).model_version == version
        assert made == []
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await infer(request("2").replace(b"FP32", b"FP64"))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(made) == 1


async def test_every_answer_of_a_swap_belongs_to_its_version(suite: Suite, node: InferenceApp) -> None:
    """While an alias moves back and forth under load, no request fails and each answer is its version's."""
    client = suite.client(node)
    expected = {}
    for version in ("1", "2", "3"):
        message, _ = read(await ordinary(node, request(version)))
        expected[version] = list(message.raw_output_contents)
    stop = asyncio.Event()
    answered: asyncio.Queue[str] = asyncio.Queue()
    seen: list[str] = []

    async def caller(channel: grpc.aio.Channel) -> None:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        while not stop.is_set():
            message, issued = read(await infer(request("production")))
            assert list(message.raw_output_contents) == expected[message.model_version]
            assert str(prediction_id.parse(issued).version) == message.model_version
            answered.put_nowait(message.model_version)

    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        callers = [asyncio.create_task(caller(channel)) for _ in range(4)]
        for turn in range(9):
            version = turn % 3 + 1
            await client.promote("digits", version)
            await when(node, lambda snapshot: snapshot.aliases["digits", "production"] == version)  # noqa: B023
            seen += [await answered.get() for _ in range(8)]
        stop.set()
        await asyncio.gather(*callers)
    seen += [answered.get_nowait() for _ in range(answered.qsize())]
    assert set(seen) == {"1", "2", "3"}
    total = sum(one.requests for one in node._loader._opening._activity)
    assert total == len(seen) + 3


POLICIES = {
    "limits": ModelPolicy(limits=Limits(max_running=1)),
    "payloads": ModelPolicy(receipts=Receipts(ReceiptMode.ALL, 1_000_000, payloads=True)),
}


@pytest.mark.parametrize("name", POLICIES)
async def test_routes_that_need_more_take_the_ordinary_way(node: InferenceApp, name: str) -> None:
    """A model whose policy queues or keeps requests is not answered the short way, and is again without it."""
    snapshot = node._serving.snapshot()
    assert node._hot.answer(request("2")) is not None
    routes = {key: Route(route.served, policy=POLICIES[name]) for key, route in snapshot.routes.items()}
    node._serving.replace(replace(snapshot, routes=routes))
    assert node._hot.answer(request("2")) is None
    node._serving.replace(snapshot)
    assert node._hot.answer(request("2")) is not None


async def test_a_quick_version_keeps_the_short_way_under_batching(node: InferenceApp) -> None:
    """What is quick is never joined, so a policy for batches does not slow it down."""
    snapshot = node._serving.snapshot()
    batching = ModelPolicy(batching=Batching(8, 100))
    routes = {key: Route(route.served, policy=batching) for key, route in snapshot.routes.items()}
    node._serving.replace(replace(snapshot, routes=routes))
    assert node._hot.answer(request("2")) is not None


def graph(nodes: list[object], inputs: dict[str, list[object]], outputs: dict[str, list[object]]) -> bytes:
    """Return a model of FLOAT inputs and outputs."""
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *infos), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


async def served(suite: Suite, content: bytes) -> InferenceApp:
    """Return a node that serves a model `m`."""
    node = await suite.start_node()
    client = suite.client(node)
    await client.push("m", kind="onnx", files={"model.onnx": content})
    await when_ready(node, "m", 1)
    return node


def floats(**inputs: np.ndarray) -> oip.ModelInferRequest:
    """Return a request of FP32 tensors."""
    message = oip.ModelInferRequest(model_name="m")
    for name, array in inputs.items():
        message.inputs.add(name=name, datatype="FP32", shape=array.shape)
        message.raw_input_contents.append(array.astype(np.float32).tobytes())
    return message


async def test_models_of_several_inputs_and_outputs(suite: Suite) -> None:
    """Inputs in any order and wherever their bytes lie reach the runtime right; wanted outputs come as they are wanted."""
    nodes = [helper.make_node("Sub", ["a", "b"], ["less"]), helper.make_node("Add", ["a", "b"], ["more"])]
    both = {"a": ["n", 3], "b": ["n", 3]}
    node = await served(suite, graph(nodes, both, {"less": ["n", 3], "more": ["n", 3]}))
    a, b = np.arange(6.0).reshape(2, 3), np.full((2, 3), 0.5)
    for padding in range(5):
        for order in ({"a": a, "b": b}, {"b": b, "a": a}):
            message = floats(**order)
            message.id = "x" * padding  # moves the elements
            message.outputs.add(name="more")
            message.outputs.add(name="less")
            answer = node._hot.answer(message.SerializeToString())
            assert answer is not None
            found, _ = read(answer)
            assert [output.name for output in found.outputs] == ["more", "less"]
            assert found == read(await ordinary(node, message.SerializeToString()))[0]
            more, less = (np.frombuffer(raw, np.float32).reshape(2, 3) for raw in found.raw_output_contents)
            np.testing.assert_array_equal(more, a + b)
            np.testing.assert_array_equal(less, a - b)


async def test_outputs_of_any_rank_are_answered(suite: Suite) -> None:
    """A scalar, a vector without elements, truth values and a tensor of rank 3 come out as the ordinary way has them."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["scalar"], keepdims=0),
        helper.make_node("Constant", [], ["start"], value_ints=[0]),
        helper.make_node("Constant", [], ["none"], value=helper.make_tensor("none", TensorProto.FLOAT, [0], [])),
        helper.make_node("Greater", ["x", "x"], ["flags"]),
        helper.make_node("Unsqueeze", ["x", "start"], ["cube"]),
    ]
    outputs = [("scalar", 1, []), ("none", 1, [0]), ("flags", 9, ["n", 2]), ("cube", 1, [1, "n", 2])]
    described = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, described), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    node = await served(suite, model.SerializeToString())
    data = floats(x=np.ones((3, 2))).SerializeToString()
    answer = node._hot.answer(data)
    assert answer is not None
    found, _ = read(answer)
    assert found == read(await ordinary(node, data))[0]
    assert [list(output.shape) for output in found.outputs] == [[], [0], [3, 2], [1, 3, 2]]


async def test_uneven_rows_are_not_foreseen(suite: Suite) -> None:
    """A request whose inputs have different numbers of rows takes the ordinary way, since its cost is not known."""
    node = await served(
        suite,
        graph(
            [helper.make_node("Transpose", ["b"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["a", "t"], ["y"])],
            {"a": ["n", 3], "b": ["m", 3]},
            {"y": ["n", "m"]},
        ),
    )
    even, uneven = floats(a=np.ones((2, 3)), b=np.ones((2, 3))), floats(a=np.ones((1, 3)), b=np.ones((5, 3)))
    assert node._hot.answer(even.SerializeToString()) is not None
    assert node._hot.answer(uneven.SerializeToString()) is None
    assert read(await ordinary(node, uneven.SerializeToString()))[0].outputs[0].shape == [1, 5]


async def test_a_failing_run_is_told_by_the_ordinary_way(suite: Suite) -> None:
    """When a model fails, the short way passes, nothing is counted as answered, and the caller learns why."""
    node = await suite.start_node()
    client = suite.client(node)
    await client.push("m", kind="onnx", files={"model.onnx": models.failing_onnx()})
    await when_ready(node, "m", 1)
    data = floats(x=np.ones((32, 2))).SerializeToString()
    assert node._hot.answer(data) is not None
    (activity,) = list(node._loader._opening._activity)
    failing = node._serving.snapshot().routes["m", ""].served.loaded.runner
    usual = failing._session

    class Broken:
        def run(self, *arguments: object) -> object:
            return usual.run(["no such output"], arguments[1])

    failing._session = Broken()
    assert node._hot.answer(data) is None
    assert activity.requests == 1
    with pytest.raises(Exception, match="the model failed"):
        await ordinary(node, data)
    assert activity.failures == 1


def test_nothing_is_answered_before_something_is_served() -> None:
    """Without a snapshot everything takes the ordinary way."""
    hot = Hot(serving=Serving(), activity=Activity(0), issuer=Issuer("edge", bytes(32), 1, Numbers()), node="edge")
    assert hot.answer(request()) is None
    assert hot.answer(b"") is None


async def test_hostile_requests_are_refused_over_the_wire(node: InferenceApp) -> None:
    """Damaged requests get an answer or a refusal that blames them, whichever way takes them; the node goes on."""
    rng = random.Random(7)
    good = request("2", 2, id="mine")
    codes = set()
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(400):
            data = bytearray(good)
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(min(len(data), 64))  # the head; behind it are elements
                match rng.randrange(3):
                    case 0:
                        data[at] = rng.randrange(256)
                    case 1:
                        del data[at : at + rng.randint(1, 9)]
                    case _:
                        data[at:at] = data[at : at + rng.randint(1, 9)]
            try:
                oip.ModelInferResponse.FromString(await infer(bytes(data)))
                codes.add("OK")
            except grpc.aio.AioRpcError as error:
                codes.add(error.code().name)
        assert oip.ModelInferResponse.FromString(await infer(good)).id == "mine"
    assert codes == {"OK", "INVALID_ARGUMENT", "NOT_FOUND"}
