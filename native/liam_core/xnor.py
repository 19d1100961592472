"""Binary linear layers: products of packed activations and weights by XNOR and popcount.

`dot(i, j) = nbits - 2 * popcount(a[i] xor weights[j])` is the inner product of two vectors of +1 and -1.
Results are the same bits at every SIMD level, batch size and row position.
"""

import numpy as np
from numpy.typing import NDArray

from liam_core.bits import check_array, check_bits, output, words_for
from liam_core.kernel import aligned_bytes, call, ffi, lib, pointer, workspace

__all__ = ["XnorWeights", "prepare_rows", "product_workspace", "xnor_dot"]


def prepare_rows(name: str, rows: NDArray[np.uint64], nbits: int) -> NDArray[np.uint8]:
    """Return checked packed rows, copied into the layout that products and searches read."""
    size = ffi.new("size_t *")
    call(name, lib.liam_xnor_prepared_bytes(len(rows), nbits, size))
    memory = aligned_bytes(size[0])
    source, to = pointer("uint64_t[]", rows), ffi.from_buffer(memory)
    call(name, lib.liam_xnor_prepare(source, len(rows), nbits, words_for(nbits), to, size[0]))
    return memory


class XnorWeights:
    """Weight rows, copied once into the layout that the kernel reads; immutable and safe to share.

    Args:
        weights: Packed uint64 (rows, words); bits past `nbits` are ignored.
        nbits: Columns.

    Raises:
        ValueError: a wrong dtype, shape, layout or width.
    """

    __slots__ = ("_memory", "_nbits", "_prepared", "_rows")

    def __init__(self, weights: NDArray[np.uint64], nbits: int) -> None:
        check_bits("weights", weights, nbits, 2)
        self._rows, self._nbits = len(weights), nbits
        self._memory = prepare_rows("weights", weights, nbits)
        self._prepared = ffi.from_buffer(self._memory)

    @property
    def rows(self) -> int:
        """The number of weight rows, which is the number of output columns."""
        return self._rows

    @property
    def nbits(self) -> int:
        """The width of a row in bits."""
        return self._nbits

    def dot(self, a: NDArray[np.uint64], out: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
        """Return the inner products, int32 (m, rows), of packed activations (m, words).

        Args:
            a: Packed activations.
            out: Where to write, C-contiguous, apart from `a`; new if absent.
        """
        check_bits("a", a, self._nbits, 2)
        out = output(out, (len(a), self._rows), np.int32)
        to = pointer("int32_t[]", out)
        call("dot", lib.liam_xnor_dot(*self._operands(a), to, self._rows, *self._workspace(len(a))))
        return out

    def threshold(
        self, a: NDArray[np.uint64], thresholds: NDArray[np.int32], out: NDArray[np.uint64] | None = None
    ) -> NDArray[np.uint64]:
        """Return the packed bits `dot >= thresholds`, (m, ceil(rows / 64)).

        Args:
            a: Packed activations.
            thresholds: int32 (rows,).
            out: As for `dot`.
        """
        check_bits("a", a, self._nbits, 2)
        self._check_parameter("thresholds", thresholds, np.int32)
        words = words_for(self._rows)
        out = output(out, (len(a), words), np.uint64)
        limits, to = pointer("int32_t[]", thresholds), pointer("uint64_t[]", out)
        call("threshold", lib.liam_xnor_threshold(*self._operands(a), limits, to, words, *self._workspace(len(a))))
        return out

    def scaled(
        self,
        a: NDArray[np.uint64],
        scale: NDArray[np.float32],
        bias: NDArray[np.float32],
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return `scale * float32(dot) + bias`, float32 (m, rows), rounded after each operation.

        Args:
            a: Packed activations.
            scale: float32 (rows,).
            bias: float32 (rows,).
            out: As for `dot`.
        """
        check_bits("a", a, self._nbits, 2)
        self._check_parameter("scale", scale, np.float32)
        self._check_parameter("bias", bias, np.float32)
        out = output(out, (len(a), self._rows), np.float32)
        factors, terms, to = pointer("float[]", scale), pointer("float[]", bias), pointer("float[]", out)
        operands = *self._operands(a), factors, terms, to, self._rows
        call("scaled", lib.liam_xnor_scale(*operands, *self._workspace(len(a))))
        return out

    def _operands(self, a: NDArray[np.uint64]) -> tuple[object, ...]:
        return pointer("uint64_t[]", a), len(a), a.shape[1], self._prepared, self._rows, self._nbits

    def _workspace(self, rows: int) -> tuple[object, int]:
        return product_workspace(rows, self._rows, self._nbits)

    def _check_parameter(self, name: str, values: object, dtype: type[np.generic]) -> None:
        check_array(name, values, (dtype,), 1)
        assert isinstance(values, np.ndarray)
        if len(values) != self._rows:
            raise ValueError(f"{name}: want {self._rows} values, got {len(values)}")


def product_workspace(rows: int, columns: int, nbits: int) -> tuple[object, int]:
    """Return memory for a product of so many rows and columns to work in, and its size, as the kernel takes them."""
    size = ffi.new("size_t *")
    call("workspace", lib.liam_xnor_workspace_bytes(rows, columns, nbits, size))
    return (workspace(size[0]), size[0]) if size[0] else (ffi.NULL, 0)


def xnor_dot(a: NDArray[np.uint64], weights: NDArray[np.uint64], nbits: int) -> NDArray[np.int32]:
    """Return the inner products, int32 (m, n), of packed (m, words) and (n, words).

    Prepares the weights on every call; use `XnorWeights` to do that once.
    """
    return XnorWeights(weights, nbits).dot(a)
