"""The speed table: what it demands of its rounds, and that every row of it is there."""

from __future__ import annotations

import pytest

from bench.answers import Answers, cpu, rate
from bench.figures import Check, least, median, medians, most, pick, ratio, turned
from bench.rows.growth import slope_of
from bench.table import ROWS


def sample(side: str, rate: float, *, clients: int = 1, cpu_us: float = 1.0) -> Answers:
    return Answers(side, clients, rate, 1.0, 2.0, cpu_us)


ROUNDS = [
    [sample("ours", 90), sample("theirs", 100)],
    [sample("theirs", 10), sample("ours", 20)],
    [sample("ours", 95), sample("theirs", 100)],
]


def test_a_ratio_is_taken_within_each_round():
    """The median is of the rounds' ratios, so that a slow round of both sides does not count against one of them."""
    assert ratio(ROUNDS, "ours", "theirs", rate) == 0.95
    assert median(ROUNDS, "ours", rate) == 90
    assert median(ROUNDS, "theirs", rate) == 100


def test_sides_are_told_apart_by_clients_as_well():
    """One and sixteen clients of one side are two samples; which one is meant has to be said."""
    samples = [sample("ours", 1, clients=1), sample("ours", 16, clients=16)]
    assert pick(samples, "ours", 16).rate == 16
    with pytest.raises(LookupError, match="2 samples of ours"):
        pick(samples, "ours")
    with pytest.raises(LookupError, match="0 samples of theirs"):
        pick(samples, "theirs")


def test_medians_are_printed_for_each_side():
    """They come in the order of the first round, whatever the order of the others."""
    assert [(one.side, one.rate) for one in medians(ROUNDS)] == [("ours", 90), ("theirs", 100)]


def test_growth_is_the_slope_that_one_high_round_does_not_bend():
    """Steady growth is found exactly, a single peak is no growth."""
    assert slope_of([10.0, 10.5, 11.0, 11.5]) == 0.5
    assert slope_of([10.0, 10.0, 10.0, 14.0, 10.0, 10.0, 10.0]) == 0
    assert slope_of([10.0, 11.0, 12.0, 19.0, 14.0, 15.0, 16.0]) == 1


def test_every_other_round_is_turned_round():
    """So that no side always runs first."""
    assert [list(turned("ab", number)) for number in (1, 2, 3)] == [["a", "b"], ["b", "a"], ["a", "b"]]


@pytest.mark.parametrize(
    ("check", "met"),
    [
        (least("x", 0.9, 0.9), True),
        (least("x", 0.8999, 0.9), False),
        (most("x", 15.0, 15), True),
        (most("x", 15.01, 15), False),
        (most("x", -3.0, 15), True),
        (least("x", float("nan"), 0.9), False),
        (most("x", float("nan"), 0.9), False),
    ],
)
def test_a_target_is_met_or_missed(check: Check, met: bool):
    """Targets themselves are met, what is not a number is not."""
    assert check.met is met
    assert ("MISSED" in check.line()) is not met


def test_a_line_shows_the_figure_beside_its_target():
    """With sign and unit."""
    assert most("p99", 512.34, 500, "us").line().split("  ")[-3:] == ["512.3 us", "<= 500 us", "MISSED"]
    assert least("ratio", 0.95, 0.9).line().split("  ")[-3:] == ["0.950", ">= 0.900", "met"]


def test_the_table_has_every_row_once():
    """Each has a name of its own for `--only`, says what it measures, and runs often enough for a median."""
    names = [row.name for row in ROWS]
    assert sorted(names) == sorted(
        [
            *("empty", "mlserver", "triton", "onnx", "receipts", "large", "python", "batching", "streams", "workers"),
            *("swaps", "growth", "start"),
        ]
    )
    assert all(row.measure and row.__doc__ for row in ROWS)
    assert {row.name: row.rounds for row in ROWS if row.rounds < 5} == {"start": 3}
    assert next(row for row in ROWS if row.name == "triton").rounds == 7
    assert sum(row.rounds * row.seconds for row in ROWS) < 25 * 60


def test_a_cost_is_compared_as_a_rate_is():
    """Processor time is one of the figures."""
    rounds = [[sample("ours", 1, cpu_us=7), sample("theirs", 1, cpu_us=10)]]
    assert ratio(rounds, "ours", "theirs", cpu) == 0.7
