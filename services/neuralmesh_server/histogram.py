"""Base-2 exponential histograms: counts of positive values that merge and fold without error.

The data model is OpenTelemetry's (metrics data model, "ExponentialHistogram"): at scale s, bucket i counts the
values in (2^(i / 2^s), 2^((i + 1) / 2^s)]. Counts of equal buckets add up, so the order of merging does not matter,
and pairs of buckets of scale s are the buckets of scale s - 1. Nodes record, the metrics service merges. This module
knows neither the wire nor a store, and does not lock: one thread or one event loop owns a histogram.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from math import ceil, frexp, inf, isqrt, ldexp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SCALE = 5
"""32 buckets for each power of two: quantiles are within 1.084 %."""

MIN_SCALE = -10
MAX_SCALE = 20
MAX_RECORDING_SCALE = 10
"""Finer histograms can be merged and folded but not recorded: the table of bounds doubles with each scale."""

_MANTISSA_BITS = 53
_MAX_EXPONENT = 1024


class Histogram:
    """Counts of values in exponential buckets, with their sum, least and greatest.

    Args:
        scale: From -10 to 20; see MAX_RECORDING_SCALE for `record`.

    Attributes:
        buckets: Count by index of the bucket; no count is zero.
        zero_count: Values that were zero or negative; they are part of `sum`, `min` and `max`.
        sum: Sum of all values. Counts merge exactly in any order; the sum is a float and is rounded.

    Raises:
        ValueError: The scale is out of range.
    """

    __slots__ = (
        "_floors",
        "_max",
        "_min",
        "_shift",
        "_subdivisions",
        "buckets",
        "scale",
        "sum",
        "zero_count",
    )

    def __init__(self, scale: int = DEFAULT_SCALE) -> None:
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise ValueError(f"scale {scale} is not from {MIN_SCALE} to {MAX_SCALE}")
        self.buckets: dict[int, int] = {}
        self.zero_count = 0
        self.sum = 0.0
        self._min = inf
        self._max = -inf
        self._set_scale(scale)

    @classmethod
    def from_parts(
        cls, scale: int, buckets: Mapping[int, int], *, zero_count: int, total: float, low: float, high: float
    ) -> Histogram:
        """Return a histogram of known parts; `total`, `low` and `high` are sum, min and max of the values.

        The parts are taken as they are, except that buckets of count zero are left out.
        """
        histogram = cls(scale)
        histogram.buckets = {index: count for index, count in buckets.items() if count}
        histogram.zero_count = zero_count
        if histogram.buckets or zero_count:
            histogram.sum, histogram._min, histogram._max = total, low, high
        return histogram

    @property
    def count(self) -> int:
        """How many values were recorded; costs a pass over the buckets."""
        return self.zero_count + sum(self.buckets.values())

    @property
    def min(self) -> float:
        """Smallest value, exactly; 0 when empty."""
        return self._min if self._min <= self._max else 0.0

    @property
    def max(self) -> float:
        """Largest value, exactly; 0 when empty."""
        return self._max if self._min <= self._max else 0.0

    def record(self, value: float) -> None:
        """Count one value; zero and negative values go to `zero_count`.

        The bucket is exact for every float: the mantissa is looked up among the bounds of the buckets rounded
        down to a float, which no logarithm could promise next to a bound.

        Raises:
            ValueError: The value is not finite, or the scale is above MAX_RECORDING_SCALE.
        """
        if 0.0 < value < inf:
            mantissa, exponent = frexp(value)
            step = bisect_left(self._floors, mantissa) - 1
            index = ((exponent - 1) * self._subdivisions + step) >> self._shift
            try:
                self.buckets[index] += 1
            except KeyError:
                self._open_bucket(index)
        elif -inf < value <= 0.0:
            self.zero_count += 1
        else:
            raise ValueError(f"{value} is not finite")
        self.sum += value
        if value < self._min:  # noqa: PLR1730 - min() costs a third of this method
            self._min = value
        if value > self._max:  # noqa: PLR1730 - as above
            self._max = value

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram; the result has the coarser of the two scales."""
        if other.scale < self.scale:
            self.fold(other.scale)
        shift = other.scale - self.scale
        buckets = self.buckets
        for index, count in other.buckets.items():
            index >>= shift  # noqa: PLW2901 - the same bucket at this scale
            buckets[index] = buckets.get(index, 0) + count
        self.zero_count += other.zero_count
        self.sum += other.sum
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)

    def fold(self, scale: int) -> None:
        """Go over to a coarser scale, exactly.

        Raises:
            ValueError: The scale is finer than the present one or out of range.
        """
        if not MIN_SCALE <= scale <= self.scale:
            raise ValueError(f"scale {self.scale} cannot be folded to {scale}")
        shift = self.scale - scale
        folded: dict[int, int] = {}
        for index, count in self.buckets.items():
            folded[index >> shift] = folded.get(index >> shift, 0) + count
        self.buckets = folded
        self._set_scale(scale)

    def quantile(self, q: float) -> float:
        """Return the value at or below which a share `q` of the values lies: of n in order, number ceil(q * n).

        Least and greatest value are exact. Any other positive value v is answered by a value within
        (g - 1) / (g + 1) of v, where g = 2^(1 / 2^scale): 1.084 % at scale 5. Zero and negative values that are
        not the least are answered by 0.

        Raises:
            ValueError: The histogram is empty, or q is not from 0 to 1.
        """
        count = self.count
        if not count or not 0.0 <= q <= 1.0:
            raise ValueError(f"there is no {q}-quantile of {count} values")
        rank = min(max(ceil(q * count), 1), count)
        if rank == 1:
            return self._min
        if rank == count:
            return self._max
        seen = self.zero_count
        middle = 0.0
        if rank > seen:
            for index in sorted(self.buckets):
                seen += self.buckets[index]
                if rank <= seen:
                    middle = _middle(index, self.scale)
                    break
        return min(max(middle, self._min), self._max)

    def take(self) -> Histogram:
        """Return what was recorded so far and start again from nothing."""
        taken = self._shell()
        taken.buckets = self.buckets
        self.buckets = {}
        self.zero_count = 0
        self.sum = 0.0
        self._min = inf
        self._max = -inf
        return taken

    def copy(self) -> Histogram:
        """Return an independent copy."""
        copied = self._shell()
        copied.buckets = self.buckets.copy()
        return copied

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        mine = (self.scale, self.zero_count, self.sum, self.min, self.max, self.buckets)
        return mine == (other.scale, other.zero_count, other.sum, other.min, other.max, other.buckets)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        extent = f"min={self.min}, max={self.max}"
        return f"Histogram(scale={self.scale}, count={self.count}, sum={self.sum}, {extent})"

    def _open_bucket(self, index: int) -> None:
        if self.scale > MAX_RECORDING_SCALE:
            raise ValueError(f"nothing can be recorded at scale {self.scale}; at most {MAX_RECORDING_SCALE}")
        self.buckets[index] = 1

    def _shell(self) -> Histogram:
        shell = Histogram(self.scale)
        shell.zero_count, shell.sum, shell._min, shell._max = self.zero_count, self.sum, self._min, self._max
        return shell

    def _set_scale(self, scale: int) -> None:
        self.scale = scale
        self._shift = max(-scale, 0)
        table = scale if 0 <= scale <= MAX_RECORDING_SCALE else 0
        self._floors = _floors(table)
        self._subdivisions = 1 << table


def bucket_bounds(index: int, scale: int) -> tuple[float, float]:
    """Return the bounds of a bucket: it counts what is above the first and at most the second.

    Bounds beyond the floats are 0 and inf.
    The bounds are exact where they are powers of two, else within an ulp.
    """
    return _power_of_two(index, scale), _power_of_two(index + 1, scale)


def _power_of_two(numerator: int, scale: int) -> float:
    """Return 2^(numerator / 2^scale) without overflow, exact when the exponent is an integer."""
    if scale <= 0:
        whole, part = numerator << -scale, 0.0
    else:
        whole = numerator >> scale
        part = (numerator - (whole << scale)) / (1 << scale)
    return inf if whole >= _MAX_EXPONENT else ldexp(2.0**part, max(whole, -2 * _MAX_EXPONENT))


def _middle(index: int, scale: int) -> float:
    """Return the harmonic middle of a bucket's bounds: its greatest relative error is the least possible."""
    ratio: float = 2.0 ** -(2.0**-scale)
    return _power_of_two(index, scale) * (2.0 / (1.0 + ratio))


@cache
def _floors(scale: int) -> tuple[float, ...]:
    """Return the lower bounds of the buckets between 1/2 and 1, each rounded down to a float.

    A float is above a bound exactly when it is above the bound rounded down. Roots are taken in integers:
    floor(sqrt(floor(sqrt(x)))) is floor(x^(1/4)).
    """
    subdivisions = 1 << scale
    floors = []
    for step in range(subdivisions):
        root = 1 << (step + (_MANTISSA_BITS - 1) * subdivisions)
        for _ in range(scale):
            root = isqrt(root)
        floors.append(ldexp(root, -_MANTISSA_BITS))
    return tuple(floors)
