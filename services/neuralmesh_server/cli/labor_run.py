"""`neuralmesh labor run`: a job from its wish to the folder of its results, in this program or by the labor service."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli.connection import addressed
from neuralmesh_server.cli.labor_jobs import print_result
from neuralmesh_server.cli.labor_place import FOLDER, Cache, Service, place
from neuralmesh_server.cli.labor_progress import LiveProgress
from neuralmesh_server.cli.labor_wish import wished
from neuralmesh_server.cli.rendering import Json, plain
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuralmesh import Client

EMBEDDED, DASK = ENGINES = ("embedded", "dask")
"""What can run shards in this program."""


@addressed
@wished
def run(
    options: Mapping[str, Any],
    *,
    spec: Any,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the folder of results is to be.")],
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=256, help="Processes that run shards here.")] = 2,
    cache: Cache = FOLDER,
    engine: Annotated[str, typer.Option(metavar="embedded|dask", help="What runs them here.")] = "embedded",
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A Dask scheduler; without one, Dask is started here.")
    ] = "",
    service: Service = False,
    record: Annotated[
        bool, typer.Option(help="Record the figures of an evaluation or comparison beside the version.")
    ] = True,
    json: Json = False,
) -> None:
    """Run a job and write its results into a folder.

    The same job over the same data gives the same bytes, and what earlier jobs have computed is not computed again.
    """
    from neuralmesh import Client  # noqa: PLC0415 - imports grpc, which waits for the transport
    from neuralmesh._sync import labor_run  # noqa: PLC0415 - as above
    from neuralmesh.labor_results import check_place  # noqa: PLC0415 - as above

    if engine not in ENGINES or (scheduler and engine != DASK):
        wrong = f"--engine is {' or '.join(ENGINES)}, and --scheduler is dask's"
        raise InvalidArgumentError("FIELD_INVALID", wrong, field="engine")
    check_place(out, spec.data)
    dask = (scheduler or "local") if engine == DASK else ""
    with Client(**options) as client:
        with (
            place(client, options, cache, service=service, workers=workers, dask=dask) as array,
            LiveProgress(shown=not json) as live,
        ):
            submitted = labor_run.submit(array.labor, spec)
            with _cancelling(array, submitted.name, service=service):
                attempts = labor_run.ATTEMPTS if service else 1  # what ended within this program does not come back
                ended = array.labor.finish(submitted.name, out=out, progress=live, attempts=attempts)
        if record:
            _record(client, ended)
    print_result(ended, out, json=json)


@contextmanager
def _cancelling(array: Client, job: str, *, service: bool) -> Iterator[None]:
    """Cancel a job that this program runs when somebody stops it; the service's jobs go on."""
    try:
        yield
    except KeyboardInterrupt:
        if not service:
            array.labor.cancel_job(job)
        raise


def _record(client: Client, job: Any) -> None:
    """Record what a job found; that it cannot be is no failure of the job, whose results are there."""
    from neuralmesh.exceptions import NeuralMeshError  # noqa: PLC0415 - imports grpc

    try:
        client.labor.record(job)
    except NeuralMeshError as error:
        sys.stderr.write(f"the figures were not recorded with the version: {plain(error.message)} ({error.reason})\n")
