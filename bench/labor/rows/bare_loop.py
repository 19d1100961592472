"""Ten million rows beside a bare loop over the same shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import least, median, ratio, shown, turned
from bench.labor.duration import Duration, rate
from bench.labor.setting import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.figures import Check, Rounds
    from bench.labor.setting import LaborSetting

ARRAY, BARE = "the array, embedded, two processes", "a bare loop in two processes"


class BareLoop:
    """At least 0.9 of its throughput."""

    name = "bare"
    measure = "ten million rows of digits through the packed network, labels kept, beside a bare loop"
    rounds = 5
    seconds = 12.0

    def __init__(self, setting: LaborSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Write the data and start the array."""
        files = sorted(self._setting.data.iterdir())
        self._array = self._setting.array(EMBEDDED, 2)
        return [f"{len(files)} files of {files[0].stat().st_size:,} bytes"]

    def pair(self, number: int) -> list[Duration]:
        """Run both over shards of one size that nobody ran before."""
        spec = self._setting.fresh_spec()
        sides: list[Callable[[], Duration]] = [
            lambda: self._array.run(ARRAY, spec),
            lambda: Duration(BARE, self._setting.bare(spec, 2), 1, 1),
        ]
        found = {sample.side: sample for sample in (side() for side in turned(sides, number))}
        bare = found[BARE]
        return [found[ARRAY], Duration(BARE, bare.seconds, found[ARRAY].rows, found[ARRAY].shards)]

    def verdict(self, rounds: Rounds[Duration]) -> list[Check]:
        """Look at the ratio within each round."""
        return [
            least("throughput beside the bare loop's", ratio(rounds, ARRAY, BARE, rate), 0.9),
            shown("rows a second", median(rounds, ARRAY, rate)),
            shown("planning it, in seconds", median(rounds, ARRAY, lambda one: one.planning), "s"),
        ]
