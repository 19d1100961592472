"""What a Python program sees that asks for one row at a time over the Unix socket, arrays in and arrays out."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from bench.answers import Answers, p99
from bench.figures import median, most, turned
from bench.setting import AnswerError, ready
from neuralmesh import Client

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.setting import Setting

SOCKET, PORT = "client, Unix socket", "client, loopback port"
REQUESTS = 3_000


class PythonClient:
    """p99 under a millisecond."""

    name = "python"
    measure = "seen by a Python client over the Unix socket, c = 1"
    rounds = 5
    seconds = 4.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start a node that listens on both, and hold the client's answer against the usual node's."""
        setting = self._setting
        setting.served_packed()
        path = setting.folder / "s"
        self._process, address = setting.suite.node("local-socket", {"NEURALMESH_INFERENCE_SOCKET": str(path)})
        self._row = setting.models.data.held_out_images[:1]
        expected = setting.client.infer("packed", {"input": self._row}).outputs
        self._clients = {
            side: setting.stack.enter_context(Client(inference=where))
            for side, where in ((SOCKET, f"unix:{path}"), (PORT, address))
        }
        for side, client in self._clients.items():
            ready(client.inference, "packed")
            found = client.infer("packed", {"input": self._row}).outputs
            if any(not np.array_equal(found[name], expected[name]) for name in expected):
                raise AnswerError(f"{side}: the answer is another one")
            self._run(side, 300)
        return ["`Client.infer`: the array is serialised, the answer's arrays are read, the prediction id is checked"]

    def pair(self, number: int) -> list[Answers]:
        """Run over the socket and, to compare, over the port."""
        return [self._run(side, self._setting.some(REQUESTS)) for side in turned(list(self._clients), number)]

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Look at the slowest answers."""
        return [most("p99 over the Unix socket, c = 1", median(rounds, SOCKET, p99), 1_000, "us")]

    def _run(self, side: str, requests: int) -> Answers:
        client, row = self._clients[side], {"input": self._row}
        worked, started, latencies = self._process.cpu_seconds(), time.perf_counter(), []
        for _ in range(requests):
            sent = time.perf_counter()
            client.infer("packed", row)
            latencies.append((time.perf_counter() - sent) * 1e6)
        seconds, worked = time.perf_counter() - started, self._process.cpu_seconds() - worked
        percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
        return Answers(side, 1, requests / seconds, percentiles[49], percentiles[98], worked / requests * 1e6)
