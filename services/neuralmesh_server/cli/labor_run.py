"""`neuralmesh labor run`: a job from its wish to the folder of its results, in this program or by the labor service."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.labor_jobs import print_result
from neuralmesh_server.cli.labor_progress import LiveProgress
from neuralmesh_server.cli.labor_wish import wished
from neuralmesh_server.cli.rendering import Json, plain

if TYPE_CHECKING:
    from neuralmesh import Client


@connected
@wished
def run(
    client: Client,
    *,
    spec: Any,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the folder of results is to be.")],
    service: Annotated[
        bool,
        typer.Option("--service", help="Let the labor service run it (--labor names it); else this program does."),
    ] = False,
    record: Annotated[
        bool, typer.Option(help="Record the figures of an evaluation or comparison beside the version.")
    ] = True,
    json: Json = False,
) -> None:
    """Run a job and write its results into a folder.

    The same job over the same data gives the same bytes, and what earlier jobs have computed is not computed again.
    """
    del service
    with LiveProgress(shown=not json) as live:
        submitted = client.labor.submit_job(spec)
        ended = client.labor.finish(submitted.name, out=out, progress=live)
    _record(client, ended, wanted=record)
    print_result(ended, out, json=json)


def _record(client: Client, job: Any, *, wanted: bool) -> None:
    """Record what a job found; that it cannot be is no failure of the job, whose results are there."""
    from neuralmesh.exceptions import NeuralMeshError  # noqa: PLC0415 - imports grpc

    if not wanted:
        return
    try:
        client.labor.record(job)
    except NeuralMeshError as error:
        sys.stderr.write(f"the figures were not recorded with the version: {plain(error.message)} ({error.reason})\n")
