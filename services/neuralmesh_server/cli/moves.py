"""`neuralmesh promote`, `rollback` and `history`: aliases, and what happened to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import quantities, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.narration import event_text, proof_text, state_text
from neuralmesh_server.cli.prove import Source, explained, for_promotion, print_proof
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.exposure import Exposure
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
    canary: Annotated[str, typer.Option(metavar="VERSION", help="Version that answers a share of the units.")] = "",
    shadow: Annotated[str, typer.Option(metavar="VERSION", help="Version that gets copies of requests.")] = "",
    share: Annotated[str, typer.Option(metavar="SHARE", help="The canary's share, or else the shadow's, as 10%.")] = "",
    shadow_share: Annotated[str, typer.Option(metavar="SHARE", help="The shadow's share beside a canary.")] = "",
    sticky: Annotated[
        str, typer.Option(metavar="SOURCE", help="What decides the arm: parameter:NAME, metadata:NAME or id.")
    ] = "",
    waves: Annotated[
        str,
        typer.Option(metavar="SHARES", help="Shares of the edge nodes that get it one after the other, as 10,50,100."),
    ] = "",
    wave_hold: Annotated[
        str, typer.Option(metavar="DURATION", help="How long a wave must be healthy before the next, as 30s.")
    ] = "",
    prove: Annotated[bool, typer.Option("--prove", help="Run it beside the version that answers today first.")] = False,
    source: Source = "",
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Point an alias at a version, unless somebody else moves it at the same moment. Arms that are not named end.

    With --prove the node that --inference names runs the version that the move exposes more than before beside the one
    that answers today; what it finds is printed and kept with the move, and decides where the alias is protected.
    """
    check_model(model)
    check_alias(alias)
    number = parse_version(version)
    canary_arm, shadow_arm = _arms(canary, shadow, share, shadow_share)
    plan = _plan(waves, wave_hold)
    proof = None
    if prove:
        proof = for_promotion(client, model, alias, _exposure(number, canary_arm, shadow_arm), source)
        if not json:
            print_proof(proof)
    with explained(model, number if proof is None else proof.candidate_version):
        response = client.promote(
            model,
            number,
            alias=alias,
            canary=canary_arm,
            shadow=shadow_arm,
            sticky=_sticky(sticky),
            proof=proof,
            waves=plan,
            reason=reason,
        )
    if json or not response.HasField("previous_state") or response.previous_state != response.alias.state:
        _print_move(response, json=json)
        return
    alias_now = response.alias
    unkept = ", and the proof is not kept" if proof is not None and proof != alias_now.proof else ""
    rendering.print_line(
        f"{alias_now.name}: {state_text(alias_now.state)} already (revision {alias_now.revision}); "
        f"nothing moved{unkept}"
    )


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


def _arms(
    canary: str, shadow: str, share: str, shadow_share: str
) -> tuple[tuple[int, float] | None, tuple[int, float] | None]:
    """Return canary and shadow as (version, fraction), None for none."""
    if canary and not share:
        raise InvalidArgumentError("FIELD_INVALID", "--canary needs --share, as 10%", field="share")
    if share and not canary:
        if not shadow or shadow_share:
            raise InvalidArgumentError("FIELD_INVALID", "--share is of a --canary or a --shadow", field="share")
        share, shadow_share = "", share
    if shadow_share and not shadow:
        raise InvalidArgumentError("FIELD_INVALID", "--shadow-share needs --shadow", field="shadow_share")
    return (
        (parse_version(canary), _fraction("--share", share)) if canary else None,
        (parse_version(shadow), _fraction("--shadow-share", shadow_share or "100%")) if shadow else None,
    )


def _plan(waves: str, hold: str) -> Any:
    """Return the wave plan, None for none."""
    from neuralmesh import rollout  # noqa: PLC0415 - commands import messages when they run

    if not waves:
        if hold:
            raise InvalidArgumentError("FIELD_INVALID", "--wave-hold needs --waves", field="wave_hold")
        return None
    shares = [_fraction("--waves", f"{part.strip().removesuffix('%')}%") for part in waves.split(",")]
    return rollout.waves(shares, quantities.seconds("--wave-hold", hold) if hold else 0)


def _exposure(version: int, canary: tuple[int, float] | None, shadow: tuple[int, float] | None) -> Exposure:
    return Exposure(
        version=version,
        canary=canary[0] if canary else 0,
        canary_ppm=round(canary[1] * quantities.MILLION) if canary else 0,
        shadow=shadow[0] if shadow else 0,
    )


def _fraction(option: str, text: str) -> float:
    return quantities.parts_per_million(option, text) / quantities.MILLION


def _sticky(text: str) -> str:
    """Return the sticky key, or raise FIELD_INVALID."""
    from neuralmesh import rollout  # noqa: PLC0415 - commands import messages when they run

    if text:
        try:
            rollout.sticky_key(text)
        except ValueError as error:
            raise InvalidArgumentError("FIELD_INVALID", str(error), field="sticky") from None
    return text


def _print_move(response: Any, *, json: bool) -> None:
    if json:
        rendering.print_json(rendering.as_json(response))
        return
    alias = response.alias
    before = state_text(response.previous_state) if response.HasField("previous_state") else "none"
    rendering.print_line(f"{alias.name}: {before} -> {state_text(alias.state)} (revision {alias.revision})")
    if alias.HasField("proof"):
        rendering.print_line(f"proof: {proof_text(alias.proof)}")
