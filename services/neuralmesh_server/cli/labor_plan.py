"""`neuralmesh labor plan`, `explain-miss` and `replay-schedule`: what a job would do, and why it went where it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import labor_narration, rendering
from neuralmesh_server.cli.connection import addressed, connected
from neuralmesh_server.cli.exit_codes import FAILED, CommandError
from neuralmesh_server.cli.labor_jobs import Name  # noqa: TC001 - typer evaluates it
from neuralmesh_server.cli.labor_place import FOLDER, Cache, Service, place
from neuralmesh_server.cli.labor_wish import wished
from neuralmesh_server.cli.narration import short
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh import Client

SHOWN = 20
"""Most shards that people are shown; programs get all that the service tells."""


@addressed
@wished
def plan(
    options: Mapping[str, Any],
    *,
    spec: Any,
    cache: Cache = FOLDER,
    service: Service = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Says what is so in any case: nothing runs.")] = False,
    json: Json = False,
) -> None:
    """Show the plan of a job: shards, costs, digests, and what is in the cache. Nothing runs."""
    del dry_run
    from neuralmesh import Client  # noqa: PLC0415 - imports grpc, which waits for the transport

    with Client(**options) as client, place(client, options, cache, service=service) as array:
        found = array.labor.plan_job(spec)
    if json:
        rendering.print_json(rendering.as_json(found))
        return
    rendering.print_facts(labor_narration.plan_facts(found.plan))
    rendering.print_table(
        ("shard>", "file", "first row>", "rows>", "cost>", "action", "cached"),
        (
            (
                str(shard.shard),
                shard.file,
                f"{shard.first_row:,}",
                f"{shard.rows:,}",
                rendering.size_text(shard.cost),
                rendering.digest_text(shard.action_digest),
                "yes" if shard.cached else "no",
            )
            for shard in found.shards[:SHOWN]
        ),
    )
    if found.plan.shards > SHOWN:
        rendering.print_line(f"and {found.plan.shards - SHOWN:,} more shards")


@addressed
@wished
def explain_miss(
    options: Mapping[str, Any],
    *,
    spec: Any,
    cache: Cache = FOLDER,
    service: Service = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many shards.")] = 20,
    json: Json = False,
) -> None:
    """Say for shards of a job why their results are not in the cache."""
    from neuralmesh import Client  # noqa: PLC0415 - imports grpc, which waits for the transport

    with Client(**options) as client, place(client, options, cache, service=service) as array:
        found = array.labor.explain_misses(spec, limit=limit)
    if json:
        rendering.print_json(rendering.as_json(found))
        return
    if not found.total:
        rendering.print_line("every shard is in the cache")
        return
    rendering.print_line(f"{rendering.count_text(found.total, 'shard')} of the plan must be run")
    rendering.print_table(
        ("shard>", "file", "what", "in the cache", "wanted"),
        (
            (str(miss.shard.shard), miss.shard.file, *difference)
            for miss in found.misses
            for difference in _differences(miss)
        ),
    )


@connected
def replay_schedule(client: Client, *, job: Name, json: Json = False) -> None:
    """Work out the assignments of a job again, from its plan and the log of live workers.

    Exits with 1 if one differs.
    """
    from neuralmesh._sync import labor_run  # noqa: PLC0415 - imports grpc
    from neuralmesh.labor.v1 import labor_service_pb2  # noqa: PLC0415
    from neuralmesh_server.labor import plan as plans  # noqa: PLC0415 - what only this command needs
    from neuralmesh_server.labor import schedule  # noqa: PLC0415

    said = client.labor.get_schedule(job)
    made = plans.parse(labor_run.document(client.labor, job, labor_service_pb2.JOB_DOCUMENT_PLAN))
    again = schedule.replay(
        [shard.cost for shard in made.shards],
        list(made.actions()),
        [(tuple(epoch.slots), tuple(epoch.pending)) for epoch in said],
    )
    wrong = [
        epoch.epoch
        for epoch, one in zip(said, again, strict=True)
        if (one.number, one.assigned) != (epoch.epoch, tuple(epoch.assigned))
    ]
    if json:
        rendering.print_json(
            {"job": short(job), "epochs": [rendering.as_json(epoch) for epoch in said], "different": wrong}
        )
    else:
        rendering.print_table(
            ("epoch>", "slots", "pending>", "replayed"),
            (
                (
                    str(epoch.epoch),
                    ", ".join(epoch.slots),
                    f"{len(epoch.pending):,}",
                    "different" if epoch.epoch in wrong else "the same",
                )
                for epoch in said
            ),
        )
    if wrong:
        raise CommandError(f"epoch {wrong[0]} is not what follows from the plan and the log", "", FAILED)


def _differences(miss: Any) -> list[tuple[str, str, str]]:
    if not miss.differences:
        return [("these rows were never run by any version", "", "")]
    return [(one.field, one.cached, one.wanted) for one in miss.differences]
