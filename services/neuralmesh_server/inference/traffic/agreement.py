"""How far two answers to one request agree: by their labels where both have them, else by their bits.

A row agrees when its label is the same. Without labels there is one thing to agree on, all bits of all outputs, and it
holds for every row or for none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.inference.evidence import differences
from neuralmesh_server.inference.tensors import from_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.inference.backends.execution import Output


@dataclass(frozen=True, slots=True)
class Side:
    """One answer: all outputs of its version, and the position of the label output among them, -1 for none."""

    outputs: Sequence[Output]
    label_index: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two answers have in common.

    Attributes:
        rows: Rows that were compared.
        agreeing_rows: Those on which both agree.
        identical: True when all outputs have the same names, shapes and bits.
        max_difference: Largest absolute difference between two elements of floating-point outputs; infinite when one
            side is not finite where the other is, or when names or shapes differ.
    """

    rows: int
    agreeing_rows: int
    identical: bool
    max_difference: float

    @property
    def agrees(self) -> bool:
        """True when every row agrees."""
        return self.rows == self.agreeing_rows


def compare(first: Side, second: Side, rows: int) -> Agreement:
    """Return how far two answers to a request of so many rows agree."""
    found = differences.compare(first.outputs, second.outputs)
    identical = all(one.identical for one in found)
    floating = {output.name for output in first.outputs if output.datatype in differences.FLOATING}
    largest = [one.largest for one in found if one.name in floating or math.isinf(one.largest)]
    if first.label_index >= 0 and second.label_index >= 0:
        rows, agreeing = _labels(first.outputs[first.label_index], second.outputs[second.label_index])
    else:
        rows = max(rows, 1)
        agreeing = rows if identical else 0
    return Agreement(rows, agreeing, identical, max(largest, default=0.0))


def _labels(first: Output, second: Output) -> tuple[int, int]:
    """Return how many labels there are and how many are the same."""
    count = max(math.prod(first.shape), 1)
    if (first.datatype, first.shape) != (second.datatype, second.shape):
        return count, 0
    if first.raw == second.raw:
        return count, count
    same = from_raw(first.datatype, first.shape, first.raw) == from_raw(second.datatype, second.shape, second.raw)
    return count, int(np.count_nonzero(same))
