"""What a call costs: the clock of the kernel's table, and what a round measures of one side."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass, field
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

BLOCK_SECONDS = 0.0005
"""Calls that are shorter are timed many at once: reading the clock is to cost nothing beside them."""

LEAST_BLOCKS = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """One side of one round.

    Attributes:
        side: Whose figures these are.
        case: The shape, or whatever else tells the runs of a round apart.
        seconds: Processor time of a call; for more than one thread, the time that passed.
        passed: The time that passed.
        work: What a call did, in the unit.
        unit: Unit of the work a second.
        limit: Work a second that the processor can at most; 0 where that says nothing.
    """

    side: str
    case: str
    seconds: float
    passed: float
    work: float
    unit: str
    limit: float = 0.0

    @property
    def rate(self) -> float:
        """Work a second."""
        return self.work / self.seconds

    @property
    def share(self) -> float:
        """The rate's fraction of the limit; not a number where there is none."""
        return self.rate / self.limit if self.limit else float("nan")

    def line(self, number: str) -> str:
        """Return a printed row; `number` is that of the round."""
        share = f"{self.share:9.3f}" if self.limit else f"{'':9}"
        return (
            f"{number:>6}  {self.side:27} {self.case:12} {self.seconds * 1e6:12,.2f} {self.rate:11,.3f} "
            f"{self.unit:8} {share}"
        ).rstrip()

    @classmethod
    def middle(cls, samples: Sequence[Self]) -> Self:
        """Return the medians of samples of one side and case."""
        one = samples[0]
        seconds, passed, limit = (
            statistics.median(figure(sample) for sample in samples)
            for figure in (attrgetter("seconds"), attrgetter("passed"), attrgetter("limit"))
        )
        return cls(one.side, one.case, seconds, passed, one.work, one.unit, limit)


HEADING = f"{'round':>6}  {'':27} {'':12} {'us a call':>12} {'rate':>11} {'':8} {'of limit':>9}"


def rate(timing: Timing) -> float:
    """Return work a second."""
    return timing.rate


def pace(timing: Timing) -> float:
    """Return work by the time that passed, for comparing numbers of threads."""
    return timing.work / timing.passed


def share(timing: Timing) -> float:
    """Return the fraction of the processor's limit."""
    return timing.share


@dataclass(slots=True)
class Clock:
    """Times calls: the best of many blocks of calls, since whatever disturbs one, for any side, only makes it slower.

    Processor time is that of this thread, so that what other processes take of the processor does not count.

    Attributes:
        seconds: How long a side is called in a round.
    """

    seconds: float
    _repeats: dict[Callable[[], object], int] = field(default_factory=dict)

    def time(self, call: Callable[[], object]) -> tuple[float, float]:
        """Return the seconds of a call, warm: processor time, and what passed."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            repeats = self._repeats.get(call) or self._calibrate(call)
            self._repeats[call] = repeats
            _block(call, repeats)
            blocks, began = [_block(call, repeats)], time.perf_counter()
            while len(blocks) < LEAST_BLOCKS or time.perf_counter() - began < self.seconds:
                blocks.append(_block(call, repeats))
        finally:
            if enabled:
                gc.enable()
        return min(processor for processor, _ in blocks), min(passed for _, passed in blocks)

    @staticmethod
    def _calibrate(call: Callable[[], object]) -> int:
        repeats = 1
        while _block(call, repeats)[1] * repeats < BLOCK_SECONDS:
            repeats *= 2
        return repeats


def _block(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.thread_time()
    for _ in repeat(None, repeats):
        call()
    return (time.thread_time() - worked) / repeats, (time.perf_counter() - began) / repeats
