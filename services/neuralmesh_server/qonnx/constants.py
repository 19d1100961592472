"""The values of tensors that do not depend on the model's input: quantised weights, transposed, scales computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, numpy_helper

from neuralmesh_server.qonnx import dialect
from neuralmesh_server.qonnx.attributes import value_of
from neuralmesh_server.qonnx.execution import NodeRun
from neuralmesh_server.qonnx.quantisers import bipolar
from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto


def evaluate(nodes: Sequence[NodeProto], values: dict[str, NDArray[Any]], *, needed: set[str], opset: int) -> None:
    """Add to the values of tensors those that are needed and that nodes make of other constants.

    Args:
        nodes: In order; none of them depends on the model's input.
        values: Values by name; those that are needed are added.
        needed: Names of tensors.
        opset: Version of ONNX's operators.

    Raises:
        InvalidArgumentError: A node that is needed is none of the subset, or cannot be run.
    """
    wanted = set(needed)
    taken = []
    for node in reversed(nodes):
        if wanted.intersection(name for name in node.output if name):
            wanted.update(node.input)
            taken.append(node)
    for node in reversed(taken):
        dialect.check(node, of_constants=True)
        if len(node.output) != 1:
            raise refused(node, "it has more than one output")
        values[node.output[0]] = _value(node, values, opset)


def _value(node: NodeProto, values: dict[str, NDArray[Any]], opset: int) -> NDArray[Any]:
    if node.op_type == "Constant":
        return _literal(node)
    if node.op_type == "BipolarQuant":
        if len(node.input) != 2 or not all(node.input):
            raise refused(node, "want two inputs, the tensor and its scale")
        tensor, scale = (values[name] for name in node.input)
        return bipolar(node, tensor, scale)
    return NodeRun(node, opset)(values)


def _literal(node: NodeProto) -> NDArray[Any]:
    if len(node.attribute) != 1:
        raise refused(node, "want one value")
    (attribute,) = node.attribute
    value = value_of(node, attribute)
    if isinstance(value, TensorProto):
        if value.data_location == TensorProto.EXTERNAL:
            raise refused(node, "it keeps its data in another file: want a model in one file")
        try:
            return numpy_helper.to_array(value)
        except (ValueError, TypeError, KeyError) as error:
            raise refused(node, f"its value cannot be read: {error}") from error
    return np.asarray(value, dtype=np.float32 if attribute.name.startswith("value_float") else np.int64)
