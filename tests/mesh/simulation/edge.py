"""An edge node of the simulation: its real parts on a folder of its own, with no transport and no server."""

from __future__ import annotations

import asyncio
import errno
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.inference.backends import liam
from neuralmesh_server.inference.edge import app as edge_app
from neuralmesh_server.inference.edge.mesh import Outcome
from neuralmesh_server.inference.holding.artifacts import Artifacts
from neuralmesh_server.inference.holding.follower import Keeper
from neuralmesh_server.inference.holding.loader import Loader
from neuralmesh_server.inference.holding.store_claims import Claims
from neuralmesh_server.inference.holding.store_node import NodeFolder
from neuralmesh_server.inference.holding.store_replica import ReplicaFile
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.serving import Serving
from neuralmesh_server.inference.upward.counts import Counts
from neuralmesh_server.settings import Endpoint, InferenceSettings, ServerSettings
from neuralmesh_server.settings_edge import EdgeSettings
from tests.mesh.simulation.registry import ALIAS, MODEL
from tests.mesh.simulation.virtual_time import Inline

if TYPE_CHECKING:
    from pathlib import Path

    from neuralmesh_server.inference.edge.mesh import MeshLink, Verdict
    from tests.mesh.simulation.network import Wire

NOWHERE = Endpoint("127.0.0.1", 1)
CLIENT: Any = SimpleNamespace(mesh=SimpleNamespace(sync=None))
MAX_BYTES = 64 * 1024 * 1024


class _WiredEdge(edge_app.Edge):
    """The parts of an edge node whose line is simulated."""

    wire: Wire

    def line(self) -> MeshLink:
        return self.wire


class SimulatedEdge:
    """See the module.

    Args:
        name: Its name.
        labels: Its labels.
        folder: Its disk.
        wire: Its line.

    Attributes:
        runs: True while its process runs.
        disk_full: Whatever is written fails.
        loads: Versions that were loaded since its process began, in order.
        highest: Highest revision that it must not go below: what its process applied, and over a crash what it kept,
            which is all that it acknowledges.
        states: Digests that it held, by revision, as far as it may know of them: over a crash, what it kept.
    """

    def __init__(self, name: str, labels: dict[str, str], folder: Path, wire: Wire) -> None:
        self.name = name
        self.labels = labels
        self.wire = wire
        self.runs = False
        self.disk_full = False
        self.loads: list[int] = []
        self.highest = 0
        self.states: dict[int, bytes] = {}
        server = ServerSettings(NOWHERE)
        self._settings = InferenceSettings(
            server=server,
            data=folder,
            node=name,
            metrics=None,
            keep_newest=0,
            edge=EdgeSettings(labels=labels, max_bytes=MAX_BYTES),
        )
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """Start its process."""
        settings = self._settings
        self._kept_before = self.highest
        self._folder = NodeFolder(settings.data)
        self.serving = Serving()
        file = ReplicaFile(settings.data / "replica.json")
        self.replica, effective = file.load()
        self._edge = edge = _WiredEdge(settings, settings.edge, self.replica, self.wire, CLIENT)  # type: ignore[arg-type]
        edge.wire = self.wire
        store = ContentStore(settings.data / "artifacts")
        claims = Claims(settings.data / "artifacts" / "claims")
        self.loads = []
        self.loader = Loader(
            replica=self.replica,
            serving=self.serving,
            activity=Activity(0, self.name),
            artifacts=Artifacts(store, claims, edge.sources, room=edge.cache, mistaken=edge.sources.mistaken),
            backends={liam.KIND: _Counted(self)},  # type: ignore[dict-item]
            threads=Inline(),
            keep_newest=0,
            effective=effective,
            published=self._published,
            stale=edge.stale,
        )
        self._keeper = Keeper(_Disk(self, file), self.replica, lambda: self.loader.effective, saved=edge.wake)
        edge.join(
            loader=self.loader,
            keeper=self._keeper,
            serving=self.serving,
            folder=self._folder,
            endpoint=lambda: "simulated",
            lost_reports=lambda: 0,
            counts=Counts,
        )
        if self.replica.revision:
            self.loader.changed()
        self.runs = True
        self._tasks = [asyncio.create_task(work) for work in (*edge.work(), self.loader.run(), self._keeper.run())]

    async def kill(self) -> None:
        """End its process from one moment to the next; its disk stays as it is."""
        self.runs = False
        self.highest = self._kept()
        kept = self._edge._memory.kept
        self.states = {revision: digest for revision, digest in self.states.items() if revision <= kept}
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._folder.close()

    async def override(self) -> None:
        """Somebody on site goes one version back, where there is one."""
        await self._edge.overrides.override(MODEL, ALIAS, 0, "somebody", "")

    @property
    def overridden(self) -> frozenset[int]:
        """Versions that somebody on site chose."""
        return frozenset(move.version for move in self._edge.overrides.moves())

    @property
    def applied(self) -> int:
        """Highest revision that it says it ever applied."""
        return self._edge.status().applied_revision

    @property
    def answering(self) -> int:
        """The version that answers; 0 for none."""
        snapshot = self.serving.current
        return 0 if snapshot is None else snapshot.aliases.get((MODEL, ALIAS), 0)

    @property
    def held(self) -> frozenset[int]:
        """The versions that would answer at once."""
        snapshot = self.serving.current
        return frozenset() if snapshot is None else frozenset(version for _, version in snapshot.served)

    def failure(self) -> BaseException | None:
        """Return why one of its tasks ended; None while all go on."""
        return next((task.exception() for task in self._tasks if task.done() and not task.cancelled()), None)

    def __str__(self) -> str:
        status = self._edge.status()
        return (
            f"{self.name}: revision {self.replica.revision}, answers {self.answering}, holds {sorted(self.held)}, "
            f"{self.verdict}, {status.trouble or 'connected'}, {status.figures.failures}, aside {self.overridden}"
        )

    @property
    def verdict(self) -> Verdict | None:
        """What it says of its state."""
        return self._edge._reporting.verdict() if self._edge._reporting is not None else None

    @property
    def is_ready(self) -> bool:
        """True when everything that its state calls for is loaded and on the disk."""
        verdict = self.verdict
        return verdict is not None and verdict.outcome is Outcome.APPLIED

    def _kept(self) -> int:
        return max(self._kept_before, self._keeper.kept[0])

    def _published(self) -> None:
        self._keeper.mark()
        self._edge.published()


class _Counted:
    """The real backend, which takes note of what it loads."""

    def __init__(self, edge: SimulatedEdge) -> None:
        self._edge = edge
        self._backend = liam.LiamBackend()

    def load(self, files: Any, ending: Any) -> Any:
        model = self._backend.load(files, ending)
        self._edge.loads.append(hash(bytes(next(iter(files.values())).read_bytes())))
        return model


class _Disk:
    """The replica's file on a disk that may be full."""

    def __init__(self, edge: SimulatedEdge, file: ReplicaFile) -> None:
        self._edge = edge
        self._file = file

    def encode(self, *arguments: Any) -> bytes:
        return self._file.encode(*arguments)

    def save(self, content: bytes) -> None:
        if self._edge.disk_full:
            raise OSError(errno.ENOSPC, "no space")
        self._file.save(content)
