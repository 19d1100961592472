"""How long something took of late: a percentile that forgets, so that a bad minute is not held against anybody."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = 256
"""Most durations that are looked at."""
SECONDS = 30.0
"""Age from which a duration says nothing any more."""
KEYS = 256
"""Most subjects that are told apart; the one that was met longest ago is forgotten first."""
_EVERY = 8


class Recent:
    """The 95th percentile of recent durations, in seconds.

    Args:
        clock: Returns the time in seconds, never going back.
    """

    __slots__ = ("_clock", "_found", "_kept", "_since")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._found = 0.0
        self._since = 0

    def add(self, seconds: float) -> None:
        """Take note of a duration."""
        self._kept.append((self._clock(), seconds))
        self._since += 1

    def p95(self) -> float:
        """Return the duration that 95 of 100 did not exceed, within a few of the newest; 0.0 where none is known."""
        kept, oldest = self._kept, self._clock() - SECONDS
        stale = False
        while kept and kept[0][0] < oldest:
            kept.popleft()
            stale = True
        if stale or self._since >= min(_EVERY, len(kept)):
            ordered = sorted(seconds for _, seconds in kept)
            self._found = ordered[(len(ordered) * 95 - 1) // 100] if ordered else 0.0
            self._since = 0
        return self._found


class RecentBy:
    """Recent durations of each of many subjects."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._subjects: dict[object, Recent] = {}

    def of(self, subject: object) -> Recent:
        """Return the durations of a subject."""
        found = self._subjects.pop(subject, None)
        if found is None:
            found = Recent(self._clock)
            if len(self._subjects) >= KEYS:
                del self._subjects[next(iter(self._subjects))]
        self._subjects[subject] = found
        return found
