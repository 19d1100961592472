"""A node within the program that asks: no transport at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.figures import median, most, shown
from bench.mesh.latency import Latency, p50, p99
from bench.mesh.setting import ALIAS, MODEL
from bench.setting import until
from neuralmesh import oip
from neuralmesh.embedded import Node

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.mesh.setting import MeshSetting

BYTES, ARRAYS = "embedded, bytes to bytes", "embedded, arrays to arrays"
REQUESTS = 20_000


class Embedded:
    """p50 under 20 us."""

    name = "embedded"
    measure = "embedded node, one row"
    rounds = 5
    seconds = 4.0

    def __init__(self, setting: MeshSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Open a node on a folder of its own, which follows the registry."""
        setting = self._setting
        setting.promoted()
        node = Node(
            store=setting.folder / "embedded",
            registry=setting.suite.addresses["registry"],
            labels={"tier": "edge"},
            name="embedded",
        )
        self._node = setting.stack.enter_context(node)
        until(lambda: self._node.ready(MODEL, ALIAS), "the embedded node holds the model")
        self._row = {"input": setting.models.data.held_out_images[:1]}
        message = oip.ModelInferRequest.FromString(setting.packed_request())
        message.model_version = ALIAS
        self._request = message.SerializeToString()
        for run in (self._bytes, self._arrays):
            run(500)
        return []

    def pair(self, number: int) -> list[Latency]:
        """Ask with bytes and with arrays."""
        count = self._setting.some(REQUESTS)
        return [Latency.of(BYTES, self._bytes(count)), Latency.of(ARRAYS, self._arrays(count))]

    def verdict(self, rounds: Rounds[Latency]) -> list[Check]:
        """Look at the middle."""
        checks = [most(f"p50, {side}", median(rounds, side, p50), 20, "us") for side in (BYTES, ARRAYS)]
        return [*checks, *(shown(f"p99, {side}", median(rounds, side, p99), "us") for side in (BYTES, ARRAYS))]

    def _bytes(self, count: int) -> list[float]:
        times = []
        for _ in range(count):
            sent = time.perf_counter()
            self._node.infer_bytes(self._request)
            times.append((time.perf_counter() - sent) * 1e6)
        return times

    def _arrays(self, count: int) -> list[float]:
        times = []
        for _ in range(count):
            sent = time.perf_counter()
            self._node.infer(MODEL, self._row, version=ALIAS)
            times.append((time.perf_counter() - sent) * 1e6)
        return times
