"""`neuralmesh labor verify`: a folder of results, checked without any service."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates it
from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.exit_codes import FAILED, CommandError
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it

if TYPE_CHECKING:
    from neuralmesh_server.labor.plan import Plan


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="The folder.")],
    *,
    data: Annotated[str, typer.Option(metavar="PATH", help="Hash the data again and hold it against the plan.")] = "",
    json: Json = False,
) -> None:
    """Work out everything in a folder of results that follows from something else in it; exits with 1 if not all holds.

    The plan is parsed and its actions are named again, every part is hashed, the report is counted again from the
    parts. Nothing is asked of any service.
    """
    from neuralmesh import labor_results  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.labor import verification  # noqa: PLC0415 - imports NumPy

    found = verification.verify(
        folder,
        lambda *documents: list(labor_results.parts(*documents)),
        (lambda plan: changes(plan, data)) if data else None,
    )
    if json:
        rendering.print_json({**found.facts, "held": found.held, "wrong": found.wrong})
    else:
        for text in found.held:
            rendering.print_line(f"ok     {text}")
        for text in found.wrong:
            rendering.print_line(f"WRONG  {text}")
    if found.wrong:
        more = f", and {len(found.wrong) - 1} more" if len(found.wrong) > 1 else ""
        raise CommandError(f"{folder} does not hold: {found.wrong[0]}{more}", "", FAILED)


def changes(plan: Plan, data: str) -> list[str]:
    """Return how the data differs from what a plan says of it."""
    from neuralmesh_server import datasets  # noqa: PLC0415 - imports pyarrow
    from neuralmesh_server.errors import NeuralMeshError  # noqa: PLC0415

    try:
        found = datasets.DataSet(data, plan.recipe.columns)
        frozen = found.freeze(plan.rows_per_shard)
    except NeuralMeshError as error:
        return [f"the data cannot be read: {error.message}"]
    planned = {file.path: file for file in plan.files}
    there = {file.path: file for file in frozen.files}
    wrong = [f"{path} is not in the data" for path in sorted(planned.keys() - there.keys())]
    wrong += [f"{path} is in the data and not in the plan" for path in sorted(there.keys() - planned.keys())]
    for path in sorted(planned.keys() & there.keys()):
        if planned[path].digest != there[path].digest:
            wrong.append(f"{path} is {there[path].digest}; the plan says {planned[path].digest}")
    if wrong:
        return wrong
    digests = [digest for of_file in frozen.digests for digest in of_file]
    return [
        f"the rows of shard {number} are {digest}; the plan says {shard.input_digest}"
        for number, (digest, shard) in enumerate(zip(digests, plan.shards, strict=True))
        if digest != shard.input_digest
    ]
