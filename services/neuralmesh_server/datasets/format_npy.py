"""Arrays in NumPy's format, alone in a file or stored within another one. Nothing is ever unpickled."""

from __future__ import annotations

import io
import math
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from neuralmesh_server.datasets import numbers, roles
from neuralmesh_server.datasets.block import Block
from neuralmesh_server.datasets.refusals import dataset_invalid
from neuralmesh_server.datasets.regular_file import RegularFile

if TYPE_CHECKING:
    from pathlib import Path

    from neuralmesh_server.datasets.block import Array
    from neuralmesh_server.datasets.regular_file import Source
    from neuralmesh_server.datasets.roles import ColumnRoles
    from neuralmesh_server.errors import FailedPreconditionError

HEADER_BYTES = 64 * 1024
"""Longest header that is read."""


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

    def _header(self, offset: int, size: int) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
        stream = io.BytesIO(self._file.read(offset, min(size, HEADER_BYTES)).tobytes())
        try:
            version = npy.read_magic(stream)
            if version == (1, 0):
                shape, columns_first, dtype = npy.read_array_header_1_0(stream, max_header_size=HEADER_BYTES)
            elif version in {(2, 0), (3, 0)}:
                # NumPy's reader of version 2 differs from that of 3 only in the encoding of field names.
                shape, columns_first, dtype = npy.read_array_header_2_0(stream, max_header_size=HEADER_BYTES)
            else:
                raise self._invalid(f"is of version {version[0]}.{version[1]} of NumPy's format; 1.0 to 3.0 are read")
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, EOFError) as error:
            raise self._invalid(f"has no header of NumPy's format: {error}") from error
        if any(length < 0 for length in shape):
            raise self._invalid(f"has the shape {list(shape)}")
        return shape, columns_first, dtype, stream.tell()

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

    def __init__(self, path: Path, name: str) -> None:
        with ExitStack() as stack:
            self.file = stack.enter_context(RegularFile(path, name))
            self._array = StoredArray(self.file, "", 0, self.file.size)
            numbers.check_input(name, "", self._array.dtype)
            stack.pop_all()
        self.rows = self._array.rows

    def select(self, wanted: ColumnRoles) -> _NpySelection:
        """Return the array as the input."""
        roles.of_array(self.file.name, wanted)
        return _NpySelection(self._array)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class _NpySelection:
    def __init__(self, array: StoredArray) -> None:
        self._array = array
        self.row_bytes: int | None = array.row_bytes

    def read(self, first_row: int, rows: int) -> Block:
        return Block(rows, {"": self._array.read(first_row, rows)})
