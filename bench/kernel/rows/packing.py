"""Packing float32 by sign, in cache, beside what one writes in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, median, ratio, shown
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, at_page, pair
from bench.kernel.timing import rate, share
from liam_core import pack

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

ROWS, NBITS = 128, 1024
"""512 KiB of floats, which the second level of every cache holds."""

BIG, LITTLE = "np.packbits(x > 0)", "... bitorder='little'"
GIGA = 1e9


class Packing:
    """1.5 times NumPy."""

    name = "pack"
    measure = f"pack float32 by sign, {ROWS} x {NBITS} in cache, against np.packbits"
    rounds = 7
    seconds = 1.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Hold the results against one another."""
        x = at_page(np.random.default_rng(5).standard_normal((ROWS, NBITS)).astype(np.float32))
        peers.agree(LITTLE, np.packbits(x > 0, axis=-1, bitorder="little").view(np.uint64), pack(x))
        self._cases = [
            Case(
                f"{ROWS} x {NBITS}",
                x.size / GIGA,
                "Gbit/s",
                (
                    Side(BIG, lambda: np.packbits(x > 0)),
                    Side(LITTLE, lambda: np.packbits(x > 0, bitorder="little")),
                    Side(OURS, lambda: pack(x)),
                ),
                lambda: self._setting.limits.read(x) / x.itemsize / GIGA,
            )
        ]
        return ["limit: reading the floats, from the same cache"]

    def pair(self, number: int) -> list[Timing]:
        """Pack."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare with NumPy; its other bit order is shown."""
        return [
            least(f"of {BIG}", ratio(rounds, OURS, BIG, rate), 1.5),
            shown("of np.packbits(x > 0, bitorder='little')", ratio(rounds, OURS, LITTLE, rate)),
            shown("of the processor's limit", median(rounds, OURS, share)),
        ]
