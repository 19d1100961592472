"""The ten nearest of 200,000 codes for 64 queries beside FAISS's exhaustive index, and by two threads beside one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, median, ratio, shown
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, pair
from bench.kernel.timing import pace, rate, share
from liam_core.search import BinaryCodes

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

WIDTHS = (256, 1024)
QUERIES, CODES, K = 64, 200_000, 10
FAISS, TWO = "FAISS IndexBinaryFlat", "liam_core, two threads"
TERA = 1e12


class Nearest:
    """5 times FAISS; 1.7 times by two threads."""

    name = "nearest"
    measure = f"Hamming top-{K}, {QUERIES} queries x {CODES:,} codes, against faiss-cpu"
    rounds = 7
    seconds = 4.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Fill both indexes, and hold the distances against one another; positions too, up to ties."""
        self._cases = [self._case(nbits) for nbits in WIDTHS]
        return [
            f"{peers.faiss_version()}, one thread",
            f"limit: one processor's {self._setting.bit_pairs_are}, in registers; two threads have two",
            "the time of two threads is what passed, and is compared with what passed for one",
        ]

    def pair(self, number: int) -> list[Timing]:
        """Search."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare width by width."""
        checks = []
        for case in self._cases:
            name = case.name
            checks += [
                least(f"{name}, of {FAISS}", ratio(rounds, OURS, FAISS, rate, name), 5.0),
                least(f"{name}, two threads, of one", ratio(rounds, TWO, OURS, pace, name), 1.7),
                shown(f"{name}, of the processor's limit", median(rounds, OURS, share, name)),
            ]
        return checks

    def _case(self, nbits: int) -> Case:
        random = np.random.default_rng(nbits)
        codes, queries = (random.integers(0, 2**64, (rows, nbits // 64), np.uint64) for rows in (CODES, QUERIES))
        octets = queries.view(np.uint8)
        faiss, ours = peers.Faiss(codes), BinaryCodes(codes, nbits)
        _compare(faiss, octets, ours, queries)
        return Case(
            f"{nbits} bits",
            QUERIES * CODES * nbits / TERA,
            "Tbit/s",
            (
                Side(FAISS, lambda: faiss.search(octets, K)),
                Side(OURS, lambda: ours.top_k(queries, K)),
                Side(TWO, lambda: ours.top_k(queries, K, threads=2), everywhere=True),
            ),
            lambda: self._setting.bit_pairs() / TERA,
        )


def _compare(faiss: peers.Faiss, octets: np.ndarray, ours: BinaryCodes, queries: np.ndarray) -> None:
    distances, positions = faiss.search(octets, K)
    found = ours.top_k(queries, K)
    peers.agree(FAISS, distances, found.distances.astype(np.int32))
    nearer = distances < distances[:, -1:]  # which of those at the greatest distance are found is anybody's choice
    for row, mine, theirs in zip(nearer, found.positions, positions, strict=True):
        peers.agree(FAISS, np.sort(theirs[row]), np.sort(mine[row]))
