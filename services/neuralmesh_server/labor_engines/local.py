"""The labor array within a program: service and engine on a loop in a thread of its own, reached over loopback.

Results and cache are in a folder and stay: the next program on the same folder finds them. Whoever uses it has a client
like everybody else, so that a job runs here as it would on a service.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from neuralmesh_server.embedded.thread import LoopThread
from neuralmesh_server.labor.app import LaborApp
from neuralmesh_server.labor_engines.engines import engines
from neuralmesh_server.settings import GRPC, Endpoint, ServerSettings
from neuralmesh_server.settings_labor import LaborSettings

if TYPE_CHECKING:
    from types import TracebackType

    from neuralmesh_server.settings import TlsSettings

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
            self._app = self._thread.run(_started(settings))
        except BaseException:
            self._thread.close()
            raise
        self.address = str(self._app.endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it; jobs that run go on with the next program on the folder."""
        self._thread.close(self._app.stop())


async def _started(settings: LaborSettings) -> LaborApp:
    app = LaborApp(settings, engines(settings))
    await app.start()
    return app
