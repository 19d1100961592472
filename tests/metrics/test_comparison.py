"""Figures and comparisons against published numbers and SciPy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from neuralmesh_server.metrics.comparison import compare, difference, wilson
from neuralmesh_server.metrics.figures import Figures, ready_nodes
from neuralmesh_server.metrics.records import LoadState, VersionTotals
from tests.metrics.samples import DIGEST, held, histogram

SHARE = st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


def figures(*, requests=0, errors=0, latencies=(), outcomes=0, correct=0, version=1):
    """Return figures of a version."""
    failed = {"INTERNAL": errors} if errors else {}
    totals = VersionTotals(
        "digits",
        version,
        DIGEST,
        requests,
        requests,
        failed,
        histogram(*latencies),
        outcomes,
        correct,
        None,
        None,
        None,
    )
    return Figures(totals)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # Newcombe 1998, table II, method 10, contrasts (a) to (h)
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_intervals_are_those_that_newcombe_printed(first, second, low, high):
    """The interval reproduces the paper's table to its four digits."""
    found = difference(second, first)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(share=SHARE)
def test_wilson_limits_are_those_of_scipy(share):
    """Wilson's limits equal SciPy's and hold the share between them within [0, 1]."""
    low, high = wilson(*share)
    expected = binomtest(*share).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))
    assert 0.0 <= low <= share[0] / share[1] <= high <= 1.0


@given(baseline=SHARE, candidate=SHARE)
def test_the_interval_is_built_from_independent_wilson_limits(baseline, candidate):
    """Low and high equal Newcombe's formula over SciPy's limits; swapping the sides negates them."""
    p1, p2 = candidate[0] / candidate[1], baseline[0] / baseline[1]
    one, two = (binomtest(*share).proportion_ci(method="wilson") for share in (candidate, baseline))
    found = difference(baseline, candidate)
    assert found.low == pytest.approx(p1 - p2 - math.hypot(p1 - one.low, two.high - p2), abs=1e-9)
    assert found.high == pytest.approx(p1 - p2 + math.hypot(one.high - p1, p2 - two.low), abs=1e-9)
    swapped = difference(candidate, baseline)
    assert (swapped.low, swapped.high) == (pytest.approx(-found.high), pytest.approx(-found.low))


def test_shares_without_a_base_are_absent():
    """No outcomes, no accuracy; no attempts, no error rate; no requests, no latency."""
    empty = figures()
    assert (empty.accuracy, empty.error_rate, empty.latency_p50, empty.latency_p99) == (None,) * 4
    found = compare(empty, figures(requests=1, latencies=(1.0,), outcomes=1, correct=1))
    assert (found.accuracy, found.error_rate, found.latency_p50_ratio, found.latency_p99_ratio) == (None,) * 4


def test_errors_alone_have_an_error_rate():
    """A version that only failed has an error rate of 1."""
    assert figures(errors=3).error_rate == 1.0


def test_differences_and_ratios_are_candidate_against_baseline():
    """Accuracy and error rate are candidate minus baseline, latencies candidate over baseline."""
    baseline = figures(requests=90, errors=10, latencies=(1.0,) * 100, outcomes=100, correct=90)
    candidate = figures(requests=95, errors=5, latencies=(2.0,) * 100, outcomes=50, correct=40, version=2)
    found = compare(baseline, candidate)
    assert found.accuracy.value == pytest.approx(-0.1)
    assert found.error_rate.value == pytest.approx(-0.05)
    assert (found.latency_p50_ratio, found.latency_p99_ratio) == (2.0, 2.0)
    assert found.accuracy.low < -0.1 < found.accuracy.high


def test_only_running_nodes_make_a_version_ready():
    """A version is ready where a running node says READY; silent nodes and other states do not count."""
    loaded = {
        "b": [held(), held(version=2, state=LoadState.LOADING)],
        "a": [held()],
        "silent": [held(), held(version=3)],
    }
    assert ready_nodes(loaded, frozenset({"a", "b", "new"})) == {("digits", 1): ("a", "b")}
