"""Finds the files that an ONNX model wants to read beside itself, before anything else looks at the model.

A tensor of a model may say "my data is in file x". A runtime that obeys would read any file of the node, so the names
are read here, from the protobuf wire format and without copying weights, and held against the version's manifest. Field
numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). This is not a validator:
what is a correct model is decided by the runtime.
"""

from __future__ import annotations

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 64

# Message -> field number -> message, along every way that leads to a tensor.
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


class ScanError(ValueError):
    """The bytes are no protobuf message; the message says where."""


def external_files(model: bytes) -> set[str]:
    """Return the locations that the model's tensors name for their data.

    Raises:
        ScanError: The bytes are cut off or no protobuf message.
    """
    found: set[str] = set()
    _scan(memoryview(model), "model", found, 0)
    return found


def _scan(data: memoryview, message: str, found: set[str], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ScanError(f"messages are nested more than {_MAX_DEPTH} deep")
    children = _CHILDREN[message]
    entry: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _, position = _varint(data, position)
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            length, position = _varint(data, position)
        if length is None or not number:
            raise ScanError(f"a {message} message has a field of unknown form")
        end = position + length
        if end > len(data):
            raise ScanError(f"a {message} message is cut off")
        if wire == _BYTES and number in children:
            _scan(data[position:end], children[number], found, depth + 1)
        elif wire == _BYTES and message == "entry":
            entry[number] = bytes(data[position:end])
        position = end
    if entry.get(1) == b"location":
        found.add(entry.get(2, b"").decode("utf-8", "replace"))


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
