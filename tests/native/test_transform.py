"""The signal transform: every step as NumPy and SciPy have it, chains through files, batches, limits."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.linalg import hadamard

import liam_core
from liam_core import ModelFormatError, ResultSizeError, SignalTransform, pack, steps, write_signal_transform
from liam_core import transform as transform_module
from liam_core.hadamard import Rotation as KernelRotation

RNG = np.random.default_rng(9)
WIDTH = 64
X = RNG.standard_normal((5, WIDTH)).astype(np.float32)
FLAGS = RNG.integers(0, 2, (5, 70)).astype(np.uint8)
MATRIX = RNG.integers(0, 2, (33, 70)).astype(np.uint8)


def packed(flags):
    return np.packbits(flags, axis=-1, bitorder="little")


def opened(tmp_path, *chain, width=WIDTH, input_form="float32"):
    path = tmp_path / "transform.safetensors"
    write_signal_transform(path, width=width, steps=chain, input_form=input_form)
    return SignalTransform.open(path)


def test_floats_are_transformed(tmp_path, level):
    """Rotation, Walsh-Hadamard and scale are those of the kernel and of SciPy; the rotation keeps lengths."""
    rotated = opened(tmp_path, steps.Rotation(3)).run(X)
    np.testing.assert_array_equal(rotated, KernelRotation(WIDTH, 3).apply(X))
    np.testing.assert_allclose(np.linalg.norm(rotated, axis=1), np.linalg.norm(X, axis=1), rtol=1e-5)
    natural = opened(tmp_path, steps.WalshHadamard()).run(X)
    np.testing.assert_allclose(natural, X @ hadamard(WIDTH).T, rtol=1e-4, atol=1e-4)
    sequency = opened(tmp_path, steps.WalshHadamard("sequency")).run(X)
    changes = (np.diff(hadamard(WIDTH), axis=1) != 0).sum(1)
    np.testing.assert_array_equal(sequency, natural[:, np.argsort(changes)])
    factors = RNG.standard_normal(WIDTH).astype(np.float32)
    np.testing.assert_array_equal(opened(tmp_path, steps.Scale(factors)).run(X), X * factors)


def test_floats_become_bits(tmp_path, level):
    """A threshold gives packed bits, little end first, by sign or by limits; NaN gives 0."""
    x = X.copy()
    x[0, 0], x[0, 1] = np.nan, -0.0
    limits = RNG.standard_normal(WIDTH).astype(np.float32)
    np.testing.assert_array_equal(opened(tmp_path, steps.Threshold()).run(x), packed(x >= 0))
    np.testing.assert_array_equal(opened(tmp_path, steps.Threshold(limits)).run(x), packed(x >= limits))


@pytest.mark.parametrize("form", ["packed", "uint8"])
def test_bits_are_moved_and_mapped(tmp_path, level, form):
    """Rotation of bits is NumPy's roll, and the map is the product modulo 2, whatever form the bits come in."""
    x = packed(FLAGS) if form == "packed" else FLAGS
    for shift in (0, 1, -5, 69):
        moved = opened(tmp_path, steps.BitRotate(shift), width=70, input_form=form).run(x)
        np.testing.assert_array_equal(moved, packed(np.roll(FLAGS, shift, axis=1)))
    mapped = opened(tmp_path, steps.Gf2Map.of(MATRIX), width=70, input_form=form).run(x)
    product = FLAGS.astype(int) @ MATRIX.T.astype(int) % 2
    np.testing.assert_array_equal(mapped, packed(product.astype(np.uint8)))


@pytest.mark.parametrize(
    ("to", "dtype", "datatype"),
    [("float32", np.float32, "FP32"), ("int8", np.int8, "INT8"), ("uint8", np.uint8, "UINT8")],
)
def test_bits_become_numbers(tmp_path, level, to, dtype, datatype):
    """Unpacked bits are +1 and -1, or 1 and 0 for uint8."""
    transform = opened(tmp_path, steps.Unpack(to), width=70, input_form="packed")
    result = transform.run(packed(FLAGS))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, FLAGS if to == "uint8" else 2 * FLAGS.astype(dtype) - 1)
    assert transform.describe()["outputs"] == [{"name": "output", "datatype": datatype, "shape": [-1, 70]}]


def chain():
    """Return steps of every kind, there and back."""
    return (
        steps.Rotation(11),
        steps.Scale(np.full(WIDTH, 0.5, np.float32)),
        steps.Threshold(np.zeros(WIDTH, np.float32)),
        steps.BitRotate(7),
        steps.Gf2Map.of(np.tri(128, WIDTH, dtype=np.uint8)),
        steps.Unpack(),
        steps.WalshHadamard("sequency"),
    )


def test_steps_run_in_their_order(tmp_path, level):
    """A long chain is its steps one after the other, and describes itself."""
    transform = opened(tmp_path, *chain())
    bits = KernelRotation(WIDTH, 11).apply(X) * np.float32(0.5) >= 0
    bits = np.roll(bits, 7, axis=1).astype(int) @ np.tri(128, WIDTH, dtype=int).T % 2
    signs = (2 * bits - 1).astype(np.float32)
    expected = signs @ hadamard(128).T.astype(np.float32)
    changes = (np.diff(hadamard(128), axis=1) != 0).sum(1)
    np.testing.assert_array_equal(transform.run(X), expected[:, np.argsort(changes)])
    said = transform.describe()
    assert said["steps"] == ["rotation", "scale", "threshold", "bit_rotate", "gf2_map", "unpack", "walsh_hadamard"]
    assert said["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, WIDTH]}]
    assert said["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 128]}]


def test_rows_do_not_depend_on_their_batch_nor_on_the_level(tmp_path):
    """A row's result is the same bits alone and among others, at every level."""
    transform = opened(tmp_path, *chain())
    together = transform.run(X).tobytes()
    assert b"".join(transform.run(X[row : row + 1]).tobytes() for row in range(len(X))) == together
    for name in liam_core.capabilities().supported:
        with liam_core.set_level(name):
            assert transform.run(X).tobytes() == together


def test_rotations_stay_what_they_are(tmp_path, level):
    """A seed names one rotation for ever, to the bit: files that were pushed depend on it."""
    x = np.arange(1, 7, dtype=np.float32)[None]
    rotated = opened(tmp_path, steps.Rotation(2026), width=6).run(x)
    assert [float(number).hex() for number in rotated[0]] == [
        "-0x1.2628000000000p-1",
        "-0x1.7286220000000p+2",
        "0x1.6461bc0000000p+2",
        "0x1.f775c60000000p+1",
        "-0x1.4818fc0000000p+0",
        "0x1.80aa880000000p+1",
    ]


def test_what_is_no_number_has_one_pattern_of_bits(tmp_path, level):
    """A NaN in a result has the same bits wherever it came from."""
    x = X.copy()
    x[0, 3] = np.nan
    x[1, :2] = np.inf, -np.inf
    result = opened(tmp_path, steps.WalshHadamard()).run(x)
    patterns = result.view(np.uint32)[np.isnan(result)]
    assert len(patterns) > 0
    assert set(patterns.tolist()) == {0x7FC00000}
    assert np.isnan(x[0, 3])


def test_inputs_are_not_written(tmp_path):
    """A request's bytes stay what they are, also where a step leaves numbers alone."""
    x = X.copy()
    x.setflags(write=False)
    opened(tmp_path, steps.Scale(np.ones(WIDTH)), steps.Rotation(1), steps.WalshHadamard()).run(x)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("input_form", ["float32", "packed", "uint8"])
def test_no_rows_give_no_results(tmp_path, input_form):
    """A batch without rows has a result without rows."""
    first = [steps.Threshold()] if input_form == "float32" else []
    transform = opened(tmp_path, *first, steps.BitRotate(1), steps.Unpack("int8"), input_form=input_form)
    ((_, columns),) = [one["shape"] for one in transform.describe()["inputs"]]
    dtype = np.float32 if input_form == "float32" else np.uint8
    assert transform.run(np.zeros((0, columns), dtype)).shape == (0, WIDTH)


def test_other_inputs_are_refused(tmp_path):
    """A wrong dtype or width, and a byte that is no bit, are named."""
    floats = opened(tmp_path, steps.Threshold())
    with pytest.raises(ValueError, match="x: want dtype float32, got float64"):
        floats.run(X.astype(np.float64))
    with pytest.raises(ValueError, match="x: want 64 columns, got 63"):
        floats.run(np.ascontiguousarray(X[:, 1:]))
    flags = opened(tmp_path, steps.BitRotate(1), input_form="uint8")
    with pytest.raises(ValueError, match="x: want bytes 0 and 1, got 7"):
        flags.run(np.full((1, WIDTH), 7, np.uint8))


def test_results_have_a_limit(tmp_path, monkeypatch):
    """More rows than an answer has room for are refused before anything is made."""
    monkeypatch.setattr(transform_module, "MAX_RESULT_BYTES", 4 * WIDTH * 4)
    transform = opened(tmp_path, steps.Unpack(), input_form="packed")
    assert transform.run(np.zeros((4, 8), np.uint8)).shape == (4, WIDTH)
    with pytest.raises(ResultSizeError, match="x: 5 rows give 1280 bytes of results; send at most 4 rows at once"):
        transform.run(np.zeros((5, 8), np.uint8))


def test_the_stock_reader_loads_the_file(tmp_path):
    """Any safetensors reader sees the documented tensors and metadata."""
    opened(tmp_path, *chain())
    tensors = load_file(tmp_path / "transform.safetensors")
    np.testing.assert_array_equal(tensors["steps.1.factors"], np.full(WIDTH, 0.5, np.float32))
    np.testing.assert_array_equal(tensors["steps.4.matrix"], pack(np.tri(128, WIDTH, dtype=np.bool_)))
    with safe_open(tmp_path / "transform.safetensors", "numpy") as file:
        metadata = file.metadata()
    assert json.loads(metadata.pop("transform")) == {
        "input": {"name": "input", "form": "float32", "width": WIDTH},
        "steps": [
            {"step": "rotation", "seed": 11},
            {"step": "scale", "factors": "steps.1.factors"},
            {"step": "threshold", "thresholds": "steps.2.thresholds"},
            {"step": "bit_rotate", "shift": 7},
            {"step": "gf2_map", "outputs": 128, "matrix": "steps.4.matrix"},
            {"step": "unpack", "to": "float32"},
            {"step": "walsh_hadamard", "order": "sequency"},
        ],
        "output": {"name": "output", "form": "float32", "width": 128},
    }
    assert metadata == {"format": "liam.signal_transform", "format_version": "1", "bitorder": "little", "bit_one": "+1"}


def test_equal_chains_give_equal_bytes(tmp_path):
    """Writing is deterministic, and so is writing what was read."""
    opened(tmp_path, *chain())
    first, second = tmp_path / "transform.safetensors", tmp_path / "second"
    liam_core.save_signal_transform(second, liam_core.read_signal_transform(first))
    assert first.read_bytes() == second.read_bytes()


def test_an_open_chain_does_not_need_its_file(tmp_path):
    """A chain goes on when its file has been emptied."""
    transform = opened(tmp_path, *chain())
    before = transform.run(X).tobytes()
    (tmp_path / "transform.safetensors").write_bytes(b"")
    assert transform.run(X).tobytes() == before


FLOAT_STEP, BIT_STEP = steps.WalshHadamard(), steps.BitRotate(0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"steps": []}, "steps: want 1 to 64, got 0"),
        ({"steps": [FLOAT_STEP] * 65}, "steps: want 1 to 64, got 65"),
        ({"steps": ["threshold"]}, "steps[0]: a str is no step"),
        ({"input_form": "bits"}, "input: 'bits' is none of float32, packed, uint8"),
        ({"width": 0}, "input: want 1 to 1073741824 columns, got 0"),
        ({"steps": [BIT_STEP]}, "steps[0]: bit_rotate takes bits, but gets 64 float32 from before it"),
        ({"steps": [steps.Threshold(), FLOAT_STEP]}, "steps[1]: walsh_hadamard takes float32, but gets 64 bits from"),
        ({"steps": [steps.Threshold(), steps.Threshold()]}, "steps[1]: threshold takes float32, but gets 64 bits"),
        ({"steps": [steps.Unpack()]}, "steps[0]: unpack takes bits, but gets 64 float32"),
        ({"steps": [steps.Gf2Map.of([[1]])]}, "steps[0]: gf2_map takes bits, but gets 64 float32"),
        (
            {"steps": [steps.Threshold(), steps.Unpack("int8"), steps.Scale([1.0])]},
            "steps[2]: scale takes float32, but gets 64 int8 from before it",
        ),
        ({"input_form": "packed", "steps": [steps.Rotation(1)]}, "steps[0]: rotation takes float32, but gets 64 bits"),
        ({"width": 60}, "steps[0]: walsh_hadamard takes a power of two, but gets 60 float32 from before it"),
        ({"steps": [steps.WalshHadamard("dyadic")]}, "steps[0].order: 'dyadic' is none of natural, sequency"),
        ({"steps": [steps.Rotation(-1)]}, "steps[0].seed: want an integer from 0 to"),
        ({"steps": [steps.Rotation(0.5)]}, "steps[0].seed: want an integer from 0 to"),
        ({"steps": [steps.Scale([1.0, 2.0])]}, "steps[0].factors: want float32 (64,), got float32 (2,)"),
        ({"steps": [steps.Scale([np.inf] * 64)]}, "steps[0].factors: NaN or infinity"),
        ({"steps": [steps.Scale(["a"] * 64)]}, "steps[0].factors: want numbers"),
        ({"steps": [steps.Threshold([0.0])]}, "steps[0].thresholds: want float32 (64,), got float32 (1,)"),
        ({"steps": [steps.Threshold(), steps.BitRotate(64)]}, "steps[1].shift: want an integer from -63 to 63, got 64"),
        ({"steps": [steps.Threshold(), steps.Unpack("int16")]}, "steps[1].to: 'int16' is none of float32, int8, uint8"),
        (
            {"steps": [steps.Threshold(), steps.Gf2Map.of(np.ones((3, 65), np.uint8))]},
            "steps[1].matrix: want uint64 (outputs, 1) for 64 bits, got uint64 (3, 2)",
        ),
        (
            {"width": 60, "steps": [steps.Threshold(), steps.Gf2Map.of(np.ones((3, 61), np.uint8))]},
            "steps[1].matrix: bits past 60 are not zero",
        ),
        (
            {"steps": [steps.Threshold(), steps.Gf2Map(np.zeros((0, 1), np.uint64))]},
            "steps[1].matrix: want 1 to 1073741824 outputs, got 0",
        ),
    ],
)
def test_wrong_chains_are_refused(tmp_path, how, message):
    """A step that does not take what is before it, or needs something else, is named by its place."""
    path = tmp_path / "file"
    with pytest.raises(ModelFormatError) as caught:
        write_signal_transform(path, **{"width": WIDTH, "steps": [FLOAT_STEP], **how})
    assert str(caught.value).startswith(message)
    assert not path.exists()


@pytest.mark.parametrize("matrix", [[1, 0], [[2]], [[0.5]], [["a"]]])
def test_other_matrices_are_refused(matrix):
    """A map over GF(2) is a matrix of 0 and 1."""
    with pytest.raises(ModelFormatError, match="matrix: want a matrix of 0 and 1"):
        steps.Gf2Map.of(matrix)
