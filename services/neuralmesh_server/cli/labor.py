"""`neuralmesh labor`: batch jobs that give the same bytes on any number of nodes. Each command has its own module."""

from __future__ import annotations

import typer

from neuralmesh_server.cli import (
    labor_jobs,
    labor_plan,
    labor_receipts,
    labor_run,
    labor_serve,
    labor_verify,
    labor_worker,
)

labor = typer.Typer(
    name="labor",
    help="Batch jobs that give the same bytes on any number of nodes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
labor.command("serve")(labor_serve.labor_serve)
labor.command("run")(labor_run.run)
labor.command("plan")(labor_plan.plan)
labor.command("explain-miss")(labor_plan.explain_miss)
labor.command("jobs")(labor_jobs.jobs)
labor.command("show")(labor_jobs.show)
labor.command("watch")(labor_jobs.watch)
labor.command("fetch")(labor_jobs.fetch)
labor.command("cancel")(labor_jobs.cancel)
labor.command("worker")(labor_worker.worker)
labor.command("workers")(labor_jobs.workers)
labor.command("release")(labor_jobs.release)
labor.command("alarms")(labor_jobs.alarms)
labor.command("replay-schedule")(labor_plan.replay_schedule)
labor.command("verify")(labor_verify.verify)
labor.command("export-receipts")(labor_receipts.export_receipts)
