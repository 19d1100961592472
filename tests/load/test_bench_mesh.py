"""The mesh's speed table: that every row of it is there, and how times become figures."""

from __future__ import annotations

import pytest

from bench.figures import medians
from bench.mesh.latency import HEADING, Latency, p50, p99, p999
from bench.mesh.table import ROWS


def test_the_table_has_every_row_once():
    """Each has a name of its own for `--only`, and says what it measures."""
    names = [row.name for row in ROWS]
    assert names == ["hit", "python", "embedded", "forward", "move", "crowd", "resume"]
    assert all(row.measure and row.__doc__ for row in ROWS)
    assert sum(row.rounds * row.seconds for row in ROWS) < 10 * 60


def test_times_become_percentiles():
    """As NumPy has them, and the longest beside them."""
    found = Latency.of("one", list(range(1, 1002)))
    figures = (found.count, p50(found), p99(found), p999(found), found.most_us)
    assert figures == pytest.approx((1001, 501, 991, 1000, 1001))
    assert len(found.line("1")) == len(HEADING)


def test_medians_are_of_each_figure():
    """Not of whole rounds."""
    rounds = [[Latency("one", 1, 2, 30, 4, 5)], [Latency("one", 1, 20, 3, 40, 5)], [Latency("one", 1, 9, 9, 9, 9)]]
    assert medians(rounds) == [Latency("one", 1, 9, 9, 9, 5)]
