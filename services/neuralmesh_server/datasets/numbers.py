"""Which arrays can be inputs, labels and ids, and how several columns become one input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.datasets.block import Array

TEXT_CHARACTERS = 1024
"""Longest text of a label or id."""


def check_input(file: str, column: str, dtype: np.dtype[np.generic]) -> None:
    """Raise DATASET_INVALID for a type that is no number of at most 64 bits and no boolean."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise dataset_invalid(file, f"{_column(column)} holds {dtype}; inputs are numbers of at most 64 bits")


def check_mark(file: str, column: str, dtype: np.dtype[np.generic], row_shape: tuple[int, ...]) -> None:
    """Raise DATASET_INVALID for what can be neither a label nor an id: a number, a boolean or a text for each row."""
    if dtype.kind not in "biufU" or (dtype.kind != "U" and dtype.itemsize > 8):
        raise dataset_invalid(file, f"{_column(column)} holds {dtype}; labels and ids are numbers or text")
    if dtype.kind == "U" and dtype.itemsize > 4 * TEXT_CHARACTERS:
        raise dataset_invalid(file, f"{_column(column)} holds text of more than {TEXT_CHARACTERS} characters")
    if row_shape:
        raise dataset_invalid(
            file, f"{_column(column)} has rows of the shape {list(row_shape)}; labels and ids are single"
        )


def check_side_by_side(file: str, columns: Mapping[str, tuple[np.dtype[np.generic], tuple[int, ...]]]) -> None:
    """Raise DATASET_INVALID for columns, given by type and shape of a row, that do not make one input."""
    for name, (dtype, row_shape) in columns.items():
        check_input(file, name, dtype)
        if len(columns) > 1 and len(row_shape) > 1:
            raise dataset_invalid(file, f"{_column(name)} holds {list(row_shape)} values a row, not a list of them")


def side_by_side(arrays: Sequence[Array]) -> Array:
    """Return one input of columns: one as it is, of several the numbers or lists one after the other.

    Their type is the common one that NumPy gives them.
    """
    if len(arrays) == 1:
        return arrays[0]
    # Sizes are told: of no rows, as where none can be read, NumPy could not tell how long they are.
    return np.concatenate([array.reshape(len(array), math.prod(array.shape[1:])) for array in arrays], axis=1)


def row_side_by_side(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape of a row of what `side_by_side` makes of columns, by those of their rows."""
    return shapes[0] if len(shapes) == 1 else (sum(math.prod(shape) for shape in shapes),)


def _column(name: str) -> str:
    return f"column {name!r}" if name else "the array"
