"""A job whose results are all known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import median, most
from bench.labor.duration import Duration
from bench.labor.setting import EMBEDDED

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.labor.setting import LaborSetting

SHARDS = 10_000
ROWS = 64
SIDE = "planned and committed"


class Cached:
    """Under 3 s, with its planning."""

    name = "cached"
    measure = f"a job of {SHARDS:,} shards, all in the cache, under another name of the data"
    rounds = 5
    seconds = 10.0

    def __init__(self, setting: LaborSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Run it once."""
        setting = self._setting
        self._array = setting.array(EMBEDDED, 2)
        self._data = setting.rows_of(setting.some(SHARDS) * ROWS, 1)
        first = self._array.run("first", setting.spec(self._data, ROWS))
        return [f"the first run took {first.seconds:.1f} s"]

    def pair(self, number: int) -> list[Duration]:
        """Run a job over the same bytes in a file of another name: another plan, and the same actions."""
        folder = self._setting.fresh_folder("renamed")
        (file,) = self._data.iterdir()
        (folder / f"renamed-{number}.npy").hardlink_to(file)
        ran = self._array.run(SIDE, self._setting.spec(folder, ROWS))
        return [Duration(SIDE, ran.seconds + ran.planning, ran.rows, ran.shards, planning=ran.planning)]

    def verdict(self, rounds: Rounds[Duration]) -> list[Check]:
        """Look at the middle."""
        return [most(f"a cached job of {SHARDS:,} shards", median(rounds, SIDE, lambda one: one.seconds), 3, "s")]
