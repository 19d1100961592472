"""Nodes that change the shape of rows, or nothing: how a row's shape comes out of them.

The first dimension counts rows and must stay: a network answers any number of them, each by itself.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from neuralmesh_server.qonnx.graph import Operation


def reshaped(operation: Operation, batch: int | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a row after a node.

    Args:
        operation: A Flatten, Reshape, Identity or Dropout.
        batch: Rows of the model's input, or None where that is left open.
        shape: Shape of a row before it.

    Raises:
        InvalidArgumentError: The node mixes rows, or its shape is not known.
    """
    if operation.kind == "Flatten":
        axis = operation.attribute("axis", 1)
        if axis not in {1, -len(shape)}:
            raise refused(operation.node, f"it flattens from axis {axis}: want 1, which keeps rows apart")
        return (prod(shape),)
    if operation.kind == "Reshape":
        return _reshape(operation, batch, shape)
    if operation.constants.get(2) is not None and operation.constants[2].any():
        raise refused(operation.node, "it is in training mode")
    return shape


def _reshape(operation: Operation, batch: int | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    target = operation.constants.get(1)
    if operation.data != 0 or target is None or target.dtype != np.int64 or target.ndim != 1 or not len(target):
        raise refused(operation.node, "want the rows, then a constant shape")
    rows, *rest = (int(size) for size in target)
    copies = not operation.attribute("allowzero", 0)  # then 0 stands for the size that the axis had
    if copies:
        rest = [shape[axis] if size == 0 and axis < len(shape) else size for axis, size in enumerate(rest)]
    known = prod(size for size in rest if size != -1)
    if rest.count(-1) == 1 and known > 0:
        rest[rest.index(-1)] = prod(shape) // known
    keeps_rows = rows in {batch, -1} or (rows == 0 and copies)
    if not keeps_rows or not rest or min(rest) < 1 or prod(rest) != prod(shape):
        before = [batch or "rows", *shape]
        raise refused(operation.node, f"it makes {target.tolist()} of {before}: want rows to stay apart")
    return tuple(rest)
