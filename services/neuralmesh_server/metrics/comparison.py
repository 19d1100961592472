"""Two versions side by side: differences of shares with score intervals, ratios of latencies.

A 95 % interval says where a difference plausibly lies after one look. It does not decide a rollout: who looks often
needs the sequential test that the rollout judge will bring.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralmesh_server.metrics.figures import Figures

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two shares, candidate minus baseline, and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate against baseline; None where one side has no data."""

    baseline: Figures
    candidate: Figures
    accuracy: Difference | None
    error_rate: Difference | None
    latency_p50_ratio: float | None
    latency_p99_ratio: float | None


def compare(baseline: Figures, candidate: Figures) -> Comparison:
    """Compare two versions."""
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        accuracy=difference(
            (baseline.totals.correct, baseline.totals.outcomes), (candidate.totals.correct, candidate.totals.outcomes)
        ),
        error_rate=difference((baseline.failures, baseline.attempts), (candidate.failures, candidate.attempts)),
        latency_p50_ratio=_ratio(baseline.latency_p50, candidate.latency_p50),
        latency_p99_ratio=_ratio(baseline.latency_p99, candidate.latency_p99),
    )


def difference(baseline: tuple[int, int], candidate: tuple[int, int]) -> Difference | None:
    """Return the difference of two independent shares, each (count, total), or None when a total is 0.

    The interval is Newcombe's hybrid score interval: method 10 of R. G. Newcombe, "Interval estimation for the
    difference between independent proportions: comparison of eleven methods", Statistics in Medicine 17 (1998),
    873-890. With the Wilson limits (l1, u1) and (l2, u2) of p1 and p2:

        p1 - p2 - sqrt((p1 - l1)^2 + (u2 - p2)^2)   to   p1 - p2 + sqrt((u1 - p1)^2 + (p2 - l2)^2)
    """
    if not baseline[1] or not candidate[1]:
        return None
    p1, p2 = candidate[0] / candidate[1], baseline[0] / baseline[1]
    l1, u1 = wilson(*candidate)
    l2, u2 = wilson(*baseline)
    value = p1 - p2
    low = value - sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2)
    high = value + sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)
    return Difference(value, max(low, -1.0), min(high, 1.0))


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of count / total (E. B. Wilson, JASA 22 (1927), 209-212); total is positive.

    The half width is sqrt(z^2 + 4 n p (1 - p)), so that it neither cancels nor leaves [0, 1] for shares of 0 and 1.
    """
    square = Z95 * Z95
    spread = Z95 * sqrt(square + 4.0 * count * (total - count) / total)
    base = 2.0 * (total + square)
    low = (2.0 * count + square - spread) / base if count else 0.0
    high = (2.0 * count + square + spread) / base if count < total else 1.0
    return low, high


def _ratio(baseline: float | None, candidate: float | None) -> float | None:
    return candidate / baseline if baseline and candidate is not None else None
