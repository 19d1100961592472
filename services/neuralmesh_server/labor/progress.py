"""What is said of a job on its way: counts that never go down, and the time that is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralmesh_server.labor.records import Progress

_RISING = ("done", "cached", "audited", "done_rows", "skipped_rows", "retries")


def at_least(floor: Progress, now: Progress) -> Progress:
    """Return counts that are nowhere below what was said before.

    A shard that had a result may lose it, when its worker is found to lie; it is counted once all the same.
    """
    return replace(now, **{name: max(getattr(floor, name), getattr(now, name)) for name in _RISING})


def remaining_ms(seconds: float, cost_done: int, cost_left: int) -> int | None:
    """Return the time that is left at the pace so far; None while there is none."""
    if cost_left == 0:
        return 0
    if cost_done == 0:
        return None
    return round(1000 * seconds * cost_left / cost_done)
