"""An edge node's own parts, put together; `inference.app` joins them to those that every node has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message_factory import GetMessageClass

from neuralmesh import AsyncClient, TlsFiles
from neuralmesh_server.inference.access import EDGE_RULES
from neuralmesh_server.inference.edge.cache import Cache
from neuralmesh_server.inference.edge.follower import EdgeFollower, Identity
from neuralmesh_server.inference.edge.giving import Giving
from neuralmesh_server.inference.edge.link_artifacts import UpstreamArtifacts
from neuralmesh_server.inference.edge.link_mesh import GrpcMesh
from neuralmesh_server.inference.edge.memory import Memory
from neuralmesh_server.inference.edge.mesh import Figures
from neuralmesh_server.inference.edge.overrides import Overrides
from neuralmesh_server.inference.edge.reporting import Reporting
from neuralmesh_server.inference.edge.service import SERVICE, EdgeServicer
from neuralmesh_server.inference.edge.silence import Silence
from neuralmesh_server.inference.edge.sources import Sources
from neuralmesh_server.inference.edge.staleness import Staleness
from neuralmesh_server.inference.edge.status import EdgeStatus
from neuralmesh_server.inference.edge.store_cache import CacheFolder
from neuralmesh_server.inference.edge.store_edge import MemoryFile, OverrideFile
from neuralmesh_server.runtime.handlers import service_handler
from neuralmesh_server.runtime.tokens import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from neuralmesh_server.content_store import ContentStore
    from neuralmesh_server.inference.edge.mesh import Counts, MeshLink
    from neuralmesh_server.inference.holding.artifacts import Source
    from neuralmesh_server.inference.holding.follower import Follower, Keeper
    from neuralmesh_server.inference.holding.loader import Loader
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.holding.store_node import NodeFolder
    from neuralmesh_server.inference.serving import Serving, Stale
    from neuralmesh_server.runtime.access import Access
    from neuralmesh_server.settings import InferenceSettings
    from neuralmesh_server.settings_edge import EdgeSettings

MOST_FAILURES = 16
COUNTED = ("forwarded", "forward_failures", "hedged", "hedges_won", "hedges_compared", "hedges_different")


class Edge:
    """The parts of an edge node.

    Args:
        settings: The node's settings, which have those of an edge.
        edge: These.
        replica: What the registry says.
        registry: The registry as a source of artifacts.
        client: The registry, and whoever else the node calls.

    Attributes:
        sources: Where artifacts come from.
        cache: Who makes room for them.
        overrides: Aliases that are set aside; made by `join`.
    """

    overrides: Overrides

    def __init__(
        self, settings: InferenceSettings, edge: EdgeSettings, replica: Replica, registry: Source, client: AsyncClient
    ) -> None:
        self._settings, self._edge, self._replica = settings, edge, replica
        tls = settings.server.tls
        files = TlsFiles(ca=tls.authority, cert=tls.certificate, key=tls.key) if tls else None
        self._upstream: AsyncClient | None = None
        if settings.upstream is not None:
            self._upstream = AsyncClient(inference=str(settings.upstream), tls=files, token=settings.token)
        self._mesh = client.mesh
        self.sources = Sources(None if self._upstream is None else UpstreamArtifacts(self._upstream), registry)
        self.cache = Cache(CacheFolder(settings.shared / "artifacts"), edge.max_bytes, self._protected)
        store = MemoryFile(settings.data)
        remembered = store.load()
        heard = remembered.silent_seconds
        # A node that has a state has heard of the registry, whatever became of the file.
        self._silence = Silence(0.0 if heard is None and replica.revision else heard)
        self._memory = Memory(store, remembered, replica.revision, self._silence, self.wake)
        self._staleness = Staleness(
            replica=replica, silence=self._silence, changed=self._refresh, stepped=self._memory.mark
        )
        self._reporting: Reporting | None = None

    def stale(self) -> Mapping[str, Stale]:
        """Return the models for which the state may be too old."""
        return self._staleness.current()

    def join(
        self,
        *,
        loader: Loader,
        keeper: Keeper,
        serving: Serving,
        folder: NodeFolder,
        endpoint: Callable[[], str],
        lost_reports: Callable[[], int],
        counts: Callable[[], Counts],
    ) -> None:
        """Join the parts that every node has."""
        self._counts = counts
        self._loader, self._keeper, self._lost_reports = loader, keeper, lost_reports
        self.overrides = Overrides(
            replica=self._replica,
            serving=serving,
            store=OverrideFile(self._settings.data),
            changed=self._moved,
        )
        # What was set aside does not answer while a starting node opens what is to answer.
        loader.effective.update({(move.model, move.alias): move.version for move in self.overrides.moves()})
        self._reporting = Reporting(
            replica=self._replica, loader=loader, keeper=keeper, memory=self._memory, figures=self.figures
        )
        self._follower = EdgeFollower(
            mesh=self.line(),
            replica=self._replica,
            reporting=self._reporting,
            node=lambda: Identity(self._settings.node, self._edge.labels, folder.key, folder.epoch_ms, endpoint()),
            highest=lambda: (self._memory.highest, self._memory.event_hash),
            needed=self._needed,
            heard=self._heard,
            changed=self._changed,
            advanced=self._advanced,
            connected=loader.retry,
            longest_pause=self._settings.reconnect_seconds,
        )

    def line(self) -> MeshLink:
        """Return the line to the registry."""
        return GrpcMesh(self._mesh.sync)

    def work(self) -> tuple[Coroutine[object, object, None], ...]:
        """Return what follows the registry and keeps what is to be kept, each until it is cancelled."""
        return self.cache.tidy(), self._follower.run(), self._memory.run(), self._staleness.run()

    async def close(self) -> None:
        """Keep what is to be kept, and close the lines."""
        if self._reporting is not None:
            await self.overrides.settled()
        if self._memory.highest or self._silence.seconds is not None:
            await self._memory.keep()
        if self._upstream is not None:
            await self._upstream.close()

    def published(self) -> None:
        """Take note that another snapshot answers."""
        if self._reporting is not None:
            self._replica.release(self._needed())
            self._reporting.wake()

    def wake(self) -> None:
        """Take note that something was kept."""
        if self._reporting is not None:
            if self._keeper.kept == (self._replica.revision, self._replica.digest()):
                self.overrides.state_kept()
            self._reporting.wake()

    def figures(self) -> Figures:
        """Return how the node is."""
        counts = self._counts()
        upward = {name: getattr(counts, name) for name in COUNTED}
        failed = [one for one in self._loader.reports() if one.state == "FAILED"]
        return Figures(
            cache_bytes=self.cache.complete_bytes,
            cache_limit_bytes=self.cache.limit_bytes,
            fetched_upstream_bytes=self.sources.upstream_bytes,
            fetched_registry_bytes=self.sources.registry_bytes,
            overrides=self.overrides.moves(),
            failures=tuple(f"{one.model}/{one.version}: {one.reason}" for one in failed[:MOST_FAILURES]),
            lost_reports=self._lost_reports(),
            **upward,
        )

    def status(self) -> EdgeStatus:
        """Return where the node stands."""
        return EdgeStatus(
            node=self._settings.node,
            labels=self._edge.labels,
            applied_revision=self._memory.highest,
            digest=self._replica.digest(),
            connected=self._follower.connected,
            staleness=self._silence.seconds,
            trouble=self._follower.trouble,
            figures=self.figures(),
        )

    def _needed(self) -> set[tuple[str, int]]:
        """Return the versions that answer here, whatever the registry's newest state says."""
        answering = {(model, version) for (model, _), version in self._loader.effective.items()}
        return answering | set(self.overrides.versions())

    def _protected(self) -> set[str]:
        replica = self._replica
        keys = {*self._loader.wanted(), *self._loader.leaving(), *self._needed(), *replica.carried}
        for (model, _), record in (*replica.alias_records.items(), *replica.aliases.items()):
            keys |= {(model, version) for version in (*record.versions(), *record.below[:1])}
        return {file.digest for key in keys if key in replica.versions for file in replica.versions[key].files}

    def _heard(self) -> None:
        self._silence.heard()
        self._staleness.heard()

    def _changed(self, event_hash: bytes) -> None:
        self._memory.applied(self._replica.revision, event_hash)
        self.overrides.reconcile()
        self._loader.changed()
        self._staleness.heard()

    def _advanced(self, event_hash: bytes) -> None:
        self._memory.applied(self._replica.revision, event_hash)
        self._keeper.mark()
        self.wake()

    def _moved(self) -> None:
        self._loader.changed()

    def _refresh(self) -> None:
        self._loader.refresh()


def edge_handler(
    settings: InferenceSettings,
    edge: Edge | None,
    replica: Replica,
    follower: Follower,
    store: ContentStore,
    *,
    access: Access | None,
) -> object:
    """Return the handler of the edge service, which every node has; one that follows everything is moved elsewhere."""

    def status() -> EdgeStatus:
        return EdgeStatus(
            node=settings.node,
            labels={},
            applied_revision=replica.revision,
            digest=replica.digest(),
            connected=follower.connected,
            staleness=None,
            trouble="" if follower.connected else "the registry is not followed",
            figures=Figures(),
        )

    def size_of(digest: str) -> int:
        files = (file for version in replica.versions.values() for file in version.files)
        return next((file.size for file in files if file.digest == digest), 0)

    service = EdgeServicer(
        status=status if edge is None else edge.status,
        giving=Giving(store, size_of),
        overrides=None if edge is None else edge.overrides,
    )
    return service_handler(SERVICE, service, GetMessageClass, guard=guard(access, EDGE_RULES))
