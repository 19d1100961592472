"""The registry of the simulation: the real rules and the real hub over a store in memory; it may be killed and come back."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from neuralmesh_server.registry.catalog import Catalog
from neuralmesh_server.registry.mesh.assignments import Assignments
from neuralmesh_server.registry.mesh.desired import reaches
from neuralmesh_server.registry.mesh.fleet import Fleet
from neuralmesh_server.registry.mesh.hub import Hub
from neuralmesh_server.registry.mesh.selectors import parse
from neuralmesh_server.registry.mesh.service import MeshServicer
from neuralmesh_server.registry.mesh.waves import Waves
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.records import Actor, AliasState, FileEntry, Manifest, Origin
from neuralmesh_server.registry.records_mesh import EVERY_NODE_PPM, Assignment, WavePlan
from neuralmesh_server.registry.tracing import Tracer
from tests.mesh.simulation.memory_store import MemoryStore

if TYPE_CHECKING:
    from neuralmesh_server.registry.mesh.desired import DesiredState
    from neuralmesh_server.registry.mesh.nodes import Node
    from neuralmesh_server.registry.records_mesh import Wave

MODEL, ALIAS, KIND = "signs", "production", "liam.binary_network"
SOMEBODY = Origin(Actor("somebody"))
HEARTBEAT_SECONDS = 10.0


class SimulatedRegistry:
    """See the module.

    Attributes:
        history: Versions that the alias was given, with the revisions that did it, in every life of the registry; what
            any node may ever answer is in it.
        artifacts: Bytes by digest.
        shares: How far moves have reached that came in waves, or not, by their revisions; others are everywhere.
        servicer: What nodes dial; None while the registry is down.
    """

    def __init__(self) -> None:
        self.artifacts: dict[str, bytes] = {}
        self.history: set[tuple[int, int]] = set()
        self.shares: dict[int, int] = {}
        self.servicer: MeshServicer | None = None
        self.clock_ms = 1_800_000_000_000
        self._store = MemoryStore()
        self._remembered = _RememberedFleet()
        self._tasks: list[asyncio.Task[None]] = []
        self._make()

    async def start(self) -> None:
        """Answer nodes."""
        await self._fleet.open()
        await self._hub.start()
        self._waves.start()
        self._tasks = [asyncio.create_task(self._hub.follow()), asyncio.create_task(self._waves.run())]
        self.servicer = MeshServicer(self._assignments, self._hub, self._fleet)

    def kill(self) -> None:
        """Be gone from one moment to the next; what was answered is in the store."""
        self.servicer = None
        for task in self._tasks:
            task.cancel()
        self._store.forget_listeners()
        self._make()

    def backup(self) -> bytes:
        """Return a copy of everything."""
        return self._store.backup()

    def restore(self, backup: bytes) -> None:
        """Be what a copy says; the registry is down."""
        self._store = MemoryStore(backup)
        self._make()

    async def versions(self) -> int:
        """Return how many versions there are."""
        return (await self._catalog.model(MODEL)).latest_version

    async def revision(self) -> int:
        """Return the newest revision."""
        return (await self._store.read(lambda view: view.head())).revision

    async def create(self) -> None:
        """Create the model and its assignment."""
        await self._catalog.create_model(MODEL, "", SOMEBODY)
        await self.assign("*")

    async def push(self, content: bytes) -> int:
        """Push a version; returns its number."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.artifacts[digest] = content
        manifest = Manifest(KIND, (FileEntry("m.safetensors", len(content), digest),))
        return (await self._catalog.create_version(MODEL, manifest, SOMEBODY)).number

    async def promote(self, version: int, waves: WavePlan | None = None) -> None:
        """Move the alias."""
        move = await self._promotions.promote(MODEL, ALIAS, AliasState(version), "", SOMEBODY, waves=waves)
        self._known(move.alias.revision, version, EVERY_NODE_PPM if waves is None else waves.shares_ppm[0])

    async def rollback(self) -> None:
        """Take the last promotion back, where there is one to go back to."""
        if (await self._promotions.alias(MODEL, ALIAS)).rollback_versions:
            move = await self._promotions.rollback(MODEL, ALIAS, 0, "", SOMEBODY)
            self._known(move.alias.revision, move.alias.state.version)

    async def assign(self, selector: str, pinned_version: int = 0) -> None:
        """Set an assignment."""
        assignment = Assignment(parse(selector).text, MODEL, ALIAS, pinned_version)
        change = await self._assignments.set(assignment, SOMEBODY)
        if pinned_version:
            self._known(change.assignment.revision, pinned_version)

    async def unassign(self, selector: str) -> None:
        """Delete an assignment, where there is one."""
        for one in await self._assignments.list(0, 100):
            if one.selector == parse(selector).text:
                await self._assignments.delete(one.id, SOMEBODY)

    async def desired(self, node: str, labels: dict[str, str]) -> tuple[int, DesiredState]:
        """Return what a node is to hold."""
        return await self._hub.desired(labels, node)

    def named(self, node: str, revision: int) -> set[int]:
        """Return the versions that a node may answer with that knows of a revision: of moves that have reached it."""
        return {
            version
            for moved, version in self.history
            if moved <= revision and reaches(self.shares.get(moved, EVERY_NODE_PPM), moved, node)
        }

    def converged(self, node: str) -> bool:
        """Say whether the registry believes that a node holds what it is to hold."""
        return any(sight.node.name == node and sight.node.converged for sight in self._fleet.sights())

    async def sizes(self, digests: tuple[str, ...]) -> dict[str, int]:
        """Return the sizes of artifacts, for the catalog."""
        return {digest: len(self.artifacts[digest]) for digest in digests if digest in self.artifacts}

    def _known(self, revision: int, version: int, share: int = EVERY_NODE_PPM) -> None:
        """Take note of what nodes may know; a number that is given again after a restore counts as far as any of them."""
        self.history.add((revision, version))
        self.shares[revision] = max(share, self.shares.get(revision, 0))

    def _make(self) -> None:
        loop = asyncio.get_running_loop()

        def now() -> int:
            return self.clock_ms + int(loop.time() * 1000)

        self._catalog = Catalog(self._store, self, now)
        self._promotions = Promotions(self._store, now)
        self._assignments = Assignments(self._store, now)
        self._fleet = Fleet(self._remembered, now, loop.time)
        self._hub = Hub(self._store, Tracer(self._store, now), self._fleet, HEARTBEAT_SECONDS)
        self._waves = _NotedWaves(self.shares, self._store, self._hub, self._fleet, now, loop.time)


class _NotedWaves(Waves):
    """The real ones; how far they reach is noted before anybody can know of it."""

    def __init__(self, shares: dict[int, int], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._shares = shares

    async def _reach(self, wave: Wave, nodes: int) -> None:
        after = wave.plan.after(wave.share_ppm)
        self._shares[wave.revision] = max(after, self._shares.get(wave.revision, 0))
        await super()._reach(wave, nodes)


class _RememberedFleet:
    """What is known of nodes, kept in memory."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    async def load(self) -> list[Node]:
        return list(self._nodes.values())

    async def save(self, nodes: list[Node]) -> None:
        self._nodes |= {node.name: node for node in nodes}

    async def delete(self, name: str) -> None:
        self._nodes.pop(name, None)
