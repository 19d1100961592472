"""Bit-packed matrices in NumPy arrays: packing, unpacking, and conversion from and to bytes.

A packed matrix of `nbits` columns is a C-contiguous uint64 array (rows, ceil(nbits / 64)): bit j of a row is
bit `j % 64` of word `j // 64`, 1 stands for +1 and 0 for -1, and bits past `nbits` are zero. A packed vector
has no first axis. Arguments are checked completely before memory is touched; all refusals are `ValueError`s
that name the argument.
"""

from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from liam_core.kernel import MAX_NBITS, call, ffi, lib, pointer

__all__ = [
    "BitOrder",
    "check_array",
    "check_bits",
    "from_packbits",
    "output",
    "pack",
    "to_packbits",
    "unpack",
    "words_for",
]

BitOrder: TypeAlias = Literal["little", "big"]

WORD_BITS: Final = 64

_NUMBERS: Final = tuple(map(np.dtype, (np.int8, np.float32, np.uint8, np.bool_)))
_ORDERS: Final = {"little": 0, "big": 1}


def words_for(nbits: int) -> int:
    """Return the number of 64-bit words in a packed row of `nbits` bits, an int of at least 0."""
    if type(nbits) is not int or nbits < 0:
        raise ValueError(f"nbits: want an int of at least 0, got {nbits!r}")
    return (nbits + WORD_BITS - 1) // WORD_BITS


def check_nbits(nbits: int, name: str = "nbits") -> None:
    """Refuse a row width that is no integer within [0, MAX_NBITS]."""
    if type(nbits) is not int or not 0 <= nbits <= MAX_NBITS:
        raise ValueError(f"{name}: want an int within [0, {MAX_NBITS}], got {nbits!r}")


def check_array(name: str, array: object, dtypes: tuple[type[np.generic], ...], *ndims: int) -> None:
    """Refuse what is not a C-contiguous, aligned array of a dtype and number of axes listed."""
    if not isinstance(array, np.ndarray):
        got = type(array).__name__
        raise ValueError(f"{name}: want a NumPy array, got {got}")  # noqa: TRY004 - one error type
    dtype = array.dtype
    if not (dtype.type in dtypes and dtype.isnative) and dtype not in dtypes:  # the first is the fast way to say yes
        wanted = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise ValueError(f"{name}: want dtype {wanted}, got {array.dtype}")
    if array.ndim not in ndims:
        raise ValueError(f"{name}: want {' or '.join(map(str, ndims))} axes, got shape {array.shape}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name}: want a C-contiguous, aligned array")


def check_bits(name: str, bits: object, nbits: int, *ndims: int, width: str = "nbits") -> None:
    """Refuse what is not a packed matrix (or vector, if `ndims` says so) of `nbits` columns; `width` names `nbits`."""
    check_nbits(nbits, width)
    check_array(name, bits, (np.uint64,), *ndims)
    assert isinstance(bits, np.ndarray)
    if bits.shape[-1] != words_for(nbits):
        raise ValueError(f"{name}: want {words_for(nbits)} words per row for {nbits} bits, got {bits.shape[-1]}")


def output(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Return the array to write to: `out` if it fits, a new one if it is None."""
    if out is None:
        return np.empty(shape, dtype)
    check_array("out", out, (dtype,), len(shape))
    if out.shape != shape or not out.flags.writeable:
        raise ValueError(f"out: want a writable array of shape {shape}, got {out.shape}")
    return out


def _rows(array: NDArray[Any]) -> int:
    return array.shape[0] if array.ndim > 1 else 1


def pack(
    x: NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int8] | NDArray[np.bool_],
    thresholds: NDArray[np.float32] | NDArray[np.int8] | None = None,
) -> NDArray[np.uint64]:
    """Return the packed bits `x >= thresholds`, `x >= 0` without thresholds, or the bools themselves.

    A NaN in `x` gives 0, and -0.0 equals 0.0.

    Args:
        x: (rows, nbits) or (nbits,).
        thresholds: (nbits,), one for each column and none of them NaN: float32 for float `x`, which is compared
            without rounding; int8 for int8 `x`.

    Raises:
        ValueError: a wrong dtype, shape or layout, thresholds for bools, or a threshold that is NaN.
    """
    check_array("x", x, (np.float32, np.float64, np.int8, np.bool_), 1, 2)
    rows, nbits = _rows(x), x.shape[-1]
    check_nbits(nbits)
    limits = ffi.NULL
    if thresholds is not None:
        if x.dtype == np.bool_:
            raise ValueError("thresholds: not used with x of dtype bool")
        check_array("thresholds", thresholds, (np.int8 if x.dtype == np.int8 else np.float32,), 1)
        if len(thresholds) != nbits:
            raise ValueError(f"thresholds: want {nbits} values, got {len(thresholds)}")
        limits = pointer("int8_t[]" if x.dtype == np.int8 else "float[]", thresholds)
    words = words_for(nbits)
    out = np.empty((*x.shape[:-1], words), dtype=np.uint64)
    to = pointer("uint64_t[]", out)
    if x.dtype == np.float32:
        status = lib.liam_pack_f32(pointer("float[]", x), rows, nbits, nbits, limits, to, words)
    elif x.dtype == np.float64:
        status = lib.liam_pack_f64(pointer("double[]", x), rows, nbits, nbits, limits, to, words)
    elif x.dtype == np.int8:
        status = lib.liam_pack_i8(pointer("int8_t[]", x), rows, nbits, nbits, limits, to, words)
    else:
        status = lib.liam_pack_bool(pointer("uint8_t[]", x), rows, nbits, nbits, to, words)
    if status == lib.LIAM_ERR_VALUE:  # the values of thresholds are looked at in C alone
        raise ValueError("thresholds: holds NaN")
    call("pack", status)
    return out


def unpack(bits: NDArray[np.uint64], nbits: int, dtype: DTypeLike = np.int8) -> NDArray[Any]:
    """Return bits as numbers, (rows, nbits) or (nbits,): +1 and -1, or 1 and 0 for uint8 and bool.

    Args:
        bits: Packed (rows, words) or (words,).
        nbits: Columns.
        dtype: int8, float32, uint8 or bool.
    """
    check_bits("bits", bits, nbits, 1, 2)
    wanted = _dtype(dtype)
    rows, words = _rows(bits), words_for(nbits)
    out = np.empty((*bits.shape[:-1], nbits), dtype=wanted)
    source = pointer("uint64_t[]", bits)
    if wanted == np.int8:
        status = lib.liam_unpack_i8(source, rows, nbits, words, pointer("int8_t[]", out), nbits)
    elif wanted == np.float32:
        status = lib.liam_unpack_f32(source, rows, nbits, words, pointer("float[]", out), nbits)
    else:
        status = lib.liam_unpack_bool(source, rows, nbits, words, pointer("uint8_t[]", out), nbits)
    call("unpack", status)
    return out


def from_packbits(packed: NDArray[np.uint8], nbits: int, bitorder: BitOrder = "big") -> NDArray[np.uint64]:
    """Return the packed words of what `numpy.packbits(..., axis=-1, bitorder=bitorder)` wrote.

    Args:
        packed: uint8 (rows, ceil(nbits / 8)) or (ceil(nbits / 8),); bits past `nbits` are ignored.
        nbits: Columns.
        bitorder: Order of the bits in a byte, with NumPy's names and default.
    """
    check_nbits(nbits)
    order = _order(bitorder)
    check_array("packed", packed, (np.uint8,), 1, 2)
    width, words = (nbits + 7) // 8, words_for(nbits)
    if packed.shape[-1] != width:
        raise ValueError(f"packed: want {width} bytes per row for {nbits} bits, got {packed.shape[-1]}")
    out = np.empty((*packed.shape[:-1], words), dtype=np.uint64)
    source, to = pointer("uint8_t[]", packed), pointer("uint64_t[]", out)
    call("from_packbits", lib.liam_from_bytes(source, _rows(packed), nbits, width, order, to, words))
    return out


def to_packbits(bits: NDArray[np.uint64], nbits: int, bitorder: BitOrder = "big") -> NDArray[np.uint8]:
    """Return the bytes that `numpy.packbits` would write, the inverse of `from_packbits`."""
    check_bits("bits", bits, nbits, 1, 2)
    order = _order(bitorder)
    width, words = (nbits + 7) // 8, words_for(nbits)
    out = np.empty((*bits.shape[:-1], width), dtype=np.uint8)
    source, to = pointer("uint64_t[]", bits), pointer("uint8_t[]", out)
    call("to_packbits", lib.liam_to_bytes(source, _rows(bits), nbits, words, order, to, width))
    return out


def _dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if dtype is None or wanted not in _NUMBERS:
        raise ValueError(f"dtype: want int8, float32, uint8 or bool, got {dtype if wanted is None else wanted}")
    return wanted


def _order(bitorder: str) -> int:
    if not isinstance(bitorder, str) or bitorder not in _ORDERS:
        raise ValueError(f"bitorder: want 'little' or 'big', got {bitorder!r}")
    return _ORDERS[bitorder]
