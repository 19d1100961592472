"""Makes of a block what somebody takes: arrays of given types and shapes, without the rows that do not fit.

What fits depends on the row alone, never on the rows beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from neuralmesh_server.datasets.block import Ragged, Rejected
from neuralmesh_server.errors import FailedPreconditionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy.typing as npt

    from neuralmesh_server.datasets.block import Array, Block

    Mask = npt.NDArray[np.bool_]


RowShape: TypeAlias = tuple[int, ...]
"""Shape of what an input takes or has for each row, without the batch."""


@dataclass(frozen=True, slots=True)
class RowType:
    """What an input takes for each row: the type of the numbers, and the shape without the batch; -1 for any size."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The rows of a block that fit.

    Attributes:
        rows: Number of rows of the block's range, rejected ones included.
        inputs: Arrays of the wanted types, C-contiguous, rows first; all have as many rows as fit.
        label: As in the block.
        id: As in the block.
        rejected: Rows that could not be read or do not fit, in order, counted within the block's range.
    """

    rows: int
    inputs: Mapping[str, Array]
    label: Array | None
    id: Array | None
    rejected: tuple[Rejected, ...]


def fit(block: Block, wanted: Mapping[str, RowType]) -> Fitted:
    """Return what of a block fits.

    Each wanted input takes the block's input of its name; a sole one takes the block's sole one, whatever its name.
    Numbers are cast: to integers and booleans where nothing is lost, to floating point by rounding to nearest. A flat
    row is given the wanted shape where the number of its values is right, and a shaped row is laid flat; else shapes
    must agree. Rows for which that fails are rejected.

    Raises:
        FailedPreconditionError: DATASET_INVALID where the block has no such input, or lists of several lengths for an
            input that takes any length.
    """
    arrays: dict[str, Array] = {}
    reasons: dict[int, str] = {}
    for name, row_type in wanted.items():
        arrays[name], wrong = _fitted(name, _matching(block, name, sole=len(wanted) == 1), row_type)
        reasons = wrong | reasons
    if not reasons:
        return Fitted(block.rows, arrays, block.label, block.id, block.rejected)
    alive: Mask = np.ones(block.kept, np.bool_)
    alive[list(reasons)] = False
    numbers = np.delete(np.arange(block.rows), [entry.row for entry in block.rejected])
    rejected = [*block.rejected, *(Rejected(int(numbers[index]), why) for index, why in reasons.items())]
    return Fitted(
        block.rows,
        {name: array[alive] for name, array in arrays.items()},
        None if block.label is None else block.label[alive],
        None if block.id is None else block.id[alive],
        tuple(sorted(rejected, key=lambda entry: entry.row)),
    )


def misfit(held: Mapping[str, RowShape | None], wanted: Mapping[str, RowShape | None]) -> str:
    """Return why no row of a file fits, as far as its header tells; nothing where rows may fit.

    Args:
        held: The shape of a row of each input of the file; None where it differs from row to row.
        wanted: The shape of a row of each input that is to be given, -1 for any size; None for whatever it is.
    """
    for name, shape in wanted.items():
        source = _source(held, name, sole=len(wanted) == 1)
        if source is None:
            return _absent(held, name)
        own = held[source]
        if own is not None and shape is not None and _row_shape(own, shape) is None:
            return f"every row has the shape {_shown(own)}; input {name!r} takes {_shown(shape)}"
    return ""


def _matching(block: Block, name: str, *, sole: bool) -> Array | Ragged:
    source = _source(block.inputs, name, sole=sole)
    if source is None:
        raise FailedPreconditionError("DATASET_INVALID", f"the data {_absent(block.inputs, name)}", input=name)
    return block.inputs[source]


def _source(inputs: Collection[str], name: str, *, sole: bool) -> str | None:
    """Return which of the inputs of a file is taken for an input."""
    if name in inputs:
        return name
    return next(iter(inputs)) if sole and len(inputs) == 1 else None


def _absent(inputs: Collection[str], name: str) -> str:
    return f"has no input {name!r}; it has {', '.join(repr(other) for other in sorted(inputs))}"


def _fitted(name: str, array: Array | Ragged, row_type: RowType) -> tuple[Array, dict[int, str]]:
    """Return an array for all rows, and what is wrong with those for which its content means nothing."""
    if isinstance(array, Ragged):
        return _fitted_ragged(name, array, row_type)
    shaped = _shaped(array, row_type.shape)
    if shaped is None:
        why = f"input {name!r} has the shape {_shown(array.shape[1:])} and not {_shown(row_type.shape)}"
        nothing = np.zeros((len(array), *(max(size, 0) for size in row_type.shape)), row_type.dtype)
        return nothing, dict.fromkeys(range(len(array)), why)
    cast, wrong = _cast(shaped, row_type.dtype)
    return np.ascontiguousarray(cast), _beyond(name, shaped, wrong, row_type.dtype)


def _fitted_ragged(name: str, array: Ragged, row_type: RowType) -> tuple[Array, dict[int, str]]:
    if any(size < 0 for size in row_type.shape):
        why = f"input {name!r} has lists of several lengths, which make no tensor"
        raise FailedPreconditionError("DATASET_INVALID", why, input=name)
    fits = array.lengths == math.prod(row_type.shape)
    dense = np.zeros((len(array), *row_type.shape), array.values.dtype)
    dense[fits] = array.values[np.repeat(fits, array.lengths)].reshape(-1, *row_type.shape)
    cast, wrong = _cast(dense, row_type.dtype)
    reasons = _beyond(name, dense, wrong, row_type.dtype)
    for index in np.flatnonzero(~fits).tolist():
        shape = _shown((int(array.lengths[index]),))
        reasons[index] = f"input {name!r} has the shape {shape} and not {_shown(row_type.shape)}"
    return cast, reasons


def _shaped(array: Array, shape: tuple[int, ...]) -> Array | None:
    """Return the array with rows of a shape, or None."""
    found = _row_shape(array.shape[1:], shape)
    return None if found is None else array.reshape(len(array), *found)


def _row_shape(own: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that rows of their own one are given where another is wanted, or None where they do not fit."""
    if len(own) == len(shape) and all(want in (-1, have) for have, want in zip(own, shape, strict=True)):
        return own
    flat = len(own) == 1 or len(shape) == 1 or not own or not shape
    if not flat or shape.count(-1) > 1:
        return None
    fixed = math.prod(size for size in shape if size >= 0)
    values = math.prod(own)
    if (values != fixed) if -1 not in shape else (fixed == 0 or values % fixed):
        return None
    return tuple(values // fixed if size < 0 else size for size in shape)


def _cast(array: Array, dtype: np.dtype[Any]) -> tuple[Array, Mask | None]:
    """Return the array as a type, and where its values have no counterpart there; None for nowhere."""
    if array.dtype == dtype:
        return array, None
    if np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype), None
    # Casts of what does not fit are undefined in C, so values are looked at before they are cast.
    if dtype.kind == "b":
        wrong = (array != 0) & (array != 1)
    elif dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if array.dtype.kind == "f":
            wide = array.astype(np.float64)
            wrong = ~((wide >= float(low)) & (wide < float(high + 1)) & (np.floor(wide) == wide))
        else:
            wrong = (array < low) | (array > high)
    else:
        with np.errstate(over="ignore"):
            cast = array.astype(dtype)
        return cast, np.isinf(cast) & np.isfinite(array)
    return np.where(wrong, array.dtype.type(0), array).astype(dtype), wrong


def _beyond(name: str, array: Array, wrong: Mask | None, dtype: np.dtype[Any]) -> dict[int, str]:
    if wrong is None or not len(array):
        return {}
    flat = wrong.reshape(len(array), -1)
    reasons = {}
    for index in np.flatnonzero(flat.any(axis=1)).tolist():
        value = array[index].reshape(-1)[flat[index].argmax()].item()
        reasons[index] = f"input {name!r} holds {value!r}, which is no {dtype.name}"
    return reasons


def _shown(shape: tuple[int, ...]) -> str:
    return "[" + ",".join("any" if size < 0 else str(size) for size in shape) + "]"
