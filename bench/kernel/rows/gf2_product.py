"""Products in GF(2), rows of packed words in and out, beside M4RI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, median, ratio, shown
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, pair
from bench.kernel.timing import rate, share
from liam_core import gf2

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

SIDES = (1024, 2048, 4096)
M4RI = "M4RI mzd_mul"
TERA = 1e12


class Gf2Product:
    """5 times M4RI."""

    name = "gf2"
    measure = "GF(2) product, row-major in and out, against libm4ri"
    rounds = 7
    seconds = 3.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Hold both products against one another."""
        self._cases = [self._case(side) for side in SIDES]
        return [self._setting.m4ri.version, "limit: products of 8 x 8 blocks by GFNI, in registers"]

    def pair(self, number: int) -> list[Timing]:
        """Multiply."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare shape by shape."""
        checks = []
        for case in self._cases:
            checks += [
                least(f"{case.name}, of {M4RI}", ratio(rounds, OURS, M4RI, rate, case.name), 5.0),
                shown(f"{case.name}, of the processor's limit", median(rounds, OURS, share, case.name)),
            ]
        return checks

    def _case(self, side: int) -> Case:
        random, m4ri = np.random.default_rng(side), self._setting.m4ri
        a, b = (random.integers(0, 2**64, (side, side // 64), np.uint64) for _ in range(2))
        left, right, product = m4ri.matrix(a, side), m4ri.matrix(b, side), m4ri.empty(side, side)
        m4ri.multiply(left, right, product)
        peers.agree(M4RI, product.packed(), gf2.multiply(a, b, side))
        return Case(
            f"{side}^3",
            side**3 / TERA,
            "Tbit/s",
            (
                Side(M4RI, lambda: m4ri.multiply(left, right, product)),
                Side(OURS, lambda: gf2.multiply(a, b, side)),
            ),
            lambda: self._setting.limits.bit_products() / TERA,
        )
