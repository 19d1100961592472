"""The Walsh-Hadamard transform of float32: batches that the second cache holds, and one long row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, median
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, at_page, pair
from bench.kernel.timing import share
from liam_core.hadamard import walsh_hadamard

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

BATCHED = range(8, 13)
LONG = 20
FLOATS = 1 << 16
"""A batch: 256 KiB in and as much out."""

GIGA = 1e9


class Transform:
    """Half of the rate at which float32 are added; 0.3 of it for 2^20."""

    name = "fwht"
    measure = "Walsh-Hadamard float32, 2^8 to 2^12 in batches of 256 KiB, and 2^20, against the rate of additions"
    rounds = 7
    seconds = 3.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Hold the transform of a transform against the row."""
        self._cases = [self._case(exponent) for exponent in (*BATCHED, LONG)]
        return ["limit: additions of float32, 512 bits wide, in registers; a transform has n log2 n"]

    def pair(self, number: int) -> list[Timing]:
        """Transform."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare length by length."""
        return [
            least(
                f"{case.name}, of the processor's limit",
                median(rounds, OURS, share, case.name),
                0.3 if case.name == _name(LONG) else 0.5,
            )
            for case in self._cases
        ]

    def _case(self, exponent: int) -> Case:
        n = 1 << exponent
        rows = max(1, FLOATS // n)
        random = np.random.default_rng(exponent)
        x = at_page(random.integers(-1, 2, (rows, n)).astype(np.float32))  # so small that sums are exact
        out = at_page(np.zeros_like(x))
        walsh_hadamard(x, out=out)
        peers.agree("a transform of the transform", walsh_hadamard(out) / np.float32(n), x)
        return Case(
            _name(exponent),
            x.size * exponent / GIGA,
            "Gadd/s",
            (Side(OURS, lambda: walsh_hadamard(x, out=out)),),
            lambda: self._setting.limits.float_adds() / GIGA,
        )


def _name(exponent: int) -> str:
    return f"2^{exponent}"
