"""Operations on packed bits against NumPy on the unpacked ones, at every SIMD level."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liam_core import bit_and, bit_not, bit_or, bit_xor, kronecker, pack, parity, popcount, rotate, unpack

WIDTHS = [0, 1, 7, 63, 64, 65, 127, 128, 129, 255, 256, 257, 500, 1000, 1024, 5000]

# The level fixture stays the same for all examples of one test run.
at_level = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def random_bits(*shape):
    """Return random bools."""
    return np.random.default_rng(sum(shape)).random(shape) < 0.5


@pytest.mark.parametrize("nbits", WIDTHS)
def test_bitwise_operations_are_those_of_numpy(level, nbits):
    """And, or, xor and not of packed rows are those of the bools, and leave no bits past the row."""
    a, b = random_bits(7, nbits), random_bits(7, nbits) ^ random_bits(7, nbits)[::-1]
    first, second = pack(a), pack(b)
    np.testing.assert_array_equal(bit_and(first, second, nbits), pack(a & b))
    np.testing.assert_array_equal(bit_or(first, second, nbits), pack(a | b))
    np.testing.assert_array_equal(bit_xor(first, second, nbits), pack(a ^ b))
    np.testing.assert_array_equal(bit_not(first, nbits), pack(~a))


@pytest.mark.parametrize("nbits", WIDTHS)
def test_counts_are_those_of_numpy(level, nbits):
    """Popcount is NumPy's count of each row, parity its last bit."""
    bits = random_bits(21, nbits)
    bits[3:5] = True
    counts, odd = popcount(pack(bits), nbits), parity(pack(bits), nbits)
    assert (counts.dtype, odd.dtype) == (np.uint32, np.uint8)
    np.testing.assert_array_equal(counts, bits.sum(axis=1))
    np.testing.assert_array_equal(counts, np.bitwise_count(pack(bits)).sum(axis=1))
    np.testing.assert_array_equal(odd, bits.sum(axis=1) % 2)


@pytest.mark.parametrize("nbits", WIDTHS)
@pytest.mark.parametrize("shift", [0, 1, -1, 63, 64, 65, 500, -1000, 12345, 2**70, -(2**70)])
def test_rotate_is_roll(level, nbits, shift):
    """Rotation by any integer moves bits as numpy.roll moves elements."""
    bits = random_bits(3, nbits)
    rolled = np.roll(bits, shift % max(nbits, 1), axis=1)
    np.testing.assert_array_equal(rotate(pack(bits), nbits, shift), pack(rolled))


@pytest.mark.parametrize("a_shape", [(2, 3), (1, 64), (3, 70), (4, 1), (0, 5), (5, 0)])
@pytest.mark.parametrize("b_shape", [(3, 5), (2, 64), (1, 128), (2, 200), (3, 1), (0, 9), (2, 0)])
def test_kronecker_is_kron(level, a_shape, b_shape):
    """The product of packed matrices is the packed product of the bools."""
    a, b = random_bits(*a_shape), random_bits(*b_shape)
    product = kronecker(pack(a), a_shape[1], pack(b), b_shape[1])
    want = np.kron(a, b).reshape(a_shape[0] * b_shape[0], a_shape[1] * b_shape[1])
    np.testing.assert_array_equal(product, pack(want))


def test_vectors_keep_one_axis(level):
    """A packed vector gives a vector, or one number."""
    bits = random_bits(100)
    packed = pack(bits)
    assert bit_not(packed, 100).shape == bit_xor(packed, packed, 100).shape == rotate(packed, 100, 3).shape == (2,)
    assert popcount(packed, 100).shape == parity(packed, 100).shape == ()
    assert popcount(packed, 100) == bits.sum()
    assert parity(packed, 100) == bits.sum() % 2


def test_results_go_where_they_are_wanted(level):
    """A given array is filled and returned, an argument too."""
    a, b = pack(random_bits(5, 70)), pack(random_bits(5, 70)[::-1].copy())
    want = bit_xor(a, b, 70)
    out = np.zeros_like(a)
    assert bit_xor(a, b, 70, out=out) is out
    np.testing.assert_array_equal(out, want)
    assert bit_not(bit_xor(a, b, 70, out=a), 70, out=a) is a
    np.testing.assert_array_equal(a, bit_not(want, 70))


def test_excess_bits_are_ignored(level):
    """Bits past nbits in arguments change no result, and never appear in one."""
    a, b = pack(random_bits(9, 70)), pack(random_bits(9, 70)[::-1].copy())
    poison = np.array([0, 2**64 - 64], np.uint64)
    for call in (bit_and, bit_or, bit_xor):
        np.testing.assert_array_equal(call(a | poison, b | poison, 70), call(a, b, 70))
    for call in (bit_not, popcount, parity):
        np.testing.assert_array_equal(call(a | poison, 70), call(a, 70))
    np.testing.assert_array_equal(rotate(a | poison, 70, 69), rotate(a, 70, 69))
    np.testing.assert_array_equal(kronecker(a | poison, 70, b | poison, 70), kronecker(a, 70, b, 70))


matrices = st.tuples(st.integers(0, 20), st.integers(1, 400), st.integers(0, 2**32))


@at_level
@given(matrices, st.integers(-(2**70), 2**70), st.integers(-(2**70), 2**70))
def test_rotations_are_a_cyclic_group(level, matrix, first, second):
    """Rotations compose by adding their shifts, and one by the width is none."""
    rows, nbits, seed = matrix
    bits = pack(np.random.default_rng(seed).random((rows, nbits)) < 0.5)
    twice = rotate(rotate(bits, nbits, first), nbits, second)
    np.testing.assert_array_equal(twice, rotate(bits, nbits, first + second))
    np.testing.assert_array_equal(rotate(bits, nbits, nbits), bits)
    np.testing.assert_array_equal(popcount(twice, nbits), popcount(bits, nbits))


@at_level
@given(matrices)
def test_bits_are_a_boolean_algebra(level, matrix):
    """De Morgan's laws, distribution, and xor as its own inverse hold for packed rows."""
    rows, nbits, seed = matrix
    random = np.random.default_rng(seed)
    a, b, c = (pack(random.random((rows, nbits)) < 0.5) for _ in range(3))
    both, either = bit_and(a, b, nbits), bit_or(a, b, nbits)
    np.testing.assert_array_equal(bit_not(both, nbits), bit_or(bit_not(a, nbits), bit_not(b, nbits), nbits))
    differ = bit_xor(bit_and(a, c, nbits), bit_and(b, c, nbits), nbits)
    np.testing.assert_array_equal(bit_and(bit_xor(a, b, nbits), c, nbits), differ)
    np.testing.assert_array_equal(bit_xor(bit_xor(a, b, nbits), b, nbits), a)
    ones = popcount(both, nbits).astype(int) + popcount(either, nbits)
    np.testing.assert_array_equal(ones, popcount(a, nbits).astype(int) + popcount(b, nbits))


@at_level
@given(matrices)
def test_parity_is_linear(level, matrix):
    """The parity of a sum over GF(2) is the sum of the parities."""
    rows, nbits, seed = matrix
    random = np.random.default_rng(seed)
    a, b = (pack(random.random((rows, nbits)) < 0.5) for _ in range(2))
    np.testing.assert_array_equal(parity(bit_xor(a, b, nbits), nbits), parity(a, nbits) ^ parity(b, nbits))


@at_level
@given(st.integers(0, 2**32), st.lists(st.integers(1, 70), min_size=3, max_size=3))
def test_kronecker_is_associative_and_multiplies_counts(level, seed, widths):
    """Products of three vectors do not depend on their grouping, and have the product of their counts."""
    random = np.random.default_rng(seed)
    a, b, c = (pack(random.random((1, width)) < 0.5) for width in widths)
    first, second, third = widths
    left = kronecker(kronecker(a, first, b, second), first * second, c, third)
    right = kronecker(a, first, kronecker(b, second, c, third), second * third)
    np.testing.assert_array_equal(left, right)
    counts = popcount(a, first) * popcount(b, second) * popcount(c, third)
    np.testing.assert_array_equal(popcount(left, first * second * third), counts)


def test_binding_is_the_product_of_signs(level):
    """Not xor, read as +1 and -1, is the elementwise product."""
    a, b = pack(random_bits(4, 99)), pack(random_bits(4, 99)[::-1].copy())
    product = unpack(bit_not(bit_xor(a, b, 99), 99), 99)
    np.testing.assert_array_equal(product, unpack(a, 99) * unpack(b, 99))


WORDS = np.zeros((4, 2), np.uint64)
READ_ONLY = np.zeros((4, 2), np.uint64)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bit_and(WORDS.tolist(), WORDS, 70), "a: want a NumPy array"),
        (lambda: bit_and(WORDS, WORDS.astype(np.int64), 70), "b: want dtype uint64"),
        (lambda: bit_or(WORDS, WORDS, 64), "a: want 1 words per row for 64 bits, got 2"),
        (lambda: bit_or(WORDS, WORDS[:3], 70), "b: want the shape of a, (4, 2), got (3, 2)"),
        (lambda: bit_xor(WORDS[0], WORDS, 70), "b: want the shape of a, (2,), got (4, 2)"),
        (lambda: bit_xor(WORDS, WORDS, 70, WORDS[:3]), "out: want a writable array of shape (4, 2)"),
        (lambda: bit_xor(WORDS, WORDS, 70, READ_ONLY), "out: want a writable array"),
        (lambda: bit_not(WORDS, 70, np.zeros((4, 2))), "out: want dtype uint64"),
        (lambda: bit_not(WORDS[::2], 70), "a: want a C-contiguous"),
        (lambda: bit_not(WORDS[np.newaxis], 70), "a: want 1 or 2 axes"),
        (lambda: popcount(WORDS, 129), "bits: want 3 words"),
        (lambda: popcount(WORDS, 70.0), "nbits: want an int within"),
        (lambda: parity(WORDS, -1), "nbits: want an int within"),
        (lambda: parity(WORDS, 2**40), "nbits: want an int within"),
        (lambda: rotate(WORDS, 70, 1.5), "shift: want an integer, got float"),
        (lambda: rotate(WORDS, 70, True), "shift: want an integer, got the bool True"),
        (lambda: rotate(WORDS.astype("f8"), 70, 1), "bits: want dtype uint64"),
        (lambda: kronecker(WORDS, 70, WORDS, 200), "b: want 4 words"),
        (lambda: kronecker(WORDS, "70", WORDS, 70), "a_nbits: want an int within"),
        (lambda: kronecker(WORDS, 70, WORDS, None), "b_nbits: want an int within"),
        (lambda: kronecker(WORDS[0], 70, WORDS, 70), "a: want 2 axes"),
        (
            lambda: kronecker(np.zeros((1, 1024), np.uint64), 65536, np.zeros((1, 1024), np.uint64), 65536),
            "a_nbits, b_nbits: the product has 4294967296 columns, more than 1073741824",
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
