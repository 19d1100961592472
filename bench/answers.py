"""What a round of the serving table measures of one side: answers a second, their latency, and what they cost."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


@dataclass(frozen=True, slots=True)
class Answers:
    """One side of one round.

    Attributes:
        side: Whose figures these are.
        clients: Requests under way at once.
        rate: Answers a second.
        p50_us: Median latency in microseconds.
        p99_us: 99th percentile of the latency in microseconds.
        cpu_us: Processor time of the server for an answer, in microseconds; user and system, all its processes.
    """

    side: str
    clients: int
    rate: float
    p50_us: float
    p99_us: float
    cpu_us: float

    @property
    def case(self) -> int:
        """The number of clients."""
        return self.clients

    def line(self, number: str) -> str:
        """Return a printed row; `number` is that of the round."""
        return (
            f"{number:>6}  {self.side:26} {self.clients:7} {self.rate:10,.0f} {self.p50_us:9,.0f} "
            f"{self.p99_us:9,.0f} {self.cpu_us:9.1f}"
        )

    @classmethod
    def middle(cls, samples: Sequence[Self]) -> Self:
        """Return the medians of samples of one side and number of clients."""
        figures = (statistics.median(figure(sample) for sample in samples) for figure in (rate, p50, p99, cpu))
        return cls(samples[0].side, samples[0].clients, *figures)


HEADING = f"{'round':>6}  {'':26} {'clients':>7} {'answers/s':>10} {'p50 us':>9} {'p99 us':>9} {'cpu us':>9}"


def rate(sample: Answers) -> float:
    """Return answers a second."""
    return sample.rate


def p50(sample: Answers) -> float:
    """Return the median latency."""
    return sample.p50_us


def p99(sample: Answers) -> float:
    """Return the 99th percentile."""
    return sample.p99_us


def cpu(sample: Answers) -> float:
    """Return processor time for an answer."""
    return sample.cpu_us
