"""Linear layers of floats whose results depend on their row alone: y = x W + b, to the bit.

The products of BLAS change with the number of rows, a row's place among them, the number of threads and the machine.
Here each result is four sums in a fixed order, which `liam_linear.h` documents: the same bits at every SIMD level,
number of rows, position, alignment and number of threads.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liam_core.arguments import integer
from liam_core.bits import check_array, output
from liam_core.kernel import aligned_bytes, call, ffi, lib, pointer
from liam_core.shares import in_threads, shares

__all__ = ["Linear"]

_ROWS: Final = 6
"""Rows that the kernel takes together; a thread's share is a multiple of it."""


class Linear:
    """A layer's weights and biases, copied once into the layout that the kernel reads; immutable and safe to share.

    Args:
        weights: float32 (inputs, outputs), C-contiguous; any of them may be zero.
        bias: float32 (outputs,); zeros if absent.

    Raises:
        ValueError: a wrong dtype, shape or layout.
    """

    __slots__ = ("_inputs", "_memory", "_outputs", "_prepared")

    def __init__(self, weights: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> None:
        check_array("weights", weights, (np.float32,), 2)
        self._inputs: int = weights.shape[0]
        self._outputs: int = weights.shape[1]
        biases = ffi.NULL
        if bias is not None:
            check_array("bias", bias, (np.float32,), 1)
            if len(bias) != self._outputs:
                raise ValueError(f"bias: want {self._outputs} values, got {len(bias)}")
            biases = pointer("float[]", bias)
        size = ffi.new("size_t *")
        call("weights", lib.liam_linear_prepared_bytes(self._inputs, self._outputs, size))
        self._memory = aligned_bytes(size[0])
        self._prepared = ffi.from_buffer(self._memory)
        operands = pointer("float[]", weights), self._inputs, self._outputs, self._outputs, biases
        call("weights", lib.liam_linear_prepare(*operands, self._prepared, size[0]))

    @property
    def inputs(self) -> int:
        """The width of a row that goes in."""
        return self._inputs

    @property
    def outputs(self) -> int:
        """The width of a row that comes out."""
        return self._outputs

    def apply(
        self, x: NDArray[np.float32], out: NDArray[np.float32] | None = None, threads: int = 1
    ) -> NDArray[np.float32]:
        """Return the results, float32 (rows, outputs) or (outputs,), of rows (rows, inputs) or a row (inputs,).

        Infinities and NaN go the way of IEEE 754; a NaN is always the same one, 0x7fc00000.

        Args:
            x: float32, C-contiguous.
            out: Where to write, C-contiguous, apart from `x`; new if absent.
            threads: How many threads to divide the rows among, this one included.

        Raises:
            ValueError: a wrong dtype, shape, layout or number of threads; nothing was written.
        """
        check_array("x", x, (np.float32,), 1, 2)
        if x.shape[-1] != self._inputs:
            raise ValueError(f"x: want {self._inputs} columns, got {x.shape[-1]}")
        threads = integer("threads", threads, 1)
        if out is not None and np.may_share_memory(x, out):
            raise ValueError("out: overlaps x")
        out = output(out, (*x.shape[:-1], self._outputs), np.float32)
        if x.ndim == 1 or threads == 1:
            self._run(x, out, len(x) if x.ndim > 1 else 1)
        else:
            parts = shares(len(x), _ROWS, threads)
            in_threads(self._run, [(x[r.start : r.stop], out[r.start : r.stop], len(r)) for r in parts])
        return out

    def _run(self, x: NDArray[Any], out: NDArray[Any], rows: int) -> None:
        source, to = pointer("float[]", x), pointer("float[]", out)
        operands = source, rows, self._inputs, self._inputs, self._prepared, self._outputs, to, self._outputs
        call("apply", lib.liam_linear_run(*operands))
