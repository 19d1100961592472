"""The models that are measured, as files: the demo's, an identity, and an MLP wide enough to profit from batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from neuralmesh import oip
from neuralmesh.registry.v1 import resources_pb2
from neuralmesh_server.demo import digits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LIAM, ONNX = "liam.binary_network", "onnx"
LARGE = 262_144
"""Elements of the large tensor: 1 MiB of FP32."""

WIDE = (784, 2048, 2048, 10)
"""Widths of the wide MLP: 5.8 million weights, which a single row reads as a whole."""


@dataclass(frozen=True)
class Models:
    """Writes each file when it is first asked for.

    Attributes:
        folder: Where they are written.
    """

    folder: Path

    @cached_property
    def data(self) -> digits.Digits:
        """The handwritten digits."""
        return digits.load()

    @cached_property
    def mlp(self) -> Path:
        """Scikit-learn's MLP of the demo."""
        path = self.folder / "mlp.onnx"
        digits.write_mlp(self.data, path)
        return path

    @cached_property
    def packed(self) -> Path:
        """The demo's packed binary network."""
        return self._packed[0]

    @cached_property
    def packed_again(self) -> Path:
        """A network of the same shape whose answers differ."""
        return self._packed[1]

    @cached_property
    def identity(self) -> Path:
        """A large tensor in, the same tensor out."""
        path = self.folder / "identity.onnx"
        path.write_bytes(
            _model(
                [helper.make_node("Identity", ["input"], ["output"])],
                ("input", [None, LARGE]),
                ("output", [None, LARGE]),
                [],
            )
        )
        return path

    @cached_property
    def wide(self) -> Path:
        """The wide MLP, with weights from a fixed seed."""
        path = self.folder / "wide.onnx"
        write_mlp(path, WIDE)
        return path

    @cached_property
    def _packed(self) -> tuple[Path, Path]:
        network = digits.train_network(self.data, lambda _done, _of: None)
        paths = self.folder / "packed.safetensors", self.folder / "packed_again.safetensors"
        digits.write_network(network, paths[0])
        digits.write_network(digits.perturb(network, 0.3), paths[1])
        return paths


def write_mlp(path: Path, widths: Sequence[int], datatype: int = TensorProto.FLOAT) -> None:
    """Write an MLP of MatMul and Relu, `input` of a datatype to `output`, with weights from a fixed seed."""
    random = np.random.default_rng(3)
    nodes, weights, last = [], [], "input"
    if datatype != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [last], ["floats"], to=TensorProto.FLOAT))
        last = "floats"
    for layer, (rows, columns) in enumerate(pairwise(widths)):
        matrix = (random.standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        final = layer == len(widths) - 2
        product = "output" if final else f"p{layer}"
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [product]))
        if not final:
            nodes.append(helper.make_node("Relu", [product], [f"r{layer}"]))
            last = f"r{layer}"
    given, taken = ("input", [None, widths[0]]), ("output", [None, widths[-1]])
    path.write_bytes(_model(nodes, given, taken, weights, datatype))


def _model(
    nodes: list[Any],
    given: tuple[str, list[Any]],
    taken: tuple[str, list[Any]],
    weights: list[Any],
    datatype: int = TensorProto.FLOAT,
) -> bytes:
    inputs, outputs = (
        [helper.make_tensor_value_info(name, type_, shape)]
        for (name, shape), type_ in ((given, datatype), (taken, TensorProto.FLOAT))
    )
    graph = helper.make_graph(nodes, "measured", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def digits_signature() -> resources_pb2.Signature:
    """Return the signature of the demo's models."""
    spec = resources_pb2.TensorSpec
    return resources_pb2.Signature(
        inputs=[spec(name="input", datatype="FP32", shape=[-1, digits.FEATURES])],
        outputs=[
            spec(name="label", datatype="INT64", shape=[-1]),
            spec(name="scores", datatype="FP32", shape=[-1, digits.CLASSES]),
        ],
        label_output="label",
    )


def floats_signature(features: int, results: int) -> resources_pb2.Signature:
    """Return the signature `input` FP32 [-1, features] to `output` FP32 [-1, results]."""
    spec = resources_pb2.TensorSpec
    return resources_pb2.Signature(
        inputs=[spec(name="input", datatype="FP32", shape=[-1, features])],
        outputs=[spec(name="output", datatype="FP32", shape=[-1, results])],
    )


def request(model: str, rows: NDArray[np.float32], version: str = "") -> bytes:
    """Return a request with one raw input, as a client would send it."""
    message = oip.ModelInferRequest(model_name=model, model_version=version)
    message.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    message.raw_input_contents.append(rows.astype("<f4").tobytes())
    return bytes(message.SerializeToString())
