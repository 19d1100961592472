"""One mebibyte in and out: how much of the transport's throughput is left when every byte is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench import load, models
from bench.answers import rate
from bench.figures import least, ratio, turned

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

OURS, EMPTY = "ONNX identity", "empty handler, echoing"
CLIENTS = 4
REQUESTS = 1_200


class LargeTensor:
    """0.8 of a handler that sends the request's own bytes back."""

    name = "large"
    measure = "1 MB tensor in and out, c = 4, against an empty handler that echoes the same bytes"
    rounds = 5
    seconds = 5.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Serve the identity, and start the echo."""
        setting = self._setting
        signature = models.floats_signature(models.LARGE, models.LARGE)
        setting.served("identity", setting.models.identity, models.ONNX, signature)
        row = np.random.default_rng(1).standard_normal((1, models.LARGE)).astype(np.float32)
        request = models.request("identity", row)
        process, address = setting.suite.processes["inference"], setting.suite.addresses["inference"]
        ours = setting.target(OURS, process, address, request, {"output": ("FP32", [1, models.LARGE])})
        self._targets = (setting.echo(request), ours)
        for target in self._targets:
            load.run(target, requests=64, clients=CLIENTS)
        return [f"request {len(request):,} bytes, answers {ours.answer_bytes:,} and {len(request):,} bytes"]

    def pair(self, number: int) -> list[Answers]:
        """Run both."""
        samples = []
        for target in turned(self._targets, number):
            load.idle()
            samples.append(load.run(target, requests=self._setting.some(REQUESTS), clients=CLIENTS))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare answers a second."""
        return [least("answers/s of the echo's, c = 4", ratio(rounds, OURS, EMPTY, rate), 0.8)]
