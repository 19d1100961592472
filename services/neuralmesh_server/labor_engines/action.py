"""One action: rows of a shard, through one version or two, to a result that depends on nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError
from neuralmesh_server.labor import plan, tallies
from neuralmesh_server.labor.results import ActionResult, Skipped
from neuralmesh_server.labor_engines import formats
from neuralmesh_server.labor_engines.formats import Column
from neuralmesh_server.labor_engines.models import label_output, probability_output
from neuralmesh_server.labor_engines.rows import Pass, take
from neuralmesh_server.writers import writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.datasets import Block
    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.labor.desk import Lease
    from neuralmesh_server.labor.plan import Recipe

    Outputs = Mapping[str, NDArray[Any]]

BASELINE = "baseline_"
"""What the names of the other version's columns begin with."""


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """Columns and counts of an action; see `ActionResult`."""

    rows: int
    columns: Sequence[Column]
    skipped: tuple[Skipped, ...]
    tally: Fact


class Actions:
    """Runs the actions of a recipe.

    Args:
        recipe: The recipe.
        models: Its versions, ready to run, in its order.
        read: Returns rows of a file of the data: its path, the first row, the number of rows.

    Raises:
        FailedPreconditionError: NUMERICS_MISMATCH: the results would be written by something else than was planned.
        NeuralMeshError: The recipe asks for what the versions do not have.
    """

    def __init__(self, recipe: Recipe, models: Sequence[Model], read: Callable[[str, int, int], Block]) -> None:
        here = writer(recipe.format)
        if here != recipe.writer:
            raise FailedPreconditionError(
                "NUMERICS_MISMATCH",
                f"results are planned to be written by {recipe.writer!r}; here {here!r} would write them",
                planned=recipe.writer,
                here=here,
            )
        self._recipe = recipe
        self._digest = recipe.digest()
        self._models = models
        self._read = read
        self._labels = [label_output(model) for model in models]
        self._probabilities = probability_output(models[0])
        self._keep = [_kept(recipe, model) for model in models]
        self._run = [list(keep) for keep in self._keep]
        if recipe.kind == plan.EVALUATE:
            if not self._labels[0]:
                why = f"{_named(recipe, 0)} has no output that tells a label, which an evaluation needs"
                raise InvalidArgumentError("FIELD_INVALID", why, field="version")
            self._run[0] = list(dict.fromkeys([*self._run[0], self._labels[0], *filter(None, [self._probabilities])]))
        if recipe.kind == plan.COMPARE and all(self._labels):
            self._run = [list(dict.fromkeys([*run, label])) for run, label in zip(self._run, self._labels, strict=True)]

    def check(self, lease: Lease) -> None:
        """Hold a lease's digest against what it names.

        Raises:
            FailedPreconditionError: DIGEST_MISMATCH.
        """
        named = plan.action_digest(self._digest, lease.input_digest, lease.rows)
        if named != lease.action_digest:
            raise FailedPreconditionError(
                "DIGEST_MISMATCH",
                f"shard {lease.shard} of job {lease.job} is action {named} and was handed out as {lease.action_digest}",
                expected=lease.action_digest,
                actual=named,
            )

    def run(self, lease: Lease, path: Path, wanted: Callable[[], bool]) -> ActionResult:
        """Return what the rows of a shard give; its file is written to a path.

        Args:
            lease: The shard.
            path: Where the file goes; what is there is replaced, and may be left incomplete by an error.
            wanted: Returns False as soon as nobody wants it.

        Raises:
            neuralmesh_server.labor_engines.rows.UnwantedError: Nobody wants it any more.
            FailedPreconditionError: DATASET_CHANGED, DATASET_INVALID (names file and row), DIGEST_MISMATCH.
            NeuralMeshError: A version failed, or cannot do what the recipe asks for.
            OSError: The file cannot be written.
        """
        computed = self.compute(lease, wanted)
        data = formats.encode(self._recipe.format, computed.columns, computed.rows)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with path.open("wb", buffering=0) as file:
            view = data.cast("B")
            while view:
                view = view[file.write(view) :]
        return ActionResult(computed.rows, digest, data.nbytes, computed.skipped, computed.tally)

    def compute(self, lease: Lease, wanted: Callable[[], bool]) -> Computed:
        """Return the columns and counts of a shard; raises as `run` does."""
        self.check(lease)
        block = self._read(lease.file, lease.first_row, lease.rows)
        if block.digest != lease.input_digest:
            raise FailedPreconditionError(
                "DATASET_CHANGED",
                f"{lease.file!r} has changed since the job was planned: rows {lease.first_row} to "
                f"{lease.first_row + lease.rows - 1} are others",
                file=lease.file,
                firstRow=lease.first_row,
            )
        taken = [take(block, model) for model in self._models]
        rejected: dict[int, str] = {}
        for one in reversed(taken):
            rejected |= one.rejected
        self._may_reject(lease, rejected)
        numbers = _accepted(block.rows, rejected) if rejected else taken[0].numbers
        outputs: list[Outputs] = []
        for model, one, run in zip(self._models, taken, self._run, strict=True):
            given, refused = Pass(model, run, self._recipe.micro_batch, wanted).run(one.only(numbers))
            outputs.append(given)
            rejected |= refused
        self._may_reject(lease, rejected)
        accepted = numbers
        if len(rejected) > block.rows - len(numbers):
            accepted = _accepted(block.rows, rejected)
            places = np.searchsorted(numbers, accepted)
            outputs = [{name: values[places] for name, values in given.items()} for given in outputs]
        beside = {
            name: values if len(accepted) == len(values) else values[np.searchsorted(_read(block), accepted)]
            for name, values in (("true", block.label), ("id", block.id))
            if values is not None
        }
        columns, tally = self._judge(accepted, beside, outputs)
        return Computed(len(accepted), columns, _listed(rejected), tally)

    def _may_reject(self, lease: Lease, rejected: Mapping[int, str]) -> None:
        if rejected and self._recipe.bad_rows == plan.FAIL:
            row = min(rejected)
            raise FailedPreconditionError(
                "DATASET_INVALID",
                f"row {lease.first_row + row} of {lease.file!r}: {rejected[row]}",
                file=lease.file,
                row=lease.first_row + row,
            )

    def _judge(
        self, accepted: NDArray[np.int64], beside: Outputs, outputs: Sequence[Outputs]
    ) -> tuple[list[Column], Fact]:
        """Return the columns of the results and the tally."""
        columns = [Column("row", accepted)]
        if "id" in beside:
            columns.append(Column("id", beside["id"]))
        kept = [Column(name, outputs[0][name]) for name in self._keep[0]]
        if self._recipe.kind == plan.EVALUATE:
            return [*columns, Column("true_label", self._true(beside)), *kept], self._evaluation(beside, outputs[0])
        if self._recipe.kind == plan.COMPARE:
            kept += [Column(BASELINE + name, outputs[1][name]) for name in self._keep[1]]
            return [*columns, *self._comparison(outputs), *kept], self._tally(len(accepted), outputs)
        return [*columns, *kept], None

    def _true(self, beside: Outputs) -> NDArray[Any]:
        if "true" not in beside:
            why = "an evaluation needs a column of true labels; name it"
            raise InvalidArgumentError("FIELD_INVALID", why, field="columns.label")
        return beside["true"]

    def _evaluation(self, beside: Outputs, given: Outputs) -> Fact:
        sure = tallies.confidences(given[self._probabilities]) if self._probabilities else None
        return tallies.evaluation(self._true(beside), given[self._labels[0]], sure)

    def _tally(self, rows: int, outputs: Sequence[Outputs]) -> Fact:
        names = sorted({*self._keep[0], *self._keep[1]})
        given = None
        if all(self._labels):
            given = outputs[1][self._labels[1]], outputs[0][self._labels[0]]
        return tallies.comparison(rows, {name: (outputs[1].get(name), outputs[0].get(name)) for name in names}, given)

    def _comparison(self, outputs: Sequence[Outputs]) -> list[Column]:
        """Return for each row whether the labels agree, and the largest difference of the outputs that both have."""
        columns = []
        rows = len(next(iter(outputs[0].values())))
        if all(self._labels):
            ours, theirs = (tallies.labels(outputs[side][self._labels[side]]) for side in (0, 1))
            columns.append(Column("agrees", ours == theirs))
        largest = np.zeros(rows)
        for name in sorted(set(self._keep[0]) & set(self._keep[1])):
            one, other = outputs[0][name], outputs[1][name]
            if one.shape == other.shape and one.dtype.kind in "biuf" and other.dtype.kind in "biuf" and one.size:
                largest = np.maximum(largest, _gaps(one, other).reshape(rows, -1).max(axis=1))
        return [*columns, Column("largest_difference", largest)]


def _gaps(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Return differences without sign; infinite where only one side is a number."""
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(one.astype(np.float64) - other.astype(np.float64))
    gaps[one == other] = 0.0
    gaps[np.isnan(one) & np.isnan(other)] = 0.0
    gaps[np.isnan(gaps)] = np.inf
    return gaps


def _kept(recipe: Recipe, model: Model) -> list[str]:
    names = [spec.name for spec in model.signature.outputs]
    unknown = sorted(set(recipe.outputs) - set(names))
    if unknown:
        why = f"the version has no output {unknown[0]!r}; it has {', '.join(names)}"
        raise InvalidArgumentError("FIELD_INVALID", why, field="outputs", output=unknown[0])
    return [name for name in names if not recipe.outputs or name in recipe.outputs]


def _named(recipe: Recipe, place: int) -> str:
    return f"{recipe.versions[place].model}/{recipe.versions[place].version}"


def _accepted(rows: int, rejected: Mapping[int, str]) -> NDArray[np.int64]:
    numbers = np.arange(rows, dtype=np.int64)
    return np.delete(numbers, sorted(rejected))


def _read(block: Block) -> NDArray[np.int64]:
    """Return the numbers of the rows that are in a block's arrays."""
    return _accepted(block.rows, {entry.row: entry.why for entry in block.rejected})


def _listed(rejected: Mapping[int, str]) -> tuple[Skipped, ...]:
    """Return rows one after the other that are skipped for one reason as one entry."""
    entries: list[Skipped] = []
    for row in sorted(rejected):
        last = entries[-1] if entries else None
        if last is not None and last.first + last.rows == row and last.why == rejected[row]:
            entries[-1] = Skipped(last.first, last.rows + 1, last.why)
        else:
            entries.append(Skipped(row, 1, rejected[row]))
    return tuple(entries)
