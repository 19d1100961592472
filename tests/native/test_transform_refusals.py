"""The transform's loader trusts nothing: one test for each rule, and random damage."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liam_core import ModelFormatError, SignalTransform, steps, write_signal_transform
from tests.native.broken import File, damaged, entry, put

CHAIN = (
    steps.Rotation(11),
    steps.WalshHadamard(),
    steps.Scale(np.full(16, 0.25, np.float32)),
    steps.Threshold(np.arange(16, dtype=np.float32)),
    steps.BitRotate(-3),
    steps.Gf2Map.of(np.tri(70, 16, dtype=np.uint8)),
    steps.Unpack("int8"),
)
PLACES = {step.NAME: place for place, step in enumerate(CHAIN)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return the bytes of a valid file with every step in it."""
    path = tmp_path_factory.mktemp("sound") / "file"
    write_signal_transform(path, width=16, steps=CHAIN)
    return path.read_bytes()


def refused(tmp_path, file, message):
    """Check that a file is refused with this message."""
    path = tmp_path / "file"
    path.write_bytes(file.content())
    with pytest.raises(ModelFormatError, match=re.escape(message)) as caught:
        SignalTransform.open(path)
    assert caught.value.__notes__ == [f"while reading {path}"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "liam.binary_index", "__metadata__.format: want 'liam.signal_transform', got 'liam.binary_index'"),
        ("format_version", "2", "__metadata__.format_version: want '1', got '2'"),
        ("transform", "[]", "transform: want a JSON object"),
        ("transform", "{", "transform: not JSON"),
        ("author", "me", "__metadata__: want exactly the keys"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, sound, key, value, message):
    """A wrong, unknown or unreadable metadata value is named."""
    file = File(sound)
    file.metadata[key] = value
    refused(tmp_path, file, message)


def at(name, *rest):
    """Return a change of one value of the step of this name."""
    return put("steps", PLACES[name], *rest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("extra", 1), "transform: want exactly the keys input, steps, output"),
        (put("input", "name", "x"), "transform.input.name: want 'input', got 'x'"),
        (put("input", "form", "text"), "transform.input.form: 'text' is none of float32, packed, uint8"),
        (put("input", "form", "packed"), "steps[0]: rotation takes float32, but gets 16 bits from before it"),
        (put("input", "width", 0), "transform.input.width: want an integer from 1"),
        (put("input", "width", 15), "steps[1]: walsh_hadamard takes a power of two, but gets 15 float32"),
        (put("input", "width", 32), "tensor 'steps.2.factors': want float32 (32,), got float32 (16,)"),
        (put("steps", {}), "transform.steps: want a JSON list"),
        (put("steps", []), "transform: does not name the tensors"),
        (put("steps", 0, 7), "transform.steps[0]: want a JSON object"),
        (put("steps", 0, {}), "transform.steps[0]: want the key step"),
        (at("rotation", "step", "run"), "transform.steps[0].step: 'run' is none of rotation, walsh_hadamard, scale"),
        (at("rotation", "seed", -1), "transform.steps[0].seed: want an integer from 0 to 18446744073709551615"),
        (at("rotation", "seed", 1 << 64), "transform.steps[0].seed: want an integer from 0"),
        (at("rotation", "more", 1), "transform.steps[0]: want exactly the keys step, seed"),
        (at("walsh_hadamard", "order", "other"), "transform.steps[1].order: 'other' is none of natural, sequency"),
        (at("scale", "factors", "none"), "transform.steps[2].factors: no tensor 'none'"),
        (at("scale", "factors", "steps.3.thresholds"), "tensor 'steps.3.thresholds' has another use already"),
        (lambda one: one["steps"][3].pop("thresholds"), "transform: does not name the tensors 'steps.3.thresholds'"),
        (at("bit_rotate", "shift", 16), "transform.steps[4].shift: want an integer from -15 to 15"),
        (at("gf2_map", "outputs", 71), "tensor 'steps.5.matrix': want uint64 (71, 1), got uint64 (70, 1)"),
        (at("gf2_map", "outputs", 0), "transform.steps[5].outputs: want an integer from 1"),
        (at("unpack", "to", "int16"), "transform.steps[6].to: 'int16' is none of float32, int8, uint8"),
        (lambda one: one["steps"].pop(), "transform.output.form: want 'packed', got 'int8'"),
        (lambda one: one["steps"].pop(3), "steps[3]: bit_rotate takes bits, but gets 16 float32 from before it"),
        (lambda one: one["steps"].extend([{"step": "threshold"}] * 9), "steps[7]: threshold takes float32, but gets"),
        (put("output", "name", "y"), "transform.output.name: want 'output', got 'y'"),
        (put("output", "form", "uint8"), "transform.output.form: want 'int8', got 'uint8'"),
        (put("output", "width", 16), "transform.output.width: the steps give 70 int8"),
    ],
)
def test_wrong_descriptions_are_refused(tmp_path, sound, change, message):
    """A wrong step, field, width or tensor name in the transform's JSON is named by its place."""
    file = File(sound)
    file.describe(change)
    refused(tmp_path, file, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry("steps.5.matrix", dtype="I64"), "tensor 'steps.5.matrix': want uint64 (70, 1), got int64 (70, 1)"),
        (entry("steps.2.factors", shape=[4, 4]), "tensor 'steps.2.factors': want float32 (16,), got float32 (4, 4)"),
    ],
)
def test_wrong_tensors_are_refused(tmp_path, sound, change, message):
    """A tensor of another type or shape is named."""
    file = File(sound)
    change(file)
    refused(tmp_path, file, message)


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("steps.2.factors", ("<f4", 15, np.nan), "steps[2].factors: NaN or infinity"),
        ("steps.3.thresholds", ("<f4", 0, np.inf), "steps[3].thresholds: NaN or infinity"),
        ("steps.5.matrix", ("<u8", 69, 1 << 16), "steps[5].matrix: bits past 16 are not zero"),
    ],
)
def test_wrong_values_are_refused(tmp_path, sound, name, fault, message):
    """An excess bit, or a number that is none, is named with its step."""
    file = File(sound)
    dtype, place, value = fault
    values = file.tensor(name, dtype)
    values[place] = value
    file.replace(name, values)
    refused(tmp_path, file, message)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_damage_is_refused_or_harmless(tmp_path, sound, data):
    """Bytes changed, cut or inserted anywhere give a valid chain or a ModelFormatError, and nothing else."""
    path = tmp_path / "file"
    path.write_bytes(damaged(data, sound))
    try:
        transform = SignalTransform.open(path)
    except ModelFormatError:
        return
    (source,) = transform.describe()["inputs"]
    x = np.zeros((3, source["shape"][1]), np.float32 if source["datatype"] == "FP32" else np.uint8)
    assert len(transform.run(x)) == 3
