"""Packing, unpacking and byte order against NumPy, at every SIMD level."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import liam_core
from liam_core import from_packbits, pack, to_packbits, unpack, words_for

WIDTHS = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 511, 512, 513, 1000]

# The level fixture stays the same for all examples of one test run.
at_level = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def packed_by_numpy(bits):
    """Pack the last axis into little-endian words with NumPy alone."""
    octets = np.packbits(bits, axis=-1, bitorder="little")
    padded = np.zeros((*bits.shape[:-1], words_for(bits.shape[-1]) * 8), np.uint8)
    padded[..., : octets.shape[-1]] = octets
    return padded.view("<u8")


def tricky(random, shape):
    """Return floats among which are NaN, infinities, both zeros and subnormals."""
    values = random.standard_normal(shape)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45])
    return np.where(random.random(shape) < 0.4, random.choice(special, shape), values)


@pytest.mark.parametrize("nbits", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pack_takes_the_sign_of_floats(level, nbits, dtype):
    """A float becomes 1 if it is at least zero, so -0.0 becomes 1 and NaN 0."""
    x = tricky(np.random.default_rng(nbits), (5, nbits)).astype(dtype)
    np.testing.assert_array_equal(pack(x), packed_by_numpy(x >= 0))


@pytest.mark.parametrize("nbits", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pack_compares_with_thresholds(level, nbits, dtype):
    """With thresholds a bit is `x >= threshold` of its column, and NaN in x gives 0."""
    random = np.random.default_rng(nbits)
    x = tricky(random, (5, nbits)).astype(dtype)
    thresholds = np.where(random.random(nbits) < 0.3, x[0], tricky(random, nbits)).astype(np.float32)
    thresholds = np.nan_to_num(thresholds, nan=0.5, posinf=np.inf, neginf=-np.inf)
    np.testing.assert_array_equal(pack(x, thresholds), packed_by_numpy(x >= thresholds))


@pytest.mark.parametrize("nbits", WIDTHS[1:])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pack_refuses_thresholds_that_are_nan(level, nbits, dtype):
    """A NaN among the thresholds is an error that names them, wherever it is, even without rows."""
    thresholds = np.full(nbits, np.inf, np.float32)
    for at in {0, nbits // 2, nbits - 1}:
        thresholds[at] = np.nan
        for rows in (0, 1, 3):
            with pytest.raises(ValueError, match=r"^thresholds: holds NaN$"):
                pack(np.ones((rows, nbits), dtype), thresholds)
        thresholds[at] = -np.inf
    assert pack(np.ones((2, nbits), dtype), thresholds).any()


def test_pack_compares_doubles_without_rounding_them(level):
    """A double just below a float32 threshold stays below it."""
    thresholds = np.full(70, 1.0, np.float32)
    x = np.full((1, 70), np.nextafter(1.0, 0.0))
    assert not pack(x, thresholds).any()


@pytest.mark.parametrize("nbits", WIDTHS)
def test_pack_takes_integers_and_bools(level, nbits):
    """An int8 becomes its sign or is compared with its column's threshold, a bool becomes itself."""
    random = np.random.default_rng(nbits)
    x, thresholds = random.integers(-128, 128, (5, nbits)).astype(np.int8), np.zeros(nbits, np.int8)
    np.testing.assert_array_equal(pack(x), packed_by_numpy(x >= 0))
    np.testing.assert_array_equal(pack(x, thresholds), packed_by_numpy(x >= 0))
    thresholds = np.where(random.random(nbits) < 0.3, x[0], random.integers(-128, 128, nbits)).astype(np.int8)
    np.testing.assert_array_equal(pack(x, thresholds), packed_by_numpy(x >= thresholds))
    np.testing.assert_array_equal(pack(x > 3), packed_by_numpy(x > 3))


@pytest.mark.parametrize("nbits", WIDTHS)
def test_unpack_inverts_pack(level, nbits):
    """Unpacking gives +1 and -1 as int8 and float32, 1 and 0 as uint8 and bool."""
    bits = np.random.default_rng(nbits).random((5, nbits)) < 0.5
    packed = pack(bits)
    for dtype in (np.int8, np.float32):
        signs = unpack(packed, nbits, dtype)
        assert signs.dtype == dtype
        np.testing.assert_array_equal(signs, np.where(bits, 1, -1))
    for dtype in (np.uint8, np.bool_):
        np.testing.assert_array_equal(unpack(packed, nbits, dtype), bits.astype(dtype))


@pytest.mark.parametrize("nbits", WIDTHS)
@pytest.mark.parametrize("bitorder", ["little", "big"])
def test_bytes_are_those_of_numpy_packbits(level, nbits, bitorder):
    """Packed bytes of either bit order convert to words and back as NumPy defines them."""
    bits = np.random.default_rng(nbits).random((5, nbits)) < 0.5
    octets = np.packbits(bits, axis=-1, bitorder=bitorder)
    words = from_packbits(octets, nbits, bitorder)
    np.testing.assert_array_equal(words, pack(bits))
    np.testing.assert_array_equal(to_packbits(words, nbits, bitorder), octets)


def test_the_default_bit_order_is_that_of_numpy():
    """The packbits functions default to big, as NumPy does."""
    bits = np.array([True] + [False] * 9)
    np.testing.assert_array_equal(to_packbits(pack(bits), 10), np.packbits(bits))
    np.testing.assert_array_equal(from_packbits(np.packbits(bits), 10), pack(bits))


def test_excess_bits_of_inputs_are_ignored(level):
    """Bits past nbits change nothing and never appear in an output."""
    words = np.full((3, 2), 2**64 - 1, np.uint64)
    np.testing.assert_array_equal(unpack(words, 70), np.ones((3, 70)))
    octets = to_packbits(words, 70, "little")
    assert (octets[:, -1] == 0b111111).all()
    poisoned = np.full((3, 9), 255, np.uint8)
    np.testing.assert_array_equal(from_packbits(poisoned, 70, "big"), pack(np.ones((3, 70), np.bool_)))


def test_vectors_keep_one_axis(level):
    """A vector packs to a vector and unpacks to one."""
    x = np.array([1.0, -2.0, 3.0], np.float32)
    assert pack(x).tolist() == [0b101]
    assert unpack(pack(x), 3).tolist() == [1, -1, 1]
    assert pack(np.empty((0, 9), np.float32)).shape == (0, 1)


@at_level
@given(x=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=200)))
def test_pack_agrees_with_numpy_on_anything(level, x):
    """Any float32 matrix packs as NumPy's comparison says, and unpacks to the same bits."""
    packed = pack(x)
    np.testing.assert_array_equal(packed, packed_by_numpy(x >= 0))
    np.testing.assert_array_equal(unpack(packed, x.shape[1], np.bool_), x >= 0)


@at_level
@given(data=st.data(), nbits=st.integers(0, 300), bitorder=st.sampled_from(["little", "big"]))
def test_byte_conversion_is_a_bijection(level, data, nbits, bitorder):
    """Any bytes with zero excess bits survive the way to words and back."""
    bits = data.draw(hnp.arrays(np.bool_, (2, nbits)))
    octets = np.packbits(bits, axis=-1, bitorder=bitorder)
    np.testing.assert_array_equal(to_packbits(from_packbits(octets, nbits, bitorder), nbits, bitorder), octets)


def misaligned(array):
    """Return an equal array at an odd address."""
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    memory[:] = np.frombuffer(array.tobytes(), np.uint8)
    return memory.view(array.dtype).reshape(array.shape)


FLOATS = np.ones((4, 70), np.float32)
WORDS = np.ones((4, 2), np.uint64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pack([1.0, 2.0]), "x: want a NumPy array, got list"),
        (lambda: pack(FLOATS.astype(np.float16)), "x: want dtype float32 or float64"),
        (lambda: pack(FLOATS.astype(">f4")), "x: want dtype"),
        (lambda: pack(FLOATS[0, 0]), "x: want a NumPy array"),
        (lambda: pack(FLOATS.reshape(2, 2, 70)), "x: want 1 or 2 axes"),
        (lambda: pack(FLOATS.T), "x: want a C-contiguous"),
        (lambda: pack(FLOATS[:, ::2]), "x: want a C-contiguous"),
        (lambda: pack(misaligned(FLOATS)), "x: want a C-contiguous, aligned"),
        (lambda: pack(FLOATS, FLOATS[0].astype(np.float64)), "thresholds: want dtype float32"),
        (lambda: pack(FLOATS, FLOATS[0, :69]), "thresholds: want 70 values, got 69"),
        (lambda: pack(FLOATS.astype(np.int8), FLOATS[0]), "thresholds: want dtype int8, got float32"),
        (lambda: pack(FLOATS, FLOATS[0].astype(np.int8)), "thresholds: want dtype float32, got int8"),
        (lambda: pack(FLOATS > 0, FLOATS[0]), "thresholds: not used with x of dtype bool"),
        (lambda: unpack(WORDS, 64), "bits: want 1 words per row for 64 bits, got 2"),
        (lambda: unpack(WORDS, 129), "bits: want 3 words"),
        (lambda: unpack(WORDS, -1), "nbits: want an int within"),
        (lambda: unpack(WORDS, 2**40), "nbits: want an int within"),
        (lambda: unpack(WORDS, True), "nbits: want an int within"),
        (lambda: unpack(WORDS, 70.0), "nbits: want an int within"),
        (lambda: unpack(WORDS.astype(np.int64), 70), "bits: want dtype uint64"),
        (lambda: unpack(WORDS, 70, np.float64), "dtype: want int8, float32, uint8 or bool"),
        (lambda: from_packbits(WORDS, 70), "packed: want dtype uint8"),
        (lambda: from_packbits(np.zeros((2, 8), np.uint8), 70), "packed: want 9 bytes per row"),
        (lambda: from_packbits(np.zeros((2, 9), np.uint8), 70, "middle"), "bitorder: want 'little' or 'big'"),
        (lambda: to_packbits(WORDS, 70, "LITTLE"), "bitorder: want"),
        (lambda: to_packbits(WORDS[:, ::-1], 70), "bits: want a C-contiguous"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_words_for_counts_words():
    """A row takes one word for every 64 bits begun."""
    assert [words_for(nbits) for nbits in (0, 1, 64, 65)] == [0, 1, 1, 2]
    assert liam_core.words_for is words_for
