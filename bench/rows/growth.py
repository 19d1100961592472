"""A long run: models that are loaded and unloaded again and again between a million requests leave nothing behind."""

from __future__ import annotations

import statistics
from itertools import combinations
from typing import TYPE_CHECKING

from bench import load, models
from bench.answers import Answers, cpu
from bench.figures import most, pick
from bench.setting import DIGITS_OUTPUTS, ready, until
from neuralmesh import Client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Check, Rounds
    from bench.setting import Setting

OURS = "packed network"
BLOCKS = 10
CYCLES = 50
REQUESTS = 100_000
CLIENTS = 16
WARM_UP_BLOCKS = 3
MIB = 2**20


class Growth:
    """Under 1 MB for 100 cycles after warm-up; a request costs at the end what it cost at the beginning."""

    name = "growth"
    measure = "500 load/unload cycles; 1,000,000 requests"
    rounds = BLOCKS
    seconds = 14.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._memory: list[float] = []

    def prepare(self) -> list[str]:
        """Start a node of its own, which serves the packed network and an ONNX model that comes and goes."""
        setting = self._setting
        setting.served_packed()
        setting.served("coming-and-going", setting.models.mlp, models.ONNX, models.digits_signature())
        self._process, address = setting.suite.node("long-runner", {})
        self._client = setting.stack.enter_context(Client(inference=address))
        ready(self._client.inference, "packed")
        ready(self._client.inference, "coming-and-going")
        self._target = setting.target(OURS, self._process, address, setting.packed_request(), DIGITS_OUTPUTS)
        load.run(self._target, requests=setting.some(20_000), clients=CLIENTS)
        return [f"a round is {self._cycles} cycles and {setting.some(REQUESTS):,} requests"]

    def pair(self, number: int) -> list[Answers]:
        """Load and unload, then send requests, then look at the memory."""
        for _ in range(self._cycles):
            self._client.inference.repository_model_unload("coming-and-going")
            until(lambda: not self._client.inference.model_ready("coming-and-going"), "the model is unloaded")
            self._client.inference.repository_model_load("coming-and-going")
            ready(self._client.inference, "coming-and-going")
        load.idle()
        sample = load.run(self._target, requests=self._setting.some(REQUESTS), clients=CLIENTS)
        self._memory.append(self._process.memory().rss / MIB)
        self._setting.say(f"{number:>6}  {number * self._cycles} cycles, {self._memory[-1]:.2f} MiB resident")
        return [sample]

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Take the slope of the memory after warm-up, and compare the cost at both ends."""
        kept = self._memory[min(WARM_UP_BLOCKS, len(self._memory) - 2) :]
        slope = slope_of(kept) / self._cycles * 100
        costs = [cpu(pick(samples, OURS)) for samples in rounds]
        third = max(1, len(costs) // 3)
        change = statistics.median(costs[-third:]) / statistics.median(costs[:third])
        return [
            most("growth for 100 cycles after warm-up, MiB", slope, 1.0),
            most("CPU for an answer at the end, of that at the beginning", change, 1.1),
        ]

    @property
    def _cycles(self) -> int:
        return 5 if self._setting.quick else CYCLES


def slope_of(values: Sequence[float]) -> float:
    """Return the slope from one value to the next: the median over all pairs, which a single high one does not bend.

    Theil and Sen's estimator. The heap breathes by some megabytes from round to round.
    """
    return statistics.median((right - left) / (j - i) for (i, left), (j, right) in combinations(enumerate(values), 2))
