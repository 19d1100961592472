"""`neuralmesh policy` and `protect`: how nodes treat a model's requests, and what its promotions must prove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import narration, quantities, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.names import DEFAULT_ALIAS, check_alias, check_model

if TYPE_CHECKING:
    from neuralmesh import Client

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the history.")]


@connected
def policy(
    client: Client,
    *,
    model: Model,
    receipts: Annotated[str, typer.Option(metavar="all|off|SHARE", help="Predictions to record, as 5%.")] = "",
    payloads: Annotated[
        bool | None, typer.Option("--payloads/--digests", help="Keep requests and answers, or digests alone.")
    ] = None,
    max_age: Annotated[str, typer.Option(metavar="DURATION", help="Oldest receipt kept, as 7d.")] = "",
    max_bytes: Annotated[str, typer.Option(metavar="SIZE", help="Most bytes of receipts on a node, as 256M.")] = "",
    batch_rows: Annotated[int | None, typer.Option(min=2, help="Join waiting requests to this many rows.")] = None,
    batch_delay: Annotated[str, typer.Option(metavar="DURATION", help="Longest wait for more rows, as 2ms.")] = "",
    no_batching: Annotated[bool, typer.Option("--no-batching", help="Join no requests.")] = False,
    max_running: Annotated[
        int | None, typer.Option(min=0, help="Most requests at once on a node; 0: no limit.")
    ] = None,
    max_queued: Annotated[int | None, typer.Option(min=0, help="Most requests that wait; 0: 1024.")] = None,
    max_wait: Annotated[str, typer.Option(metavar="DURATION", help="Longest wait, as 100ms; 0ms: no limit.")] = "",
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Show a model's policy, or change the parts that options name."""
    from neuralmesh.registry.v1 import resources_pb2  # noqa: PLC0415 - commands import messages when they run

    check_model(model)
    found = client.registry.get_model(model)
    wanted = resources_pb2.ModelPolicy()
    wanted.CopyFrom(found.policy)
    asked = [
        _set_receipts(wanted, receipts, payloads=payloads, max_age=max_age, max_bytes=max_bytes),
        _set_batching(wanted, batch_rows, batch_delay, off=no_batching),
        _set_limits(wanted, max_running, max_queued, max_wait),
    ]
    if any(asked):
        found = client.registry.set_model_policy(model, wanted, etag=found.policy_etag, reason=reason).model
    if json:
        rendering.print_json(rendering.as_json(found))
        return
    rendering.print_facts(
        (
            ("model", model),
            ("receipts", narration.receipts_text(found.policy.receipts).removeprefix("receipts ")),
            (
                "batching",
                narration.batching_text(found.policy.batching) if found.policy.HasField("batching") else "off",
            ),
            ("limits", narration.limits_text(found.policy.limits) or "those of the node"),
        )
    )


@connected
def protect(
    client: Client,
    *,
    model: Model,
    alias: Annotated[str, typer.Option(metavar="ALIAS", help="Alias to protect.")] = DEFAULT_ALIAS,
    require_proof: Annotated[bool, typer.Option("--require-proof", help="A promotion must carry a proof.")] = False,
    min_agreement: Annotated[str, typer.Option(metavar="SHARE", help="Least share of agreeing rows, as 99%.")] = "",
    max_difference: Annotated[
        str, typer.Option(metavar="NUMBER|none", help="Largest difference of outputs, as 1e-4.")
    ] = "",
    max_new_errors: Annotated[
        int | None, typer.Option(min=0, help="Most requests that only the candidate failed.")
    ] = None,
    max_latency_ratio: Annotated[
        str, typer.Option(metavar="RATIO", help="Candidate's median latency over the baseline's, as 1.5.")
    ] = "",
    min_requests: Annotated[
        int | None, typer.Option(min=0, help="Least number of requests that both answered.")
    ] = None,
    max_proof_age: Annotated[str, typer.Option(metavar="DURATION", help="Oldest proof taken, as 1d.")] = "",
    require_source: Annotated[
        str, typer.Option(metavar="recorded|golden|any", help="Where the requests must come from.")
    ] = "",
    allow_unverified: Annotated[
        bool | None,
        typer.Option("--allow-unverified/--refuse-unverified", help="Answers of servers that prove no digest."),
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Demand nothing any more.")] = False,
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Demand a proof of every promotion of an alias, or lift that. Limits that are not named stay."""
    from neuralmesh.registry.v1 import resources_pb2  # noqa: PLC0415 - as above

    check_model(model)
    check_alias(alias)
    if require_proof == lift:
        raise InvalidArgumentError("FIELD_INVALID", "give either --require-proof or --lift", field="require_proof")
    before, etag = _protection(client, model, alias)
    wanted = None
    if require_proof:
        wanted = resources_pb2.AliasProtection()
        if before is not None:
            wanted.CopyFrom(before)
        wanted.require_proof = True
        limits = {
            "min_agreement_ppm": quantities.parts_per_million("--min-agreement", min_agreement)
            if min_agreement
            else None,
            "max_output_difference": max_difference.replace("none", "") if max_difference else None,
            "max_new_errors": max_new_errors,
            "max_latency_ratio_ppm": quantities.ratio_ppm("--max-latency-ratio", max_latency_ratio)
            if max_latency_ratio
            else None,
            "min_requests": min_requests,
            "max_proof_age_seconds": quantities.seconds("--max-proof-age", max_proof_age) if max_proof_age else None,
            "required_source": _required_source(require_source) if require_source else None,
            "allow_unverified": allow_unverified,
        }
        for name, value in limits.items():
            if value is not None:
                setattr(wanted, name, value)
    response = client.registry.protect_alias(model, alias, wanted, etag=etag, reason=reason)
    if json:
        rendering.print_json(rendering.as_json(response))
        return
    demands = narration.protection_text(response.protection) if response.HasField("protection") else "not protected"
    rendering.print_line(f"models/{model}/aliases/{alias}: {demands}")


def _protection(client: Client, model: str, alias: str) -> tuple[Any, str]:
    """Return an alias's protection, None for none, and its etag; an alias that does not exist yet may have one."""
    from neuralmesh.exceptions import NotFoundError  # noqa: PLC0415 - as above

    try:
        found = client.registry.get_alias(model, alias)
    except NotFoundError as error:
        if error.reason != "ALIAS_NOT_FOUND":
            raise
    else:
        return found.protection if found.HasField("protection") else None, found.protection_etag
    try:
        for event in client.registry.list_events(model, alias):
            if event.WhichOneof("change") == "alias_protected":
                change = event.alias_protected
                return change.after if change.HasField("after") else None, f'"{event.revision}"'
    except NotFoundError as error:
        if error.reason != "ALIAS_NOT_FOUND":
            raise
    return None, '"0"'


def _required_source(text: str) -> int:
    from neuralmesh.registry.v1.resources_pb2 import Proof  # noqa: PLC0415 - as above

    sources = {"any": Proof.SOURCE_UNSPECIFIED, "golden": Proof.SOURCE_GOLDEN, "recorded": Proof.SOURCE_RECORDED}
    if text not in sources:
        raise InvalidArgumentError(
            "FIELD_INVALID", f"--require-source is {text!a}, not recorded, golden or any", field="require_source"
        )
    return int(sources[text])


def _set_receipts(policy: Any, which: str, *, payloads: bool | None, max_age: str, max_bytes: str) -> bool:
    if not which and payloads is None and not max_age and not max_bytes:
        return False
    receipts = policy.receipts
    if which:
        modes = {"all": receipts.MODE_ALL, "off": receipts.MODE_OFF}
        receipts.mode = modes.get(which, receipts.MODE_SAMPLED)
        receipts.sample_ppm = 0 if which in modes else quantities.parts_per_million("--receipts", which)
    if payloads is not None:
        receipts.content = receipts.CONTENT_PAYLOADS if payloads else receipts.CONTENT_DIGESTS
    if max_age:
        receipts.max_age_seconds = quantities.seconds("--max-age", max_age)
    if max_bytes:
        receipts.max_bytes = quantities.size("--max-bytes", max_bytes)
    return True


def _set_batching(policy: Any, rows: int | None, delay: str, *, off: bool) -> bool:
    if off:
        if rows is not None or delay:
            raise InvalidArgumentError(
                "FIELD_INVALID", "--no-batching goes without --batch-rows and --batch-delay", field="no_batching"
            )
        policy.ClearField("batching")
        return True
    if rows is None and not delay:
        return False
    if rows is not None:
        policy.batching.max_rows = rows
    elif not policy.HasField("batching"):
        raise InvalidArgumentError("FIELD_INVALID", "--batch-delay needs --batch-rows", field="batch_delay")
    if delay:
        policy.batching.max_delay_us = quantities.microseconds("--batch-delay", delay)
    return True


def _set_limits(policy: Any, running: int | None, queued: int | None, wait: str) -> bool:
    if running is None and queued is None and not wait:
        return False
    limits = policy.limits
    limits.SetInParent()
    if running is not None:
        limits.max_running = running
    if queued is not None:
        limits.max_queued = queued
    if wait:
        limits.max_wait_ms = quantities.milliseconds("--max-wait", wait)
    return True
