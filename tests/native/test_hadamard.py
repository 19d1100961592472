"""The Walsh-Hadamard transform against SciPy's matrix and its own algebra, and the rotation, at every SIMD level."""

import hashlib
import math
import pickle
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from liam_core import Rotation, capabilities, set_level, walsh_hadamard

DTYPES = (np.float32, np.float64, np.int32)
LENGTHS = [2**k for k in range(13)]
WIDTHS = [1, 2, 3, 5, 100, 768, 1000, 1024]

at_every_level = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def integers(dtype, *shape, seed=0, limit=100):
    """Return random integers in the given dtype; sums of all of a test's stay exact in each."""
    return np.random.default_rng(seed).integers(-limit, limit + 1, shape).astype(dtype)


@cache
def products(n):
    """Return random integers (3, n) and their products with SciPy's matrix, its rows as they are and sorted."""
    matrix = hadamard(n, dtype=np.int8)
    x = integers(np.float64, 3, n)
    natural = x @ matrix.T.astype(np.float64)
    by_sign_changes = (matrix[:, 1:] != matrix[:, :-1]).sum(axis=1).argsort()
    return x, natural, natural[:, by_sign_changes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_it_is_the_product_with_scipys_matrix(level, n, dtype):
    """Integers are transformed exactly, in natural order and in that of sign changes."""
    x, natural, sequency = products(n)
    np.testing.assert_array_equal(walsh_hadamard(x.astype(dtype)), natural)
    np.testing.assert_array_equal(walsh_hadamard(x.astype(dtype), "sequency"), sequency)


def test_int32_wraps(level):
    """Sums of int32 are those of the integers modulo 2^32."""
    x = integers(np.int64, 5, 512, limit=2**31 - 1).astype(np.int32)
    exact = x.astype(np.int64) @ hadamard(512, dtype=np.int64)
    assert abs(exact).max() > 2**31
    np.testing.assert_array_equal(walsh_hadamard(x), exact.astype(np.uint64).astype(np.uint32).view(np.int32))


@pytest.mark.parametrize("order", ["natural", "sequency"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [*range(15), 20])
def test_twice_is_n_times(level, k, dtype, order):
    """Both matrices are symmetric, so a transform undoes itself up to the factor n."""
    n = 2**k
    x = integers(dtype, 2 if k < 20 else 1, n, limit=1 if dtype == np.float32 else 100)
    twice = walsh_hadamard(walsh_hadamard(x, order), order)
    np.testing.assert_array_equal(twice, (x.astype(np.int64) * n).astype(twice.dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_agree_to_the_bit(dtype):
    """Every supported level returns the scalar level's bytes, also for subnormals, and infinities where it does."""
    random = np.random.default_rng(1)
    for n in [2**k for k in range(15)]:
        x = random.standard_normal((5, n)).astype(dtype)
        x[1] *= np.finfo(dtype).smallest_subnormal * 1000
        x[2, n // 3] = np.inf
        x[3, [n // 2, n - 1]] = [np.inf, -np.inf]
        results = []
        for name in capabilities().supported:
            with set_level(name):
                results.append(walsh_hadamard(x))
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])
            number = ~np.isnan(result)
            assert result[number].tobytes() == results[0][number].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_depend_on_their_batch_or_place(level, dtype):
    """A row's transform is the same bytes alone, in any batch, on any axis before it and at any alignment."""
    random = np.random.default_rng(2)
    for n in (1, 2, 8, 16, 128, 2048):
        x = (random.standard_normal((4, 6, n)) * 1e8).astype(dtype)
        whole = walsh_hadamard(x)
        for i in range(4):
            for j in range(6):
                memory = np.empty(n + 16, dtype)
                row = memory[i + 4 * (j % 4) :][:n]
                row[:] = x[i, j]
                assert walsh_hadamard(row).tobytes() == whole[i, j].tobytes()
        assert walsh_hadamard(x.reshape(24, n)[3:20]).tobytes() == whole.reshape(24, n)[3:20].tobytes()


@at_every_level
@given(k=st.integers(0, 12), seed=st.integers(0, 2**32), rows=st.integers(1, 5))
def test_lengths_are_kept(level, k, seed, rows):
    """The sum of squares grows n times (Parseval), exactly for integers in float64."""
    n = 2**k
    x = integers(np.float64, rows, n, seed=seed, limit=1000)
    np.testing.assert_array_equal((walsh_hadamard(x) ** 2).sum(axis=1), n * (x**2).sum(axis=1))


@at_every_level
@given(k=st.integers(0, 12), seed=st.integers(0, 2**32), dtype=st.sampled_from(DTYPES), factor=st.integers(-9, 9))
def test_it_is_linear(level, k, seed, dtype, factor):
    """The transform of a combination is the combination of the transforms."""
    x, y = integers(dtype, 2, 2**k, seed=seed)
    combined = walsh_hadamard(x * dtype(factor) + y)
    np.testing.assert_array_equal(combined, walsh_hadamard(x) * dtype(factor) + walsh_hadamard(y))


@at_every_level
@given(k=st.integers(0, 8), seed=st.integers(0, 2**32))
def test_xor_convolution_becomes_a_product(level, k, seed):
    """The transform turns the convolution over XOR of indices into an elementwise product."""
    n = 2**k
    x, y = integers(np.int32, 2, n, seed=seed, limit=9)
    index = np.arange(n)
    convolution = (x[index[:, None] ^ index] @ y).astype(np.int32)
    np.testing.assert_array_equal(walsh_hadamard(convolution), walsh_hadamard(x) * walsh_hadamard(y))


@pytest.mark.parametrize("order", ["natural", "sequency"])
def test_results_go_where_they_are_wanted(level, order):
    """A given array is filled and returned, the argument itself among them; without one the argument is kept."""
    for n in (4, 256, 8192):
        x = integers(np.int32, 3, n)
        before = x.copy()
        fresh = walsh_hadamard(x, order)
        np.testing.assert_array_equal(x, before)
        out = np.zeros_like(x)
        assert walsh_hadamard(x, order, out) is out
        np.testing.assert_array_equal(out, fresh)
        assert walsh_hadamard(x, order, out=x) is x
        np.testing.assert_array_equal(x, fresh)


def test_arrays_without_rows_are_arrays_too(level):
    """Axes of length zero before the last give an empty result."""
    for order in ("natural", "sequency"):
        assert walsh_hadamard(np.empty((0, 8), np.float32), order).shape == (0, 8)
        assert walsh_hadamard(np.empty((2, 0, 8), np.float64), order).shape == (2, 0, 8)
    assert Rotation(5, 0).apply(np.empty((0, 5), np.float32)).shape == (0, 5)


@pytest.mark.parametrize("n", WIDTHS)
def test_a_rotation_is_orthonormal(level, n):
    """The rotated unit vectors are orthonormal within the stated bound."""
    matrix = Rotation(n, 3).apply(np.eye(n, dtype=np.float32)).astype(np.float64)
    bound = 3 * (2 * np.log2(n) + 7) * 2.0**-24
    assert abs(matrix @ matrix.T - np.eye(n)).max() <= 2 * bound + bound**2


@pytest.mark.parametrize("n", WIDTHS)
def test_a_rotation_is_undone(level, n):
    """The inverse returns every row, and the rotation of an inverse too, within twice the bound of one direction."""
    x = np.random.default_rng(n).standard_normal((7, n)).astype(np.float32)
    rotation = Rotation(n, 2**64 - 1)
    bound = 2 * 3 * (2 * np.log2(n) + 7) * 2.0**-24 * np.linalg.norm(x, axis=1)
    assert (np.linalg.norm(rotation.inverse(rotation.apply(x)) - x, axis=1) <= bound).all()
    assert (np.linalg.norm(rotation.apply(rotation.inverse(x)) - x, axis=1) <= bound).all()


@pytest.mark.parametrize("n", [100, 511, 512, 513, 640, 768, 1000, 1023, 1024, 1025])
def test_a_rotation_spreads_what_is_concentrated(level, n):
    """Unit vectors come out as from a random rotation: no element is large, no half has more, no place is preferred."""
    elements = Rotation(n, 11).apply(np.eye(n, dtype=np.float32)).astype(np.float64) * np.sqrt(n)
    assert abs(elements).max() < 6  # what a Gaussian exceeds once in 5e8
    assert abs((elements[:, : n // 2] ** 2).sum(axis=1) / n - 0.5).max() < 3.5 / np.sqrt(n)  # five standard deviations
    for axis in (0, 1):
        assert (elements**4).mean(axis=axis).max() < 6  # 3 for a Gaussian


def split_mix(state):
    """Yield the outputs of SplitMix64."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        yield z ^ z >> 31


def rotated(x, n, seed):
    """Return the rotation of float32 rows as the header describes it, one operation of NumPy after the other."""
    words = split_mix(seed)
    part = 2 ** (n.bit_length() - 1)
    scale = np.float32(1 / math.sqrt(part))
    half, sqrt_half = n // 2, np.float32(math.sqrt(0.5))
    x = x.copy()
    for step in range(3 if part == n else 6):
        row = np.array([next(words) for _ in range((n + 63) // 64)], "<u8").view(np.uint8)
        x *= np.where(np.unpackbits(row, bitorder="little")[:n], np.float32(1), np.float32(-1))
        place = slice(n - part, n) if step % 2 else slice(part)
        y, h = x[:, place], 1
        while h < part:
            pairs = y.reshape(len(x), -1, 2, h)
            pairs = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
            y = pairs.reshape(len(x), part)
            h *= 2
        x[:, place] = y * scale
        if part != n and step % 2:
            a, b = x[:, :half].copy(), x[:, n - half :].copy()
            x[:, :half], x[:, n - half :] = (a + b) * sqrt_half, (a - b) * sqrt_half
    return x


@pytest.mark.parametrize("n", [*WIDTHS, 7, 64, 65, 2048, 3000])
def test_a_rotation_is_what_its_description_says(level, n):
    """A rotation is to the bit what NumPy computes from the header's text."""
    x = np.random.default_rng(n).standard_normal((2, n)).astype(np.float32)
    assert Rotation(n, 12345).apply(x).tobytes() == rotated(x, n, 12345).tobytes()


def test_rotations_are_reproducible(level):
    """(n, seed) gives these bytes at every level and on every machine, and another seed gives others."""
    digest = hashlib.sha256()
    for n in WIDTHS:
        x = (np.arange(2 * n, dtype=np.float32) - n).reshape(2, n) / np.float32(n)
        rotation = Rotation(n, 20260101)
        y = rotation.apply(x)
        digest.update(y.astype("<f4").tobytes())
        digest.update(rotation.inverse(y).astype("<f4").tobytes())
        assert n < 10 or y.tobytes() != Rotation(n, 20260102).apply(x).tobytes()
    assert digest.hexdigest() == "f2641aab15160cdfcaaad3f1e1c44ee356c1a5f7b794ddd5cb1c36c9b16fe478"


def test_a_rotation_is_its_two_numbers():
    """A rotation shows them, and is pickled as them."""
    rotation = Rotation(768, 5)
    assert (rotation.n, rotation.seed, repr(rotation)) == (768, 5, "Rotation(n=768, seed=5)")
    x = np.ones((1, 768), np.float32)
    again = pickle.loads(pickle.dumps(rotation))  # noqa: S301 - our own bytes
    assert again.apply(x).tobytes() == rotation.apply(x).tobytes()


def test_rotated_rows_go_where_they_are_wanted(level):
    """A given array is filled and returned, the argument itself among them, with any axes before the last."""
    rotation = Rotation(100, 1)
    x = np.random.default_rng(0).standard_normal((2, 3, 100)).astype(np.float32)
    y = rotation.apply(x)
    out = np.zeros_like(x)
    assert rotation.apply(x, out) is out
    assert out.tobytes() == y.tobytes()
    assert rotation.apply(x, x) is x
    assert x.tobytes() == y.tobytes()
    assert rotation.inverse(y[1, 2]).tobytes() == rotation.inverse(y)[1, 2].tobytes()


X = np.zeros((2, 8), np.float32)
READ_ONLY = np.zeros((2, 8), np.float32)
READ_ONLY.flags.writeable = False
MEMORY = np.zeros(24, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: walsh_hadamard(X, "dyadic"), "order: want 'natural' or 'sequency', got 'dyadic'"),
        (lambda: walsh_hadamard(X, None), "order: want 'natural' or 'sequency', got None"),
        (lambda: walsh_hadamard(X.tolist()), "x: want a NumPy array, got list"),
        (lambda: walsh_hadamard(X.astype(np.int64)), "x: want dtype float32 or float64 or int32, got int64"),
        (lambda: walsh_hadamard(X.astype(">f4")), "x: want dtype float32 or float64 or int32, got >f4"),
        (lambda: walsh_hadamard(np.float32(1)[...]), "x: want at least 1 axis"),
        (
            lambda: walsh_hadamard(np.zeros(6, np.float32)),
            "x: want a power of two up to 1073741824 as its last axis, got 6",
        ),
        (lambda: walsh_hadamard(np.zeros((3, 0), np.float32)), "x: want a power of two"),
        (lambda: walsh_hadamard(X[:, ::2]), "x: want a C-contiguous"),
        (lambda: walsh_hadamard(X.T), "x: want a C-contiguous"),
        (lambda: walsh_hadamard(X, out=X.astype(np.float64)), "out: want dtype float32, got float64"),
        (lambda: walsh_hadamard(X, out=X[:1]), "out: want a writable array of shape (2, 8), got (1, 8)"),
        (lambda: walsh_hadamard(X, out=READ_ONLY), "out: want a writable array"),
        (lambda: walsh_hadamard(X, out=[]), "out: want a NumPy array"),
        (lambda: walsh_hadamard(MEMORY[:16], out=MEMORY[4:20]), "out: overlaps x without being x"),
        (lambda: Rotation(0, 1), "n: want an int within [1, 1073741824], got 0"),
        (lambda: Rotation(2**30 + 1, 1), "n: want an int within"),
        (lambda: Rotation(True, 1), "n: want an int within"),
        (lambda: Rotation(8, -1), "seed: want an int within [0, 2**64), got -1"),
        (lambda: Rotation(8, 2**64), "seed: want an int within"),
        (lambda: Rotation(8, 1.0), "seed: want an int within"),
        (lambda: Rotation(8, 1).apply(X.astype(np.float64)), "x: want dtype float32, got float64"),
        (lambda: Rotation(9, 1).apply(X), "x: want 9 elements in its last axis, got 8"),
        (lambda: Rotation(8, 1).inverse(np.float32(0)[...]), "x: want at least 1 axis"),
        (lambda: Rotation(8, 1).inverse(X, READ_ONLY), "out: want a writable array"),
        (lambda: Rotation(8, 1).inverse(MEMORY[:16].reshape(2, 8), MEMORY[8:].reshape(2, 8)), "out: overlaps x"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
