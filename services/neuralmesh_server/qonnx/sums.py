"""What a channel's float pipeline gives for every inner product there is: the model's own nodes, run on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from neuralmesh_server.qonnx.annotations import want_allowed
from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.graph import Operation
    from neuralmesh_server.qonnx.products import Product
    from neuralmesh_server.qonnx.steps import Step

    Floats = NDArray[np.float32]

_BLOCK: Final = 1 << 22
"""Values that are evaluated at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """A layer's product and the arithmetic after it.

    Attributes:
        product: The product.
        steps: What follows it.
        inexact: Whether sums that depend on the order of additions are taken in float64 instead of being bounded.
    """

    product: Product
    steps: tuple[Step, ...]
    inexact: bool

    @property
    def channels(self) -> int:
        """The number of channels."""
        return len(self.product.signs)

    @property
    def last(self) -> str:
        """The node that the values come from, for people."""
        return (self.steps[-1] if self.steps else self.product).operation.label

    def tables(self) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield blocks of channels with their values at least and at most, float32 (nbits + 1, channels) each.

        Row k is for an inner product of 2 k - nbits. Both are one array where no order of additions rounds.

        Raises:
            InvalidArgumentError: A node gives NaN or contradicts its annotation.
        """
        width = max(1, _BLOCK // (self.product.nbits + 1))
        for first in range(0, self.channels, width):
            channels = slice(first, min(first + width, self.channels))
            low, high = self._product(channels)
            ends = [self._pipeline(low, channels)]
            if high is not low:
                ends.append(self._pipeline(high, channels))
            yield channels, ends[0], ends[-1]

    def _product(self, channels: slice) -> tuple[Floats, Floats]:
        if self.inexact:
            values = self.product.values(channels)
            return values, values
        return self.product.bounds(channels)

    def _pipeline(self, values: Floats, channels: slice) -> Floats:
        self._check(self.product.operation, values, channels)
        for step in self.steps:
            values = step.apply(values, channels)
            self._check(step.operation, values, channels)
        return values

    def _check(self, operation: Operation, values: Floats, channels: slice) -> None:
        wrong = np.isnan(values).any(axis=0)
        if wrong.any():
            raise refused(operation.node, f"it gives NaN in channel {channels.start + int(wrong.argmax())}")
        want_allowed(operation, values)
