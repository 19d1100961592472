"""The labor array within this program, for `neuralmesh labor run` without a service.

It is behind a token that nobody else has, since its port is open to the whole machine.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralmesh import Client
from neuralmesh._labor_ends import ended
from neuralmesh.exceptions import UnavailableError
from neuralmesh_server.cli.exit_codes import FAILED, CommandError
from neuralmesh_server.labor_engines.local import LocalLabor
from neuralmesh_server.runtime import logs, tokens
from neuralmesh_server.runtime.access import ADMIN, Grant
from neuralmesh_server.settings import SettingsError, TlsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = "local"
"""What the submitter is called where the actor cannot be the name of a token."""


@contextmanager
def local_array(folder: Path, options: Mapping[str, Any], *, workers: int, dask: str = "") -> Iterator[Client]:
    """Run the array; gives a client of it.

    Args:
        folder: Where jobs, results and the files of versions are kept; one process has it at a time.
        options: Arguments of a client, for the registry.
        workers: How many processes run shards.
        dask: Address of a Dask scheduler to run them instead, or `local`.

    Raises:
        neuralmesh_server.settings.SettingsError: The folder is in use or cannot be used.
        CommandError: What runs shards cannot go on, such as where no process starts.
    """
    logs.configure(level=logging.ERROR)  # what is worth a warning of a service is mended here, or fails the job
    with tempfile.TemporaryDirectory(prefix="neuralmesh-labor-") as private:
        token, known, socket = tokens.new_token(), Path(private) / "tokens", str(Path(private) / "labor")
        tokens.write(known, [tokens.make_entry(_name(options["actor"]), [Grant(ADMIN, ("*",))], token=token)])
        with (
            LocalLabor(
                folder,
                options["registry"],
                workers=workers,
                dask=dask,
                tls=_tls(options["tls"]),
                token=options["token"],
                tokens=known,
                socket=socket,
            ) as labor,
            Client(labor=f"unix:{socket}", token=token, timeout=options["timeout"]) as client,
        ):
            _end_what_was_left(client)
            try:
                yield client
            except UnavailableError as error:
                if labor.failure is None:
                    raise
                why = f"the labor array within this program ended: {labor.failure}"
                raise CommandError(why, "", FAILED) from error


def _name(actor: str) -> str:
    """Return the actor as a name of a token, which jobs then say they were submitted by."""
    try:
        tokens.make_entry(actor, [Grant(ADMIN, ("*",))], token="")
    except SettingsError:
        return NAME
    return actor


def _end_what_was_left(client: Client) -> None:
    """Cancel jobs that a killed run left behind: nobody waits for them, and submitted again they go on."""
    for job in client.labor.list_jobs():
        if not ended(job):
            client.labor.cancel_job(job.name)


def _tls(files: Any) -> TlsSettings | None:
    return None if files is None else TlsSettings(certificate=files.cert, key=files.key, authority=files.ca)
