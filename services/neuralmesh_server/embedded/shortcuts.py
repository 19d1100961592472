"""Between arrays and messages without messages, where the same was done before.

Two requests of the same model, names, types and shapes differ in their raw contents alone, and two answers to them in
the prediction id and in theirs. So what stands around these is kept from the first time, when it was written and read
in full, and used again where every byte of it is the same; all else is written and read in full again. Any thread may
call; what is kept is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh import oip
from neuralmesh.prediction import Prediction, build_request, read_response
from neuralmesh.tensors import DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh.tensors import Tensor

    Array = np.ndarray[Any, Any]
    Key = tuple[Any, ...]
    """Model, version, and of each input name, dtype and shape."""

KINDS = 256
"""Requests that are told apart; with more, all are forgotten."""

PREDICTION_ID = "prediction_id"
_PARAMETERS, _RAW = 4, 6
_RAW_INPUT = b"\x3a"
_VARINT, _BYTES = 0, 2
_MORE = 0x80
_NATIVE = frozenset(DTYPES.values())


@dataclass(frozen=True, slots=True)
class _Output:
    """Where an output stands in an answer, and what it is."""

    name: str
    start: int
    end: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer that was read.

    Attributes:
        size: Its bytes in all.
        same: What stands around id and contents, with where it begins and ends.
        start: Where the prediction id begins.
        end: Where it ends.
        outputs: Its outputs.
        read: What was read.
    """

    size: int
    same: tuple[tuple[int, int, bytes], ...]
    start: int
    end: int
    outputs: tuple[_Output, ...]
    read: Prediction


class Shortcuts:
    """Writes requests and reads answers."""

    def __init__(self) -> None:
        self._heads: dict[Key, tuple[bytes, ...]] = {}
        self._answers: dict[Key, _Kept] = {}

    def key(self, model: str, version: str, inputs: Mapping[str, Array | Tensor]) -> Key | None:
        """Return what a request has in common with others; None where an input is no plain array."""
        found: list[Any] = [model, version]
        for name, value in inputs.items():
            if type(value) is not np.ndarray:
                return None
            found += (name, value.dtype, value.shape)
        return tuple(found)

    def write(self, key: Key, model: str, version: str, inputs: Mapping[str, Any]) -> bytes:
        """Return the bytes of the ModelInferRequest that `build_request` makes of the same; raises what it raises."""
        heads = self._heads.get(key)
        if heads is None:
            return self._write(key, model, version, inputs)
        if len(heads) == 1:
            (value,) = inputs.values()
            raw: bytes = value.tobytes()
            return heads[0] + raw
        return b"".join(
            part for head, value in zip(heads, inputs.values(), strict=True) for part in (head, value.tobytes())
        )

    def _write(self, key: Key, model: str, version: str, inputs: Mapping[str, Any]) -> bytes:
        request = build_request(model, inputs, version=version, outputs=(), request_id="", parameters=None)
        data: bytes = request.SerializeToString()
        arrays = list(inputs.values())
        if arrays and all(array.dtype in _NATIVE and array.dtype.isnative for array in arrays):
            sizes = [_RAW_INPUT + _varint(array.nbytes) for array in arrays]
            around = len(data) - sum(map(len, sizes)) - sum(array.nbytes for array in arrays)
            _keep(self._heads, key, (data[:around] + sizes[0], *sizes[1:]))
        return data

    def read(self, key: Key, answer: bytes) -> Prediction:
        """Return what `read_response` returns of an answer to such a request; raises what it raises."""
        kept = self._answers.get(key)
        if kept is None or len(answer) != kept.size:
            return self._read(key, answer)
        for start, end, same in kept.same:
            if answer[start:end] != same:
                return self._read(key, answer)
        name = answer[kept.start : kept.end]
        if not name.isascii():
            return self._read(key, answer)
        prediction_id, read = name.decode(), kept.read
        return Prediction(
            read.model,
            read.version,
            prediction_id,
            read.digest,
            read.node,
            {
                one.name: np.frombuffer(answer[one.start : one.end], one.dtype).reshape(one.shape)
                for one in kept.outputs
            },
            read.request_id,
            {**read.parameters, PREDICTION_ID: prediction_id},
        )

    def _read(self, key: Key, answer: bytes) -> Prediction:
        message = oip.ModelInferResponse.FromString(answer)
        read = read_response(message)
        kept = _kept(answer, message, read)
        if kept is not None:
            _keep(self._answers, key, kept)
        return read


def _keep(kept: dict[Key, Any], key: Key, value: object) -> None:
    if len(kept) >= KINDS:
        kept.clear()
    kept[key] = value


def _kept(answer: bytes, message: Any, read: Prediction) -> _Kept | None:
    """Return where id and contents stand in an answer; None where that is not plain to see."""
    if any(output.datatype not in DTYPES for output in message.outputs) or not read.prediction_id.isascii():
        return None
    fields = _fields(answer)
    contents = [(start, end) for number, start, end in fields if number == _RAW]
    name = read.prediction_id.encode()
    ids = [
        (answer.index(name, start, end), number)
        for number, start, end in fields
        if number == _PARAMETERS and name and name in answer[start:end]
    ]
    if len(ids) != 1 or answer.count(name) != 1 or len(contents) != len(message.outputs):
        return None
    start = ids[0][0]
    holes = sorted([(start, start + len(name)), *contents])
    same, at = [], 0
    for begin, end in [*holes, (len(answer), len(answer))]:
        same.append((at, begin, answer[at:begin]))
        at = end
    outputs = tuple(
        _Output(output.name, begin, end, DTYPES[output.datatype], tuple(output.shape))
        for output, (begin, end) in zip(message.outputs, contents, strict=True)
    )
    return _Kept(len(answer), tuple(same), start, start + len(name), outputs, read)


def _fields(data: bytes) -> list[tuple[int, int, int]]:
    """Return number, beginning and end of the contents of a message's fields in bytes; it was parsed before."""
    found, at = [], 0
    while at < len(data):
        tag, at = _number(data, at)
        if tag & 7 == _VARINT:
            _, at = _number(data, at)
        elif tag & 7 == _BYTES:
            size, at = _number(data, at)
            found.append((tag >> 3, at, at + size))
            at += size
        else:
            return []  # no node of ours writes such a field
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while data[at] & _MORE:
        value |= (data[at] & ~_MORE) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= _MORE:
        found.append(value & ~_MORE & 0xFF | _MORE)
        value >>= 7
    found.append(value)
    return bytes(found)
