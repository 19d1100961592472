"""What a round of the mesh's table measures of one side: how long something takes, in microseconds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

HEADING = f"{'round':>6}  {'':34} {'times':>8} {'p50 us':>10} {'p99 us':>10} {'p99.9 us':>10} {'max us':>10}"


@dataclass(frozen=True, slots=True)
class Latency:
    """One side of one round.

    Attributes:
        side: Whose figures these are.
        count: How many times it was measured.
        p50_us: Median.
        p99_us: 99th percentile.
        p999_us: 99.9th percentile.
        most_us: The longest.
    """

    side: str
    count: float
    p50_us: float
    p99_us: float
    p999_us: float
    most_us: float
    case: str = ""

    def line(self, number: str) -> str:
        """Return a printed row; `number` is that of the round."""
        figures = " ".join(f"{value:10,.0f}" for value in (self.p50_us, self.p99_us, self.p999_us, self.most_us))
        return f"{number:>6}  {self.side:34} {self.count:8,.0f} {figures}"

    @classmethod
    def of(cls, side: str, microseconds: Sequence[float]) -> Self:
        """Return the figures of single times."""
        p50, p99, p999 = np.percentile(microseconds, (50, 99, 99.9))
        return cls(side, len(microseconds), float(p50), float(p99), float(p999), float(max(microseconds)))

    @classmethod
    def middle(cls, samples: Sequence[Self]) -> Self:
        """Return the medians of samples of one side."""
        figures = ([one.count, one.p50_us, one.p99_us, one.p999_us, one.most_us] for one in samples)
        return cls(samples[0].side, *(statistics.median(column) for column in zip(*figures, strict=True)))


def p50(sample: Latency) -> float:
    """Return the median."""
    return sample.p50_us


def p99(sample: Latency) -> float:
    """Return the 99th percentile."""
    return sample.p99_us


def p999(sample: Latency) -> float:
    """Return the 99.9th percentile."""
    return sample.p999_us
