"""Rows of a block through one version, in pieces whose bounds are fixed: by the cache, or by the plan.

Where bits do not depend on a batch, a piece is what stays in the cache between being cast and being run, and no row
costs the interpreter anything. Otherwise a piece is a micro-batch whose bounds follow from the number of rows from the
shard's first row on, so that every row is run in the same company whoever runs it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server import datasets
from neuralmesh_server.datasets import Rejected, RowType
from neuralmesh_server.errors import InternalError, InvalidArgumentError, NotSupportedError
from neuralmesh_server.inference.tensors import DTYPES
from neuralmesh_server.labor.inputs import row_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.datasets import Block
    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.inference.tensors import TensorSpec

PIECE_BYTES = 512 * 1024
"""Bytes of the inputs of a piece, as the version takes them: with what it gives they fit the cache of one core."""

_BFLOAT_SHIFT = 16


class UnwantedError(Exception):
    """Nobody wants the results any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Rows that a version can take as they are read.

    Attributes:
        numbers: Their numbers within the shard, in order.
        inputs: Arrays by the names of the version's inputs; of another type where that is a cast without loss.
        rejected: Why each of the other rows is none of them, by its number.
    """

    numbers: NDArray[np.int64]
    inputs: Mapping[str, NDArray[Any]]
    rejected: Mapping[int, str]

    def only(self, numbers: NDArray[np.int64]) -> Taken:
        """Return the rows of these numbers, which are in order and among those of these rows."""
        if len(numbers) == len(self.numbers):
            return self
        places = np.searchsorted(self.numbers, numbers)
        return Taken(numbers, {name: array[places] for name, array in self.inputs.items()}, self.rejected)


def take(block: Block, model: Model) -> Taken:
    """Hold a block against the inputs of a version.

    Raises:
        FailedPreconditionError: DATASET_INVALID: the block has no such inputs.
        NotSupportedError: NOT_SUPPORTED: the version takes no rows of numbers.
    """
    wanted = {spec.name: _row_type(spec) for spec in model.signature.inputs}
    if not wanted:
        raise NotSupportedError("NOT_SUPPORTED", "the version takes no input, so that rows mean nothing to it")
    inputs: Mapping[str, NDArray[Any]] | None = _as_read(block, wanted)
    rejected: Sequence[Rejected] = block.rejected
    if inputs is None:
        fitted = datasets.fit(block, wanted)
        inputs, rejected = fitted.inputs, fitted.rejected
    numbers = np.arange(block.rows)
    if rejected:
        numbers = np.delete(numbers, [entry.row for entry in rejected])
    return Taken(numbers, inputs, {entry.row: entry.why for entry in rejected})


class Pass:
    """Runs rows through a version.

    Args:
        model: The version.
        keep: Names of the outputs to return, in order.
        micro_batch: Rows of a batch; 0 where the version's bits do not depend on it.
        wanted: Returns False as soon as nobody wants the results.
    """

    def __init__(self, model: Model, keep: Sequence[str], micro_batch: int, wanted: Callable[[], bool]) -> None:
        self._model = model
        self._specs = {spec.name: spec for spec in model.signature.outputs}
        self._types = {spec.name: DTYPES[spec.datatype] for spec in model.signature.inputs}
        self._keep = keep
        self._micro_batch = 0 if model.exact == "bits" else micro_batch
        self._wanted = wanted
        for name in keep:
            if name in model.ragged:
                why = f"output {name!r} does not have one row for each row of the data; leave it out"
                raise NotSupportedError("NOT_SUPPORTED", why, output=name)

    def run(self, taken: Taken) -> tuple[dict[str, NDArray[Any]], dict[int, str]]:
        """Return the outputs of all rows, and why the version refused some, by their numbers; those hold nothing.

        Raises:
            UnwantedError: Nobody wants them.
            NeuralMeshError: MODEL_FAILED, NOT_SUPPORTED.
        """
        results = {name: _Gathered(self._specs[name], len(taken.numbers)) for name in self._keep}
        refused: dict[int, str] = {}
        kept: dict[str, NDArray[Any]] = {}  # what pieces are cast into
        for first, end in self._bounds(taken):
            if not self._wanted():
                raise UnwantedError
            piece = {name: self._cast(name, array[first:end], kept) for name, array in taken.inputs.items()}
            self._piece(piece, first, taken.numbers, results, refused)
        return {name: gathered.close() for name, gathered in results.items()}, refused

    def _piece(
        self,
        piece: Mapping[str, NDArray[Any]],
        first: int,
        numbers: NDArray[np.int64],
        results: Mapping[str, _Gathered],
        refused: dict[int, str],
    ) -> None:
        rows = len(next(iter(piece.values())))
        try:
            outputs = self._model.run(piece)
        except InvalidArgumentError as error:  # some row; the halves tell which, since no row depends on another
            if rows == 1:
                refused[int(numbers[first])] = error.message
            elif self._micro_batch:
                raise
            else:
                half = rows // 2
                self._piece({name: array[:half] for name, array in piece.items()}, first, numbers, results, refused)
                rest = {name: array[half:] for name, array in piece.items()}
                self._piece(rest, first + half, numbers, results, refused)
            return
        for name, gathered in results.items():
            gathered.put(first, rows, outputs[name])

    def _bounds(self, taken: Taken) -> Iterator[tuple[int, int]]:
        rows = len(taken.numbers)
        if not self._micro_batch:
            width = sum(self._types[name].itemsize * math.prod(array.shape[1:]) for name, array in taken.inputs.items())
            step = max(1, PIECE_BYTES // max(width, 1))
            for first in range(0, rows, step):
                yield first, min(first + step, rows)
            return
        last = int(taken.numbers[-1]) + 1 if rows else 0
        ends = np.searchsorted(taken.numbers, np.arange(0, last + self._micro_batch, self._micro_batch)).tolist()
        for first, end in itertools.pairwise(ends):
            if first < end:
                yield first, end

    def _cast(self, name: str, array: NDArray[Any], kept: dict[str, NDArray[Any]]) -> NDArray[Any]:
        dtype = self._types[name]
        if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
            return array
        if name not in kept or len(kept[name]) < len(array):
            kept[name] = np.empty(array.shape, dtype)
        place = kept[name][: len(array)]
        np.copyto(place, array)
        return place


class _Gathered:
    """One output of all rows, put together from those of pieces."""

    def __init__(self, spec: TensorSpec, rows: int) -> None:
        self._spec = spec
        self._rows = rows
        self._all: NDArray[Any] | None = None

    def put(self, first: int, rows: int, values: NDArray[Any]) -> None:
        if values.ndim == 0 or len(values) != rows:
            why = f"output {self._spec.name!r} does not have one row for each row of the data; leave it out"
            raise NotSupportedError("NOT_SUPPORTED", why, output=self._spec.name)
        if self._all is None:
            self._all = np.zeros((self._rows, *values.shape[1:]), values.dtype)
        if self._all.shape[1:] != values.shape[1:]:
            why = f"output {self._spec.name!r} has rows of several shapes, {self._all.shape[1:]} and {values.shape[1:]}"
            raise InternalError("MODEL_FAILED", why, output=self._spec.name)
        self._all[first : first + rows] = values

    def close(self) -> NDArray[Any]:
        values = self._all
        if values is None:
            shape = (self._rows, *(max(size, 0) for size in self._spec.shape[1:]))
            values = np.zeros(shape, DTYPES[self._spec.datatype])
        if self._spec.datatype == "BF16":  # which no format of results has: float32 holds the same numbers
            return (values.astype(np.uint32) << _BFLOAT_SHIFT).view(np.float32)
        return values


def _row_type(spec: TensorSpec) -> RowType:
    shape = row_shape(spec.name, spec.datatype, spec.shape)
    return RowType(DTYPES[spec.datatype], shape)


def _as_read(block: Block, wanted: Mapping[str, RowType]) -> dict[str, NDArray[Any]] | None:
    """Return the block's arrays where each is of a shape that fits and every cast is without loss; else None."""
    found: dict[str, NDArray[Any]] = {}
    for name, row_type in wanted.items():
        array = block.inputs.get(name)
        if array is None and len(wanted) == len(block.inputs) == 1:
            (array,) = block.inputs.values()
        if not isinstance(array, np.ndarray) or array.ndim != len(row_type.shape) + 1:
            return None
        fits = all(want in (-1, have) for have, want in zip(array.shape[1:], row_type.shape, strict=True))
        if not fits or not np.can_cast(array.dtype, row_type.dtype, "safe"):
            return None
        found[name] = array
    return found
