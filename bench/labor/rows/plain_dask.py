"""The same job on plain Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import least, ratio, turned
from bench.labor.duration import Duration, rate
from bench.labor.setting import DASK, measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.figures import Check, Rounds
    from bench.labor.setting import LaborSetting

ARRAY, PLAIN = "the array on Dask, two workers", "plain Dask, map_partitions, two workers"


class PlainDask:
    """At least level."""

    name = "plain"
    measure = "ten million rows on a cluster of Dask, beside map_partitions to Parquet"
    rounds = 5
    seconds = 20.0

    def __init__(self, setting: LaborSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Write the data."""
        return [f"data in {len(list(self._setting.data.iterdir()))} files"]

    def pair(self, number: int) -> list[Duration]:
        """Run both over shards of one size; the cluster of each is up before its clock starts."""
        spec = self._setting.fresh_spec()
        sides: list[Callable[[], Duration]] = [lambda: self._array(spec), lambda: self._plain(spec)]
        found = {sample.side: sample for sample in (side() for side in turned(sides, number))}
        plain = Duration(PLAIN, found[PLAIN].seconds, found[ARRAY].rows, found[ARRAY].shards)
        return [found[ARRAY], plain]

    def verdict(self, rounds: Rounds[Duration]) -> list[Check]:
        """Look at the ratio within each round."""
        return [least("throughput beside plain Dask's", ratio(rounds, ARRAY, PLAIN, rate), 1.0)]

    def _array(self, spec: object) -> Duration:
        array = self._setting.array(DASK, 2)
        try:
            return array.run(ARRAY, spec)  # type: ignore[arg-type]
        finally:
            array.stack.close()

    def _plain(self, spec: object) -> Duration:
        rows = str(spec.rows_per_shard)  # type: ignore[attr-defined]
        out = self._setting.fresh_folder("plain") / "out"
        arguments = [str(self._setting.data), str(self._setting.models.packed), rows, "2", str(out)]
        return Duration(PLAIN, float(measured("plain_dask", arguments)), 1, 1)
