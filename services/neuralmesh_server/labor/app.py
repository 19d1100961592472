"""The labor service, wired: the only place that knows which stores stand behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.protobuf.message_factory import GetMessageClass

from neuralmesh import AsyncClient
from neuralmesh.labor.v1 import labor_service_pb2, worker_service_pb2
from neuralmesh_server import numerics
from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.labor import exposition
from neuralmesh_server.labor.access import RULES, SCRAPE, WORKER_RULES
from neuralmesh_server.labor.coordinator import Coordinator
from neuralmesh_server.labor.link_registry import GrpcVersions, client_options
from neuralmesh_server.labor.plan import Numerics
from neuralmesh_server.labor.planner import Planner
from neuralmesh_server.labor.service import LaborArrayServicer
from neuralmesh_server.labor.shelf import Shelf
from neuralmesh_server.labor.store_sqlite import SqliteStore
from neuralmesh_server.labor.timing import Timing
from neuralmesh_server.labor.worker_service import WorkerServicer
from neuralmesh_server.runtime.access import check
from neuralmesh_server.runtime.handlers import service_handler
from neuralmesh_server.runtime.http_edge import EXPOSITION, PLAIN, HttpEdge, check_exposure
from neuralmesh_server.runtime.server import Server, drain
from neuralmesh_server.runtime.tokens import guard, open_access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.labor.engine import MakeEngine
    from neuralmesh_server.labor.planner import Versions
    from neuralmesh_server.settings import Endpoint
    from neuralmesh_server.settings_labor import LaborSettings


class LaborApp:
    """The labor service over SQLite and a folder. Construct it in the loop that will run it.

    Args:
        settings: See LaborSettings.
        engines: What runs shards in this process, beside the workers that dial in.
        versions: What resolves versions; the registry of the settings, but for tests.

    Attributes:
        endpoint: Where gRPC listens; with the bound port once started.
        http_endpoint: Where HTTP listens, or None when it is switched off.
        failure: Done with an exception when the service cannot go on; made by `start`.
        coordinator: The desk where engines get work.

    Raises:
        SettingsError: The data folder is in use, of a newer version, or cannot be used; or HTTP would be open to the
            network.
    """

    name = "labor"

    def __init__(
        self, settings: LaborSettings, engines: Sequence[MakeEngine] = (), versions: Versions | None = None
    ) -> None:
        check_exposure(settings.http, "NEURALMESH_LABOR_HTTP", insecure=settings.server.insecure)
        self._access = access = open_access(settings.server)
        self._engines = engines
        self._keep_seconds = settings.keep_seconds
        self._store = SqliteStore(settings.data)
        self._shelf = Shelf(ContentStore(settings.data / "content"))
        self._client = AsyncClient(**client_options(settings))
        self._planner = Planner(versions or GrpcVersions(self._client, _numerics))
        self.coordinator = Coordinator(self._store, self._shelf, timing=Timing(lease_seconds=settings.lease_seconds))
        contract = labor_service_pb2.DESCRIPTOR.services_by_name["LaborArrayService"]
        servicer = LaborArrayServicer(self.coordinator, self._planner, self._shelf, self._store)
        work = worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"]
        workers = WorkerServicer(self.coordinator)
        self._server = Server(
            settings.server,
            [
                (contract, service_handler(contract, servicer, GetMessageClass, guard=guard(access, RULES))),
                (work, service_handler(work, workers, GetMessageClass, guard=guard(access, WORKER_RULES))),
            ],
            access,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._http: HttpEdge | None = None
        self.failure: asyncio.Future[None] | None = None
        self.endpoint = settings.server.listen
        self.http_endpoint = settings.http

    async def start(self) -> Endpoint:
        """Take up the jobs that ran, then serve; returns where."""
        self.failure = asyncio.get_running_loop().create_future()
        await self.coordinator.start()
        work = [self.coordinator.run(), *(make(self.coordinator).run() for make in self._engines)]
        if self._keep_seconds is not None:
            work.append(self.coordinator.retention.run(self._keep_seconds))
        for each in work:
            task = asyncio.create_task(each)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        if self.http_endpoint is not None:
            pages = {"/metrics": (EXPOSITION, self._figures), "/healthz": (PLAIN, self._healthy)}
            self._http = HttpEdge(self.http_endpoint, pages, {"/metrics": self._permit_scrape})
            self.http_endpoint = await self._http.start()
        self.endpoint = await self._server.start()
        await self._server.set_serving(serving=True)
        return self.endpoint

    async def stop(self) -> None:
        """Hand out nothing more, let calls finish, then close everything. Jobs go on with the next start."""
        await drain([task for task in self._tasks if not task.done()])
        self.coordinator.close()
        await self._server.stop()
        if self._http is not None:
            await self._http.stop()
        await self.coordinator.stop()
        await self._planner.close()
        await self._client.close()
        self._shelf.close()
        self._store.close()
        failure, self.failure = self.failure, None
        if failure is not None and not failure.cancel():
            failure.exception()  # seen by whoever waited for it; not reported a second time

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Take note that work in the background ended; a defect is the end of the service, which says so and exits."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self.failure is not None and not self.failure.done():
            self.failure.set_exception(error)

    async def _figures(self) -> bytes:
        jobs, alarms = await self._store.read(lambda view: (view.count_jobs(), view.count_alarms()))
        return exposition.render(self.coordinator.moment(jobs, alarms))

    async def _healthy(self) -> bytes:
        await self._store.read(lambda view: view.count_jobs())
        return b"ok\n"

    def _permit_scrape(self, authorization: str | None) -> None:
        if self._access is not None:
            check(SCRAPE, self._access.principal(authorization, lambda: None), "")


def _numerics(kind: str) -> Numerics:
    found = numerics.numerics(kind)
    return Numerics(found.id, found.level)
