"""`neuralmesh labor export-receipts`: what callers sent to a model, as data that a job runs through another version."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.names import check_model, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh import Client


@connected
def export_receipts(
    client: Client,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make; it must not exist.")],
    version: Annotated[str, typer.Option(metavar="VERSION", help="Only what this version answered.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many receipts, the newest.")] = 1_000_000,
    json: Json = False,
) -> None:
    """Write the recorded requests of a model into a folder of .npz files, with what was answered then.

    --inference names the node whose receipts are meant; only receipts with payloads hold requests.
    """
    from neuralmesh_server.cli.labor_backfill import ID, Export  # noqa: PLC0415 - imports NumPy and grpc

    check_model(model)
    number = parse_version(version) if version else 0
    if out.exists():
        raise FileExistsError(errno.EEXIST, "exists already", str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        export = Export(building)
        for receipt in _receipts(client, model, number, limit):
            export.add(receipt)
        export.close()
        command = f"neuralmesh labor run {model}/VERSION --data {out} --id {ID} --out RESULTS"
        command += "".join(f" --input {name}={name}" for name in sorted(export.inputs))
        building.chmod(0o755)
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    said = {
        "data": str(out),
        "files": export.files,
        "rows": export.rows,
        "receipts": export.receipts,
        "left_out": export.left_out,
        "next": command,
    }
    if json:
        rendering.print_json(said)
        return
    rendering.print_line(
        f"{rendering.count_text(export.rows, 'row')} of {rendering.count_text(export.receipts, 'receipt')} in {out}"
    )
    for why, count in sorted(export.left_out.items()):
        rendering.print_line(f"left out: {rendering.count_text(count, 'receipt')}: {why}")
    rendering.print_line(command)


def _receipts(client: Client, model: str, version: int, limit: int) -> Iterator[Any]:
    """Yield receipts with their payloads, the oldest first."""
    from neuralmesh.exceptions import NotFoundError  # noqa: PLC0415 - imports grpc

    listed = []
    for receipt in client.node.list_receipts(model, version):
        listed.append(receipt.prediction_id)
        if len(listed) == limit:
            break
    for identity in reversed(listed):
        try:
            yield client.node.get_receipt(identity)
        except NotFoundError:  # it was the oldest and has been let go since it was listed
            continue
