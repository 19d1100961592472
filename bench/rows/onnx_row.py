"""An ONNX MLP on one row: what is not onnxruntime's own run must cost about what the packed network costs whole."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from bench import load, models
from bench.figures import Sample, cpu, most, pick, turned
from bench.processes import ROOT
from bench.setting import DIGITS_OUTPUTS

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.setting import Setting

PACKED, ONNX, ALONE = "packed network", "ONNX MLP", "onnxruntime's own run"
REQUESTS = {1: 4_000, 16: 20_000}
RUNS = 20_000


class OnnxRow:
    """onnxruntime's own run, plus the packed path, plus at most 15 us."""

    name = "onnx"
    measure = "ONNX MLP, one row: processor time above onnxruntime's own run and the packed path"
    rounds = 5
    seconds = 10.0

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
        for target in self._targets:
            load.run(target, requests=setting.some(4_000), clients=16)
        return ["onnxruntime's own run: `InferenceSession.run` in a loop in a process of its own, one thread"]

    def pair(self, number: int) -> list[Sample]:
        """Run both, and onnxruntime alone."""
        samples = []
        for clients, requests in REQUESTS.items():
            for target in turned(self._targets, number):
                load.idle()
                samples.append(load.run(target, requests=self._setting.some(requests), clients=clients))
        return [*samples, self._alone()]

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Subtract, round by round."""

        def above(samples: list[Sample], clients: int) -> float:
            onnx, packed = (cpu(pick(samples, side, clients)) for side in (ONNX, PACKED))
            return onnx - packed - cpu(pick(samples, ALONE))

        return [
            most(
                f"CPU above onnxruntime's run and the packed path, c = {clients}",
                statistics.median(above(samples, clients) for samples in rounds),
                15,
                "us",
            )
            for clients in REQUESTS
        ]

    def _alone(self) -> Sample:
        runs = self._setting.some(RUNS)
        command = [sys.executable, "-m", "bench.onnx_alone", str(self._setting.models.mlp), str(runs)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        seconds, processor_seconds = (float(word) for word in said.split())
        each = seconds / runs * 1e6
        return Sample(ALONE, 1, runs / seconds, each, each, processor_seconds / runs * 1e6)
