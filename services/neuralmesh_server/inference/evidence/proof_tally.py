"""What two versions' answers to the same requests add up to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.inference.evidence import differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.execution import Output


@dataclass(frozen=True, slots=True)
class Run:
    """How one version fared with one request.

    Attributes:
        outputs: None where it failed.
        spent_ns: How long it took.
        unverified: True when another server answered and did not prove what ran.
    """

    outputs: Sequence[Output] | None
    spent_ns: int
    unverified: bool = False


@dataclass(slots=True)
class Tally:
    """Sums over requests; the contract's message Proof describes each.

    Attributes:
        label: Name of the output that decides agreement; empty for the bits of all outputs.
    """

    label: str
    requests: int = 0
    rows: int = 0
    agreeing_rows: int = 0
    identical_requests: int = 0
    largest: float = 0.0
    baseline_errors: int = 0
    candidate_errors: int = 0
    new_errors: int = 0
    unverified: bool = False
    baseline_ns: list[int] = field(default_factory=list)
    candidate_ns: list[int] = field(default_factory=list)

    def add(self, rows: int, baseline: Run, candidate: Run) -> None:
        """Count one request of so many rows."""
        self.requests += 1
        self.baseline_errors += baseline.outputs is None
        self.candidate_errors += candidate.outputs is None
        self.new_errors += candidate.outputs is None and baseline.outputs is not None
        self.unverified |= baseline.unverified or candidate.unverified
        if baseline.outputs is not None:
            self.baseline_ns.append(baseline.spent_ns)
        if candidate.outputs is not None:
            self.candidate_ns.append(candidate.spent_ns)
        if baseline.outputs is None or candidate.outputs is None:
            return
        self.rows += rows
        self.agreeing_rows += agreeing(baseline.outputs, candidate.outputs, rows, self.label)
        compared = differences.compare(baseline.outputs, candidate.outputs)
        self.identical_requests += all(one.identical for one in compared)
        floating = {output.name for output in baseline.outputs if output.datatype in differences.FLOATING}
        floating |= {output.name for output in candidate.outputs if output.datatype in differences.FLOATING}
        self.largest = max([self.largest, *(one.largest for one in compared if one.name in floating)])


def agreeing(one: Sequence[Output], other: Sequence[Output], rows: int, label: str) -> int:
    """Return on how many rows two answers agree: in the label where there is one, else in the bits of every output."""
    first = {output.name: output for output in one if not label or output.name == label}
    second = {output.name: output for output in other if not label or output.name == label}
    if first.keys() != second.keys():
        return 0
    same = np.ones(rows, np.bool_)
    for name, output in first.items():
        same &= _same_rows(output, second[name], rows)
    return int(same.sum())


def _same_rows(one: Output, other: Output, rows: int) -> NDArray[np.bool_]:
    if (one.datatype, one.shape) != (other.datatype, other.shape):
        return np.zeros(rows, np.bool_)
    differs = differences.different_elements(one, other)
    if not one.shape or one.shape[0] != rows:  # an output that has no rows is every row's
        return np.full(rows, not differs.any(), np.bool_)
    return np.asarray(~differs.reshape(rows, math.prod(one.shape[1:])).any(axis=1), np.bool_)


def percentile(values: Sequence[int], hundredths: int) -> int:
    """Return the smallest value that so many hundredths of all do not exceed; 0 where there are none."""
    if not values:
        return 0
    return sorted(values)[max(-(-len(values) * hundredths // 100) - 1, 0)]
