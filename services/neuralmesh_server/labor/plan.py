"""The plan of a job: everything that determines its bytes, frozen, in canonical form.

A plan is data about data: it reads no file and knows no worker. Its digest names the job; the digest of an action names
what one shard computes, by content alone, so that jobs share results whatever their files are called.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical
from neuralmesh_server.numerics import EXACT, PINNED, UNVERIFIED, Numerics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh_server.canonical import Fact

__all__ = [
    "ARROW",
    "COMPARE",
    "EVALUATE",
    "EXACT",
    "FAIL",
    "INFER",
    "PARQUET",
    "PINNED",
    "SAFETENSORS",
    "SKIP",
    "UNVERIFIED",
    "Columns",
    "DataFile",
    "FilePin",
    "Numerics",
    "Plan",
    "Recipe",
    "Shard",
    "VersionPin",
    "action_digest",
    "parse",
    "recipe",
]

INFER, EVALUATE, COMPARE = "infer", "evaluate", "compare"
"""What a job does with each row."""

FAIL, SKIP = "fail", "skip"
"""What happens to a row that the version cannot take."""

PARQUET, ARROW, SAFETENSORS = "parquet", "arrow", "safetensors"
"""In which files results are kept."""


@dataclass(frozen=True, slots=True)
class FilePin:
    """A file by its content: path within the version or data set, size in bytes, `sha256:` digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class VersionPin:
    """A version, resolved once: no move of an alias touches a plan."""

    model: str
    version: int
    kind: str
    digest: str
    files: tuple[FilePin, ...]
    numerics: Numerics


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of the data set; `rows` is the number of rows in it, rejected ones included."""

    path: str
    size: int
    digest: str
    rows: int


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns are what; empty names leave it to the format. See ColumnMapping in the contract."""

    inputs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    label: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """A range of rows of one file.

    Attributes:
        file: Index into the plan's files.
        first_row: Number of its first row in the file, from 0.
        rows: Number of rows.
        input_digest: Digest of these rows' content, see `neuralmesh_server.datasets`.
        cost: Rows times the bytes of a row.
    """

    file: int
    first_row: int
    rows: int
    input_digest: str
    cost: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all shards of a job have in common, as far as it determines bytes.

    Attributes:
        kind: INFER, EVALUATE or COMPARE.
        versions: The version, and for COMPARE the one to compare with behind it.
        columns: Which columns are what.
        outputs: Names of outputs to keep, sorted; empty for all.
        format: PARQUET, ARROW or SAFETENSORS.
        writer: What writes the files, with its version, since that determines their bytes.
        bad_rows: FAIL or SKIP.
        micro_batch: Rows of a batch; 0 where every version is EXACT, whose bits do not depend on it.
    """

    kind: str
    versions: tuple[VersionPin, ...]
    columns: Columns
    outputs: tuple[str, ...]
    format: str
    writer: str
    bad_rows: str
    micro_batch: int

    def fact(self) -> Fact:
        """Return what actions are named by: no name or file of a version, since its digest covers them."""
        return {
            "labor_recipe": 1,
            "kind": self.kind,
            "versions": [
                {"digest": pin.digest, "kind": pin.kind, "numerics": pin.numerics.id} for pin in self.versions
            ],
            "columns": _columns_fact(self.columns),
            "outputs": list(self.outputs),
            "format": self.format,
            "writer": self.writer,
            "bad_rows": self.bad_rows,
            "micro_batch": self.micro_batch,
        }

    def version_facts(self) -> Fact:
        """Return the versions with their names and files."""
        return [_version_fact(pin) for pin in self.versions]

    def digest(self) -> str:
        """Return the digest of `fact`."""
        return canonical.digest(self.fact())


def recipe(said: dict[str, Any], versions: list[dict[str, Any]]) -> Recipe:
    """Return the recipe of `Recipe.fact` and `Recipe.version_facts`; raises KeyError or TypeError for anything else."""
    return Recipe(
        kind=said["kind"],
        versions=tuple(map(_version_pin, versions)),
        columns=_columns(said["columns"]),
        outputs=tuple(said["outputs"]),
        format=said["format"],
        writer=said["writer"],
        bad_rows=said["bad_rows"],
        micro_batch=said["micro_batch"],
    )


def action_digest(recipe_digest: str, input_digest: str, rows: int) -> str:
    """Return the digest that names an action: SHA-256 of canonical JSON of the recipe's digest and the input."""
    # Written out, since a plan may have 100,000 of them: keys in order, digests need no escapes.
    text = f'{{"input":"{input_digest}","labor_action":1,"recipe":"{recipe_digest}","rows":{rows}}}'
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """A recipe and the shards that it is applied to.

    Attributes:
        recipe: What is done.
        files: The data set's files in byte order of their paths.
        rows_per_shard: Most rows of a shard; shards never span files.
        shards: In order of file and row.
    """

    recipe: Recipe
    files: tuple[DataFile, ...]
    rows_per_shard: int
    shards: tuple[Shard, ...]

    @cached_property
    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the canonical bytes."""
        return "sha256:" + hashlib.sha256(self.canonical).hexdigest()

    @cached_property
    def canonical(self) -> bytes:
        """The canonical bytes."""
        return canonical.encode(
            {
                "labor_plan": 1,
                "recipe": self.recipe.fact(),
                "versions": self.recipe.version_facts(),
                "files": [[file.path, file.size, file.digest, file.rows] for file in self.files],
                "rows_per_shard": self.rows_per_shard,
                "shards": [[s.file, s.first_row, s.rows, s.input_digest, s.cost] for s in self.shards],
            }
        )

    @property
    def job(self) -> str:
        """Identifier of the job: the first 16 hexadecimal digits of the digest."""
        return self.digest.removeprefix("sha256:")[:16]

    @property
    def rows(self) -> int:
        """Rows of the data set."""
        return sum(file.rows for file in self.files)

    def dataset_digest(self) -> str:
        """Return the digest of the frozen data set."""
        return canonical.digest([[file.path, file.size, file.digest, file.rows] for file in self.files])

    def actions(self) -> Iterator[str]:
        """Yield the digest of every shard's action in order."""
        digest = self.recipe.digest()
        return (action_digest(digest, shard.input_digest, shard.rows) for shard in self.shards)


def parse(data: bytes) -> Plan:
    """Return the plan in canonical bytes.

    Raises:
        ValueError: They are not the canonical bytes of a plan.
    """
    try:
        said = json.loads(data)
        plan = Plan(
            recipe=recipe(said["recipe"], said["versions"]),
            files=tuple(DataFile(*entry) for entry in said["files"]),
            rows_per_shard=said["rows_per_shard"],
            shards=tuple(Shard(*entry) for entry in said["shards"]),
        )
        _check(plan)
        same = plan.canonical == data
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"these are not the bytes of a plan: {error!r}") from error
    if not same:
        raise ValueError("these are not the canonical bytes of a plan")
    return plan


def _check(plan: Plan) -> None:
    """Raise TypeError where something of a plan that was read is of another type than it should be."""
    made = plan.recipe
    columns = made.columns
    _typed(int, plan.rows_per_shard, made.micro_batch)
    _typed(str, made.kind, made.format, made.writer, made.bad_rows, columns.label, columns.id, *made.outputs)
    for name, parts in columns.inputs:
        _typed(str, name, *parts)
    for pin in made.versions:
        _typed(int, pin.version, *(file.size for file in pin.files))
        _typed(str, pin.model, pin.kind, pin.digest, pin.numerics.id, pin.numerics.level)
        _typed(str, *(text for file in pin.files for text in (file.path, file.digest)))
    for file in plan.files:
        _typed(str, file.path, file.digest)
        _typed(int, file.size, file.rows)
    for shard in plan.shards:
        _typed(int, shard.file, shard.first_row, shard.rows, shard.cost)
        _typed(str, shard.input_digest)


def _typed(kind: type, *values: object) -> None:
    for value in values:
        if type(value) is not kind:
            raise TypeError(f"{value!r} stands where a {kind.__name__} belongs")


def _version_pin(said: dict[str, Any]) -> VersionPin:
    return VersionPin(
        model=said["model"],
        version=said["version"],
        kind=said["kind"],
        digest=said["digest"],
        files=tuple(FilePin(*entry) for entry in said["files"]),
        numerics=Numerics(*said["numerics"]),
    )


def _version_fact(pin: VersionPin) -> Fact:
    return {
        "model": pin.model,
        "version": pin.version,
        "kind": pin.kind,
        "digest": pin.digest,
        "files": [[file.path, file.size, file.digest] for file in pin.files],
        "numerics": [pin.numerics.id, pin.numerics.level],
    }


def _columns_fact(columns: Columns) -> Fact:
    return {
        "inputs": [[name, list(parts)] for name, parts in columns.inputs],
        "label": columns.label,
        "id": columns.id,
    }


def _columns(said: dict[str, Any]) -> Columns:
    inputs = tuple((name, tuple(parts)) for name, parts in said["inputs"])
    return Columns(inputs, said["label"], said["id"])
