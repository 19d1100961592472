"""What a round of the labor array's table measures of one side: how long work over some rows or shards took."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

HEADING = f"{'round':>6}  {'':40} {'seconds':>9} {'rows/s':>12} {'shards':>8} {'ms/shard':>9} {'planned in':>10}"


@dataclass(frozen=True, slots=True)
class Duration:
    """One side of one round.

    Attributes:
        side: Whose figures these are.
        seconds: From when the work was known to when its results were there.
        rows: Rows of it.
        shards: Parts of it.
        planning: Seconds of reading and hashing the data beforehand; 0 where nothing was planned.
        megabytes: The most memory that it took, where that was measured.
    """

    side: str
    seconds: float
    rows: float
    shards: float
    planning: float = 0.0
    megabytes: float = 0.0
    case: str = ""

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def per_shard_ms(self) -> float:
        """Milliseconds for each shard."""
        return self.seconds / self.shards * 1e3

    def line(self, number: str) -> str:
        """Return a printed row."""
        planned = f"{self.planning:9.2f}s" if self.planning else ""
        memory = f" {self.megabytes:6.0f} MB" if self.megabytes else ""
        figures = f"{self.seconds:9.3f} {self.rate:12,.0f} {self.shards:8,.0f} {self.per_shard_ms:9.3f}"
        return f"{number:>6}  {self.side:40} {figures} {planned}{memory}".rstrip()

    @classmethod
    def middle(cls, samples: Sequence[Self]) -> Self:
        """Return the medians of samples of one side."""
        figures = ([one.seconds, one.rows, one.shards, one.planning, one.megabytes] for one in samples)
        return cls(samples[0].side, *(statistics.median(column) for column in zip(*figures, strict=True)))


def seconds(sample: Duration) -> float:
    """Return the seconds."""
    return sample.seconds


def rate(sample: Duration) -> float:
    """Return the rows a second."""
    return sample.rate
