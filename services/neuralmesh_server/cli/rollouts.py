"""`neuralmesh rollouts`: what each step of a rollout did, arm by arm, over all nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.quantities import MILLION, share_text
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.names import check_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh import Client

_COLUMNS = (
    "alias",
    "step>",
    "arm",
    "version>",
    "share>",
    "requests>",
    "units>",
    "failures>",
    "failed units>",
    "agreed>",
    "difference>",
    "dropped>",
)


@connected
def rollouts(
    client: Client,
    *,
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Name of the model; all models without it.")] = "",
    json: Json = False,
) -> None:
    """Show the steps of rollouts, newest first: requests and failures of each arm, and how far a shadow agrees.

    A step is an alias's state between two moves, named by the revision of the first. Failures are those that are not
    the caller's fault; a unit's count once in ten minutes. Requests that no arm was given were answered while an arm
    was not ready on their node.
    """
    if model:
        check_model(model)
    found = list(client.metrics.list_rollout_metrics(model))
    if json:
        rendering.print_json([rendering.as_json(step) for step in found])
        return
    if not found:
        rendering.print_line(
            "no rollouts yet; `neuralmesh promote MODEL VERSION --canary VERSION --share 5%` begins one"
        )
        return
    rendering.print_table(_COLUMNS, (row for step in found for row in arm_rows(step)))


def arm_rows(step: Any) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a step: one for each arm, one for the shadow, one for what no arm was given."""
    head = (f"{step.model}@{step.alias}", str(step.revision))
    stable_share = share_text(MILLION - step.share_ppm)
    yield (*head, "stable", str(step.stable_version), stable_share, *_arm_cells(step.stable), "", "", "")
    if step.canary_version:
        share = share_text(step.share_ppm)
        yield (*head, "canary", str(step.canary_version), share, *_arm_cells(step.canary), "", "", "")
    if step.HasField("shadow"):
        yield (*head, *_shadow_cells(step.shadow))
    if step.unassigned:
        yield (*head, "none", "", "", f"{step.unassigned:,}", "", "", "", "", "", "")


def _arm_cells(arm: Any) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in (arm.requests, arm.units, arm.failures, arm.failed_units))


def _shadow_cells(shadow: Any) -> tuple[str, ...]:
    agreed = f"{100 * shadow.agreed / shadow.compared:.4g} %" if shadow.compared else "-"
    difference = f"{shadow.max_output_difference:.3g}" if shadow.compared else "-"
    copies = (f"{shadow.compared + shadow.failed:,}", "", f"{shadow.failed:,}", "")
    return ("shadow", str(shadow.version), "", *copies, agreed, difference, f"{shadow.dropped:,}")
