"""M4RI, the library of GF(2) linear algebra, as Debian builds it: packed rows in and out, through a few functions in C.

`bench/peers/kernel/m4ri_peer.c` is compiled against its headers by `make peers`, since its structures differ from
release to release. What is timed is M4RI's own function on matrices that it owns.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class M4riError(RuntimeError):
    """The library is absent."""


class Matrix:
    """A matrix that M4RI owns."""

    __slots__ = ("_library", "columns", "handle", "rows")

    def __init__(self, library: ctypes.CDLL, rows: int, columns: int, handle: int | None = None) -> None:
        self._library, self.rows, self.columns = library, rows, columns
        self.handle = library.peer_make(rows, columns) if handle is None else handle

    def __del__(self) -> None:
        self._library.peer_free(self.handle)

    def packed(self) -> NDArray[np.uint64]:
        """Return the rows as packed words."""
        bits = np.zeros((self.rows, (self.columns + 63) // 64), np.uint64)
        self._library.peer_read(self.handle, bits.ctypes.data)
        return bits


class M4ri:
    """The library.

    Args:
        folder: Where `make peers` put it.

    Raises:
        M4riError: It is not there.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "m4ri_peer.so"
        if not path.exists():
            raise M4riError(f"{path} is absent: `make peers` builds it")
        self._library = library = ctypes.CDLL(str(path))
        pointer, number = ctypes.c_void_p, ctypes.c_int
        for name, given, taken in (
            ("peer_make", [number, number], pointer),
            ("peer_free", [pointer], None),
            ("peer_write", [pointer, pointer], None),
            ("peer_read", [pointer, pointer], None),
            ("peer_multiply", [pointer, pointer, pointer], None),
            ("peer_invert", [pointer, pointer], None),
            ("peer_rank", [pointer, pointer], number),
            ("peer_reduce", [pointer], number),
            ("peer_solve", [pointer, pointer], number),
            ("peer_null_space", [pointer], pointer),
            ("peer_columns", [pointer], number),
            ("peer_version", [], ctypes.c_char_p),
        ):
            function = getattr(library, name)
            function.argtypes, function.restype = given, taken

    @property
    def version(self) -> str:
        """The Debian package that it comes from."""
        said: bytes = self._library.peer_version()
        return said.decode()

    def empty(self, rows: int, columns: int) -> Matrix:
        """Return a matrix of zeros."""
        return Matrix(self._library, rows, columns)

    def matrix(self, bits: NDArray[np.uint64], columns: int) -> Matrix:
        """Return the matrix of packed rows."""
        made = self.empty(len(bits), columns)
        self._library.peer_write(made.handle, np.ascontiguousarray(bits).ctypes.data)
        return made

    def multiply(self, a: Matrix, b: Matrix, out: Matrix) -> None:
        """Put the product where the caller says."""
        self._library.peer_multiply(out.handle, a.handle, b.handle)

    def invert(self, a: Matrix, out: Matrix) -> None:
        """Put the inverse, which there must be, where the caller says."""
        self._library.peer_invert(out.handle, a.handle)

    def rank(self, a: Matrix, scratch: Matrix) -> int:
        """Return the rank; the echelon form is left in a matrix of the same shape."""
        return int(self._library.peer_rank(scratch.handle, a.handle))

    def reduce(self, a: Matrix) -> int:
        """Put the reduced row echelon form in the matrix's place, and return the rank."""
        return int(self._library.peer_reduce(a.handle))

    def solve(self, a: Matrix, b: Matrix) -> bool:
        """Put an x with a x = b into the first rows of `b`, and return whether there is one; `a` is lost.

        Args:
            a: The matrix.
            b: Right sides, with zeros behind them up to the longer side of `a`.
        """
        if b.rows != max(a.rows, a.columns):
            raise M4riError(f"b: want {max(a.rows, a.columns)} rows, got {b.rows}")  # M4RI would end the process
        return int(self._library.peer_solve(a.handle, b.handle)) == 0

    def null_space(self, a: Matrix) -> Matrix | None:
        """Return a matrix whose columns are a basis of the null space, None if there is but the zero; `a` is lost."""
        made = self._library.peer_null_space(a.handle)
        return None if made is None else Matrix(self._library, a.columns, self._library.peer_columns(made), made)
