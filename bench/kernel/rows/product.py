"""XNOR products of packed matrices beside NumKong, which packs one side beforehand as we do, and BLAS on floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, median, ratio, shown
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, pair
from bench.kernel.timing import rate, share
from liam_core import XnorWeights, pack

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

SIDES = (1024, 2048)
HAMMINGS, DOTS, BLAS = "NumKong hammings_packed", "NumKong dots_packed", "NumPy float32 matmul"
TERA = 1e12


class XnorProduct:
    """2.2 Tbit-pairs/s, 1.8 times NumKong, 30 times NumPy."""

    name = "xnor"
    measure = "XNOR product, both sides packed beforehand, against NumKong and NumPy's float32 matmul"
    rounds = 7
    seconds = 5.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Pack, and hold every side's result against ours."""
        self._cases = [self._case(side) for side in SIDES]
        return [peers.numkong_version(), f"limit: {self._setting.bit_pairs_are}, in registers"]

    def pair(self, number: int) -> list[Timing]:
        """Multiply."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare with the targets, shape by shape."""
        checks = []
        for case in self._cases:
            name = case.name
            checks += [
                least(f"{name}, Tbit-pairs/s", median(rounds, OURS, rate, name), 2.2),
                least(f"{name}, of {HAMMINGS}", ratio(rounds, OURS, HAMMINGS, rate, name), 1.8),
                least(f"{name}, of {DOTS}", ratio(rounds, OURS, DOTS, rate, name), 1.8),
                least(f"{name}, of {BLAS}", ratio(rounds, OURS, BLAS, rate, name), 30.0),
                shown(f"{name}, of the processor's limit", median(rounds, OURS, share, name)),
            ]
        return checks

    def _case(self, side: int) -> Case:
        random = np.random.default_rng(side)
        a, b = (random.choice(np.array([-1, 1], np.float32), (side, side)) for _ in range(2))
        left, right = pack(a), pack(b)
        ours, theirs = np.empty((side, side), np.int32), np.empty((side, side), np.float32)
        weights, columns = XnorWeights(right, side), np.ascontiguousarray(b.T)
        numkong = peers.NumKong(left, right)
        np.matmul(a, columns, out=theirs)
        weights.dot(left, out=ours)
        both = np.bitwise_count(left).sum(1, dtype=np.int32)[:, None], np.bitwise_count(right).sum(1, dtype=np.int32)
        peers.agree(BLAS, theirs, ours)
        peers.agree(HAMMINGS, side - 2 * numkong.hammings().astype(np.int32), ours)
        peers.agree(DOTS, side - 2 * (both[0] + both[1] - 2 * numkong.dots().astype(np.int32)), ours)
        return Case(
            f"{side}^3",
            side**3 / TERA,
            "Tbit/s",
            (
                Side(HAMMINGS, numkong.hammings),
                Side(DOTS, numkong.dots),
                Side(BLAS, lambda: np.matmul(a, columns, out=theirs)),
                Side(OURS, lambda: weights.dot(left, out=ours)),
            ),
            lambda: self._setting.bit_pairs() / TERA,
        )
