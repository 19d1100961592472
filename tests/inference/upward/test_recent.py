"""Percentiles that forget, and tokens of hedges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.inference.upward.hedging import CALLS_PER_HEDGE, MOST_SAVED, Tokens
from neuralmesh_server.inference.upward.recent import KEYS, SAMPLES, SECONDS, Recent, RecentBy


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@given(st.lists(st.floats(0, 10), min_size=1, max_size=400))
def test_ninety_five_of_a_hundred_take_no_longer(durations: list[float]) -> None:
    """At least 95 of 100 of the newest durations are not above the percentile, which is one of them."""
    recent = Recent(Clock())
    for seconds in durations:
        recent.add(seconds)
    found, newest = recent.p95(), durations[-SAMPLES:]
    assert found in newest
    assert sum(seconds <= found for seconds in newest) * 100 >= 95 * len(newest)
    assert sum(seconds < found for seconds in newest) * 100 < 95 * len(newest)


def test_old_durations_say_nothing() -> None:
    """What was slow a while ago is forgotten, so that it is tried again."""
    clock = Clock()
    recent = Recent(clock)
    assert recent.p95() == 0.0
    recent.add(5.0)
    assert recent.p95() == 5.0
    clock.now += SECONDS + 1
    assert recent.p95() == 0.0


def test_subjects_are_told_apart_and_bounded() -> None:
    """Each subject has durations of its own; beyond a limit the one met longest ago is forgotten."""
    by = RecentBy(Clock())
    by.of("slow").add(5.0)
    assert (by.of("quick").p95(), by.of("slow").p95()) == (0.0, 5.0)
    for number in range(KEYS - 1):
        by.of(number)
    assert by.of("slow").p95() == 5.0
    for number in range(KEYS):
        by.of(number)
    assert by.of("slow").p95() == 0.0


@given(st.lists(st.booleans(), max_size=2000))
def test_no_more_than_one_call_in_twenty_is_hedged(calls: list[bool]) -> None:
    """At every moment hedges are at most 5 % of the calls, and a pause saves up no more than a few."""
    tokens, hedges = Tokens(), 0
    for number, wants in enumerate(calls, 1):
        tokens.called()
        hedges += wants and tokens.take()
        assert hedges * CALLS_PER_HEDGE <= number
    saved = 0
    while tokens.take():
        saved += 1
    assert saved <= MOST_SAVED
