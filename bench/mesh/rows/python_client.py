"""What a Python program sees of an edge node on the same machine, arrays in and arrays out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from bench.figures import median, most, shown, turned
from bench.mesh.latency import Latency, p50, p99
from bench.mesh.setting import ALIAS, MODEL
from bench.setting import AnswerError
from neuralmesh import Client

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.mesh.setting import MeshSetting

PORT, SOCKET = "Python client, loopback port", "Python client, Unix socket"
REQUESTS = 3_000


class PythonClient:
    """p99 under a millisecond."""

    name = "python"
    measure = "edge hit seen by a Python client, one request at a time"
    rounds = 5
    seconds = 4.0

    def __init__(self, setting: MeshSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start an edge node, and hold its answer against the cloud node's."""
        setting = self._setting
        setting.promoted()
        edge = setting.edge("oslo")
        self._row = {"input": setting.models.data.held_out_images[:1]}
        expected = setting.client.infer(MODEL, self._row, version=ALIAS).outputs
        self._clients = {
            side: setting.stack.enter_context(Client(inference=where))
            for side, where in ((PORT, edge.address), (SOCKET, f"unix:{edge.socket}"))
        }
        for side, client in self._clients.items():
            found = client.infer(MODEL, self._row, version=ALIAS).outputs
            if any(not np.array_equal(found[name], expected[name]) for name in expected):
                raise AnswerError(f"{side}: the answer is another one")
            self._run(side, 300)
        return []

    def pair(self, number: int) -> list[Latency]:
        """Run over the port and over the socket."""
        return [self._run(side, self._setting.some(REQUESTS)) for side in turned(list(self._clients), number)]

    def verdict(self, rounds: Rounds[Latency]) -> list[Check]:
        """Look at the slowest answers."""
        checks = []
        for side in self._clients:
            checks += [
                most(f"p99, {side}", median(rounds, side, p99), 1_000, "us"),
                shown(f"p50, {side}", median(rounds, side, p50), "us"),
            ]
        return checks

    def _run(self, side: str, requests: int) -> Latency:
        client, times = self._clients[side], []
        for _ in range(requests):
            sent = time.perf_counter()
            client.infer(MODEL, self._row, version=ALIAS)
            times.append((time.perf_counter() - sent) * 1e6)
        return Latency.of(side, times)
