"""Exponential histograms against exact arithmetic and sorted data."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.histogram import MAX_RECORDING_SCALE, Histogram, bucket_bounds
from tests.metrics.samples import histogram

POSITIVE = st.floats(min_value=5e-324, max_value=1.7976931348623157e308)
DYADIC = st.integers(-(2**20), 2**20).map(lambda number: number / 1024)
SMALL = st.lists(st.one_of(DYADIC, st.just(0.0)), max_size=40)


def exact_index(value: float, scale: int) -> int:
    """Return the bucket of a value in exact integer arithmetic: the i with 2^i < value^(2^scale) <= 2^(i + 1)."""
    power = Fraction(value) ** (1 << scale) if scale >= 0 else Fraction(value)
    numerator, denominator = power.numerator, power.denominator
    floor = numerator.bit_length() - denominator.bit_length()
    if (numerator << max(-floor, 0)) < (denominator << max(floor, 0)):
        floor -= 1
    is_power = (numerator << max(-floor, 0)) == (denominator << max(floor, 0))
    index = floor - 1 if is_power else floor
    return index >> max(-scale, 0)


def recorded_index(value: float, scale: int) -> int:
    """Return the bucket into which a histogram puts a value."""
    (index,) = histogram(value, scale=scale).buckets
    return index


@given(value=POSITIVE, scale=st.integers(-10, 6))
def test_any_float_falls_into_its_exact_bucket(value, scale):
    """The bucket of any positive float is the one that integer arithmetic gives."""
    assert recorded_index(value, scale) == exact_index(value, scale)


@pytest.mark.parametrize("scale", [-3, 0, 1, 5, MAX_RECORDING_SCALE])
def test_powers_of_two_close_their_buckets(scale):
    """A power of two is the last value of its bucket, and the next float the first of the next one."""
    for exponent in range(-1074, 1024):
        value = math.ldexp(1.0, exponent)
        expected = (exponent << scale) - 1 if scale >= 0 else (exponent - 1) >> -scale
        assert recorded_index(value, scale) == expected
        if exponent >= -1022:  # below, the next float is not close
            above = exponent << scale if scale >= 0 else exponent >> -scale
            assert recorded_index(math.nextafter(value, math.inf), scale) == above


def test_every_bound_of_scale_5_is_exact_over_the_whole_float_range():
    """The floats on both sides of each of 65,472 bounds of normal floats fall into the two buckets beside it."""
    # The largest integers that are not above 2^52 * 2^(step / 32), by bisection on exact powers.
    mantissas = [_floor_root(1 << (step + 52 * 32)) for step in range(32)]
    for exponent in range(-1022, 1024):
        for step, mantissa in enumerate(mantissas):
            below = math.ldexp(mantissa, exponent - 52)
            index = exponent * 32 + step
            assert recorded_index(below, 5) == index - 1
            assert recorded_index(math.nextafter(below, math.inf), 5) == index
    assert recorded_index(1.7976931348623157e308, 5) == 1024 * 32 - 1
    assert recorded_index(5e-324, 5) == -1074 * 32 - 1


def _floor_root(power: int) -> int:
    """Return the largest integer whose 32nd power is not above `power`."""
    low, high = 2**52, 2**53
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**32 <= power else (low, middle)
    return low


@given(left=SMALL, right=SMALL, third=SMALL, scales=st.tuples(*[st.integers(-4, 8)] * 3))
def test_merging_is_commutative_and_associative(left, right, third, scales):
    """Merging in any order or grouping, and at any mix of scales, gives the same histogram."""
    a, b, c = (histogram(*values, scale=scale) for values, scale in zip((left, right, third), scales, strict=True))
    ab, ba = a.copy(), b.copy()
    ab.merge(b)
    ba.merge(a)
    assert ab == ba
    ab.merge(c)
    bc = b.copy()
    bc.merge(c)
    a.merge(bc)
    assert ab == a
    assert ab == histogram(*left, *right, *third, scale=min(scales))


@given(values=SMALL, fine=st.integers(-2, 10), coarse=st.integers(-10, 10))
def test_folding_equals_recording_at_the_coarser_scale(values, fine, coarse):
    """A folded histogram is the histogram that would have been recorded there."""
    coarse = min(fine, coarse)
    folded = histogram(*values, scale=fine)
    folded.fold(coarse)
    assert folded == histogram(*values, scale=coarse)


@given(
    values=st.lists(st.floats(min_value=1e-300, max_value=1e300), min_size=1, max_size=200),
    q=st.floats(0, 1),
    scale=st.integers(0, 8),
)
def test_quantiles_keep_the_documented_error(values, q, scale):
    """A quantile differs from the sorted data's value of the same rank by at most (g - 1) / (g + 1)."""
    made = histogram(*values, scale=scale)
    exact = sorted(values)[min(max(math.ceil(q * len(values)), 1), len(values)) - 1]
    growth = 2.0 ** (2.0**-scale)
    assert abs(made.quantile(q) - exact) <= exact * ((growth - 1) / (growth + 1) + 1e-12)


def test_median_and_p99_of_many_latencies_are_within_1_1_percent():
    """At scale 5, p50 and p99 of 100,000 log-normal latencies are within the contract's 1.1 %."""
    source = random.Random(5)
    values = sorted(source.lognormvariate(-7, 1) for _ in range(100_000))
    made = histogram(*values)
    for q in (0.5, 0.9, 0.99, 0.999):
        assert made.quantile(q) == pytest.approx(values[math.ceil(q * len(values)) - 1], rel=0.0109)
    assert made.quantile(0.0) == values[0]
    assert made.quantile(1.0) == values[-1]


@given(values=SMALL)
def test_sum_count_and_extremes_are_those_of_the_values(values):
    """Count, zero count, sum, min and max are those of the data; 0 when empty."""
    made = histogram(*values)
    assert made.count == len(values)
    assert made.zero_count == sum(value <= 0 for value in values)
    assert made.sum == sum(values)
    assert (made.min, made.max) == (min(values, default=0), max(values, default=0))


@given(values=SMALL, more=SMALL)
def test_take_moves_everything_out_once(values, more):
    """What is taken is what was recorded; recording then starts from nothing, at the same scale."""
    made = histogram(*values)
    taken = made.take()
    for value in more:
        made.record(value)
    assert taken == histogram(*values)
    assert made == histogram(*more)


def test_a_copy_is_independent():
    """Recording into a copy leaves the original as it was."""
    made = histogram(1.5)
    made.copy().record(2.5)
    assert made == histogram(1.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(value):
    """NaN and infinities raise and change nothing."""
    made = histogram(1.0)
    with pytest.raises(ValueError, match="not finite"):
        made.record(value)
    assert made == histogram(1.0)


@pytest.mark.parametrize("scale", [-11, 21])
def test_scales_out_of_range_are_refused(scale):
    """Scales are those of the contract."""
    with pytest.raises(ValueError, match="scale"):
        Histogram(scale)


def test_scales_above_the_recording_limit_only_merge():
    """A very fine histogram refuses to record, yet merges exactly."""
    fine = Histogram(20)
    with pytest.raises(ValueError, match="recorded"):
        fine.record(1.5)
    assert fine == Histogram(20)
    fine = Histogram.from_parts(20, {2**20 - 1: 3}, zero_count=0, total=6.0, low=2.0, high=2.0)
    made = histogram(2.0)
    made.merge(fine)
    assert made.buckets == {31: 4}


def test_folding_to_a_finer_scale_is_refused():
    """What was merged into wider buckets cannot be split again."""
    with pytest.raises(ValueError, match="folded"):
        histogram(1.0).fold(6)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_quantiles_out_of_range_are_refused(q):
    """There are quantiles from 0 to 1, and none of nothing."""
    with pytest.raises(ValueError, match="quantile"):
        histogram(1.0).quantile(q)
    with pytest.raises(ValueError, match="quantile"):
        Histogram().quantile(0.5)


@given(index=st.integers(-3000, 3000), scale=st.integers(-10, 20))
def test_bucket_bounds_ascend_and_stay_finite_numbers(index, scale):
    """A bucket's bounds are in order and never overflow into an error."""
    low, high = bucket_bounds(index, scale)
    assert 0.0 <= low <= high


def test_bounds_and_records_agree():
    """A value between the bounds of a bucket is counted in it."""
    bounds = [bucket_bounds(index, 5)[0] for index in range(-400, 400)]
    source = random.Random(7)
    for _ in range(2000):
        value = 2.0 ** source.uniform(-12, 12)
        assert recorded_index(value, 5) == bisect_right(bounds, value) - 1 - 400
