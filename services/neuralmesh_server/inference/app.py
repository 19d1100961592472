"""The inference service, put together: the only module that knows the concrete stores, links and backends."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import TYPE_CHECKING

import structlog
from google.protobuf.message_factory import GetMessageClass

from liam_core.oip import Numbers
from neuralmesh import AsyncClient, TlsFiles, oip
from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.inference import compat, convert
from neuralmesh_server.inference.access import NODE_RULES, RULES
from neuralmesh_server.inference.answering import Answering
from neuralmesh_server.inference.backends.execution import Execution
from neuralmesh_server.inference.backends.kinds import backends
from neuralmesh_server.inference.edge.app import Edge, edge_handler
from neuralmesh_server.inference.edge.service import SERVICE as EDGE
from neuralmesh_server.inference.evidence.app import compose
from neuralmesh_server.inference.evidence.node_service import SERVICE as NODE
from neuralmesh_server.inference.evidence.node_service import NodeServicer
from neuralmesh_server.inference.evidence.store_receipts import ReceiptFolder
from neuralmesh_server.inference.holding.artifacts import Artifacts
from neuralmesh_server.inference.holding.follower import Follower, Keeper, NodeNameTakenError
from neuralmesh_server.inference.holding.link_registry import GrpcRegistry
from neuralmesh_server.inference.holding.loader import Loader
from neuralmesh_server.inference.holding.repository import Repository
from neuralmesh_server.inference.holding.store_claims import Claims
from neuralmesh_server.inference.holding.store_node import NodeFolder
from neuralmesh_server.inference.holding.store_replica import ReplicaFile
from neuralmesh_server.inference.holding.store_unloaded import UnloadedFile
from neuralmesh_server.inference.hot import Hot
from neuralmesh_server.inference.hot_aside import Aside
from neuralmesh_server.inference.model_health import ModelHealth
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.reporting.link_metrics import GrpcMetrics
from neuralmesh_server.inference.reporting.rollout_activity import RolloutActivity
from neuralmesh_server.inference.reporting.store_telemetry import TelemetrySpool
from neuralmesh_server.inference.reporting.store_totals import SharedTotals
from neuralmesh_server.inference.reporting.telemetry import Telemetry
from neuralmesh_server.inference.reporting.totals import Alone
from neuralmesh_server.inference.service import SERVER_NAME, InferenceServicer
from neuralmesh_server.inference.serving import Serving
from neuralmesh_server.inference.traffic.lanes import Lanes
from neuralmesh_server.inference.traffic.rollout import Assigner
from neuralmesh_server.inference.traffic.shadow import Shadows
from neuralmesh_server.inference.upstreams import link_upstream
from neuralmesh_server.inference.upstreams.connections import Connections
from neuralmesh_server.inference.upward.app import Upward
from neuralmesh_server.prediction_id import Issuer
from neuralmesh_server.runtime.handlers import service_handler
from neuralmesh_server.runtime.listener import is_native
from neuralmesh_server.runtime.server import Server, drain
from neuralmesh_server.runtime.tokens import guard, open_access

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from neuralmesh_server.inference.hot_front import Front
    from neuralmesh_server.inference.reporting.totals import Siblings
    from neuralmesh_server.inference.request import Caller
    from neuralmesh_server.runtime.access import Access
    from neuralmesh_server.settings import Endpoint, InferenceSettings

log = structlog.get_logger()

LAST_CALL = 0.8
"""Part of the grace period after which what waits is refused and what runs is ended, while callers can be told so."""
RUN_THREADS = 4
LOAD_THREADS = 4  # as many as the loader works on at once, and as many again for what does not end


class InferenceApp:
    """One inference node.

    Args:
        settings: Its settings.
        front: What answers plain requests in this very process; the node then listens nowhere.
        follows: Whether it follows the registry, or serves what its folder holds.

    Attributes:
        name: What it is called where it is announced.
        endpoint: Where it listens; the bound port after `start`.
        failure: Done with an exception when the node cannot go on; made by `start`.
    """

    def __init__(self, settings: InferenceSettings, *, front: Front | None = None, follows: bool = True) -> None:
        self._settings = settings
        self._embedded = front
        self._follows = follows
        self._tasks: list[asyncio.Task[None]] = []
        self._folder: NodeFolder | None = None
        self.name = "inference" if settings.edge is None else "edge"
        self.endpoint = settings.server.listen
        self.failure: asyncio.Future[None] | None = None

    async def start(self) -> Endpoint:
        """Listen, then follow the registry. Health says SERVING after the first reconciliation.

        Raises:
            SettingsError: The address or the data folder is taken.
        """
        settings = self._settings
        self._folder = NodeFolder(settings.data)
        try:
            self._assemble(self._folder)
            self.failure = asyncio.get_running_loop().create_future()
            if self._embedded is None:
                self.endpoint = await self._server.start()
        except BaseException:
            self._folder.close()
            self._folder = None
            raise
        self._spawn(self._loader.run())
        self._spawn(self._announce())
        self._spawn(ModelHealth(self._serving, self._server.health).run())
        if self._settings.worker:
            self._spawn(self._repository.follow())
        if self._replica.revision:
            log.info("replica_found", revision=self._replica.revision)
            self._loader.changed()
        if self._follows:
            for work in (self._follower.run(),) if self._edge is None else self._edge.work():
                self._spawn(work)
        self._spawn(self._keeper.run())
        self._spawn(self._evidence.recorder.run())
        if self._telemetry is not None:
            self._spawn(self._telemetry.run())
        return self.endpoint

    async def infer(self, data: bytes, caller: Caller) -> bytes:
        """Return the answer to the bytes of a ModelInferRequest that no transport brought; raises NeuralMeshError."""
        return await self._service.infer_bytes(data, caller)

    async def settled(self) -> bool:
        """Return when what the first known state names is loaded or has failed; False where no state is to come."""
        if not self._replica.revision and not self._follows:
            return False
        await self._loader.settled.wait()
        return True

    async def stop(self) -> None:
        """Refuse new calls, let accepted ones finish, report for the last time, keep the replica, close everything."""
        if self._folder is None:
            return
        self._serving.ready = False
        drain_seconds = self._settings.server.drain_seconds
        last_call = asyncio.get_running_loop().call_later(drain_seconds * LAST_CALL, self._end_calls)
        self._service.end_streams()
        await self._server.stop()
        last_call.cancel()
        self._end_calls()
        await self._shadows.close()
        tasks, self._tasks = self._tasks, []
        await drain([task for task in tasks if not task.done()])
        await self._evidence.close()
        if self._telemetry is not None:
            await self._telemetry.farewell()
        if self._serving.current is not None:
            await self._keeper.keep()
        if self._edge is not None:
            await self._edge.close()
        await self._upward.close()
        await self._upstreams.close()
        await self._client.close()
        self._run_threads.shutdown(cancel_futures=True)
        await asyncio.to_thread(self._aside.close)  # the loop goes on: a thread may be in the middle of a run
        self._load_threads.shutdown(cancel_futures=True)
        self._folder.close()
        self._folder = None
        if self.failure is not None and not self.failure.cancel():
            self.failure.exception()  # seen by whoever waited for it; not reported a second time

    def _end_calls(self) -> None:
        self._lanes.close()
        self._execution.close()

    def _assemble(self, folder: NodeFolder) -> None:
        settings, tls = self._settings, self._settings.server.tls
        self._run_threads = ThreadPoolExecutor(RUN_THREADS, "infer")
        self._load_threads = ThreadPoolExecutor(LOAD_THREADS, "load")
        self._client = AsyncClient(
            registry=str(settings.registry),
            metrics=str(settings.metrics or ""),
            tls=TlsFiles(ca=tls.authority, cert=tls.certificate, key=tls.key) if tls else None,
            token=settings.token,
        )
        self._execution = Execution(self._run_threads)
        self._upstreams = Connections(settings.upstreams, tls, link_upstream.connect)
        self._serving = Serving()
        self._rollouts = RolloutActivity()
        self._lanes = Lanes(self._execution, RUN_THREADS)
        self._aside = Aside(self._lanes)
        self._shadows = Shadows(self._rollouts)
        registry = GrpcRegistry(self._client, settings.node)
        self._activity = activity = Activity(
            settings.labels_per_delta if settings.metrics else 0, settings.node, self._memory()
        )
        claims = Claims(settings.shared / "artifacts" / "claims")
        replica_file = ReplicaFile(settings.data / "replica.json")
        self._replica, effective = replica_file.load()
        unloaded = UnloadedFile(settings.shared)
        store = ContentStore(settings.shared / "artifacts")
        self._upward = Upward(settings, self._serving, self._replica)
        self._edge = (
            None if settings.edge is None else Edge(settings, settings.edge, self._replica, registry, self._client)
        )
        artifacts = self._make_artifacts(store, claims, registry)
        kinds = backends(self._upstreams)
        self._receipts = ReceiptFolder(settings.data / "receipts")
        self._evidence = compose(
            settings, self._receipts, self._replica, artifacts, kinds, activity=activity, key=folder.key
        )
        self._loader = Loader(
            replica=self._replica,
            serving=self._serving,
            activity=activity,
            artifacts=artifacts,
            backends=kinds,
            threads=self._load_threads,
            keep_newest=settings.keep_newest,
            effective=effective,
            published=self._published,
            unloaded=unloaded.load(),
            stale=dict if self._edge is None else self._edge.stale,
        )
        self._repository = Repository(loader=self._loader, serving=self._serving, store=unloaded)
        self._keeper = Keeper(replica_file, self._replica, lambda: self._loader.effective, saved=self._kept)
        if self._edge is not None:
            self._edge.join(
                loader=self._loader,
                keeper=self._keeper,
                serving=self._serving,
                folder=folder,
                endpoint=lambda: str(self.endpoint),
                counts=lambda: self._upward.counts,
                lost_reports=lambda: 0 if self._telemetry is None else self._telemetry.given_up,
            )
        self._follower = Follower(
            registry=registry,
            replica=self._replica,
            node=settings.node,
            key=folder.key,
            changed=self._loader.changed,
            connected=self._loader.retry,
            longest_pause=settings.reconnect_seconds,
        )
        self._telemetry = self._make_telemetry(activity, folder) if settings.metrics else None
        access = open_access(settings.server)
        # Where everybody may ask, nothing stands between the front and the codec.
        fronted = access is None and is_native(settings.server)
        services = [
            (oip.SERVICE, self._handler(activity, folder, access, fronted=fronted)),
            (NODE, self._node_handler(access)),
            (EDGE, edge_handler(settings, self._edge, self._replica, self._follower, store, access=access)),
        ]
        quick = {f"/{oip.SERVICE.full_name}/ModelInfer": self._hot.begin} if fronted else None
        self._server = Server(settings.server, services, access, quick)
        front = self._server.front if fronted else self._embedded
        if front is not None:
            self._hot.attach(front)

    def _make_telemetry(self, activity: Activity, folder: NodeFolder) -> Telemetry:
        return Telemetry(
            metrics=GrpcMetrics(self._client, self._settings.node),
            spool=TelemetrySpool(self._settings.data),
            activity=activity,
            epoch_ms=folder.epoch_ms,
            interval=self._settings.telemetry_seconds,
            loaded=self._loader.reports,
            revision=lambda: self._replica.revision,
            rollouts=self._rollouts,
            lost_receipts=lambda: self._evidence.recorder.lost_here,
            held=lambda: self._hot.held(),  # noqa: PLW0108 - it is made later
        )

    def _handler(self, activity: Activity, folder: NodeFolder, access: Access | None, *, fronted: bool) -> object:
        issuer = Issuer(self._settings.node, folder.key, folder.epoch_ms, Numbers())
        self._hot = Hot(
            serving=self._serving,
            activity=activity,
            issuer=issuer,
            node=self._settings.node,
            rings=self._receipts.ledger.rings,
            aside=self._aside,
        )
        self._evidence.attach(self._hot)
        self._answering = Answering(
            serving=self._serving,
            assigner=Assigner(self._settings.node, folder.epoch_ms),
            lanes=self._lanes,
            activity=activity,
            rollouts=self._rollouts,
            issuer=issuer,
            write=convert.write_answer,
            node=self._settings.node,
            receipts=self._evidence.recorder,
            shadows=self._shadows,
            forwarder=self._upward.forwarding,
            hedger=self._upward.hedging,
        )
        self._service = service = InferenceServicer(
            serving=self._serving,
            hot=self._hot,
            answering=self._answering,
            activity=activity,
            siblings=self._siblings,
            repository=self._repository,
            node=self._settings.node,
            version=metadata.version("neuralmesh"),
            name=self._settings.compat or SERVER_NAME,
            say=compat.triton if self._settings.compat else compat.plain,
        )
        spoken = compat.Spoken(service, compat.triton) if self._settings.compat else service
        raw: dict[str, Callable[..., object]] = {
            "ModelInfer": service.model_infer_ordinarily if fronted else service.model_infer,
            "ModelStreamInfer": service.model_stream_infer,
        }
        return service_handler(oip.SERVICE, spoken, oip.message_class, raw, guard(access, RULES))

    def _node_handler(self, access: Access | None) -> object:
        service = NodeServicer(
            recorder=self._evidence.recorder,
            replays=self._evidence.replays,
            proofs=self._evidence.proofs,
            node=self._settings.node,
        )
        return service_handler(NODE, service, GetMessageClass, guard=guard(access, NODE_RULES))

    def _make_artifacts(self, store: ContentStore, claims: Claims, registry: GrpcRegistry) -> Artifacts:
        edge = self._edge
        if edge is None:
            return Artifacts(store, claims, registry)
        return Artifacts(store, claims, edge.sources, room=edge.cache, mistaken=edge.sources.mistaken)

    def _kept(self) -> None:
        if self._edge is not None:
            self._edge.wake()

    def _published(self) -> None:
        self._hot.refresh()  # what the snapshot let go is not held until the next request
        self._keeper.mark()
        if self._edge is not None:
            self._edge.published()
        if self._telemetry is None:  # otherwise it does so as soon as it has reported everything
            self._activity.fold()

    def _memory(self) -> Callable[[str, int, str, int], memoryview] | None:
        """Return where totals are counted: in memory that the other workers read, where there are others."""
        settings = self._settings
        self._siblings: Siblings = Alone()
        if not settings.worker:
            return None
        shared = SharedTotals(settings.shared / "totals", settings.worker, settings.workers)
        self._siblings = shared
        return shared.block

    async def _announce(self) -> None:
        await self._loader.settled.wait()
        self._serving.ready = True
        await self._server.set_serving(serving=True)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None or self.failure is None or self.failure.done():
            return
        if not isinstance(error, NodeNameTakenError):
            log.error("background_task_failed", exc_info=error)
        self.failure.set_exception(error)
