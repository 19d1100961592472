"""`neuralmesh top`: the operations table and the figures of every version."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Group
    from rich.table import Table

    from neuralmesh import Client

_FIGURES = ("version", "accuracy>", "outcomes>", "requests>", "rows>", "errors>", "p50>", "p99>", "size>", "ready on")
_QUALITY = 6
"""How many of the figures say how well a version answers; the others say how fast, how large and where."""

_COUNTED = frozenset({"nodes", "predictions", "models", "versions", "gaps"})


@connected
def top(
    client: Client,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    json: Json = False,
) -> None:
    """Show nodes, uptime, work done, models and versions loaded, latency; and the figures of every version."""
    if json:
        operations = client.metrics.get_operations()
        rendering.print_json(
            {
                **rendering.as_json(operations),
                "versions": [rendering.as_json(figures) for figures in client.metrics.list_version_metrics()],
            }
        )
        return
    if not watch:
        tables = _tables(client)
        rendering.widened(rendering.console(), tables).print(*tables)
        return
    from rich.live import Live  # noqa: PLC0415 - services start without rich

    with Live(_screen(client), console=rendering.console(), auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            live.update(_screen(client), refresh=True)


def _screen(client: Client) -> Group:
    from rich.console import Group as RichGroup  # noqa: PLC0415 - as above

    return RichGroup(*_tables(client))


def _tables(client: Client) -> list[Table]:
    operations = client.metrics.get_operations()
    rows = rendering.table(
        ("operation", "value>", "status", "detail"),
        ((row.title, row_value(row), status_text(row), row.detail) for row in operations.rows),
    )
    figures = [version_row(version) for version in client.metrics.list_version_metrics()]
    return [rows, *version_tables(figures, rendering.console().width)]


def version_tables(rows: Sequence[tuple[str, ...]], width: int) -> list[Table]:
    """Return the versions' figures as one table, or as two where a terminal of that width has no room for all."""
    if width >= rendering.WIDE:
        return [rendering.table(_FIGURES, rows)]
    return [
        rendering.table(_FIGURES[:_QUALITY], [row[:_QUALITY] for row in rows]),
        rendering.table((_FIGURES[0], *_FIGURES[_QUALITY:]), [(row[0], *row[_QUALITY:]) for row in rows]),
    ]


def row_value(row: Any) -> str:
    """Return the figure of an operations row with its unit."""
    if row.status == row.STATUS_NO_DATA:
        return "-"
    if row.unit == "seconds":
        return rendering.seconds_text(row.value)
    if row.unit == "percent":
        return f"{row.value:.2f} %"
    if row.unit in _COUNTED:
        return f"{row.value:,.0f}"
    return f"{row.value:g} {row.unit}"


def status_text(row: Any) -> str:
    """Return the status of an operations row for people."""
    name: str = row.Status.Name(row.status)
    return name.removeprefix("STATUS_").lower().replace("_", " ")


def version_row(figures: Any) -> tuple[str, ...]:
    """Return the cells of a version's figures."""

    def optional(field: str, show: Any) -> str:
        return show(getattr(figures, field)) if figures.HasField(field) else "-"

    return (
        f"{figures.model}@{figures.version}",
        optional("accuracy", lambda value: f"{value:.4f}"),
        f"{figures.outcomes:,}",
        f"{figures.requests:,}",
        f"{figures.rows:,}",
        f"{figures.errors:,}",
        optional("latency_p50_seconds", rendering.seconds_text),
        optional("latency_p99_seconds", rendering.seconds_text),
        optional("size_bytes", rendering.size_text),
        ", ".join(figures.ready_nodes),
    )
