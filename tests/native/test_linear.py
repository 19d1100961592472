"""Linear layers of floats against NumPy in the documented order, one rounding at a time, at every SIMD level."""

import hashlib
import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liam_core import Linear, capabilities, set_level
from tests.native.oracle import linear

at_every_level = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)

ODD = np.array(
    [0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x7FC12345, 0x7F812345, 0x3F800001], np.uint32
)
ODD = np.concatenate([ODD, ODD | np.uint32(1 << 31)]).view(np.float32)
"""Zeros, subnormals, the least and the greatest normal, infinities, NaN quiet and signalling, of both signs."""

SHAPES = [
    *((m, k, n) for m in (1, 2, 3, 5, 6, 7, 13) for k in (0, 1, 2, 3, 4, 5, 39) for n in (1, 7, 8, 9, 10, 16, 17, 70)),
    *((64, 784, 10), (9, 784, 128), (65, 130, 33), (1, 1000, 1000), (200, 3000, 3), (0, 5, 5), (5, 5, 0)),
]


def made(m, k, n, seed=0, spread=0):
    """Return random rows, weights and biases; magnitudes differ by up to 2**spread."""
    random = np.random.default_rng([m, k, n, seed])

    def floats(*shape):
        return np.ldexp(random.standard_normal(shape), random.integers(-spread, 1, shape)).astype(np.float32)

    return floats(m, k), floats(k, n), floats(n)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_are_those_of_the_documented_order(level, shape):
    """Every bit is what the header's formula says, whatever the shape, with biases and without."""
    x, weights, bias = made(*shape)
    assert Linear(weights, bias).apply(x).tobytes() == linear(x, weights, bias).tobytes()
    assert Linear(weights).apply(x).tobytes() == linear(x, weights, np.zeros_like(bias)).tobytes()


def test_products_are_not_fused(level):
    """A product that float32 must round is rounded before it is added."""
    x = np.array([[1 + 2**-12, 0, 0, 0, 1]], np.float32)
    square = x[0, 0] * x[0, 0]
    assert float(square) != float(x[0, 0]) ** 2
    weights = np.array([[x[0, 0]], [0], [0], [0], [-square]], np.float32)
    assert Linear(weights).apply(x).tolist() == [[0.0]]
    assert Linear(weights[::-1].copy()).apply(x[:, ::-1].copy()).tolist() == [[0.0]]


@pytest.mark.parametrize("width", [(37, 10), (130, 100)])
def test_a_row_does_not_depend_on_its_batch(level, width):
    """A row has the same bytes in every batch of 1 to 64 rows, at each of its places."""
    x, weights, bias = made(64, *width)
    layer = Linear(weights, bias)
    whole = layer.apply(x)
    for size in range(1, 65):
        for start in range(0, 65 - size, 1 + size // 3):
            assert layer.apply(x[start : start + size]).tobytes() == whole[start : start + size].tobytes()
    for row in range(64):
        assert layer.apply(x[row]).tobytes() == whole[row].tobytes()


@at_every_level
@given(data=st.data(), rows=st.integers(2, 40), threads=st.integers(1, 5))
def test_rows_in_another_order_have_their_own_results(level, data, rows, threads):
    """Permuted rows give permuted results, with any number of threads."""
    x, weights, bias = made(rows, 50, 21, spread=30)
    order = np.array(data.draw(st.permutations(range(rows))))
    layer = Linear(weights, bias)
    assert layer.apply(x[order], threads=threads).tobytes() == layer.apply(x)[order].tobytes()


@at_every_level
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(0, 60), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
    odd=st.sampled_from([0.0, 0.002, 0.05, 1.0]),
    spread=st.sampled_from([0, 20, 140]),
)
def test_odd_floats_go_the_way_of_ieee_754(level, shape, seed, odd, spread):
    """Infinities, NaN of any payload, subnormal numbers and signed zeros are added up as NumPy adds them up."""
    random = np.random.default_rng(seed)
    x, weights, bias = made(*shape, seed, spread)
    for array in (x, weights, bias):
        where = random.random(array.shape) < odd
        array[where] = random.choice(ODD, np.count_nonzero(where))
    found, wanted = Linear(weights, bias).apply(x), linear(x, weights, bias)
    np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


@at_every_level
@given(k=st.integers(1, 3000), seed=st.integers(0, 2**32), spread=st.sampled_from([0, 20]))
def test_the_error_is_within_the_stated_bound(level, k, seed, spread):
    """Results differ from exact ones by no more than the header says."""
    x, weights, bias = made(3, k, 5, seed, spread)
    exact = x.astype(np.float64) @ weights.astype(np.float64) + bias
    sizes = abs(x).astype(np.float64) @ abs(weights).astype(np.float64) + abs(bias)
    error = abs(Linear(weights, bias).apply(x) - exact)
    assert (error <= (k / 4 + 4) * 2.0**-24 * sizes).all()


def test_memory_may_begin_anywhere(level):
    """Rows and results at any address of a float have the same bytes, and nothing else is written."""
    x, weights, bias = made(7, 33, 11)
    layer = Linear(weights, bias)
    wanted = layer.apply(x)
    for skip in range(17):
        source, target = np.full(x.size + 17, np.nan, np.float32), np.full(77 + 17, -5, np.float32)
        rows, out = source[skip : skip + x.size].reshape(x.shape), target[skip : skip + 77].reshape(7, 11)
        rows[...] = x
        assert layer.apply(rows, out) is out
        assert out.tobytes() == wanted.tobytes()
        assert (target[:skip] == -5).all()
        assert (target[skip + 77 :] == -5).all()


def test_results_are_reproducible(level):
    """These inputs give these bytes at every level and on every machine."""
    digest = hashlib.sha256()
    for shape in ((65, 784, 10), (13, 100, 65), (3, 5, 1)):
        m, k, n = shape
        x, weights = (((np.arange(a * b) * 2654435761 % 2**32).reshape(a, b) - 2**31) for a, b in ((m, k), (k, n)))
        layer = Linear((weights / 2**31).astype(np.float32), np.ones(n, np.float32) / np.float32(3))
        digest.update(layer.apply((x / 2**29).astype(np.float32), threads=2).astype("<f4").tobytes())
    assert digest.hexdigest() == "8e2229425a29a4f65c93c27a4b5a6648b34a2b3fc1fc0482e9ba17c2711fd6d8"


def test_all_levels_agree_on_large_layers():
    """Every level computes the same bytes for layers of many blocks."""
    x, weights, bias = made(101, 1500, 133, spread=40)
    digests = set()
    for name in capabilities().supported:
        with set_level(name):
            digests.add(hashlib.sha256(Linear(weights, bias).apply(x, threads=3).tobytes()).hexdigest())
    assert len(digests) == 1


def test_a_layer_has_its_own_copy():
    """Changing the arrays that a layer was made of does not change the layer."""
    x, weights, bias = made(2, 3, 4)
    layer = Linear(weights, bias)
    before = layer.apply(x)
    weights[...], bias[...] = 0, 0
    assert layer.apply(x).tobytes() == before.tobytes()
    assert (layer.inputs, layer.outputs) == (3, 4)


def test_a_process_that_rounds_otherwise_is_refused():
    """In a process that does not round to nearest the kernel does not start, and says why."""
    downward = {"x86_64": 0x400, "AMD64": 0x400, "aarch64": 0x800000, "arm64": 0x800000}[platform.machine()]
    code = f"import ctypes, ctypes.util as u; ctypes.CDLL(u.find_library('m')).fesetround({downward}); import liam_core"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "flushes subnormal floats to zero, or does not round to nearest" in result.stderr


X = np.zeros((2, 3), np.float32)
MEMORY = np.zeros(20, np.float32)
LAYER = Linear(np.zeros((3, 4), np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Linear(X[0]), "weights: want 2 axes, got shape (3,)"),
        (lambda: Linear(X.astype(np.float64)), "weights: want dtype float32, got float64"),
        (lambda: Linear(X.T), "weights: want a C-contiguous"),
        (lambda: Linear(X, np.zeros(2, np.float32)), "bias: want 3 values, got 2"),
        (lambda: LAYER.apply(X[:, :2].copy()), "x: want 3 columns, got 2"),
        (lambda: LAYER.apply(X, np.zeros((2, 3), np.float32)), "out: want a writable array of shape (2, 4)"),
        (lambda: LAYER.apply(MEMORY[:6].reshape(2, 3), MEMORY[5:13].reshape(2, 4)), "out: overlaps x"),
        (lambda: LAYER.apply(X, threads=0), "threads: want an integer of at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
