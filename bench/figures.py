"""What a round measures, what is demanded of the rounds, and how both are printed."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
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

    def line(self, number: str) -> str:
        """Return a printed row; `number` is that of the round."""
        return (
            f"{number:>6}  {self.side:26} {self.clients:7} {self.rate:10,.0f} {self.p50_us:9,.0f} "
            f"{self.p99_us:9,.0f} {self.cpu_us:9.1f}"
        )


HEADING = f"{'round':>6}  {'':26} {'clients':>7} {'answers/s':>10} {'p50 us':>9} {'p99 us':>9} {'cpu us':>9}"

Rounds = list[list[Sample]]
"""The samples of each round, in the order in which the sides ran."""


@dataclass(frozen=True, slots=True)
class Check:
    """A figure and its target.

    Attributes:
        what: What is measured.
        measured: The figure.
        target: What it must reach.
        at_least: The target is the least permitted; else the greatest.
        unit: Behind the figures; "" for a ratio.
    """

    what: str
    measured: float
    target: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        """Say whether the target is reached."""
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def line(self) -> str:
        """Return a printed row."""
        return f"{self.what:58} {self.measured_text}  {self.target_text}  {self.word}"

    @property
    def measured_text(self) -> str:
        """Return the figure with its unit."""
        return f"{_number(self.measured)} {self.unit}".rstrip()

    @property
    def target_text(self) -> str:
        """Return the target with its sign and unit."""
        return f"{'>=' if self.at_least else '<='} {_number(self.target)} {self.unit}".rstrip()

    @property
    def word(self) -> str:
        """Return the outcome in a word."""
        return "met" if self.met else "MISSED"


def least(what: str, measured: float, target: float, unit: str = "") -> Check:
    """Return a check of a figure that must be at least its target."""
    return Check(what, measured, target, at_least=True, unit=unit)


def most(what: str, measured: float, target: float, unit: str = "") -> Check:
    """Return a check of a figure that must be at most its target."""
    return Check(what, measured, target, at_least=False, unit=unit)


def rate(sample: Sample) -> float:
    """Return answers a second."""
    return sample.rate


def p50(sample: Sample) -> float:
    """Return the median latency."""
    return sample.p50_us


def p99(sample: Sample) -> float:
    """Return the 99th percentile."""
    return sample.p99_us


def cpu(sample: Sample) -> float:
    """Return processor time for an answer."""
    return sample.cpu_us


def turned(sides: Sequence[T], number: int) -> Sequence[T]:
    """Return the sides in the order of a round: in every other round the last comes first."""
    return sides if number % 2 else sides[::-1]


def pick(samples: Sequence[Sample], side: str, clients: int | None = None) -> Sample:
    """Return a round's one sample of a side (and number of clients)."""
    found = [sample for sample in samples if sample.side == side and clients in {None, sample.clients}]
    if len(found) != 1:
        raise LookupError(f"{len(found)} samples of {side} with {clients} clients")
    return found[0]


def median(rounds: Rounds, side: str, figure: Callable[[Sample], float], clients: int | None = None) -> float:
    """Return the median over the rounds of one side's figure."""
    return statistics.median(figure(pick(samples, side, clients)) for samples in rounds)


def ratio(
    rounds: Rounds, side: str, other: str, figure: Callable[[Sample], float], clients: int | None = None
) -> float:
    """Return the median over the rounds of the ratio of two sides' figures within a round."""
    return statistics.median(
        figure(pick(samples, side, clients)) / figure(pick(samples, other, clients)) for samples in rounds
    )


def medians(rounds: Rounds) -> list[Sample]:
    """Return each side's medians, in the order of the first round."""
    return [
        Sample(
            one.side,
            one.clients,
            *(median(rounds, one.side, figure, one.clients) for figure in (rate, p50, p99, cpu)),
        )
        for one in rounds[0]
    ]


def _number(value: float) -> str:
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}" if abs(value) >= 20 else f"{value:.3f}"
