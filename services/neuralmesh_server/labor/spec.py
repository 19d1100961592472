"""What somebody wants done: JobSpec of the contract as the domain knows it, with every limit that needs no data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh_server import names
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.labor import plan
from neuralmesh_server.labor.plan import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = (plan.INFER, plan.EVALUATE, plan.COMPARE)
FORMATS = (plan.PARQUET, plan.ARROW, plan.SAFETENSORS)
BAD_ROWS = (plan.FAIL, plan.SKIP)

MAX_ROWS_PER_SHARD = 2**31 - 1
MAX_MICRO_BATCH = 65_536
MAX_NAMES = 10_000
"""Most outputs, and most columns of all inputs."""
NAME_BYTES = 1024
DATA_BYTES = 4096
PARTS_PER_MILLION = 1_000_000
MAX_PRIORITY = 1_000_000


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A wish; see JobSpec in the contract, whose defaults are filled in here.

    Attributes:
        kind: `plan.INFER`, `plan.EVALUATE` or `plan.COMPARE`.
        version: `model@alias` or `model/version`, not yet resolved.
        data: Path or s3:// address of the data.
        baseline: The version to compare with; for COMPARE only.
        columns: What the columns are.
        rows_per_shard: Rows of a shard; 0 leaves it to the width of a row.
        outputs: Names of outputs to keep, in any order; empty for all.
        format: `plan.PARQUET`, `plan.ARROW` or `plan.SAFETENSORS`.
        bad_rows: `plan.FAIL` or `plan.SKIP`.
        micro_batch: Rows of a batch where answers depend on it; 0 for `planning.MICRO_BATCH`.
        audit_ppm: Share of the shards that a second worker runs, in parts per million.
        priority: Jobs of a higher one get workers first.
        skip_cache: Look up no results of earlier jobs.
    """

    kind: str
    version: str
    data: str
    baseline: str = ""
    columns: Columns = field(default_factory=Columns)
    rows_per_shard: int = 0
    outputs: tuple[str, ...] = ()
    format: str = plan.PARQUET
    bad_rows: str = plan.FAIL
    micro_batch: int = 0
    audit_ppm: int = 0
    priority: int = 0
    skip_cache: bool = False


def check(spec: JobSpec) -> None:
    """Hold a wish against every limit.

    Raises:
        InvalidArgumentError: FIELD_INVALID, naming the field as the contract does; NAME_INVALID or VERSION_INVALID for
            a version that cannot be one.
    """
    _one_of("kind", spec.kind, KINDS)
    _one_of("format", spec.format, FORMATS)
    _one_of("bad_rows", spec.bad_rows, BAD_ROWS)
    check_reference("version", spec.version)
    if spec.kind == plan.COMPARE:
        check_reference("baseline", spec.baseline)
    elif spec.baseline:
        raise _invalid("baseline", f"is {spec.baseline!r}; only a comparison has one")
    if not spec.data:
        raise _invalid("data", "is missing")
    _name("data", spec.data, DATA_BYTES)
    _between("rows_per_shard", spec.rows_per_shard, 0, MAX_ROWS_PER_SHARD)
    _between("micro_batch", spec.micro_batch, 0, MAX_MICRO_BATCH)
    _between("audit_ppm", spec.audit_ppm, 0, PARTS_PER_MILLION)
    _between("priority", spec.priority, -MAX_PRIORITY, MAX_PRIORITY)
    _names("outputs", spec.outputs)
    _check_columns(spec)


def check_reference(fieldname: str, reference: str) -> None:
    """Hold `model@alias` or `model/version` against the rules of names; raises as `check` does."""
    if not reference:
        raise _invalid(fieldname, "is missing")
    model, at, alias = reference.partition("@")
    if at:
        names.check_model(model)
        names.check_alias(alias)
        return
    model, slash, number = reference.partition("/")
    if not slash:
        raise _invalid(fieldname, f"is {reference!r}; it has to be model@alias or model/version")
    names.check_model(model)
    if not names.VERSION.fullmatch(number) or int(number) > names.MAX_VERSION:
        raise _invalid(fieldname, f"is {reference!r}; {number!r} is no number of a version")


def _check_columns(spec: JobSpec) -> None:
    columns = spec.columns
    _names("columns.inputs", [name for name, _ in columns.inputs])
    named = [column for _, parts in columns.inputs for column in parts]
    _names("columns.inputs", named, twice=True)
    for name, parts in columns.inputs:
        if not parts:
            raise _invalid(f"columns.inputs[{name!r}]", "names no column")
    for fieldname, column in (("columns.label", columns.label), ("columns.id", columns.id)):
        _name(fieldname, column, NAME_BYTES)
        if column and column in named:
            raise _invalid(fieldname, f"is {column!r}, which is a column of an input")
    if spec.kind == plan.EVALUATE and not columns.label:
        raise _invalid("columns.label", "is missing; an evaluation needs the true labels")


def _names(fieldname: str, values: Sequence[str], *, twice: bool = False) -> None:
    if len(values) > MAX_NAMES:
        raise _invalid(fieldname, f"has {len(values)} names; at most {MAX_NAMES} are permitted")
    seen: set[str] = set()
    for value in values:
        if not value:
            raise _invalid(fieldname, "has an empty name")
        _name(fieldname, value, NAME_BYTES)
        if value in seen and not twice:
            raise _invalid(fieldname, f"names {value!r} twice")
        seen.add(value)


def _name(fieldname: str, value: str, limit: int) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise _invalid(fieldname, "is not Unicode text") from error
    if size > limit:
        raise _invalid(fieldname, f"has {size} bytes; at most {limit} are permitted")


def _between(fieldname: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise _invalid(fieldname, f"is {value}; it has to be {low} to {high}")


def _one_of(fieldname: str, value: str, permitted: Sequence[str]) -> None:
    if value not in permitted:
        raise _invalid(fieldname, f"is {value!r}; it has to be one of {', '.join(permitted)}")


def _invalid(fieldname: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", f"{fieldname} {why}", field=fieldname)
