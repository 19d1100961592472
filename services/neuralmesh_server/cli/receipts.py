"""`neuralmesh receipts`: what a node has recorded of a model's predictions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server import prediction_id
from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.names import check_model, parse_version

if TYPE_CHECKING:
    from neuralmesh import Client

NUMERICS = {1: "bit-exact", 2: "same platform", 3: "unverified"}
"""How near a second run comes, by the contract's numbers."""


@connected
def receipts(
    client: Client,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    version: Annotated[str, typer.Option(metavar="VERSION", help="Only this version.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    json: Json = False,
) -> None:
    """List the receipts that a node keeps of a model, newest first; --inference names the node."""
    check_model(model)
    number = parse_version(version) if version else 0
    page = client.node.list_receipts_page(model, number, page_size=limit)
    if json:
        rendering.print_json(rendering.as_json(page))
        return
    rendering.print_table(
        ("prediction", "version>", "made", "runs again", "outputs"),
        (
            (
                one.prediction_id,
                str(one.version),
                made_text(one.prediction_id),
                NUMERICS.get(one.numerics, "unknown"),
                rendering.digest_text(one.outputs_digest),
            )
            for one in page.receipts
        ),
    )
    if page.next_page_token:
        rendering.print_line("there are older ones: --limit shows more")
    if page.lost_receipts:
        rendering.print_line(f"{rendering.count_text(page.lost_receipts, 'receipt')} of this node were lost")


def kept_text(receipt: Any) -> str:
    """Return what is kept of a prediction."""
    if not receipt.HasField("request"):
        return "digests"
    return f"request of {rendering.size_text(len(receipt.request))}, answer of " + rendering.size_text(
        len(receipt.response)
    )


def made_text(text: str) -> str:
    """Return when a prediction was made, from its id, for people."""
    parsed = prediction_id.parse(text)
    try:
        moment = datetime.fromtimestamp((parsed.epoch_ms + parsed.offset_ms) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{parsed.epoch_ms + parsed.offset_ms} ms since 1970"
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
