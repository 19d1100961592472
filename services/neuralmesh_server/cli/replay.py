"""`neuralmesh replay`: a recorded prediction runs again on the bytes that made it, and the answers are compared."""

from __future__ import annotations

import hashlib
from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.exit_codes import FAILED, CommandError
from neuralmesh_server.cli.receipts import NUMERICS, kept_text
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.names import parse_version

if TYPE_CHECKING:
    from neuralmesh import Client

VERDICTS = {
    1: "identical: the same bits",
    2: "different",
    3: "BROKEN: other bits where the version promises the same",
}
"""Verdicts by the contract's numbers."""


@connected
def replay(
    client: Client,
    *,
    prediction_id: Annotated[str, typer.Argument(metavar="[ID]", help="The prediction id of an answer.")] = "",
    version: Annotated[str, typer.Option(metavar="VERSION", help="Run it on this version instead.")] = "",
    receipt: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="A receipt that you kept.")
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="The ModelInferRequest, where it was not kept."),
    ] = None,
    json: Json = False,
) -> None:
    """Run a recorded prediction again and compare; exits with 1 unless the bits are the same.

    With --version any difference is reported and is no failure.
    """
    number = parse_version(version) if version else 0
    if bool(prediction_id) == (receipt is not None):
        raise InvalidArgumentError("FIELD_INVALID", "give either a prediction id or --receipt", field="prediction_id")
    kept = _read(receipt) if receipt is not None else client.node.get_receipt(prediction_id)
    if request is not None:
        _add_request(kept, request.read_bytes())
    if receipt is not None or request is not None:
        found = client.node.replay_prediction(receipt=kept, version=number)
    else:
        found = client.node.replay_prediction(prediction_id, version=number)
    if json:
        rendering.print_json(rendering.as_json(found))
    else:
        _print(kept, found)
    other = number not in (0, kept.version)
    if found.verdict != found.VERDICT_IDENTICAL and not other:
        raise CommandError(
            f"version {found.version} gave other outputs than it gave then: {found.outputs_digest} instead of "
            f"{found.recorded_outputs_digest}",
            "",
            FAILED,
        )


def _read(path: Path) -> Any:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - commands import messages when they run

    from neuralmesh.inference.v1.receipt_pb2 import Receipt  # noqa: PLC0415

    try:
        return Receipt.FromString(path.read_bytes())
    except DecodeError:
        raise InvalidArgumentError("FIELD_INVALID", f"{path} holds no receipt", field="receipt") from None


def _add_request(kept: Any, data: bytes) -> None:
    """Complete a receipt with the request that somebody kept, if it is the one."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if digest != kept.request_digest:
        raise InvalidArgumentError(
            "FIELD_INVALID",
            f"the request has the digest {digest}; the prediction was made from {kept.request_digest}",
            field="request",
            expected=kept.request_digest,
            actual=digest,
        )
    kept.request = data


def _print(kept: Any, found: Any) -> None:
    rendering.print_facts(
        (
            ("verdict", VERDICTS.get(found.verdict, "unknown")),
            ("prediction", kept.prediction_id),
            ("answered by", f"models/{kept.model}/versions/{kept.version}"),
            ("run again on", f"models/{kept.model}/versions/{found.version}"),
            ("digest", found.digest),
            ("runs again", NUMERICS.get(found.numerics, "unknown")),
            ("runtime", found.runtime),
            ("recorded by", kept.runtime if kept.runtime != found.runtime else ""),
            ("kept", kept_text(kept)),
            ("outputs then", found.recorded_outputs_digest),
            ("outputs now", found.outputs_digest),
        )
    )
    if found.outputs:
        rendering.print_table(
            ("output", "same bits", "different>", "of>", "largest difference>"),
            (
                (
                    one.name,
                    "yes" if one.identical else "no",
                    f"{one.different_elements:,}",
                    f"{one.elements:,}",
                    f"{one.max_difference:.6g}",
                )
                for one in found.outputs
            ),
        )
