"""An ONNX MLP on one row: what is not onnxruntime's own run must cost about what the packed network costs whole.

What a run costs depends on where it stands: in a loop of its own its code and weights stay in the processor's caches,
between two calls of a server they do not. Both are measured: the loop, and what the run adds to the empty handler.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from bench import load, models
from bench.answers import Answers, cpu
from bench.figures import most, pick, turned
from bench.processes import ROOT
from bench.setting import DIGITS_OUTPUTS, ask

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.setting import Setting

PACKED, ONNX, ALONE = "packed network", "ONNX MLP", "onnxruntime's own run"
EMPTY, BARE = "empty handler", "empty handler and run"
CLIENTS = (1, 16)
SECONDS = 2
RUNS = 20_000


class OnnxRow:
    """onnxruntime's own run, plus the packed path, plus at most 15 us."""

    name = "onnx"
    measure = "ONNX MLP, one row: processor time above onnxruntime's own run and the packed path"
    rounds = 5
    seconds = 26.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Serve both."""
        setting = self._setting
        setting.served_packed()
        setting.served("mlp", setting.models.mlp, models.ONNX, models.digits_signature())
        process, address = setting.suite.processes["inference"], setting.suite.addresses["inference"]
        self._targets = [
            setting.target(side, process, address, setting.packed_request(model), DIGITS_OUTPUTS)
            for side, model in ((PACKED, "packed"), (ONNX, "mlp"))
        ]
        request = setting.packed_request("mlp")
        answer = ask(address, request)
        self._targets.append(setting.empty(answer, request, EMPTY))
        self._targets.append(setting.bare_run(answer, request, setting.models.mlp, BARE))
        for target in self._targets:
            load.run(target, requests=setting.some(4_000), clients=16)
        return ["onnxruntime's own run: `InferenceSession.run` in a loop in a process of its own, one thread"]

    def pair(self, number: int) -> list[Answers]:
        """Run both, and onnxruntime alone."""
        samples = []
        for clients in CLIENTS:
            for target in turned(self._targets, number):
                load.idle()
                samples.append(load.run(target, seconds=self._setting.span(SECONDS), clients=clients))
        return [*samples, self._alone()]

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Subtract, round by round."""

        def of(samples: list[Answers], side: str, clients: int) -> float:
            return cpu(pick(samples, side, clients))

        def above(samples: list[Answers], clients: int, run: float) -> float:
            return of(samples, ONNX, clients) - of(samples, PACKED, clients) - run

        def looped(samples: list[Answers], clients: int) -> float:
            return above(samples, clients, cpu(pick(samples, ALONE)))

        def served(samples: list[Answers], clients: int) -> float:
            return above(samples, clients, of(samples, BARE, clients) - of(samples, EMPTY, clients))

        return [
            most(
                f"CPU above the packed path and onnxruntime's run {where}, c = {clients}",
                statistics.median(figure(samples, clients) for samples in rounds),
                15,
                "us",
            )
            for where, figure in (("in a loop", looped), ("in the empty handler", served))
            for clients in CLIENTS
        ]

    def _alone(self) -> Answers:
        runs = self._setting.some(RUNS)
        command = [sys.executable, "-m", "bench.onnx_alone", str(self._setting.models.mlp), str(runs)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        seconds, processor_seconds = (float(word) for word in said.split())
        each = seconds / runs * 1e6
        return Answers(ALONE, 1, runs / seconds, each, each, processor_seconds / runs * 1e6)
