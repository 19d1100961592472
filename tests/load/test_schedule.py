"""When requests are meant to be sent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.load import schedule

RATES = st.floats(0.5, 5_000)
SECONDS = st.floats(0.01, 3)


@given(RATES, SECONDS)
def test_a_uniform_schedule_has_equal_distances(rate, seconds):
    """Requests are 1 / rate apart and fill the duration."""
    times = schedule.uniform(rate, seconds)
    assert len(times) == max(1, round(rate * seconds))
    assert times[0] == 0
    np.testing.assert_allclose(np.diff(times), 1 / rate, rtol=1e-9, atol=1e-9)


@given(RATES, SECONDS, st.integers(0, 2**32))
def test_a_poisson_schedule_is_ascending_within_the_duration_and_as_long_as_a_uniform_one(rate, seconds, seed):
    """The two kinds send the same number of requests in the same time."""
    times = schedule.poisson(rate, seconds, seed)
    assert len(times) == len(schedule.uniform(rate, seconds))
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] <= seconds


def test_the_seed_decides_a_poisson_schedule():
    """The same seed gives the same times, another one others."""
    assert schedule.poisson(100, 1, 7).tolist() == schedule.poisson(100, 1, 7).tolist()
    assert schedule.poisson(100, 1, 7).tolist() != schedule.poisson(100, 1, 8).tolist()


def test_poisson_distances_vary_as_exponential_ones_do():
    """Their standard deviation is their mean, where that of equal distances is zero."""
    distances = np.diff(schedule.poisson(10_000, 10, 3))
    assert distances.std() == pytest.approx(distances.mean(), rel=0.02)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1), (1, float("inf"))])
def test_a_rate_or_duration_that_is_not_positive_is_refused(rate, seconds):
    """Nothing can be planned with them."""
    for make in (lambda: schedule.uniform(rate, seconds), lambda: schedule.poisson(rate, seconds, 1)):
        with pytest.raises(ValueError, match="no schedule"):
            make()
