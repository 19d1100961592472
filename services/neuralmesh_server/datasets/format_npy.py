"""Arrays in NumPy's format, alone in a file or stored within another one. Nothing is ever unpickled."""

from __future__ import annotations

import ast
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.datasets import numbers, roles
from neuralmesh_server.datasets.block import Block
from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.datasets.block import Array
    from neuralmesh_server.datasets.data_file import DataFile, Source
    from neuralmesh_server.datasets.fitting import RowShape
    from neuralmesh_server.datasets.roles import ColumnRoles
    from neuralmesh_server.errors import FailedPreconditionError

MAGIC = b"\x93NUMPY"

HEADER_BYTES = 10_000
"""Longest header that is read, as in NumPy."""

_LENGTHS = {b"\x01\x00": struct.Struct("<H"), b"\x02\x00": struct.Struct("<I"), b"\x03\x00": struct.Struct("<I")}
_LONGEST_PREFIX = len(MAGIC) + 2 + 4


class StoredArray:
    """An array whose bytes are in a file from an offset on.

    Args:
        file: The file.
        label: What the array is called in messages, such as `member 'x.npy'`; empty for the file itself.
        offset: Where its header begins.
        size: Bytes of header and content together.

    Attributes:
        rows: Its rows.
        dtype: The type of its elements in native byte order.
        row_shape: Its shape without the rows.

    Raises:
        FailedPreconditionError: DATASET_INVALID where that is no array of rows, or not of this size.
    """

    def __init__(self, file: Source, label: str, offset: int, size: int) -> None:
        self._file = file
        self._label = f"{label} " if label else ""
        shape, self._columns_first, self._stored, header = self._header(offset, size)
        if not shape:
            raise self._invalid("has no rows: it is a single value")
        if self._stored.hasobject or self._stored.kind not in "biufU" or self._stored.names:
            raise self._invalid(f"holds {self._stored}; only numbers, booleans and text are read")
        self.rows = shape[0]
        self.row_shape = shape[1:]
        self.dtype = self._stored.newbyteorder("=")
        if not math.prod(self.row_shape) or not self.dtype.itemsize:
            raise self._invalid(f"has the shape {list(shape)}, whose rows hold nothing")
        content = math.prod(shape) * self.dtype.itemsize
        if header + content != size:
            raise self._invalid(f"has {size - header} bytes of content; its shape and type say {content}")
        self._start = offset + header
        self.row_bytes = math.prod(self.row_shape) * self.dtype.itemsize

    def read(self, first_row: int, rows: int) -> Array:
        """Return rows, in native byte order and C-contiguous."""
        shape = (rows, *self.row_shape)
        if self._columns_first and len(shape) > 1:
            array = self._read_columns(first_row, rows).reshape(*shape[:0:-1], rows).T
            array = np.ascontiguousarray(array)
        else:
            data = self._file.read(self._start + first_row * self.row_bytes, rows * self.row_bytes)
            array = data.view(self._stored).reshape(shape)
        if self.dtype.kind == "b":
            self._check_booleans(array, first_row)
        elif self.dtype.kind == "U":
            self._check_text(array, first_row)
        return array if array.dtype == self.dtype else array.astype(self.dtype)

    def _read_columns(self, first_row: int, rows: int) -> Array:
        # In Fortran order the rows' values at one place lie together, and the file holds one such run after the other.
        runs = math.prod(self.row_shape)
        width = self.dtype.itemsize
        data = np.empty((runs, rows * width), np.uint8)
        for run in range(runs):
            self._file.read_into(data[run], self._start + (run * self.rows + first_row) * width)
        return data.view(self._stored)

    def _header(self, offset: int, size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
        """Return shape, whether columns lie together, type, and the bytes of the header."""
        start = self._file.read(offset, min(size, _LONGEST_PREFIX)).tobytes()
        version = start[len(MAGIC) : len(MAGIC) + 2]
        if not start.startswith(MAGIC) or version not in _LENGTHS:
            raise self._invalid("is no array in version 1.0, 2.0 or 3.0 of NumPy's format")
        length = _LENGTHS[version]
        begin = len(MAGIC) + 2 + length.size
        if len(start) < begin:
            raise self._invalid("ends within its header")
        (count,) = length.unpack_from(start, len(MAGIC) + 2)
        if count > HEADER_BYTES or begin + count > size:
            raise self._invalid(f"has a header of {count} bytes; at most {min(HEADER_BYTES, size - begin)} are read")
        text = self._file.read(offset + begin, count).tobytes()
        try:
            # A dictionary of literals, which is parsed and not run; the length bounds what that can cost.
            said = ast.literal_eval(text.decode("utf-8" if version == b"\x03\x00" else "latin-1").strip())
            shape, columns_first, dtype = said["shape"], said["fortran_order"], np.dtype(said["descr"])
        except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError) as error:
            raise self._invalid(f"has a header that is not NumPy's: {str(error)[:200]}") from error
        if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
            raise self._invalid(f"has the shape {str(shape)[:200]}")
        if not isinstance(columns_first, bool):
            raise self._invalid("does not say in which order its values are")
        return shape, columns_first, dtype, begin + count

    def _check_booleans(self, array: Array, first_row: int) -> None:
        wrong = (array.view(np.uint8) > 1).reshape(len(array), -1).any(axis=1)
        if wrong.any():
            row = first_row + int(wrong.argmax())
            raise dataset_invalid(self._file.name, f"{self._label}holds a boolean that is neither 0 nor 1", row=row)

    def _check_text(self, array: Array, first_row: int) -> None:
        points = np.ascontiguousarray(array).view(np.uint32 if self._stored.isnative else self._swapped)
        wrong = ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).reshape(len(array), -1).any(axis=1)
        if wrong.any():
            row = first_row + int(wrong.argmax())
            raise dataset_invalid(self._file.name, f"{self._label}holds text that is not Unicode", row=row)

    @property
    def _swapped(self) -> np.dtype[np.uint32]:
        return np.dtype(np.uint32).newbyteorder("S")

    def _invalid(self, why: str) -> FailedPreconditionError:
        return dataset_invalid(self._file.name, f"{self._label}{why}")


class NpyFile:
    """An .npy file, whose one array is the input; see `formats.OpenFile`."""

    sequential = False

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._array = StoredArray(self._file, "", 0, self._file.size)
        numbers.check_input(file.name, "", self._array.dtype)
        self.rows = self._array.rows

    def select(self, wanted: ColumnRoles) -> _NpySelection:
        """Return the array as the input."""
        roles.of_array(self._file.name, wanted)
        return _NpySelection(self._array)


class _NpySelection:
    def __init__(self, array: StoredArray) -> None:
        self._array = array
        self.row_bytes: int | None = array.row_bytes
        self.row_shapes: Mapping[str, RowShape | None] = {"": array.row_shape}

    def read(self, first_row: int, rows: int) -> Block:
        return Block(rows, {"": self._array.read(first_row, rows)})
