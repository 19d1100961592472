"""The registry, wired: the only place that knows which stores stand behind it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from google.protobuf.message_factory import GetMessageClass

from neuralmesh.mesh.v1 import mesh_service_pb2
from neuralmesh.registry.v1 import registry_service_pb2
from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.data_folder import DataFolder
from neuralmesh_server.registry.access import MESH_RULES, RULES, SCRAPE
from neuralmesh_server.registry.catalog import Catalog
from neuralmesh_server.registry.checks import Checks
from neuralmesh_server.registry.following import Feed
from neuralmesh_server.registry.mesh import exposition
from neuralmesh_server.registry.mesh.assignments import Assignments
from neuralmesh_server.registry.mesh.fleet import Fleet
from neuralmesh_server.registry.mesh.hub import Hub
from neuralmesh_server.registry.mesh.service import MeshServicer
from neuralmesh_server.registry.mesh.store_fleet import SqliteFleetStore
from neuralmesh_server.registry.mesh.waves import Waves
from neuralmesh_server.registry.policies import Policies
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.protection import Protections
from neuralmesh_server.registry.service import RegistryServicer
from neuralmesh_server.registry.store_sqlite import SqliteStore
from neuralmesh_server.registry.tracing import Tracer
from neuralmesh_server.registry.transfers import Transfers
from neuralmesh_server.runtime.access import check
from neuralmesh_server.runtime.handlers import service_handler
from neuralmesh_server.runtime.http_edge import EXPOSITION, PLAIN, HttpEdge, check_exposure
from neuralmesh_server.runtime.server import Server, drain
from neuralmesh_server.runtime.tokens import guard, open_access
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from neuralmesh_server.settings import Endpoint, RegistrySettings


class RegistryApp:
    """The registry service over SQLite and a folder. Construct it in the loop that will run it.

    Args:
        settings: See RegistrySettings.

    Attributes:
        endpoint: Where gRPC listens; with the bound port once started.
        http_endpoint: Where HTTP listens, or None when it is switched off.
        failure: Done with an exception when the registry cannot go on; made by `start`.

    Raises:
        SettingsError: The data folder is in use, of a newer version, or cannot be used; or HTTP would be open to the
            network.
    """

    name = "registry"

    def __init__(self, settings: RegistrySettings) -> None:
        check_exposure(settings.http, "NEURALMESH_REGISTRY_HTTP", insecure=settings.server.insecure)
        self._access = access = open_access(settings.server)
        self._folder = DataFolder(settings.data, "registry process")
        try:
            self._store = SqliteStore(settings.data / "registry.sqlite")
        except SettingsError:
            self._folder.close()
            raise
        try:
            self._fleet_store = SqliteFleetStore(settings.data / "fleet.sqlite")
        except SettingsError:
            self._store.close()
            self._folder.close()
            raise
        self._transfers = Transfers(ContentStore(settings.data / "artifacts"))
        self._feed = Feed(self._store, settings.heartbeat_seconds)
        tracer = Tracer(self._store, _now)
        self._fleet = Fleet(self._fleet_store, _now, time.monotonic)
        self._hub = Hub(self._store, tracer, self._fleet, settings.heartbeat_seconds)
        self._waves = Waves(self._store, self._hub, self._fleet, _now, time.monotonic)
        service = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
        servicer = RegistryServicer(
            catalog=Catalog(self._store, self._transfers, _now),
            checks=Checks(self._store, _now),
            policies=Policies(self._store, _now),
            promotions=Promotions(self._store, _now),
            protections=Protections(self._store, _now),
            transfers=self._transfers,
            feed=self._feed,
            tracer=tracer,
        )
        mesh = mesh_service_pb2.DESCRIPTOR.services_by_name["MeshService"]
        nodes = MeshServicer(Assignments(self._store, _now), self._hub, self._fleet)
        self._server = Server(
            settings.server,
            [
                (service, service_handler(service, servicer, GetMessageClass, guard=guard(access, RULES))),
                (mesh, service_handler(mesh, nodes, GetMessageClass, guard=guard(access, MESH_RULES))),
            ],
            access,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._http: HttpEdge | None = None
        self.failure: asyncio.Future[None] | None = None
        self.endpoint = settings.server.listen
        self.http_endpoint = settings.http

    async def start(self) -> Endpoint:
        """Serve; returns where."""
        self._feed.start()
        await self._fleet.open()
        await self._hub.start()
        self._waves.start()
        self.failure = asyncio.get_running_loop().create_future()
        for work in (self._hub.follow(), self._waves.run(), self._fleet.keep()):
            task = asyncio.create_task(work)
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
        """End the followers' streams, let other calls finish, then close everything."""
        self._feed.close()
        self._hub.close()
        await self._server.stop()
        if self._http is not None:
            await self._http.stop()
        await drain([task for task in self._tasks if not task.done()])
        await self._fleet.save()
        self._fleet_store.close()
        self._transfers.close()
        self._store.close()
        self._folder.close()
        failure, self.failure = self.failure, None
        if failure is not None and not failure.cancel():
            failure.exception()  # seen by whoever waited for it; not reported a second time

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Take note that work in the background ended; a defect is the end of the service, which says so and exits."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self.failure is not None and not self.failure.done():
            self.failure.set_exception(error)

    async def _figures(self) -> bytes:
        return exposition.render(self._hub.revision, self._fleet)

    async def _healthy(self) -> bytes:
        await self._store.read(lambda view: view.head())
        return b"ok\n"

    def _permit_scrape(self, authorization: str | None) -> None:
        if self._access is not None:
            check(SCRAPE, self._access.principal(authorization, lambda: None), "")


def _now() -> int:
    return time.time_ns() // 1_000_000
