"""Small real models for the tests: ONNX files made with onnx's helper, packed networks made with liam_core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import liam_core
from neuralmesh.registry.v1 import resources_pb2 as pb

DIGITS = pb.Signature(
    inputs=[pb.TensorSpec(name="input", datatype="FP32", shape=[-1, 64])],
    outputs=[
        pb.TensorSpec(name="label", datatype="INT64", shape=[-1]),
        pb.TensorSpec(name="scores", datatype="FP32", shape=[-1, 10]),
    ],
    label_output="label",
)

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def digits_weights(seed: int = 0) -> np.ndarray:
    """Return the (64, 10) weights that `digits_onnx` multiplies with."""
    return np.random.default_rng(seed).standard_normal((64, 10)).astype(np.float32)


def digits_onnx(seed: int = 0, hidden: int = 0) -> bytes:
    """Return a model of the digits' signature: scores = input @ weights, label = argmax."""
    weights = [digits_weights(seed)]
    if hidden:
        rng = np.random.default_rng(seed)
        weights = [rng.standard_normal(shape).astype(np.float32) for shape in ((64, hidden), (hidden, 10))]
    nodes, before = [], "input"
    for index in range(len(weights)):
        last = index == len(weights) - 1
        after = "scores" if last else f"h{index}"
        nodes.append(helper.make_node("MatMul", [before, f"w{index}"], [after]))
        if not last:
            nodes.append(helper.make_node("Relu", [after], [f"r{index}"]))
            before = f"r{index}"
    nodes.append(helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 64])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10]),
        ],
        [numpy_helper.from_array(array, f"w{index}") for index, array in enumerate(weights)],
    )
    return _model(graph).SerializeToString()


def identity_onnx(datatype: str) -> bytes:
    """Return a model that answers its input `x`, of shape [n, 2], as `y`."""
    kind = ONNX_TYPES[datatype]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", kind, ["n", 2])],
        [helper.make_tensor_value_info("y", kind, ["n", 2])],
    )
    return _model(graph).SerializeToString()


def external_onnx(location: str) -> tuple[bytes, bytes]:
    """Return a model y = x + w whose `w` is stored in the file `location`, and that file's content, [1, 2]."""
    tensor = numpy_helper.from_array(np.array([1, 2], np.float32), "w")
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        tensor.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "external",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [tensor],
    )
    return _model(graph).SerializeToString(), content


def failing_onnx() -> bytes:
    """Return a model that runs on up to 40 rows and fails on more: it reshapes to a fixed size through a gather."""
    table = np.arange(41, dtype=np.int64)
    nodes = [
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("Gather", ["size", "zero"], ["rows"]),
        helper.make_node("Gather", ["table", "rows"], ["looked"]),  # fails beyond the table's end
        helper.make_node("Cast", ["looked"], ["value"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "value"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "failing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([0], np.int64), "zero")],
    )
    return _model(graph).SerializeToString()


def digits_liam(folder: Path, seed: int = 0) -> bytes:
    """Return a packed network of the digits' signature, by way of a file in `folder`."""
    rng = np.random.default_rng(seed)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice([-1, 1], shape)

    path = folder / f"network-{seed}.safetensors"
    liam_core.write_binary_network(
        path,
        features=64,
        encoding_thresholds=np.full(64, 0.5, np.float32),
        hidden=[(signs(128, 64), np.zeros(128, np.int32))],
        head_weights=signs(10, 128),
    )
    return path.read_bytes()


def looping_onnx(turns: int) -> bytes:
    """Return a model of `x`, INT64 [n, 1], that loops as often as the greatest element and `turns` say, and answers x.

    Unlike most graphs it fails on no rows: nothing is greatest.
    """
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["held"], ["kept"])],
        "turn",
        [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("held", TensorProto.INT64, ["n", 1])],
        [info("goes", TensorProto.BOOL, []), info("kept", TensorProto.INT64, ["n", 1])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Add", ["most", "turns"], ["trip"]),
        helper.make_node("Loop", ["trip", "always", "x"], ["y"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "looping",
        [info("x", TensorProto.INT64, ["n", 1])],
        [info("y", TensorProto.INT64, ["n", 1])],
        [
            numpy_helper.from_array(np.array(turns, np.int64), "turns"),
            numpy_helper.from_array(np.array(True), "always"),
        ],
    )
    return _model(graph).SerializeToString()


def small_liam(path: Path, hidden: int = 70) -> None:
    """Write a packed network of four features and three classes."""
    rng = np.random.default_rng(1)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice([-1, 1], shape)

    liam_core.write_binary_network(
        path,
        features=4,
        encoding_thresholds=np.zeros(4, np.float32),
        hidden=[(signs(hidden, 4), np.zeros(hidden, np.int32))],
        head_weights=signs(3, hidden),
    )
