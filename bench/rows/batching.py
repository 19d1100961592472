"""Dynamic batching: a wide MLP that 64 clients ask for one row each, with a policy that joins requests and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench import load, models
from bench.answers import rate
from bench.figures import least, ratio, turned
from neuralmesh.registry.v1 import resources_pb2

if TYPE_CHECKING:
    from bench.answers import Answers
    from bench.figures import Check, Rounds
    from bench.setting import Setting

JOINED, ALONE = "with batching", "without"
CLIENTS = 64
REQUESTS = {ALONE: 1_500, JOINED: 4_000}
MAX_ROWS, MAX_DELAY_US = 64, 2_000


class Batching:
    """Twice the answers a second."""

    name = "batching"
    measure = "dynamic batching, 64 clients, ONNX MLP 784-2048-2048-10"
    rounds = 5
    seconds = 7.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Serve one file as two models, of which one has the policy."""
        setting = self._setting
        signature = models.floats_signature(models.WIDE[0], models.WIDE[-1])
        for model in ("wide", "wide-batched"):
            setting.served(model, setting.models.wide, models.ONNX, signature)
        batching = resources_pb2.BatchingPolicy(max_rows=MAX_ROWS, max_delay_us=MAX_DELAY_US)
        setting.client.registry.set_model_policy("wide-batched", resources_pb2.ModelPolicy(batching=batching))
        row = np.random.default_rng(1).standard_normal((1, models.WIDE[0])).astype(np.float32)
        process, address = setting.suite.processes["inference"], setting.suite.addresses["inference"]
        self._targets = [
            setting.target(side, process, address, models.request(model, row), {"output": ("FP32", [1, 10])})
            for side, model in ((ALONE, "wide"), (JOINED, "wide-batched"))
        ]
        for target in self._targets:
            load.run(target, requests=256, clients=CLIENTS)
        return [f"at most {MAX_ROWS} rows, at most {MAX_DELAY_US} us of waiting"]

    def pair(self, number: int) -> list[Answers]:
        """Run both at 64 clients."""
        samples = []
        for target in turned(self._targets, number):
            load.idle()
            requests = max(256, self._setting.some(REQUESTS[target.side]))
            samples.append(load.run(target, requests=requests, clients=CLIENTS))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare answers a second."""
        return [least("answers/s of those without, c = 64", ratio(rounds, JOINED, ALONE, rate), 2.0)]
