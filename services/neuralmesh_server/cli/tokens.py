"""`neuralmesh tokens add`, `list` and `remove`: the file that says who may call what.

The commands change the file alone; servers that read it see the change by themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli import exit_codes, rendering
from neuralmesh_server.cli.environment import overlay
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from neuralmesh_server.runtime.tokens import Entry

# What reads and writes the file imports structlog, which other commands do not wait for.

tokens = typer.Typer(help="Who may call the services: tokens and identities, their roles and models.")

File = Annotated[str | None, typer.Option("--file", metavar="FILE", help="The tokens file (NEURALMESH_TOKENS).")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token, or common name of the certificate.")]


@tokens.command("add")
def add(
    *,
    name: Name,
    role: Annotated[
        list[str], typer.Option(metavar="ROLE", help="reader, publisher, promoter, admin or node; may be repeated.")
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Models it holds for, such as 'digits*'; repeatable."),
    ] = None,
    identity: Annotated[
        bool, typer.Option("--identity", help="For the holder of a certificate of this common name; makes no token.")
    ] = False,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when, such as 2030-01-31; for ever without it.")
    ] = None,
    file: File = None,
    json: Json = False,
) -> None:
    """Make a token, which is printed this once, or give an identity its roles."""
    from neuralmesh_server.runtime import tokens as store  # noqa: PLC0415 - see above
    from neuralmesh_server.runtime.access import Grant  # noqa: PLC0415

    path = _path(file)
    token = None if identity else store.new_token()
    patterns = tuple(models or ["*"])
    entry = store.make_entry(
        name,
        [Grant(one, patterns) for one in role],
        token=token,
        expires=None if expires is None else store.parse_time(expires),
    )
    with store.locked(path):
        entries = store.read(path) if path.exists() else []
        if any(other.principal.name == name for other in entries):
            raise exit_codes.CommandError(f"{path} has an entry {name!r} already", "", exit_codes.CONFLICT)
        store.write(path, [*entries, entry])
    if json:
        rendering.print_json({**_json(entry), "token": token} if token else _json(entry))
    elif token is None:
        rendering.print_line(f"{name} may call as {', '.join(role)} for {', '.join(patterns)}")
    else:
        rendering.print_line(token)


@tokens.command("list")
def list_tokens(*, file: File = None, json: Json = False) -> None:
    """List the entries of the file; tokens themselves are not in it."""
    from neuralmesh_server.runtime import tokens as store  # noqa: PLC0415 - see above

    entries = store.read(_path(file))
    if json:
        rendering.print_json([_json(entry) for entry in entries])
        return
    rendering.print_table(
        ("name", "kind", "role", "models", "expires"),
        (
            (
                entry.principal.name,
                "identity" if entry.digest is None else "token",
                grant.role,
                ", ".join(grant.models),
                "never" if entry.principal.expires is None else store.time_text(entry.principal.expires),
            )
            for entry in entries
            for grant in entry.principal.grants
        ),
    )


@tokens.command("remove")
def remove(*, name: Name, file: File = None) -> None:
    """Remove an entry; servers refuse its token from a second later on."""
    from neuralmesh_server.runtime import tokens as store  # noqa: PLC0415 - see above

    path = _path(file)
    with store.locked(path):
        entries = store.read(path)
        kept = [entry for entry in entries if entry.principal.name != name]
        if len(kept) == len(entries):
            raise exit_codes.CommandError(f"{path} has no entry {name!r}", "", exit_codes.NOT_FOUND)
        store.write(path, kept)
    rendering.print_line(f"{name} is removed")


def _path(flag: str | None) -> Path:
    text = overlay({"NEURALMESH_TOKENS": flag}).get("NEURALMESH_TOKENS")
    if not text:
        raise SettingsError("name the tokens file by --file or NEURALMESH_TOKENS")
    return Path(text)


def _json(entry: Entry) -> dict[str, object]:
    from neuralmesh_server.runtime import tokens as store  # noqa: PLC0415 - see above

    principal = entry.principal
    return {
        "name": principal.name,
        "kind": "identity" if entry.digest is None else "token",
        "grants": [{"role": grant.role, "models": list(grant.models)} for grant in principal.grants],
        "expires": None if principal.expires is None else store.time_text(principal.expires),
    }
