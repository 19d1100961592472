"""The labor array within this program, for `neuralmesh labor run` without a service.

It is the same service, on a loop in a thread of its own, behind a token that nobody else has, with processes of this
machine as its workers.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralmesh import AsyncClient, Client
from neuralmesh._labor_ends import ended
from neuralmesh_server.embedded.thread import LoopThread
from neuralmesh_server.inference.holding.link_registry import GrpcRegistry
from neuralmesh_server.labor.app import LaborApp
from neuralmesh_server.labor_engines.pool import Pool
from neuralmesh_server.labor_engines.versions import Versions
from neuralmesh_server.runtime import logs, tokens
from neuralmesh_server.runtime.access import ADMIN, Grant
from neuralmesh_server.settings import Endpoint, ServerSettings, SettingsError, TlsSettings
from neuralmesh_server.settings_labor import LaborSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuralmesh_server.labor.desk import Desk

NODE = "labor"
"""What this program calls itself towards the registry."""


class _Array:
    """The service, its workers and their line to the registry; belongs to the loop."""

    def __init__(self, settings: LaborSettings, options: Mapping[str, Any], processes: int) -> None:
        self._client = AsyncClient(registry=options["registry"], tls=options["tls"], token=options["token"])
        versions = Versions(settings.data / "versions", GrpcRegistry(self._client, NODE))

        def pool(desk: Desk) -> Pool:
            return Pool(desk, versions, settings.data / "results", processes)

        self._app = LaborApp(settings, [pool])

    async def stop(self) -> None:
        """End the workers, then the service; jobs that run are taken up when they are submitted again."""
        await self._app.stop()
        await self._client.close()

    async def start(self) -> None:
        """Serve."""
        await self._app.start()


@contextmanager
def local_array(folder: Path, options: Mapping[str, Any], processes: int) -> Iterator[Client]:
    """Run the array; gives a client of it.

    Args:
        folder: Where jobs, results and the files of versions are kept; one process has it at a time.
        options: Arguments of a client, for the registry.
        processes: How many run shards.

    Raises:
        neuralmesh_server.settings.SettingsError: The folder is in use or cannot be used.
    """
    logs.configure(level=logging.ERROR)  # what is worth a warning of a service is mended here, or fails the job
    with tempfile.TemporaryDirectory(prefix="neuralmesh-labor-") as private:
        # The port of the service is open to this machine, so only a token that nobody else has lets in.
        token = tokens.new_token()
        known = Path(private) / "tokens"
        tokens.write(known, [tokens.make_entry(_name(options["actor"]), [Grant(ADMIN, ("*",))], token=token)])
        socket = Endpoint.unix(str(Path(private) / "labor"), name="labor")
        settings = LaborSettings(
            server=ServerSettings(Endpoint("127.0.0.1", 0), tls=_tls(options["tls"]), tokens=known, socket=socket),
            data=folder,
            registry=Endpoint.parse_peer(options["registry"], name="NEURALMESH_REGISTRY"),
            token=options["token"],
            workers=processes,
        )
        thread = LoopThread("neuralmesh-labor")
        array: _Array | None = None
        try:
            array = thread.run(_started(settings, options, processes))
            with Client(labor=str(socket), token=token, timeout=options["timeout"]) as client:
                _end_what_was_left(client)
                yield client
        finally:
            thread.close(None if array is None else array.stop())


def _name(actor: str) -> str:
    """Return the actor as a name of a token, which jobs then say they were submitted by."""
    try:
        tokens.make_entry(actor, [Grant(ADMIN, ("*",))], token="")
    except SettingsError:
        return NODE
    return actor


def _end_what_was_left(client: Client) -> None:
    """Cancel jobs that a killed run left behind: nobody waits for them, and submitted again they go on."""
    for job in client.labor.list_jobs():
        if not ended(job):
            client.labor.cancel_job(job.name)


async def _started(settings: LaborSettings, options: Mapping[str, Any], processes: int) -> _Array:
    array = _Array(settings, options, processes)
    try:
        await array.start()
    except BaseException:
        await array.stop()
        raise
    return array


def _tls(files: Any) -> TlsSettings | None:
    return None if files is None else TlsSettings(certificate=files.cert, key=files.key, authority=files.ca)
