"""NumPy arrays to and from the Open Inference Protocol's raw tensors.

Raw tensors are little-endian, row-major and without padding; an element of BYTES is a 4-byte length and that many
bytes. BF16 has no NumPy type: it travels as uint16, and only when the caller says so with `Tensor(array, "BF16")`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuralmesh.exceptions import InvalidArgumentError

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
}
"""NumPy type of each datatype except BYTES."""

_DATATYPES = {(dtype.kind, dtype.itemsize): name for name, dtype in DTYPES.items() if name != "BF16"}

CONTENTS_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Field of InferTensorContents that holds each datatype's elements."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array with an explicit datatype, for what NumPy cannot name: `Tensor(bits, "BF16")` with uint16 bits."""

    data: np.ndarray[Any, Any]
    datatype: str


def encode(name: str, value: np.ndarray[Any, Any] | Tensor) -> tuple[str, list[int], bytes]:
    """Return the datatype, shape and raw bytes of an input.

    Raises:
        InvalidArgumentError: The value has no datatype of the protocol; the message names the input.
    """
    array = value.data if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        raise _refused(name, f"it is a {type(array).__name__} and not a numpy array")
    datatype = _datatype(name, array)
    if isinstance(value, Tensor):
        datatype = _explicit(name, array, value.datatype)
    shape = [int(length) for length in array.shape]
    if datatype == "BYTES":
        return datatype, shape, _encode_bytes(name, array)
    return datatype, shape, array.astype(DTYPES[datatype], copy=False).tobytes()


def decode(name: str, datatype: str, shape: list[int], raw: bytes) -> np.ndarray[Any, Any]:
    """Return the array of a raw tensor; BYTES gives an object array of bytes, BF16 gives uint16.

    Raises:
        InvalidArgumentError: The bytes do not fit the datatype and shape.
    """
    if datatype == "BYTES":
        elements = _decode_bytes(name, raw)
        array: np.ndarray[Any, Any] = np.empty(len(elements), dtype=object)
        array[:] = elements
    elif datatype in DTYPES:
        dtype = DTYPES[datatype]
        if len(raw) % dtype.itemsize:
            raise _malformed(name, f"{len(raw)} bytes are no whole number of {datatype} elements")
        array = np.frombuffer(raw, dtype=dtype)
    else:
        raise _malformed(name, f"datatype {datatype!r} is unknown")
    return _shaped(name, array, shape)


def decode_contents(name: str, datatype: str, shape: list[int], contents: Any) -> np.ndarray[Any, Any]:
    """Return the array of a tensor whose elements are typed, as other servers send them."""
    field = CONTENTS_FIELDS.get(datatype)
    if field is None:
        raise _malformed(name, f"datatype {datatype!r} has no typed contents")
    elements = getattr(contents, field)
    dtype = np.dtype(object) if datatype == "BYTES" else DTYPES[datatype]
    array: np.ndarray[Any, Any] = np.empty(len(elements), dtype=dtype)
    array[:] = elements
    return _shaped(name, array, shape)


def _datatype(name: str, array: np.ndarray[Any, Any]) -> str:
    if array.dtype.kind in "OSU":
        return "BYTES"
    if array.dtype.name == "bfloat16":
        raise _refused(name, 'numpy has no bfloat16: pass Tensor(array.view(numpy.uint16), "BF16")')
    datatype = _DATATYPES.get((array.dtype.kind, array.dtype.itemsize))
    if datatype is None:
        raise _refused(name, f"dtype {array.dtype.name} has no datatype of the protocol")
    return datatype


def _explicit(name: str, array: np.ndarray[Any, Any], datatype: str) -> str:
    natural = _datatype(name, array)
    if natural == datatype or (datatype == "BF16" and natural == "UINT16"):
        return datatype
    wanted = "uint16" if datatype == "BF16" else datatype
    raise _refused(name, f"datatype {datatype!r} needs {wanted} and not {array.dtype.name}")


def _encode_bytes(name: str, array: np.ndarray[Any, Any]) -> bytes:
    parts: list[bytes] = []
    for element in array.ravel().tolist():
        data = element.encode() if isinstance(element, str) else element
        if not isinstance(data, bytes):
            raise _refused(name, f"an element is a {type(data).__name__} and neither bytes nor str")
        parts += (struct.pack("<I", len(data)), data)
    return b"".join(parts)


def _decode_bytes(name: str, raw: bytes) -> list[bytes]:
    elements = []
    position = 0
    while position < len(raw):
        if position + 4 > len(raw):
            raise _malformed(name, "an element's length is cut off")
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4
        if position + length > len(raw):
            raise _malformed(name, "an element is cut off")
        elements.append(raw[position : position + length])
        position += length
    return elements


def _shaped(name: str, array: np.ndarray[Any, Any], shape: list[int]) -> np.ndarray[Any, Any]:
    try:
        return array.reshape(shape)
    except ValueError:
        raise _malformed(name, f"{array.size} elements do not fill shape {shape}") from None


def _refused(name: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("INPUT_INVALID", f"input {name!r} cannot be sent: {why}", {"input": name})


def _malformed(name: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("OUTPUT_INVALID", f"output {name!r} cannot be read: {why}", {"output": name})
