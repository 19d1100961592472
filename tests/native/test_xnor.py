"""XNOR-popcount products against float64 products of +1 and -1, at every SIMD level."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liam_core import XnorWeights, capabilities, pack, set_level, unpack, xnor_dot
from tests.native.oracle import Maker

SHAPES = [
    (1, 1, 1),
    (1, 10, 256),
    (3, 17, 63),
    (7, 16, 64),
    (8, 15, 65),
    (9, 33, 127),
    (16, 64, 512),
    (17, 83, 1000),
    (40, 130, 321),
    (2, 3, 64 * 70 + 1),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_products_agree_with_float64(level, shape):
    """All three epilogues equal the product of the unpacked matrices, and scores to the last bit."""
    m, n, nbits = shape
    maker = Maker(sum(shape))
    a, w = maker.signs(m, nbits), maker.signs(n, nbits)
    want = (a.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int32)
    weights = XnorWeights(pack(w), nbits)
    packed = pack(a)
    np.testing.assert_array_equal(weights.dot(packed), want)
    np.testing.assert_array_equal(xnor_dot(packed, pack(w), nbits), want)

    thresholds = want[maker.random.integers(0, m, n), np.arange(n)].astype(np.int32)
    bits = weights.threshold(packed, thresholds)
    np.testing.assert_array_equal(bits, pack(want >= thresholds))

    scale, bias = maker.random.standard_normal((2, n)).astype(np.float32)
    scores = weights.scaled(packed, scale, bias)
    assert scores.tobytes() == (scale * want.astype(np.float32) + bias).tobytes()


def test_scores_are_not_fused(level):
    """A product that float32 must round is rounded before the bias is added."""
    nbits = 4097
    weights = XnorWeights(pack(np.ones((1, nbits), np.bool_)), nbits)
    scale = np.array([1 + 2**-12], np.float32)
    product = scale * np.float32(nbits)
    assert float(product[0]) != float(scale[0]) * nbits
    score = weights.scaled(pack(np.ones((1, nbits), np.bool_)), scale, -product)
    assert score.tolist() == [[0.0]]


def test_extreme_thresholds(level):
    """The smallest int32 lets every bit pass and the largest none, also for opposite rows."""
    nbits = 130
    a = pack(np.array([[True] * nbits, [False] * nbits]))
    weights = XnorWeights(pack(np.ones((3, nbits), np.bool_)), nbits)
    limits = np.iinfo(np.int32)
    thresholds = np.array([limits.min, limits.max, 0], np.int32)
    np.testing.assert_array_equal(weights.threshold(a, thresholds)[:, 0], [0b101, 0b001])
    np.testing.assert_array_equal(weights.dot(a), [[nbits] * 3, [-nbits] * 3])


def test_rows_do_not_depend_on_their_batch(level):
    """A row's results are the same bits alone, in any batch and at any position of it."""
    maker = Maker(5)
    a, nbits = pack(maker.signs(41, 700)), 700
    weights = XnorWeights(pack(maker.signs(70, nbits)), nbits)
    scale, bias = maker.random.standard_normal((2, 70)).astype(np.float32)
    whole = weights.scaled(a, scale, bias)
    for size in (1, 2, 7, 8, 9, 16, 31):
        for start in range(0, 41 - size, 3):
            part = weights.scaled(np.ascontiguousarray(a[start : start + size]), scale, bias)
            assert part.tobytes() == whole[start : start + size].tobytes()


def test_levels_agree_to_the_bit():
    """Every supported level returns the bytes that the scalar level returns."""
    maker = Maker(6)
    nbits = 999
    a = pack(maker.signs(37, nbits))
    weights = XnorWeights(pack(maker.signs(75, nbits)), nbits)
    scale, bias = maker.random.standard_normal((2, 75)).astype(np.float32)
    results = set()
    for level in capabilities().supported:
        with set_level(level):
            results.add(weights.scaled(a, scale, bias).tobytes())
    assert len(results) == 1


def test_empty_matrices(level):
    """No rows, no columns and no bits are matrices too."""
    none = np.empty((0, 2), np.uint64)
    assert XnorWeights(none, 100).dot(np.zeros((3, 2), np.uint64)).shape == (3, 0)
    assert XnorWeights(np.zeros((3, 2), np.uint64), 100).dot(none).shape == (0, 3)
    wide = XnorWeights(np.empty((3, 0), np.uint64), 0)
    assert wide.dot(np.empty((2, 0), np.uint64)).tolist() == [[0, 0, 0]] * 2
    assert wide.threshold(np.empty((1, 0), np.uint64), np.array([0, 1, -1], np.int32)).tolist() == [[0b101]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), m=st.integers(1, 20), n=st.integers(1, 40), nbits=st.integers(1, 200))
def test_products_have_the_properties_of_inner_products(level, data, m, n, nbits):
    """A product is symmetric, changes sign with its argument, and has the parity and bounds of nbits."""
    maker = Maker(data.draw(st.integers(0, 2**32)))
    a, w = maker.signs(m, nbits), maker.signs(n, nbits)
    dot = xnor_dot(pack(a), pack(w), nbits)
    np.testing.assert_array_equal(dot, xnor_dot(pack(w), pack(a), nbits).T)
    np.testing.assert_array_equal(dot, -xnor_dot(pack(-a), pack(w), nbits))
    assert ((dot - nbits) % 2 == 0).all()
    assert (abs(dot) <= nbits).all()
    np.testing.assert_array_equal(np.diagonal(xnor_dot(pack(a), pack(a), nbits)), nbits)


def test_excess_bits_are_ignored(level):
    """Bits past nbits in activations or weights change no product."""
    maker = Maker(7)
    a, w = pack(maker.signs(9, 70)), pack(maker.signs(18, 70))
    want = xnor_dot(a, w, 70)
    poison = np.array([0, 2**64 - 64], np.uint64)
    np.testing.assert_array_equal(xnor_dot(a | poison, w, 70), want)
    np.testing.assert_array_equal(xnor_dot(a, w | poison, 70), want)


def test_weights_are_copied(level):
    """Changing the array after preparation changes nothing."""
    w = pack(Maker(8).signs(5, 70))
    weights = XnorWeights(w, 70)
    before = weights.dot(w)
    w[:] = 0
    np.testing.assert_array_equal(np.diagonal(before), 70)
    np.testing.assert_array_equal(weights.dot(w), weights.dot(w.copy()))
    assert (weights.rows, weights.nbits) == (5, 70)
    assert unpack(w, 70).max() == -1


def test_results_go_where_they_are_wanted(level):
    """Given arrays are filled and returned by all three products."""
    maker = Maker(9)
    a = pack(maker.signs(11, 70))
    weights = XnorWeights(pack(maker.signs(13, 70)), 70)
    scale = np.ones(13, np.float32)
    thresholds = np.zeros(13, np.int32)
    for name, parameters in (("dot", ()), ("threshold", (thresholds,)), ("scaled", (scale, scale))):
        product = getattr(weights, name)
        fresh = product(a, *parameters)
        out = np.zeros_like(fresh)
        assert product(a, *parameters, out=out) is out
        np.testing.assert_array_equal(out, fresh)


READ_ONLY = np.zeros((4, 3), np.int32)
READ_ONLY.flags.writeable = False
PREPARED = XnorWeights(np.zeros((3, 2), np.uint64), 70)
WORDS = np.zeros((4, 2), np.uint64)
FLOATS = np.zeros(3, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: XnorWeights(WORDS[0], 70), "weights: want 2 axes"),
        (lambda: XnorWeights(WORDS, 200), "weights: want 4 words"),
        (lambda: XnorWeights(WORDS.astype(np.int64), 70), "weights: want dtype uint64"),
        (lambda: XnorWeights(WORDS, "70"), "nbits: want an int"),
        (lambda: PREPARED.dot(WORDS[:, :1].copy()), "a: want 2 words"),
        (lambda: PREPARED.dot(WORDS[::2]), "a: want a C-contiguous"),
        (lambda: PREPARED.dot(WORDS.tolist()), "a: want a NumPy array"),
        (
            lambda: PREPARED.dot(WORDS, np.zeros((3, 4), np.int32)),
            "out: want a writable array of shape (4, 3)",
        ),
        (lambda: PREPARED.dot(WORDS, READ_ONLY), "out: want a writable array"),
        (lambda: PREPARED.dot(WORDS, np.zeros((4, 3))), "out: want dtype int32"),
        (lambda: PREPARED.dot(WORDS, np.zeros((4, 6), np.int32)[:, ::2]), "out: want a C-contiguous"),
        (lambda: PREPARED.threshold(WORDS, FLOATS), "thresholds: want dtype int32"),
        (lambda: PREPARED.threshold(WORDS, np.zeros(4, np.int32)), "thresholds: want 3 values, got 4"),
        (lambda: PREPARED.scaled(WORDS, FLOATS[:2], FLOATS), "scale: want 3 values, got 2"),
        (lambda: PREPARED.scaled(WORDS, FLOATS, FLOATS.astype(np.float64)), "bias: want dtype float32"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
