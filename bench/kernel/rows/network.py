"""A binary network, one row and 64 rows, beside onnxruntime on float weights of the same widths."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from bench import models
from bench.figures import least, median, ratio, shown
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, pair
from bench.kernel.timing import rate, share
from liam_core import BinaryNetwork, from_signs

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

WIDTHS = (784, 256, 256, 10)
BATCHES = (1, 64)
ONNX = "onnxruntime float32"
MILLION = 1e6


class Network:
    """3 times onnxruntime, one thread each."""

    name = "mlp"
    measure = f"binary network {'-'.join(map(str, WIDTHS))}, 1-bit input, against onnxruntime on the float equivalent"
    rounds = 7
    seconds = 2.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Make both networks, and hold ours against the same one in NumPy."""
        random = np.random.default_rng(6)
        network = _Signs(random)
        path = self._setting.folder / "mlp.onnx"
        models.write_mlp(path, WIDTHS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._cases = [self._case(network, session, random, batch) for batch in BATCHES]
        return [
            f"onnxruntime {onnxruntime.__version__}, intra_op_num_threads = 1: MatMul and Relu, no bias",
            "a feature is one bit, by a threshold of its own; both sides get float32",
            f"limit: the bit pairs of the layers by {self._setting.bit_pairs_are}, in registers",
        ]

    def pair(self, number: int) -> list[Timing]:
        """Run both."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare batch by batch."""
        checks = []
        for case in self._cases:
            checks += [
                least(f"{case.name}, of {ONNX}", ratio(rounds, OURS, ONNX, rate, case.name), 3.0),
                shown(f"{case.name}, of the processor's limit", median(rounds, OURS, share, case.name)),
            ]
        return checks

    def _case(
        self, network: _Signs, session: onnxruntime.InferenceSession, random: np.random.Generator, batch: int
    ) -> Case:
        x = random.standard_normal((batch, WIDTHS[0])).astype(np.float32)
        ready, label, scores = network.ready, np.empty(batch, np.int64), np.empty((batch, WIDTHS[-1]), np.float32)
        ready.run(x, label, scores)
        peers.agree("the network in NumPy", network.scores(x), scores)
        pairs = sum(inputs * outputs for inputs, outputs in pairwise(WIDTHS))
        given = {"input": x}
        return Case(
            f"batch {batch}",
            batch / MILLION,
            "Mrow/s",
            (Side(ONNX, lambda: session.run(None, given)), Side(OURS, lambda: ready.run(x, label, scores))),
            lambda: self._setting.bit_pairs() / pairs / MILLION,
        )


class _Signs:
    """A network of random signs, ready to run and as matrices."""

    def __init__(self, random: np.random.Generator) -> None:
        signs = np.array([-1, 1], np.float32)
        self._limits = random.standard_normal(WIDTHS[0]).astype(np.float32)
        self._weights = [random.choice(signs, (outputs, inputs)) for inputs, outputs in pairwise(WIDTHS)]
        self._thresholds = [random.integers(-16, 17, len(weights)) for weights in self._weights[:-1]]
        self.ready = BinaryNetwork(
            from_signs(
                features=WIDTHS[0],
                encoding_thresholds=self._limits,
                hidden=list(zip(self._weights[:-1], self._thresholds, strict=True)),
                head_weights=self._weights[-1],
            )
        )

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return the scores, by products of floats."""
        values = np.where(x >= self._limits, np.float32(1), np.float32(-1))
        for weights, thresholds in zip(self._weights[:-1], self._thresholds, strict=True):
            values = np.where(values @ weights.T >= thresholds, np.float32(1), np.float32(-1))
        return values @ self._weights[-1].T
