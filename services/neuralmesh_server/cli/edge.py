"""`neuralmesh edge`: an edge node, and what somebody who stands beside one asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import rendering, services
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.environment import overlay, tls_flags
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.names import DEFAULT_ALIAS, check_alias, check_model, parse_version
from neuralmesh_server.runtime import transport

if TYPE_CHECKING:
    from neuralmesh import Client

edge = typer.Typer(
    help="Run an edge node: it holds what it is assigned, and serves it whether the registry is there or not.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Target = Annotated[str, typer.Argument(metavar="MODEL[@ALIAS]", help="The model; `production` without an alias.")]
_ADDRESS = "HOST:PORT"


@edge.callback()
def run(
    context: typer.Context,
    *,
    registry: Annotated[str | None, typer.Option(metavar=_ADDRESS, help="The registry (NEURALMESH_REGISTRY).")] = None,
    upstream: Annotated[
        str | None,
        typer.Option(metavar=_ADDRESS, help="The node further up the line (NEURALMESH_EDGE_UPSTREAM)."),
    ] = None,
    hedge: Annotated[
        bool, typer.Option("--hedge", help="Have it run as well what takes longer than usual (NEURALMESH_EDGE_HEDGE).")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(metavar=_ADDRESS, help="The metrics service (NEURALMESH_METRICS); without it none is told."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="KEY=VALUE,...", help="What assignments select it by (NEURALMESH_EDGE_LABELS)."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of all that it keeps (NEURALMESH_EDGE_STORE).")
    ] = None,
    max_bytes: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Most bytes of artifacts, as 2G (NEURALMESH_EDGE_MAX_BYTES)."),
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the node; that of the machine by default (NEURALMESH_NODE)."),
    ] = None,
    listen: services.Listen = None,
    socket: services.Socket = None,
    insecure: services.Insecure = False,
    tls_cert: services.TlsCert = None,
    tls_key: services.TlsKey = None,
    tls_ca: services.TlsCa = None,
) -> None:
    """Run an edge node until a signal stops it."""
    if context.invoked_subcommand is not None:
        return
    env = overlay(
        {
            "NEURALMESH_REGISTRY": registry,
            "NEURALMESH_EDGE_UPSTREAM": upstream,
            "NEURALMESH_EDGE_HEDGE": "1" if hedge else None,
            "NEURALMESH_METRICS": metrics,
            "NEURALMESH_EDGE_LABELS": labels,
            "NEURALMESH_EDGE_STORE": store,
            "NEURALMESH_EDGE_MAX_BYTES": max_bytes,
            "NEURALMESH_NODE": node,
            "NEURALMESH_EDGE_LISTEN": listen,
            "NEURALMESH_EDGE_SOCKET": socket,
            "NEURALMESH_INSECURE": "1" if insecure else None,
            **tls_flags(tls_cert, tls_key, tls_ca),
        }
    )
    from neuralmesh_server.settings import InferenceSettings  # noqa: PLC0415

    settings = InferenceSettings.for_edge(env)
    transport.configure()
    from neuralmesh_server.inference.app import InferenceApp  # noqa: PLC0415 - imports grpc

    services.serve(lambda: InferenceApp(settings))


@edge.command("status")
@connected
def status(client: Client, *, json: Json = False) -> None:
    """Show where a node stands: what it applied, whether it hears the registry, what is set aside on it."""
    found = client.edge.get_edge_status()
    if json:
        rendering.print_json(rendering.as_json(found))
        return
    rendering.print_facts(_facts(found))


@edge.command("rollback")
@connected
def rollback(
    client: Client,
    *,
    target: Target,
    to: Annotated[str, typer.Option(metavar="VERSION", help="Version that is to answer; else the one before.")] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; the fleet shows it.")] = "",
    json: Json = False,
) -> None:
    """Have another version answer on one node, with the line cut or not, until the registry moves the alias."""
    model, alias = _split(target)
    done = client.edge.override_alias(model, alias, version=parse_version(to) if to else 0, reason=reason)
    if json:
        rendering.print_json(rendering.as_json(done))
        return
    rendering.print_line(
        f"{model}@{alias}: version {done.previous_version} -> {done.override.version} on this node, "
        f"until the registry moves the alias (revision {done.override.alias_revision})"
    )


@edge.command("clear")
@connected
def clear(client: Client, *, target: Target, json: Json = False) -> None:
    """End what `rollback` did on a node: the version that the registry names answers again."""
    model, alias = _split(target)
    done = client.edge.clear_override(model, alias)
    if json:
        rendering.print_json(rendering.as_json(done))
        return
    rendering.print_line(f"{model}@{alias}: version {done.override.version} is not set before the registry's any more")


def _split(target: str) -> tuple[str, str]:
    model, _, alias = target.partition("@")
    return check_model(model), check_alias(alias or DEFAULT_ALIAS)


def _facts(found: Any) -> list[tuple[str, str]]:
    figures = found.figures
    heard = "never"
    if found.HasField("staleness"):
        heard = f"{rendering.seconds_text(found.staleness.ToTimedelta().total_seconds())} ago"
    facts = [
        ("node", found.node),
        ("labels", ",".join(f"{key}={value}" for key, value in sorted(found.labels.items()))),
        ("registry", "heard" if found.connected else f"not heard: {found.disconnected_reason}"),
        ("last heard", heard),
        ("revision", str(found.applied_revision)),
        ("digest", found.state_digest.hex()),
    ]
    if figures.cache_limit_bytes:
        size = rendering.size_text
        upstream, registry = size(figures.fetched_upstream_bytes), size(figures.fetched_registry_bytes)
        facts += [
            ("artifacts", f"{size(figures.cache_bytes)} of {size(figures.cache_limit_bytes)}"),
            ("fetched", f"{upstream} from upstream, {registry} from the registry"),
        ]
    for move in figures.overrides:
        by = f" by {move.actor}" if move.actor else ""
        why = f": {move.reason}" if move.reason else ""
        facts.append(("set aside", f"{move.model}@{move.alias} is version {move.version}{by}{why}"))
    facts += [("failed", failure) for failure in figures.failures]
    return facts
