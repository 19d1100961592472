"""The shape that every row of the table has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from bench.figures import Check, Rounds, Sample
    from bench.setting import Setting


class Row(Protocol):
    """One line of the table; made with the setting, then prepared once, then paired again and again.

    Attributes:
        name: What `--only` takes.
        measure: The measure in words.
        rounds: Least number of rounds.
        seconds: How long a full round takes about, with its share of the preparation.
    """

    name: ClassVar[str]
    measure: ClassVar[str]
    rounds: ClassVar[int]
    seconds: ClassVar[float]

    def __init__(self, setting: Setting) -> None:
        """Take the setting; start nothing."""

    def prepare(self) -> list[str]:
        """Start what the row needs, verify replies, warm up; returns facts to print, such as a peer's version."""

    def pair(self, number: int) -> list[Sample]:
        """Run each side once, one after the other; rounds are numbered from 1, and every other one is turned round."""

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Hold the rounds against the targets."""
