"""Reads of an ONNX model what must be known before anything else looks at it: the files and operators that it names.

A tensor of a model may say "my data is in file x". A runtime that obeys would read any file of the node, so the names
are read here, from the protobuf wire format and without copying weights, and held against the version's manifest. The
operators tell whether the time of a run can be foreseen (`onnx_cost`). Field numbers are those of onnx.proto3
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). This is not a validator: what is a correct model is decided
by the runtime.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_FIXED64, _BYTES, _FIXED32 = 1, 2, 5
_MAX_DEPTH = 64
MAX_PARTS = 5_000_000
"""Most strings, tensors and messages of a model that are looked at, so that hostile bytes cost seconds at most."""

# Message -> field number -> message, along every way that leads to a tensor or an operator.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
# Message -> field numbers of the texts that are wanted.
_TEXTS: dict[str, tuple[int, ...]] = {"entry": (1, 2), "node": (4, 7)}
_NO_TEXTS: tuple[int, ...] = ()

# Numbers in a row, whose tags are one byte; attributes of trees hold millions of them.
_NUMBERS = re.compile(
    rb"(?:[\x08\x10\x18\x20\x28\x30\x38\x40\x48\x50\x58\x60\x68\x70\x78][\x80-\xff]{0,9}+[\x00-\x7f]"
    rb"|[\x0d\x15\x1d\x25\x2d\x35\x3d\x45\x4d\x55\x5d\x65\x6d\x75\x7d][\x00-\xff]{4}"
    rb"|[\x09\x11\x19\x21\x29\x31\x39\x41\x49\x51\x59\x61\x69\x71\x79][\x00-\xff]{8})++"
)


class ScanError(ValueError):
    """The bytes are no protobuf message; the message says where."""


@dataclass(slots=True)
class Scan:
    """What a model names.

    Attributes:
        files: Locations that its tensors name for their data.
        operators: Domain and type of every operator in it, in graphs within graphs and functions as well; the domain
            of ONNX itself is empty.
    """

    files: set[str] = field(default_factory=set)
    operators: set[tuple[str, str]] = field(default_factory=set)
    parts: int = 0


def scan(model: bytes) -> Scan:
    """Return what a model names.

    Raises:
        ScanError: The bytes are cut off, no protobuf message, or have more than MAX_PARTS parts.
    """
    found = Scan()
    _scan(memoryview(model), "model", found, 0)
    return found


def _scan(data: memoryview, message: str, found: Scan, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ScanError(f"messages are nested more than {_MAX_DEPTH} deep")
    children, wanted = _CHILDREN[message], _TEXTS.get(message, _NO_TEXTS)
    texts: dict[int, bytes] = {}
    position, size = 0, len(data)
    while position < size:
        numbers = _NUMBERS.match(data, position)
        if numbers is not None:
            position = numbers.end()
            continue
        start, number, end = _part(data, position, message)
        found.parts += 1
        if found.parts > MAX_PARTS:
            raise ScanError(f"the model has more than {MAX_PARTS} parts")
        if start is not None:
            child = children.get(number)
            if child is not None:
                _scan(data[start:end], child, found, depth + 1)
            elif number in wanted:
                texts[number] = bytes(data[start:end])
        position = end
    if message == "entry" and texts.get(1) == b"location":
        found.files.add(texts.get(2, b"").decode("utf-8", "replace"))
    elif message == "node":
        domain, kind = texts.get(7, b"").decode("utf-8", "replace"), texts.get(4, b"").decode("utf-8", "replace")
        found.operators.add(("" if domain == "ai.onnx" else domain, kind))


def _part(data: memoryview, position: int, message: str) -> tuple[int | None, int, int]:
    """Return start (None if it is a number), field number and end of the field at a position."""
    tag, position = _varint(data, position)
    number, wire = tag >> 3, tag & 7
    start: int | None = None
    if not number:
        raise ScanError(f"a {message} message has a field of unknown form")
    if wire == 0:
        _, end = _varint(data, position)
    elif wire == _BYTES:
        length, start = _varint(data, position)
        end = start + length
    elif wire in (_FIXED64, _FIXED32):
        end = position + (8 if wire == _FIXED64 else 4)
    else:
        raise ScanError(f"a {message} message has a field of unknown form")
    if end > len(data):
        raise ScanError(f"a {message} message is cut off")
    return start, number, end


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ScanError("a number is cut off")
