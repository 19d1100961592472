"""What a shard costs beside its rows: many of next to none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import median, most
from bench.labor.setting import EMBEDDED

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.labor.duration import Duration
    from bench.labor.setting import LaborSetting

SHARDS = 2000
ROWS = 64
SIDE = "embedded, two processes"


class SmallShards:
    """Under 3 ms."""

    name = "shard"
    measure = f"{SHARDS:,} shards of {ROWS} rows: scheduling, running, storing and committing"
    rounds = 5
    seconds = 8.0

    def __init__(self, setting: LaborSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Start an array."""
        self._array = self._setting.array(EMBEDDED, 2)
        return []

    def pair(self, number: int) -> list[Duration]:
        """Run a job over rows that nobody ran before."""
        shards = self._setting.some(SHARDS)
        data = self._setting.rows_of((shards + number) * ROWS, 1)
        return [self._array.run(SIDE, self._setting.spec(data, ROWS - number))]

    def verdict(self, rounds: Rounds[Duration]) -> list[Check]:
        """Look at the middle."""
        return [most("a shard, whatever its rows", median(rounds, SIDE, lambda one: one.per_shard_ms), 3, "ms")]
