"""What a node says of itself, and how often, on a clock that jumps from one event to the next."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from neuralmesh_server.inference.edge.mesh import Figures
from neuralmesh_server.inference.edge.reporting import BEAT_SECONDS, Reporting
from neuralmesh_server.inference.holding.replica import Replica
from tests.mesh.simulation import virtual_time


class Listening:
    """A line that takes note of when something was said."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def report(self, verdict: object, figures: object) -> None:
        """Take a report."""
        del verdict, figures
        self.times.append(asyncio.get_running_loop().time())


async def said(seconds: float) -> list[float]:
    """Return when a node reports to which nothing happens."""
    line: Any = Listening()
    nothing: Any = None
    reporting = Reporting(replica=Replica(), loader=nothing, keeper=nothing, memory=nothing, figures=Figures)
    reports = asyncio.create_task(reporting.run(line))
    await asyncio.sleep(seconds)
    reports.cancel()
    await asyncio.wait([reports])
    return list(line.times)


def test_a_node_to_which_nothing_happens_says_that_it_is_there() -> None:
    """At once, and then often enough that nobody takes it for one that hangs, but not more often."""
    times = virtual_time.run(said(65.0))
    assert times[0] == 0
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 5
    assert all(BEAT_SECONDS <= gap <= BEAT_SECONDS + 1.5 for gap in gaps)
