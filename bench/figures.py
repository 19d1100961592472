"""What is demanded of the rounds of a table, whatever a round measures, and how it is printed."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from typing import Self

T = TypeVar("T")


class Sample(Protocol):
    """One side of one round: whose figures these are, and which of its runs in the round."""

    @property
    def side(self) -> str:
        """Whose figures these are."""

    @property
    def case(self) -> Hashable:
        """What tells the side's runs in a round apart, such as a number of clients or the shape of a product."""

    def line(self, number: str) -> str:
        """Return a printed row; `number` is that of the round."""

    @classmethod
    def middle(cls, samples: Sequence[Self]) -> Self:
        """Return the medians of samples of one side and case."""


S = TypeVar("S", bound=Sample)

Rounds = list[list[S]]
"""The samples of each round, in the order in which the sides ran."""


@dataclass(frozen=True, slots=True)
class Check:
    """A figure and its target.

    Attributes:
        what: What is measured.
        measured: The figure.
        target: What it must reach; None where it is only shown.
        at_least: The target is the least permitted; else the greatest.
        unit: Behind the figures; "" for a ratio.
    """

    what: str
    measured: float
    target: float | None
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        """Say whether the target is reached, if there is one."""
        if self.target is None:
            return True
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def line(self) -> str:
        """Return a printed row."""
        return f"{self.what:58} {self.measured_text}  {self.target_text}  {self.word}".rstrip()

    def untargeted(self) -> Check:
        """Return the figure without its target."""
        return replace(self, target=None)

    @property
    def measured_text(self) -> str:
        """Return the figure with its unit."""
        return f"{_number(self.measured)} {self.unit}".rstrip()

    @property
    def target_text(self) -> str:
        """Return the target with its sign and unit."""
        if self.target is None:
            return ""
        return f"{'>=' if self.at_least else '<='} {_number(self.target)} {self.unit}".rstrip()

    @property
    def word(self) -> str:
        """Return the outcome in a word."""
        if self.target is None:
            return ""
        return "met" if self.met else "MISSED"


def least(what: str, measured: float, target: float, unit: str = "") -> Check:
    """Return a check of a figure that must be at least its target."""
    return Check(what, measured, target, at_least=True, unit=unit)


def most(what: str, measured: float, target: float, unit: str = "") -> Check:
    """Return a check of a figure that must be at most its target."""
    return Check(what, measured, target, at_least=False, unit=unit)


def shown(what: str, measured: float, unit: str = "") -> Check:
    """Return a figure of which nothing is demanded."""
    return Check(what, measured, None, at_least=True, unit=unit)


def turned(sides: Sequence[T], number: int) -> Sequence[T]:
    """Return the sides in the order of a round: in every other round the last comes first."""
    return sides if number % 2 else sides[::-1]


def pick(samples: Sequence[S], side: str, case: Hashable = None) -> S:
    """Return a round's one sample of a side (and case)."""
    found = [sample for sample in samples if sample.side == side and case in {None, sample.case}]
    if len(found) != 1:
        raise LookupError(f"{len(found)} samples of {side} with case {case}")
    return found[0]


def median(rounds: Rounds[S], side: str, figure: Callable[[S], float], case: Hashable = None) -> float:
    """Return the median over the rounds of one side's figure."""
    return statistics.median(figure(pick(samples, side, case)) for samples in rounds)


def ratio(rounds: Rounds[S], side: str, other: str, figure: Callable[[S], float], case: Hashable = None) -> float:
    """Return the median over the rounds of the ratio of two sides' figures within a round."""
    return statistics.median(
        figure(pick(samples, side, case)) / figure(pick(samples, other, case)) for samples in rounds
    )


def medians(rounds: Rounds[S]) -> list[S]:
    """Return each side's medians, in the order of the first round."""
    return [one.middle([pick(samples, one.side, one.case) for samples in rounds]) for one in rounds[0]]


def _number(value: float) -> str:
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}" if abs(value) >= 20 else f"{value:.3f}"
