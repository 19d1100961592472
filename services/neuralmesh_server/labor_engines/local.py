"""The labor array within a program: service and engine on a loop in a thread of its own, reached over loopback.

Results and cache are in a folder and stay: the next program on the same folder finds them. Whoever uses it has a client
like everybody else, so that a job runs here as it would on a service.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

from neuralmesh_server.embedded.thread import LoopThread
from neuralmesh_server.labor.app import LaborApp
from neuralmesh_server.labor_engines.engines import engines
from neuralmesh_server.settings import GRPC, Endpoint, ServerSettings
from neuralmesh_server.settings_labor import LaborSettings

if TYPE_CHECKING:
    from types import TracebackType

    from neuralmesh_server.settings import TlsSettings

log = structlog.get_logger()

DRAIN_SECONDS = 1.0


class LocalLabor:
    """A labor array in this process; also a context manager, which closes it.

    Args:
        folder: What it keeps; one process holds it at a time.
        registry: Address of the registry.
        workers: Processes that run shards; 0 for one a processor.
        dask: Address of a Dask scheduler to run them instead, or `local`; empty for none.
        tls: How the registry is called; None for plain text.
        token: What calls of the registry carry.
        tokens: File of those who may call this array; None lets every process of this machine.
        socket: Path of a Unix socket beside the port; empty for none.

    Attributes:
        address: Where clients find it.

    Raises:
        neuralmesh_server.settings.SettingsError: Another process uses the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        registry: str,
        *,
        workers: int = 0,
        dask: str = "",
        tls: TlsSettings | None = None,
        token: str = "",
        tokens: Path | None = None,
        socket: str = "",
    ) -> None:
        server = ServerSettings(
            Endpoint("127.0.0.1", 0),
            tls=tls,
            tokens=tokens,
            socket=Endpoint.unix(socket, name="socket") if socket else None,
            transport=GRPC,
            drain_seconds=DRAIN_SECONDS,
        )
        settings = LaborSettings(
            server=server,
            data=Path(folder),
            registry=Endpoint.parse_peer(registry, name="registry"),
            token=token,
            workers=workers or len(os.sched_getaffinity(0)),
            dask=dask,
        )
        self._thread = LoopThread("neuralmesh-labor")
        try:
            self._served = self._thread.run(_started(settings))
        except BaseException:
            self._thread.close()
            raise
        self.address = str(self._served.app.endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def failure(self) -> BaseException | None:
        """Why it ended by itself; None while it has not."""
        return self._served.failure

    def close(self) -> None:
        """End it; jobs that run go on with the next program on the folder."""
        self._thread.close(self._served.stop())


class _Served:
    """The service, which stops by itself when it or its engine cannot go on, so that nobody waits for it."""

    def __init__(self, app: LaborApp) -> None:
        self.app = app
        self.failure: BaseException | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        if self._stopping is None:
            self._stopping = asyncio.create_task(self.app.stop())
        await self._stopping

    def failed(self, failure: asyncio.Future[None]) -> None:
        if not failure.cancelled() and self._stopping is None:
            self.failure = failure.exception()
            log.error("labor_failed", why=repr(self.failure))
            self._stopping = asyncio.create_task(self.app.stop())


async def _started(settings: LaborSettings) -> _Served:
    served = _Served(LaborApp(settings, engines(settings, give_up=True)))
    await served.app.start()
    assert served.app.failure is not None
    served.app.failure.add_done_callback(served.failed)
    return served
