"""The composition root of the metrics service: which store, which edges, in which order they start and stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from google.protobuf.message_factory import GetMessageClass

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server.metrics import exposition
from neuralmesh_server.metrics.access import RULES, SCRAPE
from neuralmesh_server.metrics.service import MetricsServicer
from neuralmesh_server.metrics.store_sqlite import SqliteStore
from neuralmesh_server.runtime.access import check
from neuralmesh_server.runtime.handlers import service_handler
from neuralmesh_server.runtime.http_edge import EXPOSITION, PLAIN, HttpEdge, check_exposure
from neuralmesh_server.runtime.server import Server
from neuralmesh_server.runtime.tokens import guard, open_access

if TYPE_CHECKING:
    from neuralmesh_server.settings import Endpoint, MetricsSettings


class MetricsApp:
    """The metrics service, wired and ready to start.

    Attributes:
        endpoint: Where gRPC listens; with the bound port once started.
        http_endpoint: Where HTTP listens, or None when it is switched off.

    Raises:
        SettingsError: HTTP, which has neither TLS nor authentication, would be open to the network.
    """

    name = "metrics"

    def __init__(self, settings: MetricsSettings) -> None:
        http = settings.http
        check_exposure(http, "NEURALMESH_METRICS_HTTP", insecure=settings.server.insecure)
        self._settings = settings
        self._store: SqliteStore | None = None
        self._server: Server | None = None
        self._http: HttpEdge | None = None
        self.endpoint: Endpoint = settings.server.listen
        self.http_endpoint: Endpoint | None = http

    async def start(self) -> Endpoint:
        """Open the store, then listen; returns the gRPC address with its bound port.

        Raises:
            SettingsError: The data folder is in use or unreadable, or an address cannot be bound.
        """
        access = open_access(self._settings.server)
        store = self._store = SqliteStore(self._settings.data)
        servicer = MetricsServicer(store, time.time, self._settings.running_seconds)
        contract = pb.DESCRIPTOR.services_by_name["MetricsService"]
        handler = service_handler(contract, servicer, GetMessageClass, guard=guard(access, RULES))

        async def metrics() -> bytes:
            return await store.read(lambda view: exposition.render(servicer.observer().overview(view)))

        def permit(authorization: str | None) -> None:
            if access is not None:
                check(SCRAPE, access.principal(authorization, lambda: None), "")

        async def healthy() -> bytes:
            await store.read(lambda view: view.newest_epoch(""))
            return b"ok\n"

        if self._settings.http is not None:
            pages = {"/metrics": (EXPOSITION, metrics), "/healthz": (PLAIN, healthy)}
            self._http = HttpEdge(self._settings.http, pages, {"/metrics": permit})
            self.http_endpoint = await self._http.start()
        server = self._server = Server(self._settings.server, [(contract, handler)], access)
        self.endpoint = await server.start()
        await server.set_serving(serving=True)
        return self.endpoint

    async def stop(self) -> None:
        """Drain calls, then commit what waits and close the store."""
        if self._server is not None:
            await self._server.stop()
        if self._http is not None:
            await self._http.stop()
        if self._store is not None:
            self._store.close()
