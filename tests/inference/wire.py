"""Inference requests for hypothesis, written field by field: valid ones, and ones that only some readers would take."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = 0, 1, 2, 3, 4, 5
TEXTS = st.one_of(st.just(""), st.text(max_size=12), st.sampled_from(["x", "1", "grüße", "日本", "\U0001f600"]))
NOT_UTF8 = st.sampled_from([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"a\xe2\x82", b"\xf4\x90\x80\x80", b"\x80"])


def varint(value: int, padding: int = 0) -> bytes:
    """Return a varint with so many more bytes than it needs."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    for _ in range(padding):
        parts[-1] |= 0x80
        parts.append(0)
    return bytes(parts)


def field(number: int, content: bytes | int, padding: int = 0) -> bytes:
    """Return a field: a varint for an integer, else bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3 | VARINT) + varint(content % 2**64, padding)
    return varint(number << 3 | BYTES) + varint(len(content), padding) + content


@st.composite
def unknown_fields(draw: st.DrawFn) -> bytes:
    """Return a field that the contract does not have, or has in another form."""
    number = draw(st.integers(1, 40))
    return draw(
        st.sampled_from(
            [
                field(number, 7),
                field(number, b"abc"),
                varint(number << 3 | FIXED32) + bytes(4),
                varint(number << 3 | FIXED64) + bytes(8),
                varint(number << 3 | GROUP) + field(1, 5) + varint(number << 3 | END_GROUP),
                varint(number << 3 | GROUP),
                varint(number << 3 | END_GROUP),
                varint(number << 3 | 6),
                field(number, b"", 2),
                varint(number << 3 | BYTES, 1) + b"\x01a",
                b"\x00",
                varint(2**35 | 10),
            ]
        )
    )


@st.composite
def parameters(draw: st.DrawFn) -> bytes:
    """Return a map entry of a parameter, usually a valid one."""
    name = draw(
        st.one_of(st.text(max_size=6), st.sampled_from(["priority", "sequence_id", "triton_x", "timeout", "color"]))
    )
    choice = draw(
        st.sampled_from(
            [
                b"",
                field(1, 1),
                field(1, 2),
                field(2, 5),
                field(2, -1),
                field(3, b"text"),
                field(3, b"\xff"),
                field(4, b""),
                varint(4 << 3 | FIXED64) + struct.pack("<d", 1.5),
                field(5, 7),
                field(2, 5) + field(2, 6),
                field(9, 1),
            ]
        )
    )
    key, value = field(1, name.encode()), field(2, choice)
    return draw(
        st.sampled_from([key + value, key + value, key + value, value + key, key, value, b"", key + key + value])
    )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return the bytes of a request for model `m` of input `input`, FP32 [-1, 4] and, sometimes, others."""
    strange = draw(st.booleans())

    def rarely(strategy: st.SearchStrategy[object], usual: object) -> object:
        return draw(strategy) if strange and draw(st.integers(0, 5)) == 0 else usual

    rows = draw(st.integers(0, 3))
    shape = list(rarely(st.lists(st.one_of(st.integers(-1, 5), st.just(2**62)), max_size=10), [rows, 4]))
    name = rarely(st.one_of(TEXTS.map(str.encode), NOT_UTF8), b"input")
    datatype = rarely(st.sampled_from([b"FP64", b"INT32", b"", b"fp32", b"\xff"]), b"FP32")
    padding = rarely(st.integers(1, 9), 0)
    packed = field(3, b"".join(varint(size % 2**64, padding) for size in shape))
    loose = b"".join(field(3, size, padding) for size in shape)
    parts = [field(1, name), field(2, datatype), draw(st.sampled_from([packed, loose]))]
    if strange:
        extras = st.one_of(unknown_fields(), parameters().map(lambda entry: field(4, entry)), st.just(field(5, b"")))
        parts += draw(st.lists(extras, max_size=1))
        parts = draw(st.permutations(parts))
    elements = draw(st.binary(min_size=16 * rows, max_size=16 * rows))
    fields = [
        field(1, rarely(st.one_of(TEXTS.map(str.encode), NOT_UTF8), b"m")),
        field(2, draw(st.sampled_from(["", "1", "production"])).encode()),
        field(3, rarely(NOT_UTF8, draw(TEXTS).encode())),
        field(5, b"".join(parts), rarely(st.integers(1, 5), 0)),
        field(7, rarely(st.binary(max_size=40), elements)),
    ]
    for output in draw(st.lists(st.sampled_from(["label", "scores", "none"]), max_size=3)):
        extra = rarely(st.one_of(unknown_fields(), parameters().map(lambda entry: field(2, entry))), b"")
        fields.append(field(6, field(1, output.encode()) + extra))
    fields += [field(4, entry) for entry in draw(st.lists(parameters(), max_size=2))]
    if strange:
        fields += draw(st.lists(st.one_of(unknown_fields(), st.sampled_from(fields)), max_size=2))
        if draw(st.booleans()):
            fields.remove(draw(st.sampled_from(fields)))
    data = b"".join(draw(st.permutations(fields)))
    return data[: rarely(st.integers(0, len(data)), len(data))]
