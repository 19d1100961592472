"""`neuralmesh certs`: a development authority for mutual TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it


def certs(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")] = Path("certs"),
    names: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="A certificate for each; clients are known by theirs.")
    ] = "registry,inference,metrics,labor,client",
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - a switch of the command line
) -> None:
    """Make a development authority and certificates that it signs."""
    # cryptography is slow to import, and services start through this program.
    from neuralmesh_server.runtime.certificates import create_authority  # noqa: PLC0415

    made = create_authority(out, [name.strip() for name in names.split(",") if name.strip()], force=force)
    if json:
        rendering.print_json(
            [{"name": item.name, "certificate": str(item.certificate), "key": str(item.key)} for item in made]
        )
        return
    rendering.print_table(
        ("name", "certificate", "key"), ((item.name, str(item.certificate), str(item.key)) for item in made)
    )
    last = made[-1]
    rendering.print_line(f"export NEURALMESH_TLS_CA={made[0].certificate}")
    rendering.print_line(f"export NEURALMESH_TLS_CERT={last.certificate} NEURALMESH_TLS_KEY={last.key}")
