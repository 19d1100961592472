"""Valid model files, to be broken in one place or at random."""

import json
import struct

import numpy as np
from hypothesis import strategies as st


class File:
    """A valid model file taken apart, to be broken and put together again."""

    def __init__(self, content):
        length = int.from_bytes(content[:8], "little")
        self.header = json.loads(content[8 : 8 + length])
        self.data = bytearray(content[8 + length :])

    @property
    def metadata(self):
        return self.header["__metadata__"]

    def describe(self, change):
        """Apply a change to the JSON that describes the model."""
        (key,) = self.metadata.keys() - {"format", "format_version", "bitorder", "bit_one"}
        model = json.loads(self.metadata[key])
        change(model)
        self.metadata[key] = json.dumps(model)

    def replace(self, name, values):
        """Overwrite a tensor's bytes."""
        begin, end = self.header[name]["data_offsets"]
        raw = values.tobytes()
        assert len(raw) == end - begin
        self.data[begin:end] = raw

    def tensor(self, name, dtype):
        begin, end = self.header[name]["data_offsets"]
        return np.frombuffer(bytes(self.data[begin:end]), dtype).copy()

    def content(self, text=None):
        raw = (json.dumps(self.header) if text is None else text).encode()
        raw += b" " * (-(8 + len(raw)) % 64)
        return struct.pack("<Q", len(raw)) + raw + bytes(self.data)


def entry(name, **fields):
    """Return a change of one tensor's header entry."""

    def change(file):
        file.header[name].update(fields)

    return change


def swap(first, second):
    """Return a change that lets two tensors claim one another's bytes."""

    def change(file):
        a, b = file.header[first], file.header[second]
        a["data_offsets"], b["data_offsets"] = b["data_offsets"], a["data_offsets"]

    return change


def without(key):
    """Return a change that removes a header entry."""
    return lambda file: file.header.pop(key)


def put(*path_and_value):
    """Return a change of one value in the model's JSON."""
    *path, key, value = path_and_value

    def change(model):
        for step in path:
            model = model[step]
        model[key] = value

    return change


def damaged(data, sound):
    """Return a file with bytes changed, cut or inserted anywhere, as hypothesis draws it."""
    content = bytearray(sound)
    header_end = 8 + int.from_bytes(sound[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        limit = data.draw(st.sampled_from([8, header_end, len(content)]))
        at = data.draw(st.integers(0, min(limit, len(content)) - 1))
        kind = data.draw(st.sampled_from(["set", "flip", "delete", "insert", "cut", "digit"]))
        if kind == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "delete":
            del content[at : at + data.draw(st.integers(1, 70))]
        elif kind == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=70))
        elif kind == "cut":
            del content[at + 1 :]
        else:
            content[at] = data.draw(st.sampled_from(b'0123456789{}[]",:'))
        if not content:
            break
    return bytes(content)
