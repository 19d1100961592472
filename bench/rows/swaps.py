"""A thousand swaps under load: what they cost those who ask meanwhile, and whether every answer is what it says.

The load is open loop at 70 % of what the node answers at most. h2load sends the bulk of it; it cannot check an answer,
but the bytes of all of them are counted, and a failure has none. The harness of `neuralmesh load` sends the rest,
spread at random, and holds every one of its answers against the version that the answer names.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

import uvloop

from bench import load, models
from bench.answers import Answers, p99
from bench.figures import least, most, ratio, turned
from bench.processes import ROOT
from bench.setting import DIGITS_OUTPUTS, AnswerError, ready
from neuralmesh_server.load import schedule
from neuralmesh_server.load.loops import Connections, Harness
from neuralmesh_server.load.workload import Workload, split_rows

if TYPE_CHECKING:
    from bench.figures import Check, Rounds
    from bench.setting import Setting
    from neuralmesh_server.load.record import Outcome

MODEL = "swapped"
STEADY, SWAPPING = "steady", "swapping"
STEADY_CHECKED, SWAPPING_CHECKED = "steady, checked", "swapping, checked"
CLIENTS = 16
LOAD = 0.7
CHECKED_RATE = 300
CHECKING = 2
"""Connections of the harness."""

SWAPS = 200
"""Swaps of a round; five rounds make a thousand."""

SECONDS = 8.0


class Swaps:
    """No failed request, p99 within 1.5 times, every answer what its version says."""

    name = "swaps"
    measure = "1,000 swaps, open loop at 70 % of saturation"
    rounds = 5
    seconds = 22.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._outcomes: list[Outcome] = []
        self._swapped = 0
        self._versions: list[int] = []

    def prepare(self) -> list[str]:
        """Serve two versions with an alias on the first, and find out what the node answers at most."""
        setting = self._setting
        for path in (setting.models.packed, setting.models.packed_again):
            setting.served(MODEL, path, models.LIAM, models.digits_signature())
        setting.client.promote(MODEL, 1)
        for version in ("1", "2"):
            ready(setting.client.inference, MODEL, version)
        process, address = setting.suite.processes["inference"], setting.suite.addresses["inference"]
        request = setting.packed_request(MODEL)
        self._address = address
        self._targets = {
            side: setting.target(side, process, address, request, DIGITS_OUTPUTS) for side in (STEADY, SWAPPING)
        }
        load.run(self._targets[STEADY], requests=setting.some(4_000), clients=CLIENTS)
        most_rate = statistics.median(
            load.run(self._targets[STEADY], requests=setting.some(30_000), clients=CLIENTS).rate for _ in range(3)
        )
        self._rate = LOAD * most_rate - CHECKED_RATE
        rows = split_rows({"input": setting.models.data.held_out_images[:64]}, 1)
        self._workload = Workload.of(MODEL, "", rows)
        return [
            f"saturation {most_rate:,.0f}/s; sent {self._rate:,.0f}/s by h2load and {CHECKED_RATE}/s by the harness"
        ]

    def pair(self, number: int) -> list[Answers]:
        """Run without swaps and with them."""
        samples = []
        for side, swaps in turned(((STEADY, 0), (SWAPPING, self._swaps)), number):
            samples += uvloop.run(self._side(side, swaps=swaps))
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare the slowest answers, and count what failed and what was wrong."""
        answers = [outcome.answers for outcome in self._outcomes]
        wanted = self._swaps * len(rounds)
        return [
            least("swaps", self._swapped, wanted),
            most("failed requests (h2load would have stopped the row)", self._failed(), 0),
            most("answers that are not what their version says", sum(a.wrong + a.unjudged for a in answers), 0),
            least("versions that answered while swapping", min(self._versions), 2),
            most("p99 of h2load's requests, of steady", ratio(rounds, SWAPPING, STEADY, p99), 1.5),
            most("p99 of the checked requests, of steady", ratio(rounds, SWAPPING_CHECKED, STEADY_CHECKED, p99), 1.5),
        ]

    @property
    def _swaps(self) -> int:
        return 20 if self._setting.quick else SWAPS

    def _failed(self) -> int:
        return sum(outcome.record.failed for outcome in self._outcomes)

    async def _side(self, side: str, *, swaps: int) -> list[Answers]:
        """Load for a time, and swap meanwhile, spread over it."""
        seconds = SECONDS / 4 if self._setting.quick else SECONDS
        bulk, requests = self._targets[side], int(self._rate * seconds)
        async with Connections({"inference": self._address}, CHECKING) as connections:
            harness = Harness(connections, self._workload)
            for version in ("1", "2"):
                await harness.expect(version)
            times = schedule.poisson(CHECKED_RATE, seconds, seed=len(self._outcomes))
            swapper = await self._swapper(swaps, seconds)
            try:
                with load.Run(bulk, requests=requests, clients=CLIENTS, rate=self._rate) as run:
                    swapping = asyncio.create_task(swapper.communicate(b"go\n"))
                    outcome = await harness.open_loop(times)
                    said, _ = await swapping
                    sample = await asyncio.to_thread(run.finish)
            finally:
                if swapper.returncode is None:
                    swapper.kill()
        if swapper.returncode:
            raise AnswerError(f"the swapper ended with status {swapper.returncode}")
        self._swapped += int(said)
        self._outcomes.append(outcome)
        if swaps:
            self._versions.append(len(outcome.answers.versions))
        if outcome.record.failures:
            raise AnswerError(f"failed: {dict(outcome.record.failures)} {outcome.record.messages}")
        corrected = outcome.record.corrected
        checked = Answers(
            f"{side}, checked",
            CHECKING,
            outcome.record.answered / outcome.record.seconds,
            corrected.quantile(0.5) * 1e6,
            corrected.quantile(0.99) * 1e6,
            sample.cpu_us,
        )
        return [sample, checked]

    async def _swapper(self, swaps: int, seconds: float) -> asyncio.subprocess.Process:
        """Start who swaps, and return when it waits for the word."""
        addresses, body = self._setting.suite.addresses, self._targets[SWAPPING].body
        words = [addresses["registry"], self._address, MODEL, str(body), str(swaps), str(seconds)]
        swapper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.swapper", *words), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert swapper.stdout is not None
        await swapper.stdout.readline()
        return swapper
