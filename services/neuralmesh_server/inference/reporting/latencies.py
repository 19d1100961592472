"""How long requests took: the histogram of a version, which several threads count in blocks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.histogram import Histogram

if TYPE_CHECKING:
    from liam_core.oip import Stats

LATENCY_SCALE = 5


class Latencies:
    """The latency histogram of a version: what all its blocks hold."""

    __slots__ = ("_blocks",)

    def __init__(self, *blocks: Stats) -> None:
        self._blocks = blocks

    @property
    def count(self) -> int:
        """How many were recorded since they were last taken."""
        return sum(stats.block.recorded for stats in self._blocks)

    def copy(self) -> Histogram:
        """Return what was recorded since it was last taken."""
        whole = Histogram(LATENCY_SCALE)
        for stats in self._blocks:
            block = stats.block
            whole.merge(
                Histogram.from_parts(
                    LATENCY_SCALE,
                    stats.latencies(),
                    zero_count=block.zero_count,
                    total=block.sum,
                    low=block.low,
                    high=block.high,
                )
            )
        return whole

    def take(self) -> Histogram:
        """Return what was recorded and start again from nothing."""
        taken = self.copy()
        self.forget()
        return taken

    def forget(self) -> None:
        """Start again from nothing."""
        for stats in self._blocks:
            stats.forget_latencies()
