"""Columns of Arrow's types as inputs, labels and ids; rows with nulls or impossible text are rejected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from neuralmesh_server.datasets import numbers
from neuralmesh_server.datasets.block import Block, Ragged, Rejected
from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from neuralmesh_server.datasets.block import Array
    from neuralmesh_server.datasets.fitting import RowShape
    from neuralmesh_server.datasets.roles import Roles

TEXT_BYTES = 16
"""What a text counts for in the width of a row."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What a column holds.

    Attributes:
        dtype: Type of its numbers; `U` for text.
        row_shape: Shape of a row; None where it differs from row to row.
    """

    dtype: np.dtype[Any]
    row_shape: tuple[int, ...] | None

    @property
    def row_bytes(self) -> int | None:
        """Bytes of a row, where all rows have as many."""
        if self.row_shape is None:
            return None
        return TEXT_BYTES if self.dtype.kind == "U" else self.dtype.itemsize * math.prod(self.row_shape)


def column_type(file: str, name: str, arrow: pa.DataType) -> ColumnType:
    """Return what a column of an Arrow type holds; raises DATASET_INVALID where that is neither numbers nor text."""
    if isinstance(arrow, pa.FixedShapeTensorType):
        if arrow.permutation not in (None, list(range(len(arrow.shape)))):
            raise dataset_invalid(file, f"column {name!r} holds tensors whose axes are permuted")
        return ColumnType(_number(file, name, arrow.value_type), tuple(arrow.shape))
    if pa.types.is_dictionary(arrow):
        arrow = arrow.value_type
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
        return ColumnType(np.dtype("U"), ())
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return ColumnType(_number(file, name, arrow.value_type), None)
    shape: list[int] = []
    while pa.types.is_fixed_size_list(arrow):
        shape.append(arrow.list_size)
        arrow = arrow.value_type
    if 0 in shape:
        raise dataset_invalid(file, f"column {name!r} holds empty lists")
    return ColumnType(_number(file, name, arrow), tuple(shape))


def check(file: str, roles: Roles, types: Mapping[str, ColumnType]) -> int | None:
    """Return the bytes of a row of columns in their roles; raises DATASET_INVALID where they cannot have them."""
    for _, columns in roles.inputs:
        if any(types[name].row_shape is None for name in columns) and len(columns) > 1:
            lists = next(name for name in columns if types[name].row_shape is None)
            raise dataset_invalid(file, f"column {lists!r} holds lists of any length, which must be an input alone")
        numbers.check_side_by_side(file, {name: (types[name].dtype, types[name].row_shape or ()) for name in columns})
    for mark in filter(None, (roles.label, roles.id)):
        shape = types[mark].row_shape
        if shape is None:
            raise dataset_invalid(file, f"column {mark!r} holds lists; labels and ids are single")
        numbers.check_mark(file, mark, types[mark].dtype, shape)
    widths = [types[name].row_bytes for name in roles.columns]
    return None if None in widths else sum(filter(None, widths))


def row_shapes(roles: Roles, types: Mapping[str, ColumnType]) -> Mapping[str, RowShape | None]:
    """Return the shape of a row of each input; None where it differs from row to row."""
    shapes: dict[str, RowShape | None] = {}
    for name, columns in roles.inputs:
        known = [shape for column in columns if (shape := types[column].row_shape) is not None]
        shapes[name] = numbers.row_side_by_side(known) if len(known) == len(columns) else None
    return shapes


def block(roles: Roles, types: Mapping[str, ColumnType], table: pa.Table, bad: Mapping[int, str]) -> Block:
    """Return the rows of a table as a block.

    Args:
        roles: Columns by what they are for.
        types: What the columns hold; `check` has seen them.
        table: Holds at least these columns, validated.
        bad: Rows of the range that are not in the table, by their numbers, with the reason.
    """
    columns = {name: _plain(table.column(name)) for name in roles.columns}
    wrong: dict[int, str] = {}
    for name, column in columns.items():
        if not column.null_count and not pa.types.is_nested(column.type):
            continue
        for row in np.flatnonzero(_nulls(column)).tolist():
            wrong.setdefault(row, f"has nothing in column {name!r}")
    for mark in filter(None, (roles.label, roles.id)):
        for row, why in _bad_text(columns[mark]).items():
            wrong.setdefault(row, f"column {mark!r} holds {why}")
    if wrong:
        kept = pa.array(np.delete(np.arange(table.num_rows), list(wrong)))
        columns = {name: column.take(kept) for name, column in columns.items()}
    rows = table.num_rows + len(bad)
    places = np.delete(np.arange(rows), list(bad))
    rejected = [*bad.items(), *((int(places[row]), why) for row, why in wrong.items())]
    return Block(
        rows,
        {
            name: _input([columns[part] for part in parts], [types[part] for part in parts])
            for name, parts in roles.inputs
        },
        _mark(columns[roles.label]) if roles.label else None,
        _mark(columns[roles.id]) if roles.id else None,
        tuple(Rejected(row, why) for row, why in sorted(rejected)),
    )


def _number(file: str, name: str, arrow: pa.DataType) -> np.dtype[Any]:
    if not (pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_boolean(arrow)):
        raise dataset_invalid(file, f"column {name!r} holds {arrow}; only numbers, lists of numbers and text are read")
    dtype: np.dtype[Any] = np.dtype(arrow.to_pandas_dtype())
    return dtype


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array of a plain type: no extension, no dictionary."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    return array


def _nulls(array: pa.Array) -> npt.NDArray[np.bool_]:
    """Say for each row whether it is null, or a number within it is."""
    nulls: npt.NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        # `values` has the children of null rows as well, so they stay aligned with the rows.
        values = array.values.slice(array.offset * size, len(array) * size)
        if values.null_count or pa.types.is_nested(values.type):
            nulls = nulls | _nulls(values).reshape(len(array), size).any(axis=1)
    elif (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)) and array.flatten().null_count:
        inside = array.flatten().is_null().to_numpy(zero_copy_only=False)
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        nulls = nulls.copy()
        nulls[parents[inside]] = True
    return nulls


def _bad_text(array: pa.Array) -> dict[int, str]:
    if not _is_text(array.type):
        return {}
    lengths = pc.fill_null(pc.utf8_length(array), 0).to_numpy(zero_copy_only=False)
    bad = dict.fromkeys(
        np.flatnonzero(lengths > numbers.TEXT_CHARACTERS).tolist(),
        f"text of more than {numbers.TEXT_CHARACTERS} characters",
    )
    zeros = pc.fill_null(pc.match_substring(array, "\0"), False).to_numpy(zero_copy_only=False)
    return bad | dict.fromkeys(np.flatnonzero(zeros).tolist(), "the character U+0000")


def _input(columns: Sequence[pa.Array], types: Sequence[ColumnType]) -> Array | Ragged:
    if types[0].row_shape is None:
        (column,) = columns
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
        return Ragged(lengths, _numpy(column.flatten())).slice(0, len(column))
    return numbers.side_by_side([_dense(column, kind) for column, kind in zip(columns, types, strict=True)])


def _dense(array: pa.Array, kind: ColumnType) -> Array:
    rows = len(array)
    while pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    return _numpy(array).reshape(rows, *(kind.row_shape or ()))


def _mark(array: pa.Array) -> Array:
    return np.array(array.to_pylist(), dtype=np.str_) if _is_text(array.type) else _numpy(array)


def _numpy(array: pa.Array) -> Array:
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def _is_text(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow))
