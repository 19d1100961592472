"""Products, matrix-vector products and transposes over GF(2) against plain NumPy, at every SIMD level."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import liam_core
from liam_core import gf2, words_for
from tests.native import gf2_oracle as oracle
from tests.native.gf2_oracle import packed, product

SIZES = [1, 7, 8, 9, 63, 64, 65, 127, 128, 129]
SHAPES = [
    *[(n, n, n) for n in SIZES],
    (1, 500, 1),
    (500, 1, 500),
    (3, 1000, 130),
    (1000, 3, 70),
    (130, 70, 1000),
    (500, 500, 500),
    (65, 1100, 513),
    (1100, 65, 2100),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_products_agree_with_numpy(level, shape):
    """A product is the integer product modulo two."""
    m, k, n = shape
    a, b = oracle.random(1, m, k), oracle.random(2, k, n)
    np.testing.assert_array_equal(gf2.multiply(packed(a), packed(b), n), packed(product(a, b)))


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (64, 64), (129, 63), (500, 1000), (1000, 127), (1030, 520)])
def test_transposes_agree_with_numpy(level, shape):
    """A transpose is NumPy's, and transposing again gives the matrix back."""
    a = oracle.random(3, *shape)
    out = gf2.transpose(packed(a), shape[1])
    np.testing.assert_array_equal(out, packed(a.T))
    np.testing.assert_array_equal(gf2.transpose(out, shape[0]), packed(a))


@pytest.mark.parametrize("batch", [1, 2, 15, 16, 17, 300])
@pytest.mark.parametrize("shape", [(1, 1), (8, 64), (65, 9), (100, 500), (511, 1001)])
def test_vectors_agree_with_numpy(level, shape, batch):
    """Each vector of a batch, small or large, is multiplied by the matrix; one vector alone gives one row."""
    m, nbits = shape
    a, x = oracle.random(4, m, nbits), oracle.random(5, batch, nbits)
    out = gf2.matvec(packed(a), packed(x), nbits)
    np.testing.assert_array_equal(out, packed(product(x, a.T)))
    np.testing.assert_array_equal(gf2.matvec(packed(a), packed(x)[0], nbits), out[0])


def test_structured_products(level):
    """Identity, zero and permutations act as they must."""
    n = 200
    a = oracle.random(6, n, n)
    order = np.random.default_rng(7).permutation(n)
    identity = np.eye(n, dtype=np.uint8)
    np.testing.assert_array_equal(gf2.multiply(packed(identity), packed(a), n), packed(a))
    np.testing.assert_array_equal(gf2.multiply(packed(a), packed(identity), n), packed(a))
    np.testing.assert_array_equal(gf2.multiply(packed(identity[order]), packed(a), n), packed(a[order]))
    np.testing.assert_array_equal(gf2.multiply(packed(a), packed(identity[:, order]), n), packed(a[:, order]))
    assert not gf2.multiply(packed(a), packed(np.zeros_like(a)), n).any()


def test_syndromes_locate_errors(level):
    """A Hamming code's syndrome of a single error is its position, and code words have none."""
    checks = packed(oracle.HAMMING)
    words = packed(np.eye(7, dtype=np.uint8))
    np.testing.assert_array_equal(gf2.matvec(checks, words, 7)[:, 0], np.arange(1, 8))
    generator, parity = oracle.golay()
    assert not gf2.matvec(packed(parity), packed(generator), 23).any()


def test_a_shift_register_has_its_period(level):
    """The companion matrix of a primitive polynomial of degree 7 has order 127."""
    step = packed(oracle.companion([0, 1], 7))  # x^7 + x + 1
    power, period = step, 1
    identity = packed(np.eye(7, dtype=np.uint8))
    while not np.array_equal(power, identity):
        power, period = gf2.multiply(power, step, 7), period + 1
    assert period == 127


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 8), (64, 64, 64), (9, 70, 130)])
def test_stacks_are_their_matrices(level, shape):
    """Every matrix of a stack gives what it gives alone."""
    m, k, n = shape
    a, b = packed(oracle.random(8, 21, m, k)), packed(oracle.random(9, 21, k, n))
    np.testing.assert_array_equal(gf2.multiply(a, b, n), [gf2.multiply(x, y, n) for x, y in zip(a, b, strict=True)])
    np.testing.assert_array_equal(gf2.transpose(a, k), [gf2.transpose(x, k) for x in a])
    np.testing.assert_array_equal(gf2.ranks(a, k), [gf2.rank(x, k) for x in a])


def test_empty_matrices(level):
    """Matrices without rows, columns or bits are matrices too, and so is a stack of none."""
    none = np.empty((0, 2), np.uint64)
    flat = np.empty((5, 0), np.uint64)
    assert gf2.multiply(none, np.zeros((100, 1), np.uint64), 3).shape == (0, 1)
    assert gf2.multiply(np.zeros((4, 2), np.uint64), np.empty((100, 0), np.uint64), 0).shape == (4, 0)
    assert gf2.multiply(flat, none, 100).tolist() == [[0, 0]] * 5
    assert gf2.multiply(np.empty((0, 3, 1), np.uint64), np.empty((0, 9, 2), np.uint64), 70).shape == (0, 3, 2)
    assert gf2.transpose(none, 100).shape == (100, 0)
    assert gf2.transpose(flat, 0).shape == (0, 1)
    assert gf2.matvec(none, np.zeros(2, np.uint64), 100).shape == (0,)
    assert gf2.matvec(flat, np.empty((20, 0), np.uint64), 0).tolist() == [[0]] * 20
    assert gf2.matvec(flat, np.empty((0, 0), np.uint64), 0).shape == (0, 1)


def test_excess_bits_are_ignored(level):
    """Bits past the width of a row change no result."""
    a, b, x = oracle.random(10, 70, 70), oracle.random(11, 70, 70), oracle.random(12, 40, 70)
    poison = np.array([0, 2**64 - 64], np.uint64)
    dirty_a, dirty_b, dirty_x = packed(a) | poison, packed(b) | poison, packed(x) | poison
    np.testing.assert_array_equal(gf2.multiply(dirty_a, dirty_b, 70), packed(product(a, b)))
    np.testing.assert_array_equal(gf2.transpose(dirty_a, 70), packed(a.T))
    np.testing.assert_array_equal(gf2.matvec(dirty_a, dirty_x, 70), packed(product(x, a.T)))
    np.testing.assert_array_equal(gf2.matvec(dirty_a, dirty_x[0], 70), packed(product(x, a.T))[0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.tuples(st.integers(1, 80), st.integers(1, 140), st.integers(1, 140), st.integers(1, 80)),
)
def test_products_obey_the_laws_of_matrices(level, seed, sizes):
    """Products are associative, distribute over sums, and are turned around by transposes; vectors are columns."""
    m, k, n, p = sizes
    a, b = packed(oracle.random(seed, m, k)), packed(oracle.random(seed + 1, k, n))
    other, c = packed(oracle.random(seed + 2, k, n)), packed(oracle.random(seed + 3, n, p))
    ab = gf2.multiply(a, b, n)
    np.testing.assert_array_equal(gf2.multiply(ab, c, p), gf2.multiply(a, gf2.multiply(b, c, p), p))
    np.testing.assert_array_equal(gf2.multiply(a, b ^ other, n), ab ^ gf2.multiply(a, other, n))
    turned = gf2.multiply(gf2.transpose(b, n), gf2.transpose(a, k), m)
    np.testing.assert_array_equal(gf2.transpose(ab, n), turned)
    np.testing.assert_array_equal(gf2.matvec(a, gf2.transpose(b, n), k), turned)


def test_levels_agree_to_the_bit():
    """Every supported level returns the bytes that the scalar level returns."""
    a, b, x = (
        packed(oracle.random(13, 333, 777)),
        packed(oracle.random(14, 777, 555)),
        packed(oracle.random(15, 90, 777)),
    )
    results = set()
    for level in liam_core.capabilities().supported:
        with liam_core.set_level(level):
            parts = gf2.multiply(a, b, 555), gf2.transpose(a, 777), gf2.matvec(a, x, 777), gf2.matvec(a, x[0], 777)
            results.add(b"".join(part.tobytes() for part in parts))
    assert len(results) == 1


WORDS = np.zeros((4, 2), np.uint64)
STACK = np.zeros((3, 4, 2), np.uint64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gf2.multiply(WORDS, WORDS[0], 70), "b: want 2 or 3 axes"),
        (lambda: gf2.multiply(WORDS, WORDS, 200), "b: want 4 words"),
        (lambda: gf2.multiply(WORDS, WORDS, "70"), "nbits: want an int"),
        (lambda: gf2.multiply(WORDS, WORDS, 70), "a: want 1 words per row for 4 bits"),
        (lambda: gf2.multiply(STACK, WORDS, 70), "a: want 2 axes"),
        (lambda: gf2.multiply(WORDS.astype(np.int64), WORDS, 70), "a: want dtype uint64"),
        (lambda: gf2.multiply(STACK[:2, :, :1].copy(), STACK, 70), "a: want a stack of 3 matrices, as b is, got 2"),
        (lambda: gf2.multiply(STACK[:, :, :1], STACK, 70), "a: want a C-contiguous"),
        (lambda: gf2.matvec(WORDS, WORDS[:, :1].copy(), 70), "x: want 2 words"),
        (lambda: gf2.matvec(STACK, WORDS, 70), "a: want 2 axes"),
        (lambda: gf2.matvec(WORDS, STACK, 70), "x: want 1 or 2 axes"),
        (lambda: gf2.transpose(WORDS.tolist(), 70), "a: want a NumPy array"),
        (lambda: gf2.transpose(WORDS, -1), "nbits: want an int within"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_the_module_is_part_of_the_package():
    """The package exports the module, and its results have the documented widths."""
    assert liam_core.gf2 is gf2
    assert set(gf2.__all__) <= set(vars(gf2))
    assert gf2.transpose(WORDS, 65).shape == (65, words_for(4))
