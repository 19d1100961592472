"""Operations on the bits of packed matrices: and, or, xor, not, counts, parities, rotation and Kronecker products.

Packed matrices are those of `liam_core.bits`: uint64 (rows, words) of `nbits` columns, or (words,) for a vector. Bits
past `nbits` are ignored in arguments and zero in results. Over GF(2) `bit_xor` is the sum, and `bit_and` the
elementwise (Hadamard) product.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from liam_core.arguments import integer
from liam_core.bits import check_bits, output, words_for
from liam_core.kernel import MAX_NBITS, call, lib, pointer

__all__ = ["bit_and", "bit_not", "bit_or", "bit_xor", "kronecker", "parity", "popcount", "rotate"]

Words = NDArray[np.uint64]


def bit_and(a: Words, b: Words, nbits: int, out: Words | None = None) -> Words:
    """Return the bits that are 1 in `a` and in `b`.

    Args:
        a: Packed (rows, words) or (words,).
        b: Packed, of the shape of `a`.
        nbits: Columns.
        out: Where to write, of the shape of `a`; may be `a` or `b`; new if absent.

    Raises:
        ValueError: a wrong dtype, shape, layout or width.
    """
    return _combine(lib.liam_bits_and, a, b, nbits, out)


def bit_or(a: Words, b: Words, nbits: int, out: Words | None = None) -> Words:
    """Return the bits that are 1 in `a` or in `b`; arguments and errors are those of `bit_and`."""
    return _combine(lib.liam_bits_or, a, b, nbits, out)


def bit_xor(a: Words, b: Words, nbits: int, out: Words | None = None) -> Words:
    """Return the bits that differ in `a` and `b`; arguments and errors are those of `bit_and`."""
    return _combine(lib.liam_bits_xor, a, b, nbits, out)


def bit_not(a: Words, nbits: int, out: Words | None = None) -> Words:
    """Return the bits that are 0 in `a`; arguments and errors are those of `bit_and`."""
    check_bits("a", a, nbits, 1, 2)
    out = output(out, a.shape, np.uint64)
    words = a.shape[-1]
    status = lib.liam_bits_not(pointer("uint64_t[]", a), words, _rows(a), nbits, pointer("uint64_t[]", out), words)
    call("bit_not", status)
    return out


def popcount(bits: Words, nbits: int) -> NDArray[np.uint32]:
    """Return the number of ones in each row, uint32 (rows,), or () for a vector.

    Args:
        bits: Packed (rows, words) or (words,).
        nbits: Columns.

    Raises:
        ValueError: a wrong dtype, shape, layout or width.
    """
    check_bits("bits", bits, nbits, 1, 2)
    out = np.empty(bits.shape[:-1], np.uint32)
    source, to = pointer("uint64_t[]", bits), pointer("uint32_t[]", out)
    call("popcount", lib.liam_bits_popcount(source, _rows(bits), nbits, bits.shape[-1], to))
    return out


def parity(bits: Words, nbits: int) -> NDArray[np.uint8]:
    """Return 1 for each row with an odd number of ones and 0 for the others, uint8 (rows,), or () for a vector.

    Arguments and errors are those of `popcount`.
    """
    check_bits("bits", bits, nbits, 1, 2)
    out = np.empty(bits.shape[:-1], np.uint8)
    source, to = pointer("uint64_t[]", bits), pointer("uint8_t[]", out)
    call("parity", lib.liam_bits_parity(source, _rows(bits), nbits, bits.shape[-1], to))
    return out


def rotate(bits: Words, nbits: int, shift: int) -> Words:
    """Return the rows with bit j moved to `(j + shift) % nbits`, as `numpy.roll` moves elements along a row.

    Args:
        bits: Packed (rows, words) or (words,).
        nbits: Columns.
        shift: Any integer.

    Raises:
        ValueError: a wrong dtype, shape, layout or width, or a shift that is no integer.
    """
    check_bits("bits", bits, nbits, 1, 2)
    places = integer("shift", shift) % max(nbits, 1)
    out = np.empty_like(bits)
    words = bits.shape[-1]
    source, to = pointer("uint64_t[]", bits), pointer("uint64_t[]", out)
    call("rotate", lib.liam_bits_rotate(source, _rows(bits), nbits, words, places, to, words))
    return out


def kronecker(a: Words, a_nbits: int, b: Words, b_nbits: int) -> Words:
    """Return the Kronecker product over {0, 1} of packed matrices, `numpy.kron` of the unpacked ones.

    Bit `j * b_nbits + l` of row `i * len(b) + k` is bit j of a's row i and bit l of b's row k.

    Args:
        a: Packed (m, words) of `a_nbits` columns.
        a_nbits: Columns of `a`.
        b: Packed (p, words) of `b_nbits` columns.
        b_nbits: Columns of `b`.

    Returns:
        Packed (m p, words) of `a_nbits * b_nbits` columns.

    Raises:
        ValueError: a wrong dtype, shape, layout or width, or a product wider than a row may be.
    """
    check_bits("a", a, a_nbits, 2, width="a_nbits")
    check_bits("b", b, b_nbits, 2, width="b_nbits")
    nbits = a_nbits * b_nbits
    if nbits > MAX_NBITS:
        raise ValueError(f"a_nbits, b_nbits: the product has {nbits} columns, more than {MAX_NBITS}")
    words = words_for(nbits)
    out = np.empty((len(a) * len(b), words), np.uint64)
    first, second, to = (pointer("uint64_t[]", array) for array in (a, b, out))
    status = lib.liam_bits_kronecker(first, len(a), a_nbits, a.shape[1], second, len(b), b_nbits, b.shape[1], to, words)
    call("kronecker", status)
    return out


def _rows(array: Words) -> int:
    return array.shape[0] if array.ndim > 1 else 1


def _combine(function: Callable[..., int], a: Words, b: Words, nbits: int, out: Words | None) -> Words:
    check_bits("a", a, nbits, 1, 2)
    check_bits("b", b, nbits, 1, 2)
    if a.shape != b.shape:
        raise ValueError(f"b: want the shape of a, {a.shape}, got {b.shape}")
    out = output(out, a.shape, np.uint64)
    words = a.shape[-1]
    first, second, to = pointer("uint64_t[]", a), pointer("uint64_t[]", b), pointer("uint64_t[]", out)
    call("a, b", function(first, words, second, words, _rows(a), nbits, to, words))
    return out
