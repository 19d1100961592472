"""Two worker processes on one port beside one process: nothing may be lost where there is nothing to gain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load
from bench.answers import cpu, rate
from bench.figures import least, most, ratio, turned
from bench.setting import DIGITS_OUTPUTS, ready_everywhere

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

ONE, TWO = "one process", "--workers 2"
CLIENTS = 16
SECONDS = 3
"""A time and not a number of requests: connections do not fall evenly on the two processes."""


class Workers:
    """As many answers a second, at most 1.1 times the processor time for one."""

    name = "workers"
    measure = "`--workers 2` on two cores, 16 connections, against one process"
    rounds = 5
    seconds = 8.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start a node of each kind."""
        setting = self._setting
        setting.served_packed()
        request = setting.packed_request()
        targets = []
        for side, node, arguments in ((ONE, "single", ()), (TWO, "double", ("--workers", "2"))):
            process, address = setting.suite.node(node, {}, arguments)
            ready_everywhere(address, "packed")
            targets.append(setting.target(side, process, address, request, DIGITS_OUTPUTS))
            load.run(targets[-1], requests=setting.some(4_000), clients=CLIENTS)
        self._targets = targets
        return ["processor time: all processes of a node; h2load shares the two cores"]

    def pair(self, number: int) -> list[Answers]:
        """Run both at 16 clients."""
        samples = []
        for target in turned(self._targets, number):
            load.idle()
            samples.append(load.run(target, seconds=self._setting.span(SECONDS), clients=CLIENTS))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare answers a second and processor time."""
        return [
            least("answers/s of one process's, c = 16", ratio(rounds, TWO, ONE, rate), 1.0),
            most("CPU for an answer of one process's", ratio(rounds, TWO, ONE, cpu), 1.1),
        ]
