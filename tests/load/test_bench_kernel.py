"""The kernel's speed table: what it demands, how it takes the time, and that every row of it is there."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from bench.figures import least, medians, ratio
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, at_page, pair
from bench.kernel.limits import Limits
from bench.kernel.setting import KernelSetting
from bench.kernel.table import ROWS
from bench.kernel.timing import HEADING, Clock, Timing, rate, share
from bench.report import Report, write


def timing(side: str, seconds: float, *, case: str = "2^10", limit: float = 0.0) -> Timing:
    return Timing(side, case, seconds, seconds, work=6.0, unit="Tbit/s", limit=limit)


def test_the_table_has_every_row_once():
    """Each has a name of its own for `--only`, says what it measures, and runs often enough for a median."""
    names = [row.name for row in ROWS]
    assert sorted(names) == sorted(
        ["xnor", "nearest", "scan", "gf2", "elimination", "fwht", "pack", "mlp", "index"],
    )
    assert all(row.measure and row.__doc__ for row in ROWS)
    assert all(row.rounds >= 5 for row in ROWS)
    assert sum(row.rounds * row.seconds for row in ROWS) < 15 * 60


def test_a_rate_is_work_by_time_and_a_share_is_of_the_limit_of_its_round():
    """Where the limit says nothing, neither does the share, and its column stays empty."""
    assert rate(timing(OURS, 2.0)) == 3.0
    assert share(timing(OURS, 2.0, limit=4.0)) == 0.75
    assert math.isnan(share(timing(OURS, 2.0)))
    assert timing(OURS, 2.0, limit=4.0).line("1").endswith("0.750")
    assert timing(OURS, 2.0).line("1").endswith("Tbit/s")


def test_columns_stand_under_their_heading():
    """The last column of a line ends where its heading ends."""
    assert len(timing(OURS, 2.0, limit=4.0).line("1")) == len(HEADING)


def test_rounds_are_compared_within_a_case():
    """As in the serving table: the ratio of each round, then the median; medians of every side and case."""
    rounds = [[timing(OURS, 1.0), timing("peer", 5.0)], [timing("peer", 2.0), timing(OURS, 2.0)]]
    rounds.append([timing(OURS, 1.0), timing("peer", 3.0)])
    assert ratio(rounds, OURS, "peer", rate, "2^10") == 3.0
    assert [(one.side, one.seconds) for one in medians(rounds)] == [(OURS, 1.0), ("peer", 3.0)]


def test_the_clock_takes_the_best_block(monkeypatch: pytest.MonkeyPatch):
    """A block that something disturbed does not count; short calls are timed many at once."""
    clock, now, calls = Clock(1.0), [0.0], itertools.count()

    def call() -> None:
        now[0] += 0.0001 if next(calls) % 50 else 10.0

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.thread_time", lambda: now[0] / 2)
    assert clock.time(call) == pytest.approx((0.00005, 0.0001))
    assert next(calls) > 8 * 5


def test_every_side_of_every_case_is_timed_in_turn(tmp_path):
    """The limit is measured once for a case of a round, and the sides of every other round are turned round."""
    setting = KernelSetting(tmp_path, quick=True, say=print)
    setting.clock.seconds = 0.001
    limits = itertools.count(1)
    sides = (Side("peer", list), Side(OURS, list), Side("both", list, everywhere=True))
    cases = [Case(name, 1.0, "Mrow/s", sides, lambda: next(limits)) for name in ("a", "b")]
    with setting.stack:
        first, second = pair(setting, cases, 1), pair(setting, cases, 2)
    assert [(one.case, one.side, one.limit) for one in first] == [
        *(("a", side, 1) for side in ("peer", OURS, "both")),
        *(("b", side, 2) for side in ("peer", OURS, "both")),
    ]
    assert [one.side for one in second] == ["both", OURS, "peer"] * 2


def test_the_limits_are_those_of_this_processor(tmp_path):
    """They compile without a warning, and are figures wherever the processor has the instructions."""
    limits = Limits(tmp_path)
    memory = at_page(np.ones(1 << 16, np.float32))
    found = [limits.bit_pairs(), limits.bit_products(), limits.float_adds(), limits.read(memory)]
    assert all(value > 1e9 for value in found) if limits.supported else found == [0.0] * 4
    assert limits.bit_pairs(tiles=True) > 1e9 if limits.supported else limits.bit_pairs(tiles=True) == 0.0
    assert not list(tmp_path.iterdir())


def test_memory_begins_a_page_and_holds_what_was_given():
    """Whatever the shape and dtype."""
    array = np.arange(35, dtype=np.float32).reshape(5, 7)
    assert at_page(array).ctypes.data % 4096 == 0
    assert np.array_equal(at_page(array), array)


def test_another_result_stops_a_row():
    """Work that is not the same is not compared."""
    peers.agree("peer", np.arange(3), np.arange(3))
    with pytest.raises(peers.PeerError, match="the result of peer is not ours"):
        peers.agree("peer", np.arange(3), np.arange(1, 4))
    with pytest.raises(peers.PeerError, match="made-up is absent: `make peers` installs it"):
        peers.load("made-up")


class OneRow:
    """A row of one side, half as fast as demanded."""

    name, measure, rounds, seconds = "one", "one side", 1, 1.0

    def prepare(self) -> list[str]:
        return ["a fact"]

    def pair(self, number: int) -> list[Timing]:
        return [timing(OURS, 2.0)]

    def verdict(self, rounds: list[list[Timing]]) -> list[object]:
        return [least("work a second", rate(rounds[0][0]), 6.0)]


@pytest.mark.parametrize(("targets", "missed"), [(True, ["work a second"]), (False, [])])
def test_at_other_levels_the_table_is_only_shown(targets, missed, capsys):
    """The figure stands without a target, and nothing is missed."""
    report = Report(HEADING, targets=targets)
    report.measure(OneRow(), 3)
    report.close(1.0)
    assert report.missed == missed
    said = capsys.readouterr().out
    assert said.count(">= 6  MISSED") == (2 if targets else 0)
    assert said.count(OURS) == 4
    assert "| work a second | 3 |" in "\n".join(report.table())
    assert "| `one` work a second | 3 |" in "\n".join(report.table(named=True))


def test_a_page_holds_the_output_of_several_tables(tmp_path):
    """Each between its own marks; a page without them is refused."""
    page = tmp_path / "page.md"
    page.write_text("a <!-- bench --> old <!-- /bench --> b <!-- bench-kernel --> old <!-- /bench-kernel --> c")
    write(page, "new", "bench-kernel")
    assert (
        page.read_text()
        == "a <!-- bench --> old <!-- /bench --> b <!-- bench-kernel -->\nnew\n<!-- /bench-kernel --> c"
    )
    with pytest.raises(SystemExit, match="no marks other"):
        write(page, "new", "other")
