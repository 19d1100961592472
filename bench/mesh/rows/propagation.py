"""From a move of an alias to its last node: fifty simulated edges and three real ones."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, median, most, shown
from bench.mesh.latency import Latency, p50, p99
from bench.mesh.setting import ALIAS, MODEL, Crowd
from bench.setting import AnswerError

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.mesh.setting import EdgeNode, MeshSetting

SIMULATED, REAL = 50, ("oslo", "bergen", "tromso")
LAST, SWAP = "move until the last edge serves it", "an edge's own swap"
WORKED = "its processor time"
MOVES = 50
PAUSE_SECONDS = 0.002
"""Between two questions to a real edge whether it serves the new version yet: part of what is measured."""


class Propagation:
    """p99 under 100 ms; a swap under 5 ms."""

    name = "move"
    measure = f"alias moved until {SIMULATED} simulated and {len(REAL)} real edges serve it, artifact present"
    rounds = 2
    seconds = 15.0

    def __init__(self, setting: MeshSetting) -> None:
        self._setting = setting
        self._version = 1
        self._moves = 0

    def prepare(self) -> list[str]:
        """Start the edges, and move back and forth until all hold both versions."""
        setting = self._setting
        setting.promoted()
        registry = setting.suite.addresses["registry"]
        self._edges = [setting.edge(name) for name in REAL]
        log = setting.folder / "crowd.log"
        self._crowd = setting.stack.enter_context(Crowd(registry, SIMULATED, ["tier=edge"], log))
        self._crowd.up()
        for _ in range(4):
            self._move()
        return [f"a real edge is asked every {PAUSE_SECONDS * 1e3:.0f} ms by a client of its own, which is part of it"]

    def pair(self, number: int) -> list[Latency]:
        """Move the alias again and again."""
        del number
        count = 5 if self._setting.quick else MOVES
        moved = [self._move() for _ in range(count)]
        swaps = [swap for edge in self._edges for swap in edge.swaps_us()[-count:]]
        whole, worked = zip(*swaps, strict=True)
        return [Latency.of(LAST, moved), Latency.of(SWAP, whole), Latency.of(WORKED, worked)]

    def verdict(self, rounds: Rounds[Latency]) -> list[Check]:
        """Look at the slowest."""
        return [
            least("moves", self._moves, len(rounds) * MOVES),
            most("p99 of a move until the last edge serves it", median(rounds, LAST, p99) / 1e3, 100, "ms"),
            most("p50 of an edge's own swap", median(rounds, SWAP, p50) / 1e3, 5, "ms"),
            most("p99 of an edge's own swap", median(rounds, SWAP, p99) / 1e3, 5, "ms"),
            shown("p99 of the processor time of a swap", median(rounds, WORKED, p99) / 1e3, "ms"),
        ]

    def _move(self) -> float:
        """Move the alias to the other version; returns the microseconds until the last edge served it."""
        self._version = 3 - self._version
        self._moves += 1
        served: dict[str, int] = {}
        watchers = [
            threading.Thread(target=self._watch, args=(edge, name, served))
            for name, edge in zip(REAL, self._edges, strict=True)
        ]
        started = time.monotonic_ns()
        revision = self._setting.client.promote(MODEL, self._version, alias=ALIAS).alias.revision
        for watcher in watchers:
            watcher.start()
        last = self._crowd.at(revision)
        for watcher in watchers:
            watcher.join()
        if len(served) != len(REAL):
            raise AnswerError(f"only {sorted(served)} came to serve version {self._version}")
        return float(np.max([last, *served.values()]) - started) / 1e3

    def _watch(self, edge: EdgeNode, name: str, served: dict[str, int]) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = edge.client.inference.model_metadata(MODEL, ALIAS)
            if found.properties["version"] == str(self._version):
                served[name] = time.monotonic_ns()
                return
            time.sleep(PAUSE_SECONDS)
