"""`neuralmesh labor worker`: a process that pulls shards from a labor array and runs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from neuralmesh_server.cli.connection import addressed
from neuralmesh_server.cli.exit_codes import FAILED, CommandError


@addressed
def worker(
    options: dict[str, Any],
    *,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the worker, one process at a time; the machine's by default.")
    ] = "",
    slots: Annotated[int, typer.Option(min=0, max=64, help="Shards that it runs at once; 0 for one a processor.")] = 0,
    store: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of what it keeps; workers of one machine may share it.")
    ] = Path("labor-worker"),
    once_idle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="End without work for so long, as batch systems want it, and with an error"
            " where no process starts; 0: never.",
        ),
    ] = 0.0,
) -> None:
    """Run shards for a labor array until a signal stops it; what it was doing is given to others."""
    from neuralmesh_server.labor_engines.station import StartError  # noqa: PLC0415 - imports structlog
    from neuralmesh_server.labor_engines.worker import work  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.names import check_node  # noqa: PLC0415 - commands start without what they do not need
    from neuralmesh_server.runtime import logs  # noqa: PLC0415 - imports structlog
    from neuralmesh_server.settings_edge import own_name  # noqa: PLC0415 - as above

    logs.configure()
    try:
        work(
            options,
            name=check_node(name or own_name()),
            slots=slots or len(os.sched_getaffinity(0)),
            folder=store,
            idle_seconds=once_idle or None,
        )
    except StartError as error:
        raise CommandError(str(error), "", FAILED) from error
