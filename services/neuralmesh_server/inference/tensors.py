"""Tensors as the Open Inference Protocol writes them, and as NumPy holds them.

Raw elements are little-endian, row-major and without padding; an element of BYTES is a 4-byte little-endian length and
that many bytes. Everything is checked before anything is allocated. This module knows shapes, datatypes and bytes; it
knows no request and no model.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_BYTES = 2**63 - 1

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),  # NumPy has no such type: the bit patterns
    "BYTES": np.dtype(np.object_),
}
"""Every datatype and the NumPy type of its arrays; BYTES are arrays of `bytes` objects."""

_LENGTH = struct.Struct("<I")


class TensorError(ValueError):
    """Elements are not what a datatype and a shape say; the message is a clause that follows the tensor's name."""


class SizeError(TensorError):
    """Raw elements are not as many bytes as they should be."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, datatype and shape of an input or output; -1 stands for any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def batched(self) -> bool:
        """True when the first dimension counts rows."""
        return bool(self.shape) and self.shape[0] == -1


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs in order, and the name of the output that holds labels (empty for none)."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    label_output: str = ""


def element_count(datatype: str, shape: Sequence[int]) -> int:
    """Return how many elements a shape has.

    Raises:
        TensorError: A dimension is negative, or no machine could address the tensor.
    """
    count = 1
    addressed = DTYPES[datatype].itemsize
    for size in shape:
        if size < 0:
            raise TensorError(f"has the negative dimension {size} in its shape {list(shape)}")
        count *= size
        addressed *= size or 1
        if addressed > MAX_BYTES:
            raise TensorError(f"has the shape {list(shape)}, whose size overflows 64 bits")
    return count


def check_shape(spec: TensorSpec, shape: Sequence[int]) -> None:
    """Raise TensorError when a shape has another rank or another fixed dimension than the specification's."""
    if len(shape) != len(spec.shape):
        raise TensorError(f"has {len(shape)} dimensions {list(shape)} instead of {len(spec.shape)} {list(spec.shape)}")
    for got, wanted in zip(shape, spec.shape, strict=True):
        if wanted not in (-1, got):
            raise TensorError(f"has the shape {list(shape)}, which does not fit {list(spec.shape)}")


def from_raw(datatype: str, shape: Sequence[int], data: bytes | memoryview) -> NDArray[Any]:
    """Return the read-only array that raw elements stand for.

    Raises:
        TensorError: The bytes are too few, too many, badly framed, or no booleans.
    """
    count = element_count(datatype, shape)
    if datatype == "BYTES":
        return _from_framed(bytes(data), count).reshape(shape)
    dtype = DTYPES[datatype]
    if len(data) != count * dtype.itemsize:
        raise SizeError(
            f"has {len(data)} bytes instead of {count * dtype.itemsize} for {datatype} of shape {list(shape)}"
        )
    if datatype == "BOOL":
        flags = np.frombuffer(data, np.uint8)
        if flags.size and int(flags.max()) > 1:
            raise TensorError(f"has the byte {int(flags.max())} for a BOOL; only 0 and 1 are")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array if array.flags.aligned else array.copy()  # runtimes may rely on alignment


def check_raw(datatype: str, shape: Sequence[int], data: bytes | memoryview) -> None:
    """Check what `from_raw` checks of a datatype with fixed width and free values, without making an array."""
    wanted = element_count(datatype, shape) * DTYPES[datatype].itemsize
    if len(data) != wanted:
        raise SizeError(f"has {len(data)} bytes instead of {wanted} for {datatype} of shape {list(shape)}")


def to_raw(datatype: str, array: NDArray[Any]) -> bytes:
    """Return the raw elements of an array that has the datatype's NumPy type."""
    if datatype == "BYTES":
        parts = []
        for element in array.reshape(-1):
            data = element.encode() if isinstance(element, str) else bytes(element)
            parts += [_LENGTH.pack(len(data)), data]
        return b"".join(parts)
    return array.astype(DTYPES[datatype], copy=False).tobytes()


LARGE_BYTES = 64 * 1024


def raw_view(datatype: str, array: NDArray[Any]) -> bytes | memoryview:
    """Return what `to_raw` returns, without copying large arrays: as long as it is held, the array must not change."""
    if array.nbytes >= LARGE_BYTES and array.dtype == DTYPES[datatype] != DTYPES["BYTES"] and array.flags.c_contiguous:
        return array.reshape(-1).view(np.uint8).data
    return to_raw(datatype, array)


def from_values(datatype: str, shape: Sequence[int], values: Sequence[Any]) -> NDArray[Any]:
    """Return the array of typed elements, whose Python type fits the datatype.

    Raises:
        TensorError: There are too few or too many, or an integer is out of the datatype's range.
    """
    count = element_count(datatype, shape)
    if len(values) != count:
        raise TensorError(f"has {len(values)} elements instead of {count} for shape {list(shape)}")
    dtype = DTYPES[datatype]
    if datatype == "BYTES":
        array = np.empty(count, np.object_)
        array[:] = list(values)
        return array.reshape(shape)
    if dtype.kind in "iu" and count:
        limits, low, high = np.iinfo(dtype), min(values), max(values)
        if low < limits.min or high > limits.max:
            wrong = low if low < limits.min else high
            raise TensorError(f"has the element {wrong}, which is out of range for {datatype}")
    return np.array(values, dtype).reshape(shape)


def _from_framed(data: bytes, count: int) -> NDArray[Any]:
    if count * _LENGTH.size > len(data):
        raise SizeError(f"has {len(data)} bytes, too few for {count} BYTES elements")
    array = np.empty(count, np.object_)
    position = 0
    for index in range(count):
        if position + _LENGTH.size > len(data):
            raise SizeError(f"ends within the length of BYTES element {index}")
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if position + length > len(data):
            raise SizeError(f"ends within BYTES element {index}, which says it has {length} bytes")
        array[index] = data[position : position + length]
        position += length
    if position != len(data):
        raise SizeError(f"has {len(data) - position} bytes after its {count} BYTES elements")
    return array
