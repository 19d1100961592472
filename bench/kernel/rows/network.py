"""A binary network, one row and 64 rows of bits or of bytes, beside onnxruntime on float weights of the same widths."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from onnx import TensorProto

from bench import models
from bench.figures import least, median, ratio, shown
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, pair
from bench.kernel.timing import rate, share
from liam_core import BinaryNetwork, from_signs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

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
    measure = f"binary network {'-'.join(map(str, WIDTHS))}, 1-bit or uint8 input, against onnxruntime on floats"
    rounds = 7
    seconds = 4.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Make both networks, and hold ours against the same one in NumPy."""
        random = np.random.default_rng(6)
        network, session = _Signs(random, random.standard_normal(WIDTHS[0])), self._session(TensorProto.FLOAT)
        self._cases = [self._case(network, session, random, batch) for batch in BATCHES]
        network, session = _Signs(random, random.integers(0, 256, WIDTHS[0])), self._session(TensorProto.UINT8)
        self._cases += [self._bytes_case(network, session, random, batch) for batch in BATCHES]
        return [
            f"onnxruntime {onnxruntime.__version__}, intra_op_num_threads = 1: MatMul and Relu, no bias",
            "a feature is one bit, by a threshold of its own; both sides get float32",
            "of uint8: both sides get bytes; onnxruntime casts them in its graph, NumPy casts ours into kept memory",
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
        return self._beside(session, f"batch {batch}", x, lambda: ready.run(x, label, scores))

    def _bytes_case(
        self, network: _Signs, session: onnxruntime.InferenceSession, random: np.random.Generator, batch: int
    ) -> Case:
        x, room = random.integers(0, 256, (batch, WIDTHS[0])).astype(np.uint8), np.empty((batch, WIDTHS[0]), np.float32)
        ready, label, scores = network.ready, np.empty(batch, np.int64), np.empty((batch, WIDTHS[-1]), np.float32)

        def run() -> None:
            np.copyto(room, x)
            ready.run(room, label, scores)

        run()
        peers.agree("the network in NumPy", network.scores(x), scores)
        return self._beside(session, f"{batch} of uint8", x, run)

    def _beside(
        self, session: onnxruntime.InferenceSession, name: str, x: NDArray[Any], run: Callable[[], object]
    ) -> Case:
        pairs = sum(inputs * outputs for inputs, outputs in pairwise(WIDTHS))
        given = {"input": x}
        return Case(
            name,
            len(x) / MILLION,
            "Mrow/s",
            (Side(ONNX, lambda: session.run(None, given)), Side(OURS, run)),
            lambda: self._setting.bit_pairs() / pairs / MILLION,
        )

    def _session(self, datatype: int) -> onnxruntime.InferenceSession:
        path = self._setting.folder / f"mlp-{datatype}.onnx"
        models.write_mlp(path, WIDTHS, datatype)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class _Signs:
    """A network of random signs, ready to run and as matrices."""

    def __init__(self, random: np.random.Generator, limits: NDArray[Any]) -> None:
        signs = np.array([-1, 1], np.float32)
        self._limits = limits.astype(np.float32)
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
