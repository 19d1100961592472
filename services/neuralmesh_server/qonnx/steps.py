"""Arithmetic with constants between two layers: one node of the model after the other, on each feature by itself.

Every step is monotone in its feature, because it is a sum, a product or a quotient with a constant and rounding is
monotone. It runs as its node (see `execution`), with the constants spread over the features, which changes no bit of
what is computed elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.qonnx.execution import NodeRun
from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.graph import Operation

    Floats = NDArray[np.float32]

_NORM_INPUTS = {1, 2, 3, 4}


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node of arithmetic.

    Attributes:
        operation: The node.
        constants: Its constants by position, each float32 (width,).
        run: What runs it.
    """

    operation: Operation
    constants: dict[int, Floats]
    run: NodeRun

    def apply(self, values: Floats, channels: slice) -> Floats:
        """Return the node's output, float32 (rows, channels), for values of these channels."""
        names = self.operation.node.input
        tensors = {names[position]: constant[channels] for position, constant in self.constants.items()}
        return np.asarray(self.run({**tensors, names[self.operation.data]: values}), dtype=np.float32)


def step_of(operation: Operation, shape: tuple[int, ...]) -> Step:
    """Return the step that a node is for rows of a shape.

    Raises:
        InvalidArgumentError: The node is no such arithmetic.
    """
    constants = _normalisation(operation, shape) if operation.kind == "BatchNormalization" else _pair(operation, shape)
    return Step(operation, constants, NodeRun(operation.node, operation.opset))


def apply(steps: Sequence[Step], values: Floats, channels: slice) -> Floats:
    """Return values (rows, channels) after all steps."""
    for step in steps:
        values = step.apply(values, channels)
    return values


def per_feature(operation: Operation, position: int, shape: tuple[int, ...]) -> Floats:
    """Return a constant as one value for each feature of rows of a shape, float32 (width,).

    Raises:
        InvalidArgumentError: It is not finite, not float32, or does not spread over one row.
    """
    constant = operation.constants[position]
    name = operation.node.input[position]
    if constant.dtype != np.float32:
        raise refused(operation.node, f"{name!r} is {constant.dtype}: want float32")
    if not np.isfinite(constant).all():
        raise refused(operation.node, f"{name!r} holds NaN or infinity")
    row = (1, *shape)
    try:
        return np.ascontiguousarray(np.broadcast_to(constant, row).reshape(-1))
    except ValueError as error:
        why = f"{name!r} of shape {constant.shape} does not spread over rows of {shape}"
        raise refused(operation.node, why) from error


def _pair(operation: Operation, shape: tuple[int, ...]) -> dict[int, Floats]:
    other = 1 - operation.data
    if operation.constants.keys() != {other}:
        raise refused(operation.node, "want one constant beside the rows")
    if operation.kind == "Div" and operation.data == 1:
        raise refused(operation.node, "it divides by what depends on the input, which is not monotone")
    return {other: per_feature(operation, other, shape)}


def _normalisation(operation: Operation, shape: tuple[int, ...]) -> dict[int, Floats]:
    node = operation.node
    if operation.data != 0 or operation.constants.keys() != _NORM_INPUTS:
        raise refused(node, "want the rows, then constant scale, bias, mean and variance")
    if operation.attribute("training_mode", 0):
        raise refused(node, "it is in training mode")
    constants = {}
    for position, constant in operation.constants.items():
        if constant.shape != shape[:1] or constant.dtype != np.float32 or not np.isfinite(constant).all():
            raise refused(node, f"{node.input[position]!r} does not hold {shape[0]} finite float32 numbers")
        constants[position] = np.repeat(constant, prod(shape[1:]))
    return constants
