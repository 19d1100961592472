"""Running a signal transform: one C call or two for each step and all rows."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from liam_core import bitwise, gf2, hadamard
from liam_core.bits import check_array, from_packbits, pack, to_packbits, unpack
from liam_core.errors import ResultSizeError
from liam_core.steps import (
    BITS,
    FLAGS,
    FLOATS,
    BitRotate,
    Gf2Map,
    Rotation,
    Scale,
    Signal,
    Step,
    Threshold,
    TransformDefinition,
    Unpack,
    WalshHadamard,
)
from liam_core.transform_profile import (
    FORMAT,
    FORMAT_VERSION,
    INPUT_NAME,
    OUTPUT_NAME,
    output_form,
    read_signal_transform,
)

__all__ = ["MAX_RESULT_BYTES", "SignalTransform"]

MAX_RESULT_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of the results of one run."""

_Run: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]
_TYPES: Final[dict[str, tuple[str, type[np.generic]]]] = {
    "float32": ("FP32", np.float32),
    "int8": ("INT8", np.int8),
    "uint8": ("UINT8", np.uint8),
    "packed": ("UINT8", np.uint8),
}


class SignalTransform:
    """A chain that is ready to run; immutable, and safe to share by threads.

    Input `input` and output `output` are matrices with a row for each signal: float32 (m, width), uint8
    (m, ceil(width / 8)) for packed bits, uint8 (m, width) for bits as 0 and 1, and for the output also int8 (m, width).
    Every row's result is the same bits whatever rows are beside it, at every SIMD level. A number that is not one has
    one pattern of bits.
    """

    def __init__(self, definition: TransformDefinition) -> None:
        self._input, self._width = definition.input_form, definition.width
        self._result = definition.result
        self._runs = _runs(definition)
        self._in_type, self._in_columns = _shape(definition.input_form, definition.width)
        self._out_type, self._out_columns = _shape(output_form(definition.result), definition.result.width)
        self._names = [step.NAME for step in definition.steps]
        self._nbytes = sum(array.nbytes for step in definition.steps for array in _arrays(step))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the chain in a `liam.signal_transform` file. The file is not needed afterwards.

        Raises:
            ModelFormatError: the file breaks a rule of the format; the message names it.
            OSError: the file cannot be read.
        """
        return cls(read_signal_transform(path))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the chain's arrays hold."""
        return self._nbytes

    def describe(self) -> dict[str, Any]:
        """Return the format, the signature as the Open Inference Protocol has it, and the names of the steps."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "inputs": [{"name": INPUT_NAME, "datatype": self._in_type, "shape": [-1, self._in_columns]}],
            "outputs": [{"name": OUTPUT_NAME, "datatype": self._out_type, "shape": [-1, self._out_columns]}],
            "input_form": self._input,
            "steps": list(self._names),
            "output_form": output_form(self._result),
            "nbytes": self.nbytes,
        }

    def run(self, x: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[Any]:
        """Return the transformed rows of `x`, which may be none.

        Args:
            x: C-contiguous, of the input's dtype and width. Bits past the width are ignored in packed rows.

        Raises:
            ValueError: `x` is none of these, or a byte that stands for a bit is neither 0 nor 1.
            ResultSizeError: The results would have more than MAX_RESULT_BYTES.
        """
        check_array("x", x, (np.float32 if self._input == FLOATS else np.uint8,), 2)
        if x.shape[1] != self._in_columns:
            raise ValueError(f"x: want {self._in_columns} columns, got {x.shape[1]}")
        size = self._out_columns * np.dtype(_TYPES[output_form(self._result)][1]).itemsize
        if len(x) * size > MAX_RESULT_BYTES:
            raise ResultSizeError(
                f"x: {len(x)} rows give {len(x) * size} bytes of results; send at most"
                f" {MAX_RESULT_BYTES // size} rows at once"
            )
        signal: NDArray[Any] = x
        for run in self._runs:
            signal = run(signal)
        return signal


def _runs(definition: TransformDefinition) -> list[_Run]:
    """Return what is done to the input, in order."""
    width = definition.width
    runs: list[_Run] = []
    if definition.input_form == FLAGS:
        runs.append(_flags)
    elif definition.input_form != FLOATS:
        runs.append(lambda x: from_packbits(x, width, "little"))
    signal = Signal(FLOATS if definition.input_form == FLOATS else BITS, width)
    for index, step in enumerate(definition.steps):
        runs.append(_RUNS[type(step)](step, signal.width))
        signal = step.after(f"steps[{index}]", signal)
    if signal.form == BITS:
        runs.append(lambda bits: to_packbits(bits, definition.result.width, "little"))
    elif signal.form == FLOATS:
        runs.append(_one_nan)
    return runs


def _rotation(step: Rotation, width: int) -> _Run:
    return hadamard.Rotation(width, step.seed).apply


def _walsh_hadamard(step: WalshHadamard, width: int) -> _Run:
    del width
    return lambda x: hadamard.walsh_hadamard(x, order=step.order)


def _scale(step: Scale, width: int) -> _Run:
    del width
    factors = step.factors.copy()
    return lambda x: np.multiply(x, factors)


def _threshold(step: Threshold, width: int) -> _Run:
    del width
    limits = None if step.thresholds is None else step.thresholds.copy()
    return lambda x: pack(x, limits)


def _bit_rotate(step: BitRotate, width: int) -> _Run:
    return lambda bits: bitwise.rotate(bits, width, step.shift)


def _gf2_map(step: Gf2Map, width: int) -> _Run:
    matrix = step.matrix.copy()
    return lambda bits: gf2.matvec(matrix, bits, width)


def _unpack(step: Unpack, width: int) -> _Run:
    dtype = _TYPES[step.to][1]
    return lambda bits: unpack(bits, width, dtype)


_RUNS: Final[dict[type, Callable[[Any, int], _Run]]] = {
    Rotation: _rotation,
    WalshHadamard: _walsh_hadamard,
    Scale: _scale,
    Threshold: _threshold,
    BitRotate: _bit_rotate,
    Gf2Map: _gf2_map,
    Unpack: _unpack,
}


def _flags(x: NDArray[np.uint8]) -> NDArray[np.uint64]:
    if x.size and int(x.max()) > 1:
        raise ValueError(f"x: want bytes 0 and 1, got {int(x.max())}")
    return pack(x.view(np.bool_))


def _one_nan(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give all NaN one pattern of bits: which one an addition leaves is the processor's to choose."""
    wrong = np.isnan(x)
    if wrong.any():
        x[wrong] = np.nan
    return x


def _shape(form: str, width: int) -> tuple[str, int]:
    return _TYPES[form][0], (width + 7) // 8 if form == "packed" else width


def _arrays(step: Step) -> list[NDArray[Any]]:
    values = (getattr(step, field.name) for field in dataclasses.fields(step))
    return [value for value in values if isinstance(value, np.ndarray)]
