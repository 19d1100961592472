"""Labels of the rows of one prediction, and their compact bytes: 8-byte integers shrink to what they need.

Stored bytes are a tag and a payload: `b h i q` for signed little-endian integers of 1, 2, 4 and 8 bytes, `B` for byte
strings, each behind its length in 4 bytes. Equal labels have equal bytes, so bytes can be compared.
"""

from __future__ import annotations

import sys
from array import array
from operator import eq
from typing import TypeAlias

Labels: TypeAlias = tuple[int, ...] | tuple[bytes, ...]
"""Labels of consecutive rows: all integers or all byte strings."""

_LENGTH_BYTES = 4
_WIDTHS = (("b", 7), ("h", 15), ("i", 31), ("q", 63))


def encode(labels: Labels) -> bytes:
    """Return the stored bytes of labels; no labels at all count as integers."""
    if labels and isinstance(labels[0], bytes):
        return b"B" + b"".join(len(label).to_bytes(_LENGTH_BYTES, "little") + label for label in _texts(labels))
    numbers = _numbers(labels)
    reach = max((number if number >= 0 else ~number for number in numbers), default=0).bit_length()
    code = next(code for code, bits in _WIDTHS if reach <= bits)
    packed = array(code, numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return code.encode() + packed.tobytes()


def decode(data: bytes) -> Labels:
    """Return the labels of bytes that `encode` made."""
    if data[:1] == b"B":
        texts: list[bytes] = []
        position = 1
        while position < len(data):
            start = position + _LENGTH_BYTES
            position = start + int.from_bytes(data[position:start], "little")
            texts.append(data[start:position])
        return tuple(texts)
    packed = array(data[:1].decode())
    packed.frombytes(data[1:])
    if sys.byteorder == "big":
        packed.byteswap()
    return tuple(packed)


def kind(labels: Labels) -> str:
    """Return INT64 or BYTES, the datatype of a label output with such labels."""
    return "BYTES" if labels and isinstance(labels[0], bytes) else "INT64"


def agreements(predicted: Labels, truth: Labels) -> int:
    """Return how many rows agree; both have one length."""
    return sum(map(eq, predicted, truth))


def _texts(labels: Labels) -> tuple[bytes, ...]:
    return labels  # type: ignore[return-value]


def _numbers(labels: Labels) -> tuple[int, ...]:
    return labels  # type: ignore[return-value]
