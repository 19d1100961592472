"""`neuralmesh assign`, `unassign` and `assignments`: which edge nodes hold what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import narration, quantities, reference, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.names import DEFAULT_ALIAS, check_alias, parse_version

if TYPE_CHECKING:
    from neuralmesh import Client

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the history.")]

_ACTIONS = ("serve", "flag", "refuse")


@connected
def assign(
    client: Client,
    *,
    selector: Annotated[
        str, typer.Argument(metavar="SELECTOR", help="Which nodes, as tier=edge,site!=oslo; * for all.")
    ],
    what: Annotated[str, typer.Argument(metavar="MODEL[@ALIAS]", help="What they hold.")],
    pin: Annotated[str, typer.Option(metavar="VERSION", help="They serve this version, whatever the alias says.")] = "",
    max_running: Annotated[int | None, typer.Option(min=0, help="Most requests at once on a node.")] = None,
    max_queued: Annotated[int | None, typer.Option(min=0, help="Most requests that wait.")] = None,
    max_wait: Annotated[str, typer.Option(metavar="DURATION", help="Longest wait, as 100ms.")] = "",
    stale: Annotated[
        str, typer.Option(metavar="serve|flag|refuse", help="What a node does that hears nothing of the registry.")
    ] = "",
    stale_after: Annotated[str, typer.Option(metavar="DURATION", help="After how long, as 60s.")] = "",
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Let edge nodes hold what an alias says. The assignment of the same selector and alias is replaced whole."""
    model, alias = reference.split(what)
    alias = check_alias(alias or DEFAULT_ALIAS)
    response = client.mesh.set_assignment(
        selector,
        model,
        alias,
        pinned_version=parse_version(pin) if pin else 0,
        limits=_limits(max_running, max_queued, max_wait),
        staleness=_staleness(stale, stale_after),
        reason=reason,
    )
    if json:
        rendering.print_json(rendering.as_json(response))
        return
    assignment = response.assignment
    already = (
        " already" if response.HasField("previous_assignment") and response.previous_assignment == assignment else ""
    )
    rendering.print_line(
        f"{narration.short(assignment.name)}: {assignment.selector} holds {narration.assignment_text(assignment)}"
        f"{already} (revision {assignment.revision})"
    )


@connected
def unassign(
    client: Client,
    *,
    assignment: Annotated[str, typer.Argument(metavar="ASSIGNMENT", help="As `neuralmesh assignments` names it.")],
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Delete an assignment; nodes let go what no other assignment gives them."""
    deleted = client.mesh.delete_assignment(assignment, reason=reason)
    if json:
        rendering.print_json(rendering.as_json(deleted))
        return
    rendering.print_line(
        f"{narration.short(deleted.name)}: {deleted.selector} no longer holds {narration.assignment_text(deleted)}"
    )


@connected
def assignments(client: Client, *, json: Json = False) -> None:
    """List assignments, the oldest first. Of those of one alias that match a node, the newest holds."""
    found = list(client.mesh.list_assignments())
    if json:
        rendering.print_json([rendering.as_json(assignment) for assignment in found])
        return
    if not found:
        rendering.print_line("no assignments yet; `neuralmesh assign SELECTOR MODEL@ALIAS` makes one")
        return
    rendering.print_table(
        ("assignment", "selector", "model", "pinned>", "limits", "stale", "revision>"),
        (
            (
                narration.short(one.name),
                one.selector,
                f"{one.model}@{one.alias}",
                str(one.pinned_version or ""),
                narration.limits_text(one.limits) if one.HasField("limits") else "",
                narration.staleness_text(one.staleness) if one.HasField("staleness") else "",
                str(one.revision),
            )
            for one in found
        ),
    )


def _limits(running: int | None, queued: int | None, wait: str) -> Any:
    """Return the limits, None where no option names any."""
    from neuralmesh.registry.v1 import resources_pb2  # noqa: PLC0415 - commands import messages when they run

    if running is None and queued is None and not wait:
        return None
    wait_ms = quantities.milliseconds("--max-wait", wait) if wait else 0
    return resources_pb2.LimitPolicy(max_running=running or 0, max_queued=queued or 0, max_wait_ms=wait_ms)


def _staleness(action: str, after: str) -> Any:
    """Return what holds when a node is stale, None where no option says it."""
    from neuralmesh.registry.v1 import resources_pb2  # noqa: PLC0415 - as above

    if not action:
        if after:
            raise InvalidArgumentError("FIELD_INVALID", "--stale-after needs --stale", field="stale_after")
        return None
    if action not in _ACTIONS:
        raise InvalidArgumentError(
            "FIELD_INVALID", f"--stale is {action!a}, not serve, flag or refuse", field="stale", value=ascii(action)
        )
    policy = resources_pb2.StalenessPolicy
    return policy(
        action=policy.Action.Value(f"ACTION_{action.upper()}"),
        after_seconds=quantities.seconds("--stale-after", after) if after else 0,
    )
