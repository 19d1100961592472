"""`neuralmesh promote`, `rollback` and `history`: aliases, and what happened to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.names import DEFAULT_ALIAS, check_alias, check_model, parse_version

if TYPE_CHECKING:
    from neuralmesh import Client

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
Alias = Annotated[str, typer.Option(metavar="ALIAS", help="Alias to move.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the history.")]


@connected
def promote(
    client: Client,
    *,
    model: Model,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Number of the version.")],
    alias: Alias = DEFAULT_ALIAS,
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Point an alias at a version, unless somebody else moves it at the same moment."""
    check_model(model)
    check_alias(alias)
    response = client.promote(model, parse_version(version), alias=alias, reason=reason)
    _print_move(response, json=json)


@connected
def rollback(
    client: Client,
    *,
    model: Model,
    alias: Alias = DEFAULT_ALIAS,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="Version to go back to; else the one before.")
    ] = None,
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Undo the last promotion of an alias, or all promotions after that of a version."""
    check_model(model)
    check_alias(alias)
    to_version = None if to is None else parse_version(to)
    _print_move(client.rollback(model, alias=alias, to_version=to_version, reason=reason), json=json)


@connected
def history(
    client: Client,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    alias: Annotated[str, typer.Option(metavar="ALIAS", help="Only this alias.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many events.")] = 100,
    json: Json = False,
) -> None:
    """List what happened to a model, newest first: what, who, when, why."""
    check_model(model)
    if alias:
        check_alias(alias)
    events = []
    for event in client.registry.list_events(model, alias):
        events.append(event)
        if len(events) == limit:
            break
    if json:
        rendering.print_json([rendering.as_json(event) for event in events])
        return
    rendering.print_table(
        ("revision>", "when", "what", "by", "reason"),
        (
            (
                str(event.revision),
                rendering.moment_text(event, "create_time"),
                event_text(event),
                rendering.actor_text(event.actor),
                event.reason,
            )
            for event in events
        ),
    )


def event_text(event: Any) -> str:
    """Return what an event changed, in a few words."""
    change = event.WhichOneof("change")
    if change == "model_created":
        return f"model {_short(event.model_created.model.name)} created"
    if change == "version_created":
        return f"version {event.version_created.version.version} created"
    if change == "node_registered":
        return f"node {event.node_registered.node} registered"
    if change == "alias_moved":
        move = event.alias_moved
        kind = "rolled back" if move.kind == move.KIND_ROLLBACK else "promoted"
        before = move.before.version if move.HasField("before") else "none"
        return f"{_short(move.alias)} {kind}: {before} -> {move.after.version}"
    return "unknown change"


def _print_move(response: Any, *, json: bool) -> None:
    if json:
        rendering.print_json(rendering.as_json(response))
        return
    alias = response.alias
    before = str(response.previous_state.version) if response.HasField("previous_state") else "none"
    rendering.print_line(f"{alias.name}: {before} -> {alias.state.version} (revision {alias.revision})")


def _short(name: str) -> str:
    return name.rpartition("/")[2]
