"""Making a plan of very many shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import median, most
from bench.labor.duration import Duration, seconds
from bench.labor.setting import measured

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.labor.setting import LaborSetting

SHARDS = 100_000
ROWS = 64
SIDE = "a process of its own"


class Planning:
    """Under 5 s and 500 MB."""

    name = "plan"
    measure = f"planning {SHARDS:,} shards of {ROWS} rows, all data read and hashed"
    rounds = 5
    seconds = 6.0

    def __init__(self, setting: LaborSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Write the data."""
        self._data = self._setting.rows_of(self._setting.some(SHARDS) * ROWS, 8)
        return []

    def pair(self, number: int) -> list[Duration]:
        """Plan."""
        del number
        shards, spent, megabytes = map(float, measured("planning", [str(self._data), str(ROWS)]).split())
        return [Duration(SIDE, spent, shards * ROWS, shards, megabytes=megabytes)]

    def verdict(self, rounds: Rounds[Duration]) -> list[Check]:
        """Look at time and memory."""
        return [
            most(f"a plan of {SHARDS:,} shards", median(rounds, SIDE, seconds), 5, "s"),
            most("the most memory of its process", median(rounds, SIDE, lambda one: one.megabytes), 500, "MB"),
        ]
