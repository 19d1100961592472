"""What a node says of itself, and how often, on a clock that jumps from one event to the next."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

from neuralmesh_server.inference.edge.mesh import Figures, Outcome, Verdict
from neuralmesh_server.inference.edge.reporting import BEAT_SECONDS, Reporting
from neuralmesh_server.inference.holding.replica import Replica
from tests.mesh.simulation import virtual_time


class Listening:
    """A line that takes note of when something was said, and which outcomes."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.outcomes: list[Outcome] = []

    async def report(self, verdict: Verdict, figures: object) -> None:
        """Take a report."""
        del figures
        self.times.append(asyncio.get_running_loop().time())
        self.outcomes.append(verdict.outcome)


async def said(seconds: float, verdict: Verdict | None = None) -> Listening:
    """Return what a node reports to which nothing happens."""
    line = Listening()
    nothing: Any = None
    reporting = Reporting(replica=Replica(), loader=nothing, keeper=nothing, memory=nothing, figures=Figures)
    if verdict is not None:
        reporting.verdict = lambda: verdict  # type: ignore[method-assign]
    reports = asyncio.create_task(reporting.run(cast("Any", line)))
    await asyncio.sleep(seconds)
    reports.cancel()
    await asyncio.wait([reports])
    return line


def test_a_node_to_which_nothing_happens_says_that_it_is_there() -> None:
    """At once, and then often enough that nobody takes it for one that hangs, but not more often."""
    times = virtual_time.run(said(65.0)).times
    assert times[0] == 0
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 5
    assert all(BEAT_SECONDS <= gap <= BEAT_SECONDS + 1.5 for gap in gaps)


def test_a_refusal_is_said_once() -> None:
    """A node goes on saying that it is there, but what it refused it says once: else it is offered again each time."""
    for outcome, later in ((Outcome.REFUSED, Outcome.NOTHING), (Outcome.PENDING, Outcome.PENDING)):
        found = virtual_time.run(said(35.0, Verdict(outcome, 7, b"", "full"))).outcomes
        assert found == [outcome, *[later] * (len(found) - 1)]
        assert len(found) >= 3
