"""`neuralmesh labor jobs`, `show`, `watch`, `cancel`, `fetch`, `workers`, `release`, `alarms`: what the array does."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import labor_narration, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.exit_codes import FAILED, CommandError
from neuralmesh_server.cli.labor_progress import LiveProgress
from neuralmesh_server.cli.narration import short
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from neuralmesh import Client

Name = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job, as `labor jobs` lists it.")]


@connected
def jobs(
    client: Client,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    json: Json = False,
) -> None:
    """List jobs, newest first."""
    found = [job for job, _ in zip(client.labor.list_jobs(), range(limit), strict=False)]
    if json:
        rendering.print_json([as_json(job) for job in found])
        return
    if not found:
        rendering.print_line("no jobs yet; `neuralmesh labor run MODEL --service --data PATH --out DIR` submits one")
        return
    rendering.print_table(
        ("job", "state", "what", "rows>", "done", "output", "submitted", "by"),
        (
            (
                short(job.name),
                labor_narration.STATES.get(job.state, "unknown"),
                f"{labor_narration.KINDS.get(job.spec.kind, 'unknown')} {job.spec.version}",
                f"{job.progress.rows:,}",
                labor_narration.done_text(job),
                rendering.digest_text(job.output_digest),
                rendering.moment_text(job, "create_time"),
                job.actor,
            )
            for job in found
        ),
    )


@connected
def show(client: Client, *, job: Name, json: Json = False) -> None:
    """Show a job: its plan, how far it is, and its figures."""
    print_job(client.labor.get_job(job), json=json)


@connected
def watch(client: Client, *, job: Name, json: Json = False) -> None:
    """Follow a job until it ends; exits with 1 unless it was committed. With --json, one event a line.

    Where the line is cut or the service starts again, it goes on with the next event, so that each is told once.
    """
    from neuralmesh import _labor_ends  # noqa: PLC0415 - imports grpc
    from neuralmesh._sync import labor_run  # noqa: PLC0415 - as above

    client.labor.get_job(job)  # a service that is not there is said at once; one that was there is waited for
    with LiveProgress(shown=not json) as live:

        def tell(event: Any) -> None:
            live(event)
            if json:
                sys.stdout.write(json_format.dumps(rendering.as_json(event)) + "\n")
                sys.stdout.flush()
            elif event.message:
                rendering.print_line(event.message)

        ended = labor_run.follow(client.labor, job, tell)
    if not json:
        print_job(ended, json=False)
    failure = _labor_ends.failure(ended)
    if failure is not None:
        raise CommandError(failure.message, failure.reason, FAILED)


@connected
def cancel(client: Client, *, job: Name, json: Json = False) -> None:
    """End a job that has not ended; what is under way is not taken."""
    print_job(client.labor.cancel_job(job), json=json)


@connected
def fetch(
    client: Client,
    *,
    job: Name,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the folder of results is to be.")],
    json: Json = False,
) -> None:
    """Write the results of a job into a folder, when it is committed."""
    client.labor.get_job(job)  # a service that is not there is said at once; one that was there is waited for
    with LiveProgress(shown=not json) as live:
        ended = client.labor.finish(job, out=out, progress=live)
    print_result(ended, out, json=json)


@connected
def workers(client: Client, *, json: Json = False) -> None:
    """List the workers that were ever heard."""
    found = client.labor.list_workers()
    if json:
        rendering.print_json([rendering.as_json(worker) for worker in found])
        return
    if not found:
        rendering.print_line("no worker was ever heard; `neuralmesh labor worker --labor HOST:PORT` starts one")
        return
    rendering.print_table(
        ("worker", "state", "host", "slots>", "done>", "last heard", "kind"),
        (
            (
                worker.name,
                "quarantined" if worker.quarantined else "live" if worker.live else "gone",
                worker.host,
                str(worker.slots),
                f"{worker.done_shards:,}",
                rendering.moment_text(worker, "seen_time"),
                ", ".join(f"{kind}: {worker.numerics[kind]}" for kind in sorted(worker.numerics)),
            )
            for worker in found
        ),
    )


@connected
def release(
    client: Client,
    *,
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="Name of the worker.")],
    json: Json = False,
) -> None:
    """Let a quarantined worker work again."""
    released = client.labor.release_worker(worker)
    if json:
        rendering.print_json(rendering.as_json(released))
    else:
        rendering.print_line(f"{released.name} may work again")


@connected
def alarms(
    client: Client,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    json: Json = False,
) -> None:
    """List actions that gave two results, newest first."""
    found = client.labor.list_alarms(limit=limit)
    if json:
        rendering.print_json([rendering.as_json(alarm) for alarm in found])
        return
    if not found:
        rendering.print_line("no alarms: no action ever gave two results")
    for alarm in found:
        rendering.print_line(f"{rendering.moment_text(alarm, 'time')}  {labor_narration.alarm_text(alarm)}")


def as_json(job: Any) -> dict[str, Any]:
    """Return a job as JSON values, its report as the document that it is."""
    return {**rendering.as_json(job), "report": json_format.loads(job.report) if job.report else None}


def print_job(job: Any, *, json: bool) -> None:
    """Print what is known of a job."""
    if json:
        rendering.print_json(as_json(job))
        return
    rendering.print_facts(labor_narration.job_facts(job))
    labor_narration.print_report(job.report)


def print_result(job: Any, out: Path | None, *, json: bool) -> None:
    """Print what came of a committed job, and what to type next."""
    if json:
        rendering.print_json({**as_json(job), "out": None if out is None else str(out)})
        return
    rendering.print_facts(labor_narration.job_facts(job))
    labor_narration.print_report(job.report)
    if out is not None:
        rendering.print_line(f"results in {out}; `neuralmesh labor verify {out}` checks them without any service")
