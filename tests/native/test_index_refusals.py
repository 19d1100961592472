"""The index's loader trusts nothing: one test for each rule, and random damage."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liam_core import BinaryIndex, ModelFormatError, pack, write_binary_index
from tests.native.broken import File, damaged, entry, put, swap

RNG = np.random.default_rng(2)
VECTORS = RNG.standard_normal((20, 70)).astype(np.float32)
PARTS = {"codes": pack(VECTORS), "nbits": 70, "ids": np.arange(20) * 3}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return the bytes of a valid file with everything in it."""
    path = tmp_path_factory.mktemp("sound") / "file"
    write_binary_index(path, **PARTS, k=4, thresholds=VECTORS[0], oversample=2, vectors=VECTORS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Return the bytes of a valid file with a radius."""
    path = tmp_path_factory.mktemp("wide") / "file"
    write_binary_index(path, **PARTS, metric="jaccard", radius=0.25)
    return path.read_bytes()


def refused(tmp_path, file, message):
    """Check that a file is refused with this message."""
    path = tmp_path / "file"
    path.write_bytes(file.content())
    with pytest.raises(ModelFormatError, match=re.escape(message)) as caught:
        BinaryIndex.open(path)
    assert caught.value.__notes__ == [f"while reading {path}"]


def test_taking_apart_and_putting_together_changes_nothing(tmp_path, sound):
    """The helper of these tests makes a valid file when nothing is broken."""
    path = tmp_path / "file"
    path.write_bytes(File(sound).content())
    assert BinaryIndex.open(path).rows == 20


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "liam.binary_network", "__metadata__.format: want 'liam.binary_index', got 'liam.binary_network'"),
        ("format_version", "2", "__metadata__.format_version: want '1', got '2'"),
        ("bitorder", "big", "__metadata__.bitorder: want 'little', got 'big'"),
        ("bit_one", "-1", "__metadata__.bit_one: want '+1', got '-1'"),
        ("index", "[]", "index: want a JSON object"),
        ("index", "{", "index: not JSON"),
        ("index", '{"nbits":1.5}', "index: the number 1.5 is no integer"),
        ("author", "me", "__metadata__: want exactly the keys"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, sound, key, value, message):
    """A wrong, unknown or unreadable metadata value is named."""
    file = File(sound)
    file.metadata[key] = value
    refused(tmp_path, file, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            put("extra", 1),
            "index: want exactly the keys nbits, rows, metric, codes, ids, input, result, and perhaps rescoring",
        ),
        (lambda index: index.pop("ids"), "index: want exactly the keys"),
        (put("nbits", 0), "index.nbits: want an integer from 1 to 2147483647"),
        (put("nbits", 71), "tensor 'thresholds': want float32 (71,), got float32 (70,)"),
        (put("nbits", True), "index.nbits: want an integer"),
        (put("rows", 21), "tensor 'codes': want uint64 (21, 2), got uint64 (20, 2)"),
        (put("rows", "20"), "index.rows: want an integer"),
        (put("metric", "cosine"), "index.metric: 'cosine' is none of hamming, dot, jaccard"),
        (put("metric", []), "index.metric: [] is none of"),
        (put("metric", "x" * 1000), "index.metric: 'xxx"),
        (put("codes", "none"), "index.codes: no tensor 'none'"),
        (put("codes", 3), "index.codes: no tensor 3"),
        (put("codes", "thresholds"), "index.codes: tensor 'thresholds' has another use already"),
        (put("ids", "codes"), "index.ids: tensor 'codes' has another use already"),
        (put("input", []), "index.input: want a JSON object"),
        (put("input", "name", "x"), "index.input.name: want 'input', got 'x'"),
        (put("input", "form", "packed"), "thresholds: packed queries are not compared with thresholds"),
        (put("input", "form", "text"), "index.input.form: 'text' is none of float32, packed"),
        (put("input", "more", 1), "index.input: want exactly the keys name, form, and perhaps thresholds"),
        (lambda index: index["input"].pop("thresholds"), "index: does not name the tensors 'thresholds'"),
        (put("result", {}), "result: want either k or a radius"),
        (put("result", {"k": 4, "radius": 3}), "result: want either k or a radius"),
        (put("result", {"best": 4}), "index.result: want exactly the keys"),
        (put("result", "k", 0), "index.result.k: want an integer from 1"),
        (put("result", "k", 21), "k: want 1 to 20 neighbours of 20 codes, got 21"),
        (put("result", {"radius": 3}), "rescoring: chooses k neighbours"),
        (put("rescoring", {}), "index.rescoring: want exactly the keys oversample, and perhaps vectors"),
        (put("rescoring", "oversample", 0), "index.rescoring.oversample: want an integer from 1"),
        (put("rescoring", "oversample", 1 << 20), "oversample: want 1 to 16384 for k = 4, got 1048576"),
        (put("rescoring", "vectors", "codes"), "index.rescoring.vectors: tensor 'codes' has another use already"),
        (lambda index: index["rescoring"].pop("vectors"), "index: does not name the tensors 'vectors'"),
    ],
)
def test_wrong_descriptions_are_refused(tmp_path, sound, change, message):
    """A wrong field, width, choice or tensor name in the index's JSON is named by its place."""
    file = File(sound)
    file.describe(change)
    refused(tmp_path, file, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("result", "radius", 1), "index.result.radius: want a string, got 1"),
        (put("result", "radius", ""), "index.result.radius: '' is no number as Python writes it"),
        (put("result", "radius", "0.250"), "index.result.radius: '0.250' is no number as Python writes it"),
        (put("result", "radius", "0.1"), "radius: want a float32 from 0 to 1 for jaccard, got 0.1"),
        (put("result", "radius", "1.5"), "radius: want a float32 from 0 to 1 for jaccard, got 1.5"),
        (put("result", "radius", "nan"), "radius: want a float32 from 0 to 1 for jaccard, got nan"),
        (put("result", "radius", "0" * 100_000), "is no number as Python writes it"),
        (put("metric", "hamming"), "index.result.radius: want an integer from -70 to 70"),
    ],
)
def test_wrong_radii_are_refused(tmp_path, wide, change, message):
    """A radius of jaccard is a text with the one form of its float32; that of the others an integer."""
    file = File(wide)
    file.describe(change)
    refused(tmp_path, file, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry("ids", dtype="U64"), "tensor 'ids': want int64 (20,), got uint64 (20,)"),
        (entry("codes", dtype="I64"), "tensor 'codes': want uint64 (20, 2), got int64 (20, 2)"),
        (entry("codes", shape=[40, 1]), "tensor 'codes': want uint64 (20, 2), got uint64 (40, 1)"),
        (entry("vectors", shape=[70, 20]), "tensor 'vectors': want float32 (20, 70), got float32 (70, 20)"),
        (swap("codes", "ids"), "does not take"),
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
        ("codes", ("<u8", 39, 1 << 6), "codes: bits past 70 are not zero"),
        ("thresholds", ("<f4", 69, np.nan), "thresholds: NaN or infinity"),
        ("vectors", ("<f4", 1399, -np.inf), "vectors: NaN or infinity"),
    ],
)
def test_wrong_values_are_refused(tmp_path, sound, name, fault, message):
    """An excess bit, or a number that is none, is named with its tensor."""
    file = File(sound)
    dtype, place, value = fault
    values = file.tensor(name, dtype)
    values[place] = value
    file.replace(name, values)
    refused(tmp_path, file, message)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), which=st.sampled_from(["sound", "wide"]))
def test_random_damage_is_refused_or_harmless(tmp_path, sound, wide, data, which):
    """Bytes changed, cut or inserted anywhere give a valid index or a ModelFormatError, and nothing else."""
    path = tmp_path / "file"
    path.write_bytes(damaged(data, sound if which == "sound" else wide))
    try:
        index = BinaryIndex.open(path)
    except ModelFormatError:
        return
    (source,) = index.describe()["inputs"]
    x = np.zeros((3, source["shape"][1]), np.float32 if source["datatype"] == "FP32" else np.uint8)
    for result in index.run(x):
        assert result.ndim in (1, 2)
