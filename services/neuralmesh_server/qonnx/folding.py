"""Folds a layer's arithmetic and its quantiser into one integer threshold a channel, and proves it.

The bit is evaluated, by the model's own nodes, at every inner product that there is. It must change at most once; the
threshold stands where it does. A bit that falls, as under a negative gamma, is stored the other way round, and the next
layer takes it so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.quantisers import Quantiser
    from neuralmesh_server.qonnx.sums import Sums


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """A layer's bits: the model's bit is `dot >= thresholds`, or its opposite where it is inverted.

    Attributes:
        thresholds: int32 (channels,), within [-nbits - 1, nbits + 1].
        inverted: bool (channels,).
        constant: Channels whose bit is always the same.
    """

    thresholds: NDArray[np.int32]
    inverted: NDArray[np.bool_]
    constant: int


def fold(sums: Sums, quantiser: Quantiser) -> Folded:
    """Return the thresholds of a layer.

    Raises:
        InvalidArgumentError: A bit is not monotone, depends on the order of additions, or comes from NaN; the message
            names the node and the channel.
    """
    parts = []
    for channels, low, high in sums.tables():
        bits = quantiser.bits(low, channels)
        if high is not low:
            _want_the_same(sums, bits, quantiser.bits(high, channels), channels)
        parts.append(_switch_points(sums, quantiser, bits, channels))
    thresholds, inverted, constant = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Folded(thresholds, inverted, int(constant.sum()))


def _switch_points(
    sums: Sums, quantiser: Quantiser, bits: NDArray[np.bool_], channels: slice
) -> tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.bool_]]:
    nbits = sums.product.nbits
    changes = bits[1:] != bits[:-1]
    count = changes.sum(axis=0)
    if (count > 1).any():
        channel = channels.start + int((count > 1).argmax())
        raise refused(
            quantiser.operation.node, f"the bit of channel {channel} is not monotone in the products of {sums.last}"
        )
    constant, inverted = count == 0, bits[0] & (count == 1)
    switched = 2 * (changes.argmax(axis=0) + 1) - nbits  # the first inner product after the change
    always = np.where(bits[0], -nbits - 1, nbits + 1)
    return np.where(constant, always, switched).astype(np.int32), inverted, constant


def _want_the_same(sums: Sums, low: NDArray[np.bool_], high: NDArray[np.bool_], channels: slice) -> None:
    differs = (low != high).any(axis=0)
    if differs.any():
        channel = channels.start + int(differs.argmax())
        raise refused(
            sums.product.operation.node,
            f"a bit of channel {channel} depends on the order in which its products are added, since their sums are "
            f"rounded; --inexact takes such sums in float64",
        )
