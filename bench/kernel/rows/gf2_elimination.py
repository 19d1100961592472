"""Inverse and rank in GF(2) beside M4RI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, ratio
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, pair
from bench.kernel.timing import rate
from liam_core import gf2

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

SIDE = 2048
INVERSE, RANK = "inverse", "rank"
M4RI = {INVERSE: "M4RI mzd_inv_m4ri", RANK: "M4RI mzd_echelonize"}
TERA = 1e12


class Gf2Elimination:
    """3 times M4RI."""

    name = "elimination"
    measure = f"GF(2) inverse and rank, n = {SIDE}, against libm4ri"
    rounds = 7
    seconds = 2.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Make a matrix that has an inverse, and hold the results against one another."""
        a, m4ri = _invertible(), self._setting.m4ri
        theirs, room = m4ri.matrix(a, SIDE), m4ri.empty(SIDE, SIDE)
        m4ri.invert(theirs, room)
        peers.agree(M4RI[INVERSE], room.packed(), gf2.inverse(a))
        peers.agree(M4RI[RANK], np.array(m4ri.rank(theirs, room)), np.array(gf2.rank(a, SIDE)))
        work = SIDE**3 / TERA
        self._cases = [
            Case(
                INVERSE,
                work,
                "Tbit/s",
                (Side(M4RI[INVERSE], lambda: m4ri.invert(theirs, room)), Side(OURS, lambda: gf2.inverse(a))),
            ),
            Case(
                RANK,
                work,
                "Tbit/s",
                (Side(M4RI[RANK], lambda: m4ri.rank(theirs, room)), Side(OURS, lambda: gf2.rank(a, SIDE))),
            ),
        ]
        return [m4ri.version, "rate: n^3 by the time; what an elimination needs less is nobody's merit"]

    def pair(self, number: int) -> list[Timing]:
        """Eliminate."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare both."""
        return [
            least(f"{what}, of {theirs}", ratio(rounds, OURS, theirs, rate, what), 3.0) for what, theirs in M4RI.items()
        ]


def _invertible() -> np.ndarray:
    """Return random rows of full rank; more than one in four is."""
    random = np.random.default_rng(SIDE)
    while True:
        a = random.integers(0, 2**64, (SIDE, SIDE // 64), np.uint64)
        if gf2.rank(a, SIDE) == SIDE:
            return a
