"""`neuralmesh trace`: what made a prediction, from nothing but its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.narration import event_text
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from neuralmesh import Client


@connected
def trace(
    client: Client,
    *,
    prediction_id: Annotated[str, typer.Argument(metavar="ID", help="The prediction id of an answer.")],
    json: Json = False,
) -> None:
    """Show what made a prediction: version, digest, node, when, who promoted it and why."""
    found = client.trace(prediction_id)
    if json:
        rendering.print_json(rendering.as_json(found))
        return
    version = found.version
    rendering.print_facts(
        (
            ("prediction", found.prediction_id),
            ("made by", version.name),
            ("digest", version.digest),
            ("kind", version.kind),
            ("pushed", f"{rendering.moment_text(version, 'create_time')} by {rendering.actor_text(version.actor)}"),
            ("node", found.node),
            ("predicted", rendering.time_text(found.predict_time)),
            ("number", f"{found.sequence} since the node started at {rendering.time_text(found.node_start_time)}"),
            ("revision", str(found.applied_revision)),
        )
    )
    if found.promotions:
        rendering.print_table(
            ("in force by", "revision>", "when", "who", "why"),
            (
                (
                    event_text(event),
                    str(event.revision),
                    rendering.moment_text(event, "create_time"),
                    rendering.actor_text(event.actor),
                    event.reason,
                )
                for event in found.promotions
            ),
        )
    else:
        rendering.print_line("no alias named the version then: it was asked for by its number")
