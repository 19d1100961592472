"""What it costs that an edge node passes a call upward: the same request straight to the upstream beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load
from bench.figures import median, most, turned
from bench.mesh.latency import Latency, p50, p99
from bench.mesh.setting import MODEL
from bench.setting import DIGITS_OUTPUTS, ready

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.mesh.setting import MeshSetting

STRAIGHT, FORWARDED = "straight to the upstream", "through an edge node"
REQUESTS = 4_000


class Forwarded:
    """At most 0.4 ms more."""

    name = "forward"
    measure = "call that the edge cannot serve, one at a time"
    rounds = 7
    seconds = 6.0

    def __init__(self, setting: MeshSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start an edge node to which nothing is assigned, with the cloud node above it."""
        setting = self._setting
        setting.promoted()
        ready(setting.client.inference, MODEL)
        cloud, address = setting.suite.processes["inference"], setting.suite.addresses["inference"]
        edge = setting.edge("bare", "--upstream", address, labels="tier=bare")
        request = setting.packed_request()
        self._targets = {
            STRAIGHT: setting.target(STRAIGHT, cloud, address, request, DIGITS_OUTPUTS),
            FORWARDED: setting.target(FORWARDED, edge.process, edge.address, request, DIGITS_OUTPUTS),
        }
        for target in self._targets.values():
            load.run(target, clients=1, requests=setting.some(1_000))
        return []

    def pair(self, number: int) -> list[Latency]:
        """Ask the upstream, and ask the edge."""
        count = self._setting.some(REQUESTS)
        return [
            Latency.of(side, load.latencies(self._targets[side], clients=1, requests=count))
            for side in turned((STRAIGHT, FORWARDED), number)
        ]

    def verdict(self, rounds: Rounds[Latency]) -> list[Check]:
        """Take the one from the other."""
        more = {
            what: median(rounds, FORWARDED, figure) - median(rounds, STRAIGHT, figure)
            for what, figure in (("p50", p50), ("p99", p99))
        }
        return [most(f"{what} above the upstream's own", value, 400, "us") for what, value in more.items()]
