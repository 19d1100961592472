"""Reads one text field of a message from its bytes, without building the message.

It serves the check of a hot call, whose model must be known before anything runs. It understands only what it is sure
of: for anything else the caller parses the message.
"""

from __future__ import annotations

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def text_field(data: bytes, number: int) -> str | None:
    """Return a text field of the outermost message, empty when it is absent; None when these bytes need a real parser.

    As in protobuf, the last occurrence of a field is the one that counts. The field's number is at most 15.
    """
    found = b""
    place, end = 0, len(data)
    wanted = number << 3 | _BYTES
    try:
        while place < end:
            tag = data[place]
            start, place = _value(data, tag, place + 1)
            if tag == wanted:
                found = data[start:place]
        return found.decode() if place == end else None
    except (IndexError, UnicodeDecodeError):
        return None


def _value(data: bytes, tag: int, place: int) -> tuple[int, int]:
    """Return where a field's value starts and ends; raises IndexError for what is left to others."""
    kind = tag & 7
    if tag >= 0x80:  # a number above 15, or not in its shortest form
        raise IndexError
    if kind == _BYTES:
        size, place = _varint(data, place)
        return place, place + size
    if kind == _VARINT:
        return place, _varint(data, place)[1]
    if kind == _FIXED64:
        return place, place + 8
    if kind == _FIXED32:
        return place, place + 4
    raise IndexError


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number and where it ends; one of more than nine bytes raises IndexError."""
    value = 0
    for index in range(9):
        byte = data[place + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise IndexError
