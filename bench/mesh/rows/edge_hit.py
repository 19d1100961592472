"""What a C client sees of an edge node: 2,000 requests a second at equal distances, whatever the answers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load
from bench.figures import median, most, shown, turned
from bench.mesh.latency import Latency, p50, p99, p999
from bench.setting import DIGITS_OUTPUTS

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.mesh.setting import MeshSetting

PORT, SOCKET = "h2load, loopback port", "h2load, Unix socket"
RATE, SECONDS, CLIENTS = 2_000, 60, 4


class EdgeHit:
    """p50 under 0.25 ms, p99 under 1 ms."""

    name = "hit"
    measure = "edge hit, packed network, 2,000 requests/s open loop for 60 s"
    rounds = 1
    seconds = 125.0

    def __init__(self, setting: MeshSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start an edge node and hold one answer against what the network gives."""
        setting = self._setting
        setting.promoted()
        edge, request = setting.edge("oslo"), setting.packed_request()
        self._targets = [
            (PORT, setting.target(PORT, edge.process, edge.address, request, DIGITS_OUTPUTS)),
            (SOCKET, setting.target(SOCKET, edge.process, f"unix:{edge.socket}", request, DIGITS_OUTPUTS)),
        ]
        for _, target in self._targets:
            load.run(target, clients=CLIENTS, requests=setting.some(2_000))
        return [f"{CLIENTS} connections; times are h2load's own, from a request's start to its whole answer"]

    def pair(self, number: int) -> list[Latency]:
        """Send over the port and over the socket."""
        seconds = self._setting.span(SECONDS)
        return [
            Latency.of(side, load.latencies(target, clients=CLIENTS, requests=RATE * seconds, rate=RATE))
            for side, target in turned(self._targets, number)
        ]

    def verdict(self, rounds: Rounds[Latency]) -> list[Check]:
        """Look at the middle and the slowest."""
        checks = []
        for side, _ in self._targets:
            checks += [
                most(f"p50, {side}", median(rounds, side, p50), 250, "us"),
                most(f"p99, {side}", median(rounds, side, p99), 1_000, "us"),
                shown(f"p99.9, {side}", median(rounds, side, p999), "us"),
            ]
        return checks
