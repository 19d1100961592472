"""What versions take of a row, as far as plans and workers have to know it before any row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.errors import NotSupportedError

if TYPE_CHECKING:
    from neuralmesh_server.datasets import RowShape

NO_NUMBERS = ("BYTES", "BF16")
"""Datatypes whose elements are no numbers of NumPy's."""


def row_shape(name: str, datatype: str, shape: tuple[int, ...]) -> RowShape:
    """Return the shape of a row of an input, -1 for any size.

    Raises:
        NotSupportedError: NOT_SUPPORTED: the input takes no rows of numbers.
    """
    if not shape or shape[0] != -1:
        why = f"input {name!r} has the shape {list(shape)}; jobs run versions whose first dimension is free"
        raise NotSupportedError("NOT_SUPPORTED", why, input=name)
    if datatype in NO_NUMBERS:
        why = f"input {name!r} is {datatype}; jobs run versions that take numbers as NumPy has them"
        raise NotSupportedError("NOT_SUPPORTED", why, input=name)
    return shape[1:]
