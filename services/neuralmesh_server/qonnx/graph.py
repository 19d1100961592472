"""Reads a model as what an import can take: one way from the input to the output, and constants beside it.

Nothing here knows what operators mean; see `importer`. A branch, a second input or output, a tensor kept in another
file and a name that is made twice are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from neuralmesh_server.qonnx import dialect
from neuralmesh_server.qonnx.annotations import allows
from neuralmesh_server.qonnx.attributes import attribute_of
from neuralmesh_server.qonnx.constants import evaluate
from neuralmesh_server.qonnx.refusal import label, refused, refused_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

    from neuralmesh_server.qonnx.attributes import Value

_ANNOTATION: Final = "finn_datatype"
_MAX_FEATURES: Final = 1 << 24
"""Most features of a row, so that a file of a few bytes cannot ask for terabytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A node on the way from the input to the output.

    Attributes:
        node: The node.
        data: Position of the tensor that depends on the input among the node's inputs.
        constants: The other inputs by position; those that are left out are absent.
        annotation: The integer type that the model says its output has, or nothing.
        opset: Version of ONNX's operators that the model imports.
    """

    node: NodeProto
    data: int
    constants: dict[int, NDArray[Any]]
    annotation: str
    opset: int

    @property
    def kind(self) -> str:
        """The operator."""
        return str(self.node.op_type)

    @property
    def label(self) -> str:
        """The node's name and operator, for people."""
        return label(self.node)

    @property
    def named(self) -> tuple[str, str]:
        """The node's name, or that of what it makes where it has none, and its operator."""
        return self.node.name or self.node.output[0], self.kind

    def attribute(self, name: str, default: Value) -> Value:
        """Return an attribute's value, which is of the default's type."""
        return attribute_of(self.node, name, default)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A model as one way from an input to an output.

    Attributes:
        input: Name of the input.
        batch: Its first dimension, or None where that is left open.
        shape: Its other dimensions, those of one row.
        operations: The nodes of the way, in order.
    """

    input: str
    batch: int | None
    shape: tuple[int, ...]
    operations: tuple[Operation, ...]


def read(path: Path) -> Graph:
    """Return the graph of a model file.

    Raises:
        InvalidArgumentError: The file is no ONNX model, or its graph no such way; the message names the node.
        OSError: The file cannot be read.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as error:
        raise refused_model(f"{path.name} is no valid ONNX model") from error
    graph, opset = model.graph, _opset(model)
    values = _initialisers(graph)
    given = [value for value in graph.input if value.name not in values]
    if len(given) != 1 or len(graph.output) != 1:
        raise refused_model(
            f"the model has {len(given)} inputs and {len(graph.output)} outputs: want one of each, rows and scores"
        )
    batch, shape = _input_shape(given[0])
    annotations = _annotations(graph)
    way = _Way(given[0].name, set(values))
    for node in graph.node:
        way.add(node)
    if graph.output[0].name != way.tip:
        raise refused_model(
            f"the output {graph.output[0].name!r} is not the end of the way from the input, {way.tip!r}"
        )
    evaluate(way.constant, values, needed={name for node, _ in way.nodes for name in node.input}, opset=opset)
    operations = tuple(_operation(node, data, values, annotations, opset) for node, data in way.nodes)
    for name, annotation in annotations.items():
        if name in values and not allows(annotation, values[name]):
            raise refused_model(f"tensor {name!r} is annotated as {annotation}, which its values are not")
    return Graph(given[0].name, batch, shape, operations)


def _opset(model: ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}]
    if len(versions) != 1 or versions[0] < dialect.MIN_OPSET:
        raise refused_model(
            f"the model imports version {versions} of ONNX's operators: want one, {dialect.MIN_OPSET} or later"
        )
    return int(versions[0])


def _initialisers(graph: GraphProto) -> dict[str, NDArray[Any]]:
    values: dict[str, NDArray[Any]] = {}
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise refused_model(f"tensor {tensor.name!r} keeps its data in another file: want a model in one file")
        if tensor.name in values:
            raise refused_model(f"tensor {tensor.name!r} is made twice")
        try:
            values[tensor.name] = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise refused_model(f"tensor {tensor.name!r} cannot be read: {error}") from error
    return values


def _input_shape(value: ValueInfoProto) -> tuple[int | None, tuple[int, ...]]:
    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        raise refused_model(f"input {value.name!r} is no float32 tensor")
    sizes = [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim]
    rest = [size for size in sizes[1:] if size is not None and size > 0]
    if len(sizes) < 2 or len(rest) != len(sizes) - 1:
        shown = [size.dim_param or size.dim_value or "?" for size in kind.shape.dim]
        raise refused_model(
            f"input {value.name!r} has the shape {shown}: want rows, whose dimensions are known numbers"
        )
    if prod(rest) > _MAX_FEATURES:
        raise refused_model(f"input {value.name!r} has {prod(rest):,} features: want at most {_MAX_FEATURES:,}")
    return sizes[0], tuple(rest)


def _annotations(graph: GraphProto) -> dict[str, str]:
    return {
        entry.tensor_name: pair.value
        for entry in graph.quantization_annotation
        for pair in entry.quant_parameter_tensor_names
        if pair.key == _ANNOTATION
    }


class _Way:
    """Sorts nodes into those that depend on the input, one after the other, and those that do not."""

    def __init__(self, source: str, known: set[str]) -> None:
        self.nodes: list[tuple[NodeProto, int]] = []
        self.constant: list[NodeProto] = []
        self.tip = source
        self._live = {source}
        self._made = {source, *known}
        self._readers: dict[str, NodeProto] = {}

    def add(self, node: NodeProto) -> None:
        """Add a node, in the order of the model."""
        self._check_names(node)
        positions = [position for position, name in enumerate(node.input) if name in self._live]
        if not positions:
            self.constant.append(node)
            return
        if len(positions) > 1:
            raise refused(node, "it joins two tensors that depend on the input: want one way from input to output")
        tensor = node.input[positions[0]]
        if tensor in self._readers:
            other = label(self._readers[tensor])
            raise refused(node, f"it shares {tensor!r} with {other}: want one way from input to output")
        dialect.check(node, of_constants=False)
        if [bool(name) for name in node.output].count(True) != 1 or not node.output[0]:
            raise refused(node, "it has more than one output")
        self._readers[tensor] = node
        self.nodes.append((node, positions[0]))
        self.tip = node.output[0]
        self._live.add(self.tip)

    def _check_names(self, node: NodeProto) -> None:
        for name in node.input:
            if name and name not in self._made:
                raise refused(node, f"it reads {name!r}, which nothing before it makes")
        for name in node.output:
            if name in self._made:
                raise refused(node, f"it makes {name!r}, which is made already")
        self._made.update(name for name in node.output if name)


def _operation(
    node: NodeProto, data: int, values: dict[str, NDArray[Any]], annotations: dict[str, str], opset: int
) -> Operation:
    constants = {position: values[name] for position, name in enumerate(node.input) if name and position != data}
    return Operation(node, data, constants, annotations.get(node.output[0], ""), opset)
