"""The shape that every row of a table has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Check, Rounds, Sample


class Row(Protocol):
    """One line of a table; made with the table's setting, then prepared once, then paired again and again.

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

    def __init__(self, setting: Any) -> None:
        """Take the setting; start nothing."""

    def prepare(self) -> list[str]:
        """Start what the row needs, verify replies, warm up; returns facts to print, such as a peer's version."""

    def pair(self, number: int) -> Sequence[Sample]:
        """Run each side once, one after the other; rounds are numbered from 1, and every other one is turned round."""

    def verdict(self, rounds: Rounds[Any]) -> list[Check]:
        """Hold the rounds against the targets."""
