"""The Walsh-Hadamard transform of NumPy arrays, and the random rotation made of it.

`H[i, j] = (-1) ** popcount(i & j)` is Sylvester's Hadamard matrix, which `scipy.linalg.hadamard` returns; transforms
are products with it, unnormalised, in n log2(n) additions. Results are the same bits at every SIMD level, number of
rows and position; `liam_hadamard.h` documents the order of the sums.
"""

from typing import Any, Final, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from liam_core.bits import check_array
from liam_core.kernel import aligned_bytes, call, ffi, lib, pointer

__all__ = ["Order", "Rotation", "walsh_hadamard"]

Order: TypeAlias = Literal["natural", "sequency"]
_Element = TypeVar("_Element", np.float32, np.float64, np.int32)

MAX_LENGTH: Final[int] = lib.LIAM_MAX_HADAMARD
_MAX_SEED: Final = 2**64 - 1

_TRANSFORMS: Final = {
    np.dtype(np.float32): ("float[]", lib.liam_hadamard_f32, lib.liam_sequency_f32),
    np.dtype(np.float64): ("double[]", lib.liam_hadamard_f64, lib.liam_sequency_f64),
    np.dtype(np.int32): ("int32_t[]", lib.liam_hadamard_i32, lib.liam_sequency_i32),
}


def walsh_hadamard(
    x: NDArray[_Element], order: Order = "natural", out: NDArray[_Element] | None = None
) -> NDArray[_Element]:
    """Return the transform along the last axis, `x @ H` in natural order, of the dtype and shape of `x`.

    Twice is n times. Sums of int32 wrap modulo 2**32; they are exact while `n * abs(x).max() < 2**31`. Sequency order
    has the rows of H sorted by their number of sign changes.

    Args:
        x: float32, float64 or int32 (..., n), C-contiguous, n a power of two up to 2**30.
        order: "natural" (Hadamard) or "sequency" (Walsh).
        out: Where to write: an array like `x` that is `x` itself or apart from it; new if absent.

    Raises:
        ValueError: a wrong dtype, layout, length, order or `out`.
    """
    if order not in ("natural", "sequency"):
        raise ValueError(f"order: want 'natural' or 'sequency', got {order!r}")
    _check_rows(x, np.float32, np.float64, np.int32)
    n = x.shape[-1]
    if n == 0 or n > MAX_LENGTH or n & (n - 1):
        raise ValueError(f"x: want a power of two up to {MAX_LENGTH} as its last axis, got {n}")
    out = _output(x, out)
    ctype, natural, sequency = _TRANSFORMS[x.dtype]
    operands = pointer(ctype, x), x.size // n, n, n, pointer(ctype, out), n
    if order == "natural":
        call("x", natural(*operands))
    else:
        workspace = aligned_bytes(n * x.itemsize)
        call("x", sequency(*operands, ffi.from_buffer(workspace), workspace.nbytes))
    return out


class Rotation:
    """A random orthonormal map of n floats, in O(n log n); immutable and safe to share.

    Rounds of random signs and Walsh-Hadamard transforms, which spread the energy of every vector evenly over its
    elements, as a random rotation would. The same (n, seed) is the same map on every machine, to the bit.

    Args:
        n: Elements of a vector, within [1, 2**30].
        seed: Chooses the signs, within [0, 2**64).

    Raises:
        ValueError: a wrong n or seed.
    """

    __slots__ = ("_n", "_seed", "_signs")

    def __init__(self, n: int, seed: int) -> None:
        if type(n) is not int or not 1 <= n <= MAX_LENGTH:
            raise ValueError(f"n: want an int within [1, {MAX_LENGTH}], got {n!r}")
        if type(seed) is not int or not 0 <= seed <= _MAX_SEED:
            raise ValueError(f"seed: want an int within [0, 2**64), got {seed!r}")
        self._n, self._seed = n, seed
        size = ffi.new("size_t *")
        call("n", lib.liam_rotation_bytes(n, size))
        self._signs = ffi.new("uint64_t[]", size[0] // 8)
        call("n", lib.liam_rotation_prepare(n, seed, self._signs, size[0]))

    @property
    def n(self) -> int:
        """The number of elements of a vector."""
        return self._n

    @property
    def seed(self) -> int:
        """The number that the signs come from."""
        return self._seed

    def __repr__(self) -> str:
        return f"Rotation(n={self._n}, seed={self._seed})"

    def __reduce__(self) -> tuple[type["Rotation"], tuple[int, int]]:
        return Rotation, (self._n, self._seed)

    def apply(self, x: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the rotated rows, float32 of the shape of `x`.

        Lengths and inner products stay what they were, up to rounding: about `3 * (2 * log2(n) + 7) * 2**-24` of a
        row's length at most.

        Args:
            x: float32 (..., n), C-contiguous.
            out: As for `walsh_hadamard`.
        """
        return self._map(lib.liam_rotation_apply, x, out)

    def inverse(self, x: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the rows that `apply` takes to those of `x`, up to as much rounding.

        Args:
            x: As for `apply`.
            out: As for `walsh_hadamard`.
        """
        return self._map(lib.liam_rotation_inverse, x, out)

    def _map(self, function: Any, x: NDArray[np.float32], out: NDArray[np.float32] | None) -> NDArray[np.float32]:
        _check_rows(x, np.float32)
        n = self._n
        if x.shape[-1] != n:
            raise ValueError(f"x: want {n} elements in its last axis, got {x.shape[-1]}")
        out = _output(x, out)
        call("x", function(self._signs, pointer("float[]", x), x.size // n, n, n, pointer("float[]", out), n))
        return out


def _check_rows(x: object, *dtypes: type[np.generic]) -> None:
    """Refuse what is not an array of a dtype listed with at least one axis."""
    if isinstance(x, np.ndarray) and x.ndim == 0:
        raise ValueError("x: want at least 1 axis, got a scalar")
    check_array("x", x, dtypes, getattr(x, "ndim", 1))


def _output(x: NDArray[_Element], out: NDArray[_Element] | None) -> NDArray[_Element]:
    """Return the array to write to, of the dtype and shape of `x`: `out` if it fits, a new one if it is None.

    A new one is aligned to cache lines, which the kernel is faster on.
    """
    if out is None:
        return aligned_bytes(x.nbytes).view(x.dtype).reshape(x.shape)
    check_array("out", out, (x.dtype.type,), x.ndim)
    if out.shape != x.shape or not out.flags.writeable:
        raise ValueError(f"out: want a writable array of shape {x.shape}, got {out.shape}")
    if np.may_share_memory(x, out) and x.ctypes.data != out.ctypes.data:
        raise ValueError("out: overlaps x without being x")
    return out
