"""Folds the arithmetic before the input's quantiser into one float32 threshold a feature.

Every step is monotone (see `steps`), so a feature's bit changes at most once from the least float32 to the greatest,
and bisection over the floats in order finds the first one after the change. Both neighbours of the change have then
been evaluated by the model's own nodes. NaN cannot appear between the two ends if it does not appear at them: it comes
of infinity minus infinity and of infinity times zero, and intermediate values are greatest at the ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.quantisers import Quantiser
    from neuralmesh_server.qonnx.steps import Step

    Floats = NDArray[np.float32]

_GREATEST: Final = int(np.array(np.finfo(np.float32).max).view(np.int32))


def encode(steps: Sequence[Step], quantiser: Quantiser) -> tuple[Floats, NDArray[np.bool_], int]:
    """Return thresholds, inverted and the number of constant bits: the bit is `x >= threshold`, or its opposite.

    Thresholds are float32 (features,), inverted is bool (features,). A constant bit has the least float32 as its
    threshold.

    Raises:
        InvalidArgumentError: A node gives NaN for the least or the greatest float32; the message names it.
    """
    width = len(quantiser.limits)
    low, high = np.full(width, -_GREATEST, np.int64), np.full(width, _GREATEST, np.int64)
    first, last = (_bits(steps, quantiser, ends) for ends in (low, high))
    constant = first == last
    low[constant] = high[constant] = -_GREATEST
    while (high - low > 1).any():
        middle = (low + high) // 2
        after = _bits(steps, quantiser, middle) == last
        high = np.where(after & ~constant, middle, high)
        low = np.where(after | constant, low, middle)
    return _floats(high), np.where(constant, ~last, first), int(constant.sum())


def _bits(steps: Sequence[Step], quantiser: Quantiser, orders: NDArray[np.int64]) -> NDArray[np.bool_]:
    everything = slice(None)
    inputs = _floats(orders)
    values = inputs[None]
    for step in steps:
        values = step.apply(values, everything)
        wrong = np.isnan(values[0])
        if wrong.any():
            feature = int(wrong.argmax())
            raise refused(step.operation.node, f"it gives NaN in feature {feature} for an input of {inputs[feature]:g}")
    (bits,) = quantiser.bits(values, everything)
    return np.asarray(bits)


def _floats(orders: NDArray[np.int64]) -> Floats:
    """Return the floats at these places in their order; 0 is at 0, and its negative, which equals it, nowhere."""
    magnitudes = np.abs(orders).astype(np.int32).view(np.float32)
    return np.where(orders < 0, -magnitudes, magnitudes)
