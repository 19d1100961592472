"""`neuralmesh prove`, and the proof of `neuralmesh promote --prove`: a candidate beside the version that answers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import quantities, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.exit_codes import FAILED, CommandError
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.exposure import Exposure, brought_in
from neuralmesh_server.names import DEFAULT_ALIAS, check_alias, check_model, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh import Client

LEAST_SECONDS = 300.0
"""A proof may take this long, or the --timeout where it is longer."""

Source = Annotated[
    str, typer.Option(metavar="SOURCE", help="golden or recorded; else golden where the version brings a set along.")
]


@connected
def prove(
    client: Client,
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Number of the candidate.")],
    baseline: Annotated[str, typer.Option(metavar="VERSION", help="Compare with this one, not the alias's.")] = "",
    alias: Annotated[str, typer.Option(metavar="ALIAS", help="Alias whose version answers today.")] = DEFAULT_ALIAS,
    source: Source = "",
    max_requests: Annotated[int, typer.Option(min=1, help="Most requests.")] = 1000,
    min_agreement: Annotated[str, typer.Option(metavar="SHARE", help="Least share of agreeing rows, as 99%.")] = "",
    max_difference: Annotated[
        float | None, typer.Option(metavar="NUMBER", min=0, help="Largest difference of outputs, as 1e-4.")
    ] = None,
    max_new_errors: Annotated[
        int | None, typer.Option(min=0, help="Most requests that only the candidate failed.")
    ] = None,
    max_latency_ratio: Annotated[
        str, typer.Option(metavar="RATIO", help="Candidate's median latency over the baseline's, as 1.5.")
    ] = "",
    json: Json = False,
) -> None:
    """Run a version beside the one that answers today and print how it fares.

    Exits with 1 where a limit is missed, or where no request was answered by both.
    """
    check_model(model)
    check_alias(alias)
    number = parse_version(version)
    least = quantities.parts_per_million("--min-agreement", min_agreement) if min_agreement else 0
    slowest = quantities.ratio_ppm("--max-latency-ratio", max_latency_ratio) if max_latency_ratio else 0
    against = parse_version(baseline) if baseline else current(client, model, alias)
    proof = made(client, model, number, baseline=against, source=source, max_requests=max_requests)
    if json:
        rendering.print_json(rendering.as_json(proof))
    else:
        print_proof(proof)
    missed = _missed(proof, least, max_difference, max_new_errors, slowest)
    if missed:
        raise CommandError(f"version {number} misses {', '.join(missed)}", "PROOF_INSUFFICIENT", FAILED)


def current(client: Client, model: str, alias: str) -> int:
    """Return the version that an alias names."""
    return int(client.registry.get_alias(model, alias).state.version)


def made(client: Client, model: str, candidate: int, *, baseline: int, source: str, max_requests: int = 0) -> Any:
    """Return a node's sealed report on a candidate."""
    from neuralmesh.registry.v1.resources_pb2 import Proof  # noqa: PLC0415 - commands import messages when they run

    sources = {"": Proof.SOURCE_UNSPECIFIED, "golden": Proof.SOURCE_GOLDEN, "recorded": Proof.SOURCE_RECORDED}
    if source not in sources:
        raise InvalidArgumentError(
            "FIELD_INVALID", f"--source is {source!a}, not golden or recorded", field="source", value=ascii(source)
        )
    from neuralmesh.exceptions import FailedPreconditionError  # noqa: PLC0415 - as above

    try:
        return client.node.prove_candidate(
            model,
            candidate,
            baseline=baseline,
            source=sources[source],
            max_requests=max_requests,
            timeout=max(client.node.timeout, LEAST_SECONDS),
        )
    except FailedPreconditionError as error:
        if error.reason != "NOTHING_TO_PROVE":
            raise
        advice = (
            f"push a version with --golden FILE, or record requests first: "
            f"`neuralmesh policy {model} --receipts all --payloads`"
        )
        raise CommandError(f"{error.message}; {advice}", error.reason, FAILED) from error


def for_promotion(client: Client, model: str, alias: str, after: Exposure, source: str) -> Any:
    """Return the proof that a promotion of an alias brings along, of the version that it exposes more than before.

    Where it exposes none more, it is of an arm.
    """
    from neuralmesh.exceptions import NotFoundError  # noqa: PLC0415 - as above

    try:
        state = client.registry.get_alias(model, alias).state
    except NotFoundError as error:
        raise InvalidArgumentError(
            "FIELD_INVALID",
            f"{error.message}: its first promotion has nothing to be compared with; promote without --prove",
            field="prove",
        ) from error
    before = Exposure(state.version, state.canary.version, state.canary.share_ppm, state.shadow.version)
    arms = [version for version in (after.canary, after.shadow) if version]
    new = brought_in(before, after) or arms
    if not new:
        raise InvalidArgumentError(
            "FIELD_INVALID",
            f"alias {alias!r} of model {model!r} names version {state.version} already, so that there is nothing to "
            "prove; promote without --prove",
            field="prove",
        )
    return made(client, model, new[0], baseline=state.version, source=source)


@contextmanager
def explained(model: str, version: int) -> Iterator[None]:
    """Say what to do where a protected alias refuses a promotion."""
    from neuralmesh.exceptions import FailedPreconditionError  # noqa: PLC0415 - as above

    try:
        yield
    except FailedPreconditionError as error:
        advice = {
            "PROOF_REQUIRED": "promote with --prove",
            "PROOF_INVALID": "promote with --prove to make a new one",
            "PROOF_INSUFFICIENT": f"`neuralmesh prove {model} {version}` shows the figures, "
            f"`neuralmesh protect {model}` changes the limits",
        }.get(error.reason)
        if advice is None:
            raise
        raise CommandError(f"{error.message}; {advice}", error.reason, FAILED) from error


def print_proof(proof: Any) -> None:
    """Print a report as a table, the two versions side by side."""
    golden = proof.source == proof.SOURCE_GOLDEN
    share = f"{100 * proof.agreeing_rows / proof.rows:.6g}%" if proof.rows else "none answered by both"
    rendering.print_facts(
        (
            ("model", proof.model),
            ("requests", f"{proof.requests:,} from the {'golden set' if golden else 'recorded ones'}"),
            ("agreement", f"{share} ({proof.agreeing_rows:,} of {proof.rows:,} rows)"),
            ("same bits", f"{proof.identical_requests:,} of {proof.requests:,} requests"),
            ("largest difference", proof.max_output_difference),
            ("new errors", str(proof.new_errors)),
            ("latency", _latency(proof)),
            ("identity", "unverified: another server did not prove what answered" if proof.unverified else ""),
            ("sealed by", f"node {proof.node}"),
        )
    )
    rendering.print_table(
        ("", "version>", "errors>", "p50>", "p99>", "digest"),
        (
            (
                name,
                str(version),
                f"{errors:,}",
                rendering.seconds_text(p50 / 1e9),
                rendering.seconds_text(p99 / 1e9),
                rendering.digest_text(digest),
            )
            for name, version, errors, p50, p99, digest in (
                (
                    "answers today",
                    proof.baseline_version,
                    proof.baseline_errors,
                    proof.baseline_p50_ns,
                    proof.baseline_p99_ns,
                    proof.baseline_digest,
                ),
                (
                    "candidate",
                    proof.candidate_version,
                    proof.candidate_errors,
                    proof.candidate_p50_ns,
                    proof.candidate_p99_ns,
                    proof.candidate_digest,
                ),
            )
        ),
    )


def _latency(proof: Any) -> str:
    if not (proof.baseline_p50_ns and proof.candidate_p50_ns):
        return ""
    return f"{proof.candidate_p50_ns / proof.baseline_p50_ns:.3g} times that of today, at the median"


def _missed(proof: Any, least: int, difference: float | None, errors: int | None, slowest: int) -> list[str]:
    """Return what a report misses, in words."""
    missed = []
    if not proof.rows or proof.requests <= proof.baseline_errors + proof.new_errors:
        missed.append("a request that both versions answered")
    if proof.agreeing_rows * quantities.MILLION < least * proof.rows or (least and not proof.rows):
        missed.append(f"an agreement of {quantities.share_text(least)}")
    if difference is not None and float(proof.max_output_difference) > difference:
        missed.append(f"a difference of at most {difference:g}")
    if errors is not None and proof.new_errors > errors:
        missed.append(f"at most {rendering.count_text(errors, 'new error')}")
    if slowest and proof.candidate_p50_ns * quantities.MILLION > slowest * proof.baseline_p50_ns:
        missed.append(f"at most {slowest / quantities.MILLION:g} times the latency")
    return missed
