"""Two workers beside one, of each engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import least, ratio, shown, turned
from bench.labor.duration import Duration, rate
from bench.labor.setting import DASK, EMBEDDED, OWN

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.labor.setting import LaborSetting

ONE, TWO = "one worker", "two workers"
BARE_ONE, BARE_TWO = "a bare loop in one process", "a bare loop in two processes"


class _Scaling:
    rounds = 5
    seconds = 15.0
    engine = ""
    target = 0.0

    def __init__(self, setting: LaborSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Write the data; arrays are started one after the other, since the workers of each take the processors."""
        return [f"data in {len(list(self._setting.data.iterdir()))} files"]

    def pair(self, number: int) -> list[Duration]:
        """Run one job with each."""
        spec = self._setting.fresh_spec()
        samples = []
        for side, workers in turned([(ONE, 1), (TWO, 2)], number):
            array = self._setting.array(self.engine, workers)
            samples.append(array.run(side, spec))
            array.stack.close()
        return sorted(samples, key=lambda sample: sample.side)

    def verdict(self, rounds: Rounds[Duration]) -> list[Check]:
        """Look at the ratio within each round."""
        return [least(f"two workers against one, {self.engine}", ratio(rounds, TWO, ONE, rate), self.target)]


class OnEmbedded(_Scaling):
    """1.8; and what the machine itself gives a loop that does nothing else."""

    name = "embedded"
    measure = "two against one: processes of the service"
    engine, target = EMBEDDED, 1.8

    def pair(self, number: int) -> list[Duration]:
        """Run one job with each, and the bare loop over shards of the same size."""
        spec = self._setting.fresh_spec()
        loops = {
            side: self._setting.bare(spec, processes)
            for side, processes in turned([(BARE_ONE, 1), (BARE_TWO, 2)], number)
        }
        arrays = super().pair(number)
        rows, shards = arrays[0].rows, arrays[0].shards
        return [*arrays, *(Duration(side, loops[side], rows, shards) for side in (BARE_ONE, BARE_TWO))]

    def verdict(self, rounds: Rounds[Duration]) -> list[Check]:
        """Look at the ratio within each round."""
        machine = shown("two processes of a bare loop against one", ratio(rounds, BARE_TWO, BARE_ONE, rate))
        return [*super().verdict(rounds), machine]


class OnOwn(_Scaling):
    """1.7."""

    name = "own"
    measure = "two against one: workers that pull over gRPC"
    engine, target = OWN, 1.7


class OnDask(_Scaling):
    """1.6."""

    name = "dask"
    measure = "two against one: workers of a Dask cluster"
    engine, target = DASK, 1.6
