"""A thousand edges on one registry: what they cost when nothing happens, and how soon all are back after a restart."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import median, most
from bench.mesh.setting import Crowd
from bench.processes import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from bench.figures import Check, Rounds
    from bench.mesh.setting import MeshSetting

EDGES = 1_000
STEADY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Crowded:
    """What a round measured.

    Attributes:
        steady: Processor time of the registry for a second of nothing, as a share of one core.
        back_seconds: From the restart of the registry until every edge has its state again.
    """

    side: str
    steady: float
    back_seconds: float
    case: str = ""

    def line(self, number: str) -> str:
        """Return a printed row."""
        return f"{number:>6}  {self.side:34} {self.steady:.1%} of a core; all back in {self.back_seconds:.1f} s"

    @classmethod
    def middle(cls, samples: Sequence[Self]) -> Self:
        """Return the medians."""
        places = range(len(samples))
        middle = sorted(places, key=lambda place: samples[place].steady)[len(samples) // 2]
        back = sorted(sample.back_seconds for sample in samples)[len(samples) // 2]
        return cls(samples[0].side, samples[middle].steady, back)


class CrowdOfEdges:
    """Under a fifth of a core; back within 30 s."""

    name = "crowd"
    measure = f"{EDGES:,} simulated edges on one registry"
    rounds = 2
    seconds = 60.0

    def __init__(self, setting: MeshSetting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Copy nothing: a registry of its own with one model, one assignment, and a thousand streams."""
        setting = self._setting
        self._folder = setting.fresh_folder("crowd")
        self._registry, self._address = self._start("127.0.0.1:0")
        from neuralmesh import Client  # noqa: PLC0415 - one client, closed before the load

        with Client(registry=self._address) as client:
            client.push("packed", setting.models.packed, kind="liam.binary_network")
            client.promote("packed", 1)
            client.mesh.set_assignment("tier=edge", "packed", "production")
        self._count = 100 if setting.quick else EDGES
        log = self._folder / "crowd.log"
        self._crowd = setting.stack.enter_context(Crowd(self._address, self._count, ["tier=edge"], log))
        setting.stack.callback(lambda: self._registry.stop())
        return [f"all {self._count} connected in {self._crowd.up():.1f} s"]

    def pair(self, number: int) -> list[Crowded]:
        """Wait and count, then kill the registry and start it again."""
        before, started = self._registry.cpu_seconds(), time.monotonic()
        time.sleep(2 if self._setting.quick else STEADY_SECONDS)
        steady = (self._registry.cpu_seconds() - before) / (time.monotonic() - started)
        self._registry.kill()
        restarted = time.monotonic()
        self._registry, _ = self._start(self._address)
        self._crowd.up()
        return [Crowded("registry", steady, time.monotonic() - restarted)]

    def verdict(self, rounds: Rounds[Crowded]) -> list[Check]:
        """Look at both."""
        return [
            most("steady state, of one core", median(rounds, "registry", lambda one: one.steady), 0.2),
            most("all back after kill -9 of the registry", median(rounds, "registry", lambda o: o.back_seconds), 30, "s"),
        ]

    def _start(self, listen: str) -> tuple[ServerProcess, str]:
        env = {"NEURALMESH_REGISTRY_LISTEN": listen, "NEURALMESH_REGISTRY_DATA": str(self._folder / "registry")}
        process = ServerProcess(["-m", "neuralmesh_server", "registry"], env, self._folder / "registry.log")
        return process, process.listening("registry")
