"""Linear algebra over GF(2), the field of two elements, on bit-packed matrices.

A sum is an exclusive or and a product an and. A matrix of m rows and `nbits` columns is a packed uint64 array
(m, words_for(nbits)) as in `liam_core.bits`; bits past `nbits` are ignored. Where a function takes a stack, it is an
array with one more axis in front, (s, m, words), whose matrices are done by one call of C.

The reduced row echelon form of a matrix is unique. Transforms are too: pivots come from the first rows, in order, that
are no sums of rows before them. So all results are the same bits at every SIMD level. All refusals are `ValueError`s
that name the argument.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liam_core.bits import check_bits, check_nbits, words_for
from liam_core.kernel import MAX_NBITS, aligned_bytes, call, ffi, lib, pointer

__all__ = [
    "RowReduced",
    "Solution",
    "inverse",
    "matvec",
    "multiply",
    "null_space",
    "rank",
    "ranks",
    "row_reduce",
    "solve",
    "transpose",
]

Bits = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class RowReduced:
    """A reduced row echelon form.

    Attributes:
        matrix: Packed, of the shape of the argument: rows with pivots first, then zero rows.
        pivots: The pivot columns, ascending, int64 (rank,).
        transform: Packed (m, words_for(m)), invertible: transform times the argument is `matrix`.
    """

    matrix: Bits
    pivots: NDArray[np.int64]
    transform: Bits

    @property
    def rank(self) -> int:
        """The number of pivots."""
        return len(self.pivots)


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution of a linear system.

    Attributes:
        x: Packed (nbits, words_for(b_nbits)); unknowns without a pivot are zero.
        rank: The rank of the matrix.
        unique: Whether there is no other solution, that is, whether the rank is nbits.
    """

    x: Bits
    rank: int
    unique: bool


def multiply(a: Bits, b: Bits, nbits: int) -> Bits:
    """Return the product, packed (m, words_for(nbits)).

    Args:
        a: (m, words_for(k)), or a stack (s, m, words_for(k)).
        b: (k, words_for(nbits)), or a stack (s, k, words_for(nbits)); its rows say what k is.
        nbits: Columns of b.
    """
    check_bits("b", b, nbits, 2, 3)
    k = b.shape[-2]
    check_bits("a", a, k, b.ndim)
    _same_stack(a, b)
    count, m, words = _count(a), a.shape[-2], words_for(nbits)
    out = np.empty((*a.shape[:-1], words), np.uint64)
    work, size = _workspace(lib.liam_gf2_multiply_workspace_bytes, m, k, nbits)
    left, right, to = _words(a), _words(b), _words(out)
    status = lib.liam_gf2_multiply(
        count, left, m, k, a.shape[-1], right, nbits, words, to, words, ffi.from_buffer(work), size
    )
    call("multiply", status)
    return out


def matvec(a: Bits, x: Bits, nbits: int) -> Bits:
    """Return a times each vector of x, packed (batch, words_for(m)), or (words_for(m),) for one vector.

    These are the syndromes of the words x if a is a parity check matrix.

    Args:
        a: (m, words_for(nbits)).
        x: (batch, words_for(nbits)) or (words_for(nbits),).
        nbits: Columns of a, and bits of a vector.
    """
    check_bits("a", a, nbits, 2)
    check_bits("x", x, nbits, 1, 2)
    m, words, batch = len(a), words_for(nbits), len(x) if x.ndim == 2 else 1
    width = words_for(m)
    out = np.empty((*x.shape[:-1], width), np.uint64)
    work, size = _workspace(lib.liam_gf2_matvec_workspace_bytes, m, nbits, batch)
    left, right, to = _words(a), _words(x), _words(out)
    status = lib.liam_gf2_matvec(left, m, nbits, words, right, batch, words, to, width, ffi.from_buffer(work), size)
    call("matvec", status)
    return out


def transpose(a: Bits, nbits: int) -> Bits:
    """Return the transpose, packed (nbits, words_for(m)).

    Args:
        a: (m, words_for(nbits)), or a stack (s, m, words_for(nbits)).
        nbits: Columns of a.
    """
    check_bits("a", a, nbits, 2, 3)
    m = a.shape[-2]
    out = np.empty((*a.shape[:-2], nbits, words_for(m)), np.uint64)
    status = lib.liam_gf2_transpose(_count(a), _words(a), m, nbits, a.shape[-1], _words(out), words_for(m))
    call("transpose", status)
    return out


def row_reduce(a: Bits, nbits: int) -> RowReduced:
    """Return the reduced row echelon form of a matrix (m, words_for(nbits)), its pivots and a transform to it."""
    check_bits("a", a, nbits, 2)
    m, words, width = len(a), words_for(nbits), words_for(len(a))
    matrix, transform = np.empty_like(a), np.empty((m, width), np.uint64)
    pivots, found = np.empty(min(m, nbits), np.int64), ffi.new("int64_t *")
    work, size = _workspace(lib.liam_gf2_reduce_workspace_bytes, m, nbits, m)
    status = lib.liam_gf2_row_reduce(
        _words(a), m, nbits, words, _words(matrix), words, _words(transform), width, pointer("int64_t[]", pivots),
        found, ffi.from_buffer(work), size,
    )  # fmt: skip
    call("row_reduce", status)
    return RowReduced(matrix, pivots[: found[0]].copy(), transform)


def rank(a: Bits, nbits: int) -> int:
    """Return the rank of a matrix (m, words_for(nbits))."""
    check_bits("a", a, nbits, 2)
    return int(ranks(a[np.newaxis], nbits)[0])


def ranks(a: Bits, nbits: int) -> NDArray[np.int64]:
    """Return the ranks, int64 (s,), of a stack (s, m, words_for(nbits))."""
    check_bits("a", a, nbits, 3)
    count, m, words = a.shape
    found = np.empty(count, np.int64)
    work, size = _workspace(lib.liam_gf2_reduce_workspace_bytes, m, nbits, 0)
    to = pointer("int64_t[]", found)
    call("ranks", lib.liam_gf2_rank(count, _words(a), m, nbits, words, to, ffi.from_buffer(work), size))
    return found


def inverse(a: Bits) -> Bits:
    """Return the inverse of a square matrix (n, words_for(n)), or of each of a stack (s, n, words_for(n)).

    Raises:
        ValueError: a matrix is singular; the message gives its rank and, in a stack, which one is the first.
    """
    check_bits("a", a, a.shape[-2] if isinstance(a, np.ndarray) and a.ndim > 1 else 0, 2, 3)
    n, words = a.shape[-2], a.shape[-1]
    out, ranks = np.empty_like(a), np.empty(_count(a), np.int64)
    work, size = _workspace(lib.liam_gf2_reduce_workspace_bytes, n, n, n)
    status = lib.liam_gf2_inverse(
        len(ranks), _words(a), n, words, _words(out), words, pointer("int64_t[]", ranks), ffi.from_buffer(work), size
    )
    call("inverse", status)
    singular = np.flatnonzero(ranks < n)
    if len(singular):
        which = f"matrix {singular[0]} of the stack" if a.ndim == 3 else "the matrix"
        raise ValueError(f"a: {which} is singular, its rank is {ranks[singular[0]]} of {n}")
    return out


def solve(a: Bits, b: Bits, nbits: int, b_nbits: int) -> Solution:
    """Return an x with a x = b, and whether it is the only one.

    Args:
        a: (m, words_for(nbits)).
        b: (m, words_for(b_nbits)), one system per column.
        nbits: Columns of a, the number of unknowns.
        b_nbits: Columns of b.

    Raises:
        ValueError: the system is inconsistent; the message gives the rank of a and the first column of b that no x
            gives.
    """
    check_bits("a", a, nbits, 2)
    if type(b_nbits) is not int or not 0 <= b_nbits <= MAX_NBITS:
        raise ValueError(f"b_nbits: want an int within [0, {MAX_NBITS}], got {b_nbits!r}")
    check_bits("b", b, b_nbits, 2)
    m, words, width = len(a), words_for(nbits), words_for(b_nbits)
    if len(b) != m:
        raise ValueError(f"b: want {m} rows, as a has, got {len(b)}")
    x, numbers = np.empty((nbits, width), np.uint64), ffi.new("int64_t[2]")
    work, size = _workspace(lib.liam_gf2_solve_workspace_bytes, m, nbits, b_nbits)
    status = lib.liam_gf2_solve(
        _words(a), m, nbits, words, _words(b), b_nbits, width, _words(x), width, numbers, numbers + 1,
        ffi.from_buffer(work), size,
    )  # fmt: skip
    call("solve", status)
    found, unsolved = numbers
    if unsolved < b_nbits:
        raise ValueError(f"b: the system is inconsistent: a has rank {found}, and no x gives column {unsolved} of b")
    return Solution(x, found, found == nbits)


def null_space(a: Bits, nbits: int) -> Bits:
    """Return a basis of the vectors x with a x = 0, packed (nbits - rank, words_for(nbits)).

    Row t has a one in the t-th column without a pivot and zeros in the other ones.
    """
    check_bits("a", a, nbits, 2)
    m, words = len(a), words_for(nbits)
    out, dimension = np.empty((nbits, words), np.uint64), ffi.new("int64_t *")
    work, size = _workspace(lib.liam_gf2_null_space_workspace_bytes, m, nbits)
    status = lib.liam_gf2_null_space(
        _words(a), m, nbits, words, _words(out), words, dimension, ffi.from_buffer(work), size
    )
    call("null_space", status)
    return out[: dimension[0]].copy()


def _words(array: Bits) -> Any:
    return pointer("uint64_t[]", array)


def _count(array: Bits) -> int:
    """Return the number of matrices in a matrix or stack."""
    return array.shape[0] if array.ndim == 3 else 1


def _same_stack(a: Bits, b: Bits) -> None:
    if a.ndim == 3 and len(a) != len(b):
        raise ValueError(f"a: want a stack of {len(b)} matrices, as b is, got {len(a)}")


def _workspace(size_of: Any, *sizes: int) -> tuple[NDArray[np.uint8], int]:
    """Return memory for a call, and how many bytes it is."""
    size = ffi.new("size_t *")
    for number in sizes:
        check_nbits(number)
    call("workspace", size_of(*sizes, size))
    return aligned_bytes(size[0]), size[0]
