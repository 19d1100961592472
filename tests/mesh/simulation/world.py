"""A schedule: what happens to a registry and its edges in one simulated time, drawn from a seed, and what must hold.

While it runs, of every node: the applied revision never goes down, and of each there is one state; it answers only with
versions that the alias named at a revision that the node may know, by a move that has reached it where that came in
waves, or that somebody chose on site; and what it answers with, it holds. When everything is
well again: every node holds the registry's state, digest and all, within a bounded time; the version before is loaded, so
that a rollback needs no line; and nothing that was loaded is loaded again because the line came back.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

import liam_core
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.registry.records_mesh import WavePlan
from tests.mesh.simulation.chance import FOUL, Chance
from tests.mesh.simulation.edge import SimulatedEdge
from tests.mesh.simulation.network import Wire
from tests.mesh.simulation.registry import SimulatedRegistry

if TYPE_CHECKING:
    from pathlib import Path

EDGES = 3
HEALED_SECONDS = 180.0
"""Longest time until all is as it is to be, once everything is well."""
WAVES = WavePlan((300_000, 1_000_000), 5)
YEAR_MS = 365 * 24 * 3600 * 1000


@dataclass(slots=True)
class World:
    """One schedule.

    Attributes:
        seed: What everything follows from.
        folder: Disks of the nodes.
        said: What was done, for whoever has to understand a failure.
    """

    seed: int
    folder: Path
    said: list[str] = field(default_factory=list)
    _chance: Chance = field(init=False)
    _registry: SimulatedRegistry = field(init=False)
    _edges: list[SimulatedEdge] = field(default_factory=list)
    _versions: int = 0
    _pushed: int = 0
    _backup: bytes = b""

    async def run(self, steps: int) -> None:
        """Run a schedule of so many steps, then have everything be well."""
        random.seed(self.seed)  # pauses of the nodes are drawn from it
        self._chance = Chance(self.seed)
        self._registry = SimulatedRegistry()
        await self._registry.start()
        await self._registry.create()
        for _ in range(2):
            await self._push()
        await self._registry.promote(1)
        for number in range(EDGES):
            self._add_edge(number)
        actions = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        for _ in range(steps):
            action = actions[self._chance.whole(0, len(actions) - 1)]
            self.said.append(f"{self._now():9.3f} {action.__name__[3:]}")
            await action()
            await self._pass(self._chance.below(4.0))
        await self._heal()

    async def do_push(self) -> None:
        """A new version."""
        await self._push()

    async def do_promote(self) -> None:
        """The alias moves, at once."""
        await self._registry.promote(await self._version())

    async def do_promote_in_waves(self) -> None:
        """The alias moves, in waves."""
        await self._registry.promote(await self._version(), WAVES)

    async def do_roll_back(self) -> None:
        """The alias goes back."""
        await self._registry.rollback()

    async def do_pin(self) -> None:
        """One site stays at a version."""
        await self._registry.assign("site=s1", await self._version())

    async def do_unpin(self) -> None:
        """It follows again."""
        await self._registry.unassign("site=s1")

    async def do_cut(self) -> None:
        """A line is cut."""
        self._edge().wire.cut()

    async def do_mend(self) -> None:
        """A line is well again."""
        self._edge().wire.mend()

    async def do_reset(self) -> None:
        """Streams break."""
        self._edge().wire.reset()

    async def do_storm(self) -> None:
        """A line is foul."""
        self._edge().wire.weather = FOUL

    async def do_deafen(self) -> None:
        """A line is dead in one direction."""
        wire = self._edge().wire
        if self._chance.happens(0.5):
            wire.mute_up = True
        else:
            wire.mute_down = True

    async def do_replay(self) -> None:
        """Somebody on the line says again what the registry said before."""
        self._edge().wire.replay()

    async def do_crash(self) -> None:
        """A node dies."""
        edge = self._edge()
        if edge.runs:
            await edge.kill()

    async def do_crash_and_start(self) -> None:
        """A node dies and comes back, with the line or without."""
        edge = self._edge()
        if edge.runs:
            await edge.kill()
        edge.start()

    async def do_start(self) -> None:
        """A node that is down comes back."""
        edge = self._edge()
        if not edge.runs:
            edge.start()

    async def do_damage(self) -> None:
        """A bit of a stored artifact is flipped while the node is down."""
        edge = self._edge()
        if edge.runs:
            await edge.kill()
        files = sorted((self.folder / edge.name / "artifacts" / "sha256").glob("*/*"))
        if files:
            path = files[self._chance.whole(0, len(files) - 1)]
            content = bytearray(path.read_bytes())
            content[self._chance.whole(0, len(content) - 1)] ^= 1
            path.chmod(0o600)
            path.write_bytes(content)
        edge.start()

    async def do_fill_disk(self) -> None:
        """A node's disk is full."""
        self._edge().disk_full = True

    async def do_clear_disk(self) -> None:
        """There is room again."""
        self._edge().disk_full = False

    async def do_override(self) -> None:
        """Somebody on site goes one version back."""
        edge = self._edge()
        if edge.runs:
            try:
                await edge.override()
            except NeuralMeshError as error:
                self.said.append(f"{'':9} refused: {error.reason}")

    async def do_restart_registry(self) -> None:
        """The registry dies and comes back."""
        self._registry.kill()
        for edge in self._edges:
            edge.wire.reset()
        await self._pass(self._chance.below(3.0))
        await self._registry.start()

    async def do_back_up(self) -> None:
        """Somebody copies the registry."""
        self._backup = self._registry.backup()

    async def do_restore(self) -> None:
        """The registry is set back to an old copy: nodes know more than it does, and do not go back with it."""
        if not self._backup:
            return
        self._registry.kill()
        for edge in self._edges:
            edge.wire.reset()
        self._registry.restore(self._backup)
        self._backup = b""
        await self._registry.start()

    async def do_jump(self) -> None:
        """The registry's clock is set, by up to ten years in either direction."""
        self._registry.clock_ms += self._chance.whole(-10, 10) * YEAR_MS

    async def _heal(self) -> None:
        """Have everything be well, and hold the world to what must come of it."""
        self.said.append(f"{self._now():9.3f} everything is well")
        for edge in self._edges:
            edge.disk_full = False
            edge.wire.mend()
            if not edge.runs:
                edge.start()
        # A registry that was set back is heard again when it has gone beyond what the nodes know.
        while await self._registry.revision() <= max(edge.applied for edge in self._edges):
            await self._push()
        # An override ends with the registry's next word.
        await self._push()
        await self._registry.promote(self._versions)
        deadline = self._now() + HEALED_SECONDS
        while not await self._is_well():
            assert self._now() < deadline, self._story("the nodes did not converge")
            await self._pass(1.0)
        await self._check_rollback()
        await self._check_reconnect()

    async def _is_well(self) -> bool:
        for edge in self._edges:
            _, desired = await self._registry.desired(edge.name, edge.labels)
            if edge.replica.digest() != desired.digest or not self._registry.converged(edge.name):
                return False
            if not edge.is_ready:  # the registry may still know of what its process was before it came back
                return False
        return True

    async def _check_rollback(self) -> None:
        """The version before is loaded on every node that follows the alias, with every line cut."""
        for edge in self._edges:
            edge.wire.cut()
            (record,) = edge.replica.aliases.values()
            before = edge.answering
            assert before == record.version, self._story(f"{edge.name} answers with {before}, not {record.version}")
            if record.below:
                assert record.below[0] in edge.held, self._story(f"{edge.name} does not hold {record.below[0]}")
                await edge.override()
                assert edge.answering == record.below[0], self._story(f"{edge.name} did not go back")

    async def _check_reconnect(self) -> None:
        """Nothing is loaded again because the line came back."""
        loads = [list(edge.loads) for edge in self._edges]
        for edge in self._edges:
            edge.wire.mend()
        await self._pass(30.0)
        assert [edge.loads for edge in self._edges] == loads, self._story("something was loaded again")

    async def _push(self) -> None:
        self._pushed += 1
        self._versions = await self._registry.push(_network(self.folder, self.seed * 1000 + self._pushed))

    async def _version(self) -> int:
        return self._chance.whole(1, await self._registry.versions())

    def _add_edge(self, number: int) -> None:
        name = f"edge-{number}"
        folder = self.folder / name
        folder.mkdir()
        artifacts = self._registry.artifacts
        wire = Wire(Chance(self.seed * 31 + number), lambda: self._registry.servicer, artifacts.get)
        edge = SimulatedEdge(name, {"site": f"s{number}"}, folder, wire)
        edge.start()
        self._edges.append(edge)

    def _edge(self) -> SimulatedEdge:
        return self._edges[self._chance.whole(0, len(self._edges) - 1)]

    async def _pass(self, seconds: float) -> None:
        """Let time pass, and look at what must hold at every moment."""
        end = self._now() + seconds
        while True:
            self._look()
            left = end - self._now()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.25))

    def _look(self) -> None:
        for edge in self._edges:
            if not edge.runs:
                continue
            failure = edge.failure()
            assert failure is None, self._story(f"{edge.name} ended: {failure!r}")
            revision = edge.replica.revision
            assert revision >= edge.highest, self._story(f"{edge.name} went from {edge.highest} to {revision}")
            edge.highest = revision
            digest = edge.states.setdefault(revision, edge.replica.digest())
            assert digest == edge.replica.digest(), self._story(f"{edge.name} holds another state of {revision}")
            answering = edge.answering
            if not answering:
                continue
            assert answering in edge.held, self._story(f"{edge.name} answers with what it does not hold")
            named = self._registry.named(edge.name, revision)
            allowed = named | edge.overridden
            assert answering in allowed, self._story(f"{edge.name} at {revision} answers with {answering}: {allowed}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _story(self, what: str) -> str:
        return "\n".join([f"seed {self.seed}: {what}", *self.said, *map(str, self._edges)])


def _network(folder: Path, seed: int) -> bytes:
    """Return a small packed network; no two seeds give the same."""
    path = folder / "network.safetensors"
    signs = np.where(np.random.default_rng(seed).random((4, 64)) < 0.5, 1, -1)
    liam_core.write_binary_network(path, features=64, encoding_thresholds=np.zeros(64), hidden=[], head_weights=signs)
    return path.read_bytes()


def elapsed(started: float) -> float:
    """Return the real seconds since a moment."""
    return time.perf_counter() - started
