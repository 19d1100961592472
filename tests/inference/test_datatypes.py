"""Every datatype of the protocol through a real ONNX model, over the wire and by foreign and own clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import onnx
import pytest
import pytest_asyncio
from onnx import TensorProto, helper
from tritonclient import grpc as triton

from neuralmesh import AsyncClient, Tensor, oip
from neuralmesh.registry.v1 import resources_pb2 as pb
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.validate import TYPED_FIELDS
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, when_ready

RANDOM = np.random.default_rng(5)
VALUES = {
    "BOOL": np.array([[True, False], [False, False], [True, True]]),
    "UINT8": np.array([[0, 255], [1, 2], [3, 4]], np.uint8),
    "UINT16": np.array([[0, 65535], [1, 2], [3, 4]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1], [1, 2], [3, 4]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1], [1, 2], [3, 4]], np.uint64),
    "INT8": np.array([[-128, 127], [1, 2], [3, 4]], np.int8),
    "INT16": np.array([[-(2**15), 2**15 - 1], [1, 2], [3, 4]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1], [1, 2], [3, 4]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1], [1, 2], [3, 4]], np.int64),
    "FP16": RANDOM.standard_normal((3, 2)).astype(np.float16),
    "FP32": RANDOM.standard_normal((3, 2)).astype(np.float32),
    "FP64": RANDOM.standard_normal((3, 2)),
    "BYTES": np.array([[b"", b"\x01\x7f"], ["é".encode(), b"a" * 1000], [b"{}", b"\n"]], np.object_),
}
DATATYPES = [*VALUES, "BF16"]
BF16 = np.array([[0x3F80, 0xC000], [0x0001, 0x7F80], [0xFFFF, 0]], np.uint16)


def bf16_onnx() -> bytes:
    """Return a model that answers its BF16 input `x`, of shape [n, 2], as `y`."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [info("x", TensorProto.BFLOAT16, ["n", 2])],
        [info("y", TensorProto.BFLOAT16, ["n", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def unbatched_onnx(shape: list[int]) -> bytes:
    """Return a model that adds 1 to its FP32 input `x` of a fixed shape, answered as `y`, beside its sum `s`."""
    info = helper.make_tensor_value_info
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "one"], ["y"]), helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0)],
        "unbatched",
        [info("x", TensorProto.FLOAT, shape)],
        [info("y", TensorProto.FLOAT, shape), info("s", TensorProto.FLOAT, [])],
        [one],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def model_of(datatype: str) -> str:
    """Return the name of a datatype's model."""
    return f"identity-{datatype.lower()}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InferenceApp]:
    """A node with an identity for every datatype, an unbatched model and a scalar one."""
    suite = Suite(tmp_path_factory.mktemp("suite"))
    await suite.start_registry()
    node = await suite.start_node(keep_newest=2)
    client = suite.client(node)
    for datatype in DATATYPES:
        content = bf16_onnx() if datatype == "BF16" else models.identity_onnx(datatype)
        spec = pb.TensorSpec(name="x", datatype=datatype, shape=[-1, 2])
        answer = pb.TensorSpec(name="y", datatype=datatype, shape=[-1, 2])
        await client.push(
            model_of(datatype),
            kind="onnx",
            files={"model.onnx": content},
            signature=pb.Signature(inputs=[spec], outputs=[answer]),
        )
    await client.push("unbatched", kind="onnx", files={"model.onnx": unbatched_onnx([2, 3])})
    await client.push("scalar", kind="onnx", files={"model.onnx": unbatched_onnx([])})
    for name in (*map(model_of, DATATYPES), "unbatched", "scalar"):
        await when_ready(node, name, 1)
    yield node
    await suite.stop()


async def infer(node: InferenceApp, request: object) -> object:
    """Return the answer to a request."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        return oip.ModelInferResponse.FromString(await call(request.SerializeToString(), timeout=PATIENCE))


def raw_of(datatype: str, array: np.ndarray) -> bytes:
    """Return raw elements, made without the code under test."""
    if datatype == "BYTES":
        return b"".join(len(item).to_bytes(4, "little") + item for item in array.ravel())
    return array.tobytes()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("rows", [3, 1, 0])
@pytest.mark.parametrize("datatype", DATATYPES)
async def test_raw_elements_come_back_bit_for_bit(node: InferenceApp, datatype: str, rows: int) -> None:
    """An identity answers the very bytes of its input, zero rows included, with its datatype and shape."""
    array = (BF16 if datatype == "BF16" else VALUES[datatype])[:rows]
    request = oip.ModelInferRequest(model_name=model_of(datatype), outputs=[{"name": "y"}])
    request.inputs.add(name="x", datatype=datatype, shape=[rows, 2])
    request.raw_input_contents.append(raw_of(datatype, array))
    answer = await infer(node, request)
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("y", datatype, [rows, 2])
    assert list(answer.raw_output_contents) == [raw_of(datatype, array)]
    assert not output.HasField("contents")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("datatype", [name for name in VALUES if name in TYPED_FIELDS])
async def test_typed_elements_are_answered_raw(node: InferenceApp, datatype: str) -> None:
    """Typed contents give the same answer as raw ones."""
    array = VALUES[datatype]
    request = oip.ModelInferRequest(model_name=model_of(datatype))
    request.inputs.add(name="x", datatype=datatype, shape=[3, 2])
    getattr(request.inputs[0].contents, TYPED_FIELDS[datatype]).extend(array.ravel().tolist())
    assert list((await infer(node, request)).raw_output_contents) == [raw_of(datatype, array)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("datatype", "value"), [("INT8", 300), ("INT8", -129), ("UINT8", 256), ("UINT16", 65536)])
async def test_typed_elements_out_of_range_are_refused(node: InferenceApp, datatype: str, value: int) -> None:
    """No element is silently cut to its low bytes."""
    request = oip.ModelInferRequest(model_name=model_of(datatype))
    request.inputs.add(name="x", datatype=datatype, shape=[1, 2])
    getattr(request.inputs[0].contents, TYPED_FIELDS[datatype]).extend([value, 0])
    with pytest.raises(grpc.aio.AioRpcError, match="out of range"):
        await infer(node, request)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
async def test_half_floats_have_no_typed_contents(node: InferenceApp, datatype: str) -> None:
    """FP16 and BF16 travel as raw elements only."""
    request = oip.ModelInferRequest(model_name=model_of(datatype))
    request.inputs.add(name="x", datatype=datatype, shape=[1, 2], contents={"fp32_contents": [1.0, 2.0]})
    with pytest.raises(grpc.aio.AioRpcError, match="no typed contents"):
        await infer(node, request)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("datatype", VALUES)
async def test_triton_client_gets_every_datatype(node: InferenceApp, datatype: str) -> None:
    """Unmodified tritonclient sends and reads each datatype that NumPy has."""
    array = VALUES[datatype]

    def ask() -> np.ndarray:
        tensor = triton.InferInput("x", list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        with triton.InferenceServerClient(str(node.endpoint)) as client:
            found: np.ndarray = client.infer(model_of(datatype), [tensor]).as_numpy("y")
            return found

    found = await asyncio.to_thread(ask)
    assert found.tolist() == array.tolist()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("datatype", DATATYPES)
async def test_own_client_gets_every_datatype(node: InferenceApp, datatype: str) -> None:
    """The Python client sends and reads each datatype."""
    array = Tensor(BF16, "BF16") if datatype == "BF16" else VALUES[datatype]
    async with AsyncClient(inference=str(node.endpoint)) as client:
        answer = await client.infer(model_of(datatype), {"x": array})
    expected = BF16 if datatype == "BF16" else VALUES[datatype]
    assert answer.outputs["y"].tolist() == expected.tolist()


@pytest.mark.asyncio(loop_scope="module")
async def test_models_without_a_batch_dimension_are_answered(node: InferenceApp) -> None:
    """A fixed shape and a scalar are answered as they are; another shape is refused."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    async with AsyncClient(inference=str(node.endpoint)) as client:
        answer = await client.infer("unbatched", {"x": array})
        assert answer.outputs["y"].tolist() == (array + 1).tolist()
        assert answer.outputs["s"].shape == ()
        assert float(answer.outputs["s"]) == array.sum()
        scalar = await client.infer("scalar", {"x": np.array(4, np.float32)})
        assert (scalar.outputs["y"].shape, float(scalar.outputs["y"])) == ((), 5.0)
        with pytest.raises(Exception, match="does not fit"):
            await client.infer("unbatched", {"x": array[:1]})


@pytest.mark.asyncio(loop_scope="module")
async def test_configurations_follow_the_signatures(node: InferenceApp) -> None:
    """ModelConfig gives Triton's types, and dims without the batch dimension exactly where there is one."""
    async with AsyncClient(inference=str(node.endpoint)) as client:
        for datatype in DATATYPES:
            config = (await client.inference.model_config(model_of(datatype))).config
            kind = oip.DESCRIPTOR.enum_types_by_name["DataType"].values_by_number[config.input[0].data_type].name
            assert kind == f"TYPE_{'STRING' if datatype == 'BYTES' else datatype}"
            assert (list(config.input[0].dims), list(config.output[0].dims)) == ([2], [2])
            assert config.max_batch_size > 0
        config = (await client.inference.model_config("unbatched", 1)).config
        assert (config.max_batch_size, list(config.input[0].dims)) == (0, [2, 3])
        assert [(one.name, list(one.dims)) for one in config.output] == [("y", [2, 3]), ("s", [])]
        assert list(config.version_policy.specific.versions) == [1]
        assert (config.name, config.backend, config.default_model_filename) == ("unbatched", "onnx", "model.onnx")
        assert config.parameters["digest"].string_value.startswith("sha256:")
