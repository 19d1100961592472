"""The safetensors container, to the byte: a length, a JSON header, and tensors.

Written so that every tensor starts at a multiple of 64 bytes in the file, which the stock writer does not
promise: the header is padded with spaces, and tensors are followed by explicit `__pad.N` tensors, because the
stock reader refuses holes. Read with the suspicion that a file from anywhere deserves. What the tensors mean
is `profile`'s.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from liam_core.errors import ModelFormatError

__all__ = ["Container", "parse", "read_metadata", "serialise", "unique_keys_json"]

ALIGNMENT: Final = 64
LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 1 << 20
MAX_AXES: Final = 2
PAD_PREFIX: Final = "__pad."
DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U8": np.dtype("u1"),
}

_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Container:
    """A file's content: metadata, and tensors as read-only views of the file's bytes, without the pads."""

    metadata: dict[str, str]
    tensors: dict[str, NDArray[Any]]


def serialise(metadata: Mapping[str, str], tensors: Sequence[tuple[str, NDArray[Any]]]) -> Iterator[bytes | memoryview]:
    """Yield the file with these tensors in this order, part by part; equal arguments give equal bytes.

    Tensors are not copied where their bytes stand in memory as the file has them.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    data: list[bytes | memoryview] = []
    end = pads = 0
    for name, array in tensors:
        stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        begin, end = end, end + stored.nbytes
        dtype = _NAMES[stored.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
        data.append(stored.reshape(-1).view(np.uint8).data)
        padding = -end % ALIGNMENT
        if padding:
            header[f"{PAD_PREFIX}{pads}"] = {
                "dtype": "U8",
                "shape": [padding],
                "data_offsets": [end, end + padding],
            }
            data.append(bytes(padding))
            end += padding
            pads += 1
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    text += b" " * (-(LENGTH_BYTES + len(text)) % ALIGNMENT)
    yield len(text).to_bytes(LENGTH_BYTES, "little") + text
    yield from data


def parse(content: memoryview) -> Container:
    """Check a whole file and return views of its tensors, without copying them.

    Raises:
        ModelFormatError: the first rule that the file breaks.
    """
    header, start = _header(content)
    metadata = _metadata(header.pop("__metadata__", None))
    return Container(metadata, _tensors(header, content[start:]))


def read_metadata(content: memoryview) -> dict[str, str]:
    """Return the metadata of a file whose tensors are not looked at.

    Raises:
        ModelFormatError: the header breaks a rule.
    """
    header, _ = _header(content)
    return _metadata(header.get("__metadata__"))


def _header(content: memoryview) -> tuple[dict[str, Any], int]:
    """Return the header, and where the data starts."""
    if len(content) < LENGTH_BYTES:
        raise ModelFormatError(f"file: {len(content)} bytes hold no header length")
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise ModelFormatError(f"header: {length} bytes is more than the limit of {MAX_HEADER_BYTES}")
    if length > len(content) - LENGTH_BYTES:
        raise ModelFormatError(f"header: {length} bytes is more than the file has")
    start = LENGTH_BYTES + length
    if start % ALIGNMENT:
        raise ModelFormatError(f"header: the data starts at byte {start}, no multiple of {ALIGNMENT}")
    return _parse_header(bytes(content[LENGTH_BYTES:start])), start


def _parse_header(raw: bytes) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        raise ModelFormatError("header: does not start with '{'")
    try:
        text = raw.rstrip(b" ").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"header: not UTF-8 ({error})") from error
    header = unique_keys_json("header", text)
    if not isinstance(header, dict):
        raise ModelFormatError("header: not a JSON object")
    return header


def unique_keys_json(name: str, text: str) -> object:
    """Return the parsed JSON of strings, integers, lists and objects; refuse floats and duplicate keys."""

    def refuse(literal: str) -> NoReturn:
        raise ModelFormatError(f"{name}: the number {literal} is no integer")

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ModelFormatError(f"{name}: a key occurs twice in an object")
        return result

    try:
        return json.loads(text, object_pairs_hook=unique, parse_float=refuse, parse_constant=refuse)
    except ModelFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{name}: not JSON ({error})") from error


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ModelFormatError("__metadata__: want an object of strings")
    return value


def _tensors(header: dict[str, Any], data: memoryview) -> dict[str, NDArray[Any]]:
    tensors = {}
    entries = [(name, *_entry(name, entry)) for name, entry in header.items()]
    position = 0
    for name, dtype, shape, begin, end in sorted(entries, key=lambda entry: entry[3:]):
        if begin != position:
            kind = "overlap" if begin < position else "leave a hole"
            raise ModelFormatError(f"tensor {name!r}: its data_offsets {kind} at byte {position}")
        if end > len(data):
            raise ModelFormatError(f"tensor {name!r}: ends at byte {end} of {len(data)}")
        if prod(shape) * dtype.itemsize != end - begin:
            raise ModelFormatError(f"tensor {name!r}: shape {shape} of {dtype} does not take {end - begin} bytes")
        position = end
        if name.startswith(PAD_PREFIX):
            _check_pad(name, dtype, data[begin:end])
            continue
        if begin % ALIGNMENT:
            raise ModelFormatError(f"tensor {name!r}: starts at byte {begin}, no multiple of {ALIGNMENT}")
        tensors[name] = np.frombuffer(data[begin:end], dtype=dtype).reshape(shape)
    if position != len(data):
        raise ModelFormatError(f"file: {len(data) - position} bytes after the last tensor")
    return tensors


def _entry(name: str, entry: object) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelFormatError(f"tensor {name!r}: want exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ModelFormatError(f"tensor {name!r}: dtype {dtype!r} is none of {', '.join(DTYPES)}")
    if not _are_sizes(shape) or len(shape) > MAX_AXES:
        raise ModelFormatError(f"tensor {name!r}: shape is no list of at most {MAX_AXES} sizes")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ModelFormatError(f"tensor {name!r}: data_offsets are not [begin, end]")
    known: np.dtype[Any] = DTYPES[dtype]
    return known, tuple(shape), offsets[0], offsets[1]


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 1 << 63 for size in value)


def _check_pad(name: str, dtype: np.dtype[Any], content: memoryview) -> None:
    if dtype != np.uint8 or len(content) >= ALIGNMENT or any(content):
        raise ModelFormatError(f"tensor {name!r}: a pad is fewer than {ALIGNMENT} zero bytes of U8")
