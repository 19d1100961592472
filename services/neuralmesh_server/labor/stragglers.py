"""Which shards take so long that somebody else should run them as well."""

from __future__ import annotations

from bisect import insort

SHARE = 0.75
"""Share of the shards that must be done before anything counts as late."""

FACTOR = 2.0
"""How many times the median, scaled by cost, is late."""

FLOOR_SECONDS = 1.0
"""Nothing is late before this, since a duplicate costs more than such a wait."""


class Pace:
    """How long shards took for their cost, measured from lease to result."""

    def __init__(self) -> None:
        self._rates: list[float] = []

    def note(self, seconds: float, cost: int) -> None:
        """Note that a shard took so long."""
        insort(self._rates, seconds / max(cost, 1))

    def limit(self, cost: int) -> float:
        """Return after how many seconds a shard of some cost is late; infinite while nothing is known."""
        if not self._rates:
            return float("inf")
        return max(FLOOR_SECONDS, FACTOR * self._rates[len(self._rates) // 2] * max(cost, 1))
