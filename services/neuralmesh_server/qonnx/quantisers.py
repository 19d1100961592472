"""QONNX's quantisers of one bit: BipolarQuant, and MultiThreshold with one threshold.

Formulas are those of qonnx's executor (https://github.com/fastmachinelearning/qonnx, custom_op/general), in float32:
BipolarQuant is `where(x >= 0, 1, -1) * scale`, MultiThreshold is `out_scale * count(x >= thresholds) + out_bias`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.qonnx.refusal import refused
from neuralmesh_server.qonnx.steps import per_feature

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

    from neuralmesh_server.qonnx.graph import Operation

    Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Quantiser:
    """What makes a bit of a float: it is on where the float reaches a limit.

    Attributes:
        operation: The node.
        limits: float32 (width,).
        off: Value of the output where the bit is off, float32 (width,).
        on: Value where it is on.
    """

    operation: Operation
    limits: Floats
    off: Floats
    on: Floats

    def bits(self, values: Floats, channels: slice) -> NDArray[np.bool_]:
        """Return the bits of values (rows, channels)."""
        return values >= self.limits[channels]


def quantiser_of(operation: Operation, shape: tuple[int, ...]) -> Quantiser:
    """Return the quantiser that a node is for rows of a shape.

    Raises:
        InvalidArgumentError: The node quantises to more than a bit, or by scales that are no constants.
    """
    return (_bipolar if operation.kind == "BipolarQuant" else _threshold)(operation, shape)


def bipolar(node: NodeProto, tensor: NDArray[Any], scale: NDArray[Any]) -> Floats:
    """Return what BipolarQuant makes of a constant."""
    if tensor.dtype != np.float32 or scale.dtype != np.float32:
        raise refused(node, f"want float32, got {tensor.dtype} with a scale of {scale.dtype}")
    try:
        return np.asarray(np.where(tensor >= 0, np.float32(1), np.float32(-1)) * scale)
    except ValueError as error:
        raise refused(node, f"its scale of shape {scale.shape} does not fit {tensor.shape}") from error


def _bipolar(operation: Operation, shape: tuple[int, ...]) -> Quantiser:
    if operation.data != 0 or operation.constants.keys() != {1}:
        raise refused(operation.node, "want the rows, then a constant scale")
    on = per_feature(operation, 1, shape)
    return Quantiser(operation, np.zeros(prod(shape), np.float32), -on, on)


def _threshold(operation: Operation, shape: tuple[int, ...]) -> Quantiser:
    node = operation.node
    if operation.data != 0 or operation.constants.keys() != {1}:
        raise refused(node, "want the rows, then constant thresholds")
    thresholds = operation.constants[1]
    if thresholds.ndim != 2 or thresholds.shape[1] != 1:
        raise refused(
            node, f"its thresholds have the shape {thresholds.shape}: want one for each channel, (channels, 1)"
        )
    if thresholds.dtype != np.float32 or np.isnan(thresholds).any():
        raise refused(node, "its thresholds are no float32 numbers")
    channels = _channel_axis(operation, shape)
    if len(thresholds) not in {1, shape[channels]}:
        raise refused(node, f"it has {len(thresholds)} thresholds for {shape[channels]} channels")
    spread = thresholds.reshape([-1 if axis == channels else 1 for axis in range(len(shape))])
    limits = np.broadcast_to(spread, shape).reshape(-1).astype(np.float32)
    scale, bias = (np.float32(operation.attribute(*item)) for item in (("out_scale", 1.0), ("out_bias", 0.0)))
    off, on = (np.full(limits.shape, scale * np.float32(count) + bias, np.float32) for count in (0, 1))
    return Quantiser(operation, limits, off, on)


def _channel_axis(operation: Operation, shape: tuple[int, ...]) -> int:
    """Return the axis of a row that the thresholds are for: as the layout says, or as the executor guesses it."""
    layout = operation.attribute("data_layout", "") or {2: "NC", 3: "NWC", 4: "NCHW"}.get(len(shape) + 1, "")
    axis = layout.find("C") if "C" in layout else 1
    if not 1 <= axis <= len(shape):
        raise refused(operation.node, f"its layout {layout!r} does not fit rows of shape {shape}")
    return axis - 1
