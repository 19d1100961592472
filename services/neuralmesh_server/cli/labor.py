"""`neuralmesh labor`: batch jobs that give the same bytes on any number of nodes. Each command has its own module."""

from __future__ import annotations

import typer

from neuralmesh_server.cli import labor_receipts

labor = typer.Typer(
    name="labor", help="Batch jobs that give the same bytes on any number of nodes.", no_args_is_help=True
)
labor.command("export-receipts")(labor_receipts.export_receipts)
