"""Wishes that are being made into plans.

They have no name yet, since that follows from the plan, and nothing of them is stored; whoever lists jobs is shown them
all the same, since reading the data may take hours.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True, eq=False)
class PendingWish:
    """A wish that somebody has submitted and waits for.

    Attributes:
        wish: See `records.Submission`.
        actor: Who submitted it.
        created_ms: When, in milliseconds since 1970.
        progress: Bytes that are read, and bytes to read; 0 until that is known.
    """

    wish: bytes
    actor: str
    created_ms: int
    progress: tuple[int, int] = (0, 0)

    def note(self, done: int, total: int) -> None:
        """Note how many bytes are read; from any thread."""
        self.progress = (done, total)


class Pending:
    """All wishes that are being planned; belongs to the loop.

    Args:
        wall: Returns the time in seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._wishes: list[PendingWish] = []

    @contextlib.contextmanager
    def hold(self, wish: bytes, actor: str) -> Iterator[PendingWish]:
        """Show a wish for as long as the context lasts."""
        pending = PendingWish(wish, actor, int(self._wall() * 1000))
        self._wishes.append(pending)
        try:
            yield pending
        finally:
            self._wishes.remove(pending)

    def newest_first(self) -> list[PendingWish]:
        """Return those that are being planned."""
        return self._wishes[::-1]
