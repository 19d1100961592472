"""The loader trusts nothing: one test for each rule, and random damage."""

import re
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liam_core import BinaryNetwork, ModelFormatError, write_binary_network
from tests.native.broken import File, damaged, entry, put, swap, without
from tests.native.oracle import Maker

NETWORK = Maker(1).network(30, 70, 33, 5, bits=100)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return the bytes of a valid file."""
    path = tmp_path_factory.mktemp("sound") / "file"
    write_binary_network(path, **NETWORK.arguments())
    return path.read_bytes()


def refused(tmp_path, content, message):
    """Check that a file with this content is refused with this message."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=re.escape(message)):
        BinaryNetwork.open(path)


def test_taking_apart_and_putting_together_changes_nothing(tmp_path, sound):
    """The helper of these tests makes a valid file when nothing is broken."""
    path = tmp_path / "file"
    path.write_bytes(File(sound).content())
    assert BinaryNetwork.open(path).classes == 5


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c[:0], "file: 0 bytes hold no header length"),
        (lambda c: c[:7], "file: 7 bytes hold no header length"),
        (lambda c: c[:100], "bytes is more than the file has"),
        (lambda c: b"\xff" * 8 + c[8:], "is more than the limit of"),
        (
            lambda c: struct.pack("<Q", 1 << 21) + c[8:],
            "header: 2097152 bytes is more than the limit of 1048576",
        ),
        (lambda c: struct.pack("<Q", len(c)) + c[8:], "is more than the file has"),
        (lambda c: struct.pack("<Q", int.from_bytes(c[:8], "little") - 1) + c[8:], "no multiple of 64"),
        (lambda c: c[:8] + b" " + c[9:], "header: does not start with '{'"),
        (lambda c: c[:8] + b"[" + c[9:], "header: does not start with '{'"),
        (lambda c: c.replace(b"__metadata__", b"__met\xff\xfeata__", 1), "header: not UTF-8"),
        (lambda c: c.replace(b'"dtype":', b'"dtype";', 1), "header: not JSON"),
        (lambda c: c + bytes(64), "file: 64 bytes after the last tensor"),
        (lambda c: c[:-64], "ends at byte"),
    ],
)
def test_damaged_frames_are_refused(tmp_path, sound, damage, message):
    """A wrong length, start or end of the file is named."""
    refused(tmp_path, damage(sound), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "__metadata__: want an object of strings"),
        ('{"a":1,"a":2}', "header: a key occurs twice"),
        ('{"__metadata__":{"format":"x","format":"x"}}', "header: a key occurs twice"),
        ('{"a":1.5}', "header: the number 1.5 is no integer"),
        ('{"a":NaN}', "header: the number NaN is no integer"),
        ('{"a":1e400}', "header: the number 1e400 is no integer"),
        ('{"a":' + "9" * 5000 + "}", "header: not JSON"),
        ('{"a":' + "[" * 200_000 + "}", "header: not JSON"),
        ('{"a":1', "header: not JSON"),
        ('{"__metadata__":[]}', "__metadata__: want an object of strings"),
        ('{"__metadata__":{"a":1}}', "__metadata__: want an object of strings"),
        ('{"__metadata__":{}}', "bytes after the last tensor"),
    ],
)
def test_headers_that_are_no_header_are_refused(tmp_path, sound, text, message):
    """JSON of a wrong form, with duplicate keys, floats, huge numbers or deep nesting is named."""
    refused(tmp_path, File(sound).content(text), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry("head.scale", extra=1), "tensor 'head.scale': want exactly dtype, shape and data_offsets"),
        (lambda f: f.header.update({"head.scale": []}), "tensor 'head.scale': want exactly"),
        (lambda f: f.header["head.scale"].pop("shape"), "tensor 'head.scale': want exactly"),
        (entry("head.scale", dtype="F64"), "tensor 'head.scale': dtype 'F64' is none of"),
        (entry("head.scale", dtype=5), "tensor 'head.scale': dtype 5 is none of"),
        (entry("head.scale", dtype=["F32"]), "tensor 'head.scale': dtype ['F32'] is none of"),
        (entry("head.scale", shape="5"), "tensor 'head.scale': shape is no list"),
        (entry("head.scale", shape=[-5]), "tensor 'head.scale': shape is no list"),
        (entry("head.scale", shape=[True]), "tensor 'head.scale': shape is no list"),
        (entry("head.scale", shape=[5, 1, 1]), "tensor 'head.scale': shape is no list of at most 2"),
        (entry("head.scale", shape=[1 << 63]), "tensor 'head.scale': shape is no list"),
        (entry("head.scale", shape=[1 << 62, 1 << 62]), "does not take 20 bytes"),
        (entry("head.scale", shape=[4]), "tensor 'head.scale': shape (4,) of float32 does not take 20 bytes"),
        (entry("head.scale", data_offsets=[0]), "tensor 'head.scale': data_offsets are not [begin, end]"),
        (entry("head.scale", data_offsets=[20, 0]), "tensor 'head.scale': data_offsets are not [begin, end]"),
        (entry("head.scale", data_offsets=[0, -1]), "tensor 'head.scale': data_offsets are not [begin, end]"),
        (entry("head.scale", data_offsets=[0, 20]), "overlap"),
        (entry("head.scale", data_offsets=[1 << 40, (1 << 40) + 20]), "leave a hole"),
        (without("head.bias"), "leave a hole"),
        (without("__pad.0"), "leave a hole"),
        (swap("input.source", "input.thresholds"), "encoding source: want values within [0, 29]"),
        (
            entry("__pad.0", dtype="I32", shape=[12]),
            "tensor '__pad.0': a pad is fewer than 64 zero bytes of U8",
        ),
    ],
)
def test_wrong_tensor_entries_are_refused(tmp_path, sound, change, message):
    """A wrong type, size, offset, overlap or hole is named with its tensor."""
    file = File(sound)
    change(file)
    refused(tmp_path, file.content(), message)


def test_pads_hold_zeros(tmp_path, sound):
    """A pad with anything in it is refused, so that one network has one file."""
    file = File(sound)
    begin, _ = file.header["__pad.0"]["data_offsets"]
    file.data[begin] = 1
    refused(tmp_path, file.content(), "tensor '__pad.0': a pad is fewer than 64 zero bytes of U8")


def test_misaligned_tensors_are_refused(tmp_path, sound):
    """A tensor between 64-byte boundaries is refused even if everything else fits."""
    file = File(sound)
    names = sorted((n for n in file.header if n != "__metadata__"), key=lambda n: file.header[n]["data_offsets"])
    for name in names:
        offsets = file.header[name]["data_offsets"]
        offsets[:] = [offset + 8 for offset in offsets]
    file.header["__pad.x"] = {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}
    file.data[:0] = bytes(8)
    refused(tmp_path, file.content(), "tensor 'input.source': starts at byte 8, no multiple of 64")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "other", "__metadata__.format: want 'liam.binary_network', got 'other'"),
        ("format_version", "2", "network.head: want exactly the keys nbits, classes, weights, table"),
        ("format_version", "3", "network.head: want exactly the keys kind, nbits, classes, weights, and perhaps"),
        ("format_version", "4", "__metadata__.format_version: want '1' or '2' or '3', got '4'"),
        ("bitorder", "big", "__metadata__.bitorder: want 'little', got 'big'"),
        ("bit_one", "-1", "__metadata__.bit_one: want '+1', got '-1'"),
        ("network", "[]", "network: want a JSON object"),
        ("network", "{", "network: not JSON"),
        ("network", '{"a":1,"a":1}', "network: a key occurs twice"),
        ("network", "[" * 100_000, "network: not JSON"),
        ("author", "me", "__metadata__: want exactly the keys"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, sound, key, value, message):
    """A wrong, unknown or unreadable metadata value is named."""
    file = File(sound)
    file.metadata[key] = value
    refused(tmp_path, file.content(), message)


@pytest.mark.parametrize("key", ["format", "format_version", "bitorder", "bit_one", "network"])
def test_missing_metadata_is_refused(tmp_path, sound, key):
    """No metadata key may be absent."""
    file = File(sound)
    del file.metadata[key]
    refused(tmp_path, file.content(), "__metadata__")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("extra", 1), "network: want exactly the keys input, hidden, head, outputs"),
        (lambda n: n.pop("head"), "network: want exactly the keys"),
        (put("input", []), "network.input: want a JSON object"),
        (put("input", "dtype", "F32"), "network.input: want exactly the keys"),
        (put("input", "name", "x"), "network.input.name: want 'input', got 'x'"),
        (put("outputs", "label", "class"), "network.outputs.label: want 'label', got 'class'"),
        (put("outputs", "more", "m"), "network.outputs: want exactly the keys label, scores"),
        (put("input", "features", 0), "network.input.features: want an integer"),
        (put("input", "features", "30"), "network.input.features: want an integer"),
        (put("input", "features", True), "network.input.features: want an integer"),
        (put("input", "features", 1 << 31), "network.input.features: want an integer"),
        (put("input", "features", 29), "encoding source: want values within [0, 28]"),
        (put("input", "nbits", 99), "tensor 'input.source': want int32 (99,), got int32 (100,)"),
        (put("input", "source", "none"), "network.input.source: no tensor 'none'"),
        (put("input", "source", 7), "network.input.source: no tensor 7"),
        (put("input", "source", ["input.source"]), "network.input.source: no tensor"),
        (put("input", "source", "__pad.0"), "network.input.source: no tensor '__pad.0'"),
        (
            put("input", "source", "input.thresholds"),
            "tensor 'input.thresholds': want int32 (100,), got float32",
        ),
        (put("hidden", {}), "network.hidden: want a JSON list"),
        (put("hidden", 0, 5), "network.hidden[0]: want a JSON object"),
        (put("hidden", 0, "bias", 5), "network.hidden[0]: want exactly the keys"),
        (put("hidden", 0, "nbits", 101), "hidden[0]: takes 101 bits, but gets 100 from before it"),
        (put("hidden", 0, "nbits", 64), "tensor 'hidden.0.weights': want uint64 (70, 1), got uint64 (70, 2)"),
        (put("hidden", 0, "nbits", 129), "tensor 'hidden.0.weights': want uint64 (70, 3)"),
        (put("hidden", 0, "outputs", 69), "tensor 'hidden.0.weights': want uint64 (69, 2)"),
        (put("hidden", 0, "weights", "hidden.1.weights"), "tensor 'hidden.1.weights': want uint64 (70, 2)"),
        (put("hidden", []), "head: takes 33 bits, but gets 100 from before it"),
        (put("head", "classes", 6), "tensor 'head.weights': want uint64 (6, 1)"),
        (put("head", "nbits", 32), "head weights: bits past 32 are not zero"),
        (put("head", "nbits", 34), "head: takes 34 bits, but gets 33 from before it"),
        (put("head", "bias", "head.scale"), "network.head.bias: tensor 'head.scale' has another use already"),
    ],
)
def test_wrong_descriptions_are_refused(tmp_path, sound, change, message):
    """A wrong field, width or tensor name in the network's JSON is named by its place."""
    file = File(sound)
    file.describe(change)
    refused(tmp_path, file.content(), message)


def test_tensors_without_a_use_are_refused(tmp_path, sound):
    """A tensor that the network does not name is refused."""
    file = File(sound)
    end = len(file.data)
    file.header["extra"] = {"dtype": "F32", "shape": [16], "data_offsets": [end, end + 64]}
    file.data += bytes(64)
    refused(tmp_path, file.content(), "network: does not name the tensors 'extra'")


def test_empty_tensors_are_refused(tmp_path, sound):
    """A tensor without elements has no use in a network."""
    file = File(sound)
    end = len(file.data)
    file.header["extra"] = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}
    refused(tmp_path, file.content(), "network: does not name the tensors 'extra'")


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("input.source", ("<i4", 3, 30), "encoding source: want values within [0, 29]"),
        ("input.source", ("<i4", 3, -1), "encoding source: want values within [0, 29]"),
        ("input.thresholds", ("<f4", 99, np.nan), "encoding thresholds: NaN or infinity"),
        ("input.thresholds", ("<f4", 0, np.inf), "encoding thresholds: NaN or infinity"),
        ("hidden.0.thresholds", ("<i4", 69, 102), "hidden[0] thresholds: want values within [-101, 101]"),
        ("hidden.1.thresholds", ("<i4", 0, -72), "hidden[1] thresholds: want values within [-71, 71]"),
        ("hidden.0.weights", ("<u8", 1, 1 << 36), "hidden[0] weights: bits past 100 are not zero"),
        ("head.weights", ("<u8", 4, 1 << 63), "head weights: bits past 33 are not zero"),
        ("head.scale", ("<f4", 2, np.nan), "head scale: NaN or infinity"),
        ("head.bias", ("<f4", 2, -np.inf), "head bias: NaN or infinity"),
    ],
)
def test_wrong_values_are_refused(tmp_path, sound, name, fault, message):
    """An index, threshold, parameter or excess bit out of its range is named with its tensor."""
    file = File(sound)
    dtype, index, value = fault
    values = file.tensor(name, dtype)
    values[index] = value
    file.replace(name, values)
    refused(tmp_path, file.content(), message)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_damage_is_refused_or_harmless(tmp_path, sound, data):
    """Bytes changed, cut or inserted anywhere give a valid network or a ModelFormatError, and nothing else."""
    path = tmp_path / "file"
    path.write_bytes(damaged(data, sound))
    try:
        net = BinaryNetwork.open(path)
    except ModelFormatError:
        return
    label, scores = net.run(np.zeros((3, net.features), np.float32))
    assert label.shape == (3,)
    assert scores.shape == (3, net.classes)
    assert not np.isnan(scores).any()
