"""What may go wrong, and when: one generator for all of it, so that a seed is a schedule."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad a line is.

    Attributes:
        delay_seconds: The longest that a message takes; each takes its own time, and none overtakes another.
        lost: Probability that a message is lost, with its stream: nothing is lost within a stream that goes on.
        doubled: Probability that a step comes twice.
        swapped: Probability that a step comes after the one behind it.
        damaged: Probability that a bit of an artifact's piece is flipped.
    """

    delay_seconds: float = 0.01
    lost: float = 0.0
    doubled: float = 0.0
    swapped: float = 0.0
    damaged: float = 0.0


FAIR = Weather()
FOUL = Weather(delay_seconds=2.0, lost=0.05, doubled=0.05, swapped=0.05, damaged=0.05)


class Chance:
    """Draws from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def happens(self, probability: float) -> bool:
        """Say whether something of this probability happens now."""
        return probability > 0 and self._random.random() < probability

    def below(self, limit: float) -> float:
        """Return a number from 0 to a limit."""
        return self._random.random() * limit

    def whole(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        return self._random.randint(low, high)

    def choose(self, things: list[str]) -> str:
        """Return one of several things."""
        return self._random.choice(things)
