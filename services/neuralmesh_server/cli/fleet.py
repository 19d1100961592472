"""`neuralmesh fleet`: the edge nodes, and whether each holds what it is to hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from neuralmesh import Client

_COUNTS = frozenset({"lag>", "cache>", "forwards>", "hedges>"})
_NOTHING = frozenset({"0", rendering.size_text(0)})
_COLUMNS = ("node", "labels", "connected", "revision>", "lag>", "converged", "cache>", "forwards>", "hedges>", "detail")


@connected
def fleet(
    client: Client,
    *,
    selector: Annotated[str, typer.Option(metavar="SELECTOR", help="Only nodes that it matches, as tier=edge.")] = "",
    forget: Annotated[
        str, typer.Option(metavar="NODE", help="Forget a node that will not come back; its name stays taken.")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    json: Json = False,
) -> None:
    """Show every node that ever said hello: whether it is there, what it applied, and why it has not converged.

    The lag counts the revisions between what a node applied and the last that changed what it is to hold.
    """
    if forget:
        gone = client.mesh.forget_node(forget)
        rendering.print_line(f"forgot {gone.node}, which was not heard for {_silence(gone)}")
        return
    if json:
        rendering.print_json([rendering.as_json(node) for node in client.mesh.list_nodes(selector)])
        return
    if not watch:
        nodes = list(client.mesh.list_nodes(selector))
        if not nodes and not selector:
            rendering.print_line("no nodes yet; `neuralmesh edge` runs one")
            return
        rendering.print_table(*told(map(node_row, nodes)))
        return
    from rich.live import Live  # noqa: PLC0415 - services start without rich

    with Live(_table(client, selector), console=rendering.console(), auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            live.update(_table(client, selector), refresh=True)


def _table(client: Client, selector: str) -> Table:
    return rendering.table(*told(map(node_row, client.mesh.list_nodes(selector))))


def told(rows: Iterable[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows without the columns of counts in which there is nothing but zeros."""
    kept = list(rows)
    shown = [
        index
        for index, column in enumerate(_COLUMNS)
        if column not in _COUNTS or any(row[index] not in _NOTHING for row in kept)
    ]
    return [_COLUMNS[index] for index in shown], [[row[index] for index in shown] for row in kept]


def node_row(node: Any) -> tuple[str, ...]:
    """Return the cells of a node."""
    figures = node.figures
    lag = 0 if node.state_digest == node.desired_digest else max(node.desired_revision - node.applied_revision, 0)
    cache = rendering.size_text(figures.cache_bytes)
    return (
        node.node,
        ",".join(f"{key}={node.labels[key]}" for key in sorted(node.labels)),
        "yes" if node.connected else f"no, for {_silence(node)}",
        str(node.applied_revision),
        str(lag),
        "yes" if node.converged else "no",
        f"{cache} of {rendering.size_text(figures.cache_limit_bytes)}" if figures.cache_limit_bytes else cache,
        _counted(figures.forwarded, figures.forward_failures, "failed"),
        _counted(figures.hedged, figures.hedges_won, "won"),
        detail_text(node),
    )


def detail_text(node: Any) -> str:
    """Return why a node has not converged, and what else is wrong with it."""
    causes = []
    if node.reason:
        causes.append(node.reason)
    elif node.state_digest != node.desired_digest:
        causes.append("holds another state")
    elif not node.converged and not node.figures.overrides:
        causes.append("has not reported yet")
    causes += [f"set aside: {_override(override)}" for override in node.figures.overrides]
    causes += [f"cannot load {failure}" for failure in node.figures.failures]
    return "; ".join(causes)


def _override(override: Any) -> str:
    by = f" by {override.actor}" if override.actor else ""
    why = f": {override.reason}" if override.reason else ""
    return f"{override.model}@{override.alias} is {override.version}{by}{why}"


def _counted(count: int, part: int, name: str) -> str:
    return f"{count:,} ({part:,} {name})" if part else f"{count:,}"


def _silence(node: Any) -> str:
    return rendering.seconds_text(node.silence.seconds + node.silence.nanos / 1e9)
