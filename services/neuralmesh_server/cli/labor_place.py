"""Where a job is planned and run: by the labor service, or in this program."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh import Client

FOLDER = Path("data/labor")
"""Where jobs that this program runs are kept, unless it is told otherwise."""

Cache = Annotated[
    Path, typer.Option("--cache", metavar="DIR", help="Folder of jobs and results that this program keeps.")
]
Service = Annotated[
    bool, typer.Option("--service", help="Let the labor service do it (--labor names it); else this program does.")
]


def place(
    client: Client, options: Mapping[str, Any], folder: Path, *, service: bool, workers: int = 1, dask: str = ""
) -> AbstractContextManager[Client]:
    """Return what gives a client of the array that does the work.

    Args:
        client: Connected to the labor service.
        options: Arguments of a client, for the registry.
        folder: What an array within this program keeps.
        service: Take the service.
        workers: Processes of an array within this program.
        dask: Address of a Dask scheduler that it has instead.
    """
    if service:
        return nullcontext(client)
    from neuralmesh_server.cli.labor_local import local_array  # noqa: PLC0415 - imports the service

    return local_array(folder, options, workers=workers, dask=dask)
