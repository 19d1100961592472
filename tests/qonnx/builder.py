"""Makes QONNX models for tests, with onnx.helper alone: it shares no code with the importer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

QONNX_DOMAIN = "qonnx.custom_op.general"
CUSTOM = {"BipolarQuant", "MultiThreshold", "XnorPopcountMatMul", "Quant"}


@dataclass
class Builder:
    """A model under construction: each call adds a node to the tip of one chain. Shapes include the batch."""

    batch: int
    shape: tuple[int, ...]
    seed: int = 0
    opset: int = 13
    domain: str = QONNX_DOMAIN
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.tip = "global_in"
        self.shapes[self.tip] = (self.batch, *self.shape)

    # ---- tensors

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add an initialiser and return its name."""
        name = f"param_{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype=dtype)
        return name

    def literal(self, value: Any) -> str:
        """Add a float32 constant as a node, as PyTorch exports it, and return its name."""
        array = np.asarray(value, dtype=np.float32)
        return self.node("Constant", [], array.shape, value=numpy_helper.from_array(array))

    def node(self, kind: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        """Add a node and return its output."""
        number = len(self.nodes)
        output = f"{kind}_{number}_out"
        domain = self.domain if kind in CUSTOM else ""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=f"{kind}_{number}", domain=domain, **attributes)
        )
        self.shapes[output] = shape
        return output

    def extend(self, kind: str, *others: str, first: bool = True, shape: Any = None, **attributes: Any) -> Builder:
        """Add a node at the tip, whose output has the tip's shape unless told otherwise."""
        inputs = [self.tip, *others] if first else [*others, self.tip]
        self.tip = self.node(kind, inputs, self.shapes[self.tip] if shape is None else shape, **attributes)
        return self

    @property
    def width(self) -> int:
        """The features of a row at the tip, which must be flat."""
        (_, width) = self.shapes[self.tip]
        return width

    # ---- nodes

    def bipolar(self, scale: Any = 1.0) -> Builder:
        return self.extend("BipolarQuant", self.constant(scale))

    def threshold(self, limits: Any, scale: float = 2.0, bias: float = -1.0, kind: str = "BIPOLAR") -> Builder:
        return self.extend("MultiThreshold", self.constant(limits), out_scale=scale, out_bias=bias, out_dtype=kind)

    def pair(self, kind: str, value: Any, *, first: bool = True) -> Builder:
        """Mul, Add, Sub or Div with a constant; `first` says whether the tip stands first."""
        return self.extend(kind, self.constant(value), first=first)

    def norm(self, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float = 1e-5) -> Builder:
        constants = [self.constant(values) for values in (gamma, beta, mean, variance)]
        return self.extend("BatchNormalization", *constants, epsilon=epsilon)

    def flatten(self) -> Builder:
        shape = self.shapes[self.tip]
        return self.extend("Flatten", shape=(shape[0], int(np.prod(shape[1:]))), axis=1)

    def weights(self, outputs: int, scale: Any = 1.0, *, transposed: bool = False) -> str:
        """Add float weights behind a BipolarQuant; transposed ones are (outputs, inputs)."""
        shape = (outputs, self.width) if transposed else (self.width, outputs)
        floats = self.random.standard_normal(shape)
        return self.node("BipolarQuant", [self.constant(floats), self.constant(scale)], shape)

    def matmul(self, outputs: int, scale: Any = 1.0) -> Builder:
        return self.extend("MatMul", self.weights(outputs, scale), shape=(self.batch, outputs))

    def matmul_of_transposed(self, outputs: int, scale: Any = 1.0) -> Builder:
        """As a linear layer is exported: weights (outputs, inputs), quantised, then transposed."""
        quantised = self.weights(outputs, scale, transposed=True)
        turned = self.node("Transpose", [quantised], (self.width, outputs), perm=[1, 0])
        return self.extend("MatMul", turned, shape=(self.batch, outputs))

    def gemm(self, outputs: int, bias: Any = None, scale: Any = 1.0, *, transposed: bool = True) -> Builder:
        others = [self.weights(outputs, scale, transposed=transposed)]
        if bias is not None:
            others.append(self.constant(bias))
        return self.extend("Gemm", *others, shape=(self.batch, outputs), transB=int(transposed))

    def xnor(self, outputs: int) -> Builder:
        """The product of the streamlined dialect, on weights of 0 and 1."""
        weights = self.constant(self.random.integers(0, 2, (self.width, outputs)))
        return self.extend("XnorPopcountMatMul", weights, shape=(self.batch, outputs))

    # ---- the model

    def model(self, outputs: list[str] | None = None) -> ModelProto:
        """Return the model; its output is the tip unless others are named."""

        def info(name: str) -> Any:
            kind = TensorProto.INT64 if name.startswith("ArgMax") else TensorProto.FLOAT
            return helper.make_tensor_value_info(name, kind, self.shapes[name])

        named = [self.tip] if outputs is None else outputs
        inner = [name for name in self.shapes if name != "global_in" and name not in named]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [info("global_in")],
            [info(name) for name in named],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
            value_info=[info(name) for name in inner],
        )
        for name, kind in self.annotations.items():
            annotation = graph.quantization_annotation.add(tensor_name=name)
            annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=kind)
        opsets = [helper.make_opsetid("", self.opset)]
        if self.domain:
            opsets.append(helper.make_opsetid(self.domain, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def save(self, folder: Path) -> Path:
        """Write the model and return its path."""
        path = folder / "model.onnx"
        path.write_bytes(self.model().SerializeToString())
        return path
