"""How long the registry has not been heard, on a clock that never goes back; at least what was kept over a restart."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = (10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200)
"""Seconds in which silence is told and kept; after the last one each is twice the one before."""


def elapsed() -> float:
    """Return seconds since the machine started, those included that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def step_of(seconds: float) -> int:
    """Return the largest step that has passed, 0 for none."""
    passed = max((step for step in STEPS if step <= seconds), default=0)
    while passed >= STEPS[-1] and passed * 2 <= seconds:
        passed *= 2
    return passed


def after(step: int) -> int:
    """Return the step that comes next."""
    return next((one for one in STEPS if one > step), step * 2)


class Silence:
    """Counts from the moment when the registry was last heard.

    Args:
        kept: Seconds of silence that were kept when the node last ran; None when the registry was never heard.
        clock: Seconds on a clock that never goes back.
    """

    def __init__(self, kept: float | None, clock: Callable[[], float] = elapsed) -> None:
        self._clock = clock
        self._base = kept
        self._since = clock()

    @property
    def seconds(self) -> float | None:
        """At least so long ago the registry was last heard; None when it never was."""
        return None if self._base is None else self._base + self._clock() - self._since

    @property
    def step(self) -> int:
        """The largest step that has passed."""
        return step_of(self.seconds or 0.0)

    def heard(self) -> None:
        """Take note that the registry was heard now."""
        self._base, self._since = 0.0, self._clock()
