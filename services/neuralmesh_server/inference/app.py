"""The inference service, put together: the only module that knows the concrete stores, links and backends."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import TYPE_CHECKING

import structlog

from neuralmesh import AsyncClient, TlsFiles, oip
from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.inference import backend_liam, backend_onnx
from neuralmesh_server.inference.activity import Activity
from neuralmesh_server.inference.artifacts import Artifacts
from neuralmesh_server.inference.execution import Execution
from neuralmesh_server.inference.follower import Follower, Keeper, NodeNameTakenError
from neuralmesh_server.inference.link_metrics import GrpcMetrics
from neuralmesh_server.inference.link_registry import GrpcRegistry
from neuralmesh_server.inference.loader import Loader
from neuralmesh_server.inference.service import InferenceServicer
from neuralmesh_server.inference.serving import Serving
from neuralmesh_server.inference.store_node import NodeFolder
from neuralmesh_server.inference.store_replica import ReplicaFile
from neuralmesh_server.inference.store_telemetry import TelemetrySpool
from neuralmesh_server.inference.telemetry import Telemetry
from neuralmesh_server.prediction_id import Issuer
from neuralmesh_server.runtime.handlers import service_handler
from neuralmesh_server.runtime.server import Server, drain

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from neuralmesh_server.inference.backend import Backend
    from neuralmesh_server.settings import Endpoint, InferenceSettings

log = structlog.get_logger()

RUN_THREADS = 4
LOAD_THREADS = 4  # as many as the loader works on at once, and as many again for what does not end


def backends() -> dict[str, Backend]:
    """Return the backend of every kind that this node serves; all of them read data and execute none of it."""
    return {backend_onnx.KIND: backend_onnx.OnnxBackend(), backend_liam.KIND: backend_liam.LiamBackend()}


class InferenceApp:
    """One inference node.

    Attributes:
        endpoint: Where it listens; the bound port after `start`.
        failure: Done with an exception when the node cannot go on; made by `start`.
    """

    name = "inference"

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []
        self._folder: NodeFolder | None = None
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
            self.endpoint = await self._server.start()
        except BaseException:
            self._folder.close()
            self._folder = None
            raise
        self._spawn(self._loader.run())
        self._spawn(self._announce())
        if self._replica.revision:
            log.info("replica_found", revision=self._replica.revision)
            self._loader.changed()
        self._spawn(self._follower.run())
        self._spawn(self._keeper.run())
        if self._telemetry is not None:
            self._spawn(self._telemetry.run())
        return self.endpoint

    async def stop(self) -> None:
        """Refuse new calls, let accepted ones finish, report for the last time, keep the replica, close everything."""
        if self._folder is None:
            return
        self._serving.ready = False
        await self._server.stop()
        self._execution.close()
        tasks, self._tasks = self._tasks, []
        await drain([task for task in tasks if not task.done()])
        if self._telemetry is not None:
            await self._telemetry.farewell()
        if self._serving.current is not None:
            await self._keeper.keep()
        await self._client.close()
        self._run_threads.shutdown(cancel_futures=True)
        self._load_threads.shutdown(cancel_futures=True)
        self._folder.close()
        self._folder = None
        if self.failure is not None and not self.failure.cancel():
            self.failure.exception()  # seen by whoever waited for it; not reported a second time

    def _assemble(self, folder: NodeFolder) -> None:
        settings, tls = self._settings, self._settings.server.tls
        self._run_threads = ThreadPoolExecutor(RUN_THREADS, "infer")
        self._load_threads = ThreadPoolExecutor(LOAD_THREADS, "load")
        self._client = AsyncClient(
            registry=str(settings.registry),
            metrics=str(settings.metrics or ""),
            tls=TlsFiles(ca=tls.authority, cert=tls.certificate, key=tls.key) if tls else None,
        )
        self._execution = Execution(self._run_threads)
        self._serving = Serving()
        registry = GrpcRegistry(self._client, settings.node)
        activity = Activity(settings.labels_per_delta if settings.metrics else 0)
        replica_file = ReplicaFile(settings.data / "replica.json")
        self._replica, effective = replica_file.load()
        self._loader = Loader(
            replica=self._replica,
            serving=self._serving,
            activity=activity,
            artifacts=Artifacts(ContentStore(settings.data / "artifacts"), registry),
            backends=backends(),
            threads=self._load_threads,
            keep_newest=settings.keep_newest,
            effective=effective,
            published=lambda: self._keeper.mark(),  # noqa: PLW0108 - the keeper comes after the loader
        )
        self._keeper = Keeper(replica_file, self._replica, lambda: self._loader.effective)
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
        self._server = Server(settings.server, [(oip.SERVICE, self._handler(activity, folder))])

    def _make_telemetry(self, activity: Activity, folder: NodeFolder) -> Telemetry:
        return Telemetry(
            metrics=GrpcMetrics(self._client, self._settings.node),
            spool=TelemetrySpool(self._settings.data),
            activity=activity,
            epoch_ms=folder.epoch_ms,
            interval=self._settings.telemetry_seconds,
            loaded=self._loader.reports,
            revision=lambda: self._replica.revision,
        )

    def _handler(self, activity: Activity, folder: NodeFolder) -> object:
        service = InferenceServicer(
            serving=self._serving,
            execution=self._execution,
            activity=activity,
            issuer=Issuer(self._settings.node, folder.key, folder.epoch_ms),
            node=self._settings.node,
            version=metadata.version("neuralmesh"),
        )
        return service_handler(oip.SERVICE, service, oip.message_class, raw={"ModelInfer": service.model_infer})

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
