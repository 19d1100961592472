"""Makes plans: freezes the data, cuts it into shards and names what they hold.

A plan depends on the wish, the resolved versions and the content of the data; never on workers, time, or the place of
the data. The number of rows of a shard, where nobody says it, follows from the width of a row alone: as many as make
SHARD_BYTES, a multiple of 64 where that is possible, and no more than SHARD_ROWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server import datasets
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.labor import plan as plans
from neuralmesh_server.labor import spec as specs
from neuralmesh_server.labor.plan import Columns, DataFile, Plan, Recipe, Shard
from neuralmesh_server.writers import writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.datasets import DataSet, FrozenData, Progress, RowShape
    from neuralmesh_server.labor.plan import VersionPin
    from neuralmesh_server.labor.spec import JobSpec

SHARD_BYTES = 8 << 20
"""Bytes of rows that make a shard where the wish leaves it open: about a tenth of a second of the packed digits network
on one core, so that leasing and committing a shard costs little beside it.
"""

SHARD_ROWS = 1 << 18
"""Most rows of such a shard."""

LARGEST_SHARD_BYTES = 1 << 30
"""Most bytes of a shard, which a worker has to hold."""

MAX_SHARDS = 1_000_000

MICRO_BATCH = 64
"""Rows of a batch, where answers depend on it and the wish leaves it open."""


def plan(
    spec: JobSpec,
    versions: Sequence[VersionPin],
    root: str,
    *,
    takes: Sequence[Mapping[str, RowShape]] = (),
    threads: int = 0,
    progress: Progress | None = None,
) -> Plan:
    """Return the plan of a wish; blocks while it reads and hashes all of the data.

    Args:
        spec: The wish.
        versions: Its version, resolved, and for a comparison the one to compare with behind it.
        root: Where the data is: mostly `spec.data`.
        takes: For each version, the shape of a row of its inputs, -1 for any size; empty where that is not known. A
            file whose header tells that no row of it fits is refused, unless such rows are to be skipped: then the run
            lists them.
        threads: How many threads read and hash; 0 for one per processor.
        progress: Is told the bytes that are done and all bytes, from any thread but never from two at once. An error
            that it raises ends the planning, and is raised here.

    Raises:
        InvalidArgumentError: FIELD_INVALID, NAME_INVALID or VERSION_INVALID, for a wish that nothing can fulfil.
        FailedPreconditionError: DATASET_INVALID for data that cannot be read, with the file and, where one is to blame,
            the row; DATASET_CHANGED for data that was written to meanwhile.
    """
    specs.check(spec)
    wanted = 2 if spec.kind == plans.COMPARE else 1
    if len(versions) != wanted:
        raise ValueError(f"a job of kind {spec.kind!r} has {wanted} versions; {len(versions)} are given")
    recipe = recipe_of(spec, versions)
    skip = spec.bad_rows == plans.SKIP
    taken = [{name: None if skip else shape for name, shape in inputs.items()} for inputs in takes]
    data = datasets.DataSet(root, recipe.columns, takes=taken, threads=threads, progress=progress)
    rows = _rows_per_shard(spec, data)
    frozen = data.freeze(rows)
    return Plan(
        recipe=recipe,
        files=tuple(DataFile(file.path, file.size, file.digest, file.rows) for file in frozen.files),
        rows_per_shard=rows,
        shards=tuple(_shards(data, frozen, rows)),
    )


def recipe_of(spec: JobSpec, versions: Sequence[VersionPin]) -> Recipe:
    """Return what the shards of a job have in common; what means the same gives the same recipe."""
    exact = all(pin.numerics.level == plans.EXACT for pin in versions)
    columns = Columns(tuple(sorted(spec.columns.inputs)), spec.columns.label, spec.columns.id)
    return Recipe(
        kind=spec.kind,
        versions=tuple(versions),
        columns=columns,
        outputs=tuple(sorted(spec.outputs)),
        format=spec.format,
        writer=writer(spec.format),
        bad_rows=spec.bad_rows,
        micro_batch=0 if exact else spec.micro_batch or MICRO_BATCH,
    )


def default_rows(row_bytes: int) -> int:
    """Return the rows of a shard where the wish leaves it open, for rows of so many bytes."""
    rows = min(SHARD_BYTES // row_bytes, SHARD_ROWS)
    return rows - rows % 64 if rows >= 64 else max(rows, 1)


def _rows_per_shard(spec: JobSpec, data: DataSet) -> int:
    row_bytes = max(file.row_bytes for file in data.files if file.rows)
    rows = spec.rows_per_shard or default_rows(row_bytes)
    most = min(rows, max(file.rows for file in data.files)) * row_bytes
    if most > LARGEST_SHARD_BYTES:
        raise _shards_invalid(
            f"is {rows}, which makes shards of {most} bytes; at most {LARGEST_SHARD_BYTES} are permitted"
        )
    shards = sum(-(-file.rows // rows) for file in data.files)
    if shards > MAX_SHARDS:
        raise _shards_invalid(f"is {rows}, which makes {shards} shards; at most {MAX_SHARDS} are permitted")
    return rows


def _shards(data: DataSet, frozen: FrozenData, rows_per_shard: int) -> list[Shard]:
    shards = []
    for index, (file, digests) in enumerate(zip(data.files, frozen.digests, strict=True)):
        for number, digest in enumerate(digests):
            first = number * rows_per_shard
            rows = min(rows_per_shard, file.rows - first)
            shards.append(Shard(index, first, rows, digest, rows * file.row_bytes))
    return shards


def _shards_invalid(why: str) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", f"rows_per_shard {why}", field="rows_per_shard")
