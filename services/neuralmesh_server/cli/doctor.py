"""`neuralmesh doctor`: looks at everything that the suite stands on and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli import exit_codes, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from neuralmesh import Client


@connected
def doctor(
    client: Client,
    *,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of everything that is kept.")] = Path("data"),
    json: Json = False,
) -> None:
    """Check the kernel, SQLite, the clock, the data folder, the ports, the libraries and the services."""
    from neuralmesh_server.cli.checkup import FAIL, examine  # noqa: PLC0415 - imports every library

    findings = examine(client, data)
    if json:
        rendering.print_json([{"check": item.check, "status": item.status, "detail": item.detail} for item in findings])
    else:
        rendering.print_table(
            ("check", "status", "detail"), ((item.check, item.status, item.detail) for item in findings)
        )
    if any(item.status == FAIL for item in findings):
        raise typer.Exit(exit_codes.FAILED)
