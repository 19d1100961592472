"""One query over a database that no cache holds: how much of the memory's bandwidth is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.figures import least, median, ratio, shown
from bench.kernel import peers
from bench.kernel.cases import OURS, Case, Side, pair
from bench.kernel.timing import rate, share
from liam_core.search import BinaryCodes

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.kernel.setting import KernelSetting
    from bench.kernel.timing import Timing

NBITS, K = 1024, 10
BYTES, QUICK_BYTES = 1 << 30, 1 << 26
FAISS = "FAISS IndexBinaryFlat"
GIGA = 1e9


class Scan:
    """0.9 of the memory's bandwidth."""

    name = "scan"
    measure = f"Hamming top-{K}, one query, a database of 1 GiB, against the memory's read bandwidth"
    rounds = 7
    seconds = 4.0

    def __init__(self, setting: KernelSetting) -> None:
        self._setting = setting
        self._cases: list[Case] = []

    def prepare(self) -> list[str]:
        """Fill a database; the memory that the limit reads is NumPy's, as the database's is."""
        size = QUICK_BYTES if self._setting.quick else BYTES
        random = np.random.default_rng(8)
        codes = random.integers(0, 2**64, (size * 8 // NBITS, NBITS // 64), np.uint64)
        query = random.integers(0, 2**64, (1, NBITS // 64), np.uint64)
        octets, ours, faiss = query.view(np.uint8), BinaryCodes(codes, NBITS), peers.Faiss(codes)
        peers.agree(FAISS, faiss.search(octets, K)[0], ours.top_k(query, K).distances.astype(np.int32))
        self._cases = [
            Case(
                f"{size >> 20} MiB",
                size / GIGA,
                "GB/s",
                (Side(FAISS, lambda: faiss.search(octets, K)), Side(OURS, lambda: ours.top_k(query, K))),
                lambda: self._setting.limits.read(codes) / GIGA,
            )
        ]
        return [
            f"{peers.faiss_version()}, one thread",
            "limit: one processor reads as many bytes, with and without prefetching, whichever is quicker",
        ]

    def pair(self, number: int) -> list[Timing]:
        """Search."""
        return pair(self._setting, self._cases, number)

    def verdict(self, rounds: Rounds[Timing]) -> list[Check]:
        """Compare with the memory; FAISS is shown."""
        return [
            least("of the memory's read bandwidth", median(rounds, OURS, share), 0.9),
            shown(f"of {FAISS}", ratio(rounds, OURS, FAISS, rate)),
        ]
