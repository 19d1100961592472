"""Binary algebra: two's complement bits against Python integers."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.unit.matrices import algebra, refusal

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def bits_of(value):
    """Return the two's complement bits of an integer, least significant first, by string formatting."""
    return [int(bit) for bit in reversed(format(value % 2**64, "064b"))]


class TestBits:
    @given(st.integers(INT64_MIN, INT64_MAX))
    @example(INT64_MIN)
    @example(INT64_MAX)
    @example(-1)
    @example(0)
    def test_bits_are_twos_complement_least_significant_first(self, value):
        """Bit i has the weight 2**i, and bit 63 the weight -2**63."""
        bits = algebra.binary_encode(value)
        assert (bits.dtype, bits.shape) == (np.uint8, (64,))
        assert bits.tolist() == bits_of(value)
        assert sum(int(bit) << i for i, bit in enumerate(bits[:63])) - (int(bits[63]) << 63) == value

    @given(
        npst.arrays(
            np.int64,
            npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
            elements=st.integers(INT64_MIN, INT64_MAX),
        )
    )
    def test_round_trip_is_exact(self, values):
        """Decoding gives back every int64 array of any shape, empty and scalar ones included."""
        bits = algebra.binary_encode(values)
        assert (bits.dtype, bits.shape) == (np.uint8, (*values.shape, 64))
        decoded = algebra.binary_decode(bits)
        assert (decoded.dtype, decoded.shape) == (np.int64, values.shape)
        np.testing.assert_array_equal(decoded, values)

    @given(
        npst.arrays(
            np.uint8,
            npst.array_shapes(max_dims=2, max_side=4).map(lambda shape: (*shape, 64)),
            elements=st.integers(0, 1),
        )
    )
    def test_every_bit_pattern_is_some_integer(self, bits):
        """Encoding gives back every array of bits: the two are inverse to each other both ways."""
        np.testing.assert_array_equal(algebra.binary_encode(algebra.binary_decode(bits)), bits)

    @pytest.mark.parametrize(
        "dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint32, np.uint64, ">i8", np.float16, np.float64]
    )
    def test_other_dtypes_encode_by_value(self, dtype):
        """Integers of any width and byte order, and floats that are integers, encode as their value."""
        values = np.array([0, 1, 100], dtype=dtype)
        np.testing.assert_array_equal(algebra.binary_encode(values), [bits_of(value) for value in (0, 1, 100)])

    def test_large_floats_encode_exactly(self):
        """Integer floats are taken over the whole int64 range, and negative zero is zero."""
        values = [-(2.0**63), 2.0**63 - 1024, 2.0**53, -0.0]
        np.testing.assert_array_equal(
            algebra.binary_decode(algebra.binary_encode(values)), [int(value) for value in values]
        )

    def test_views_with_strides_are_read_by_element(self):
        """Transposed, reversed and strided views encode and decode as their elements."""
        values = np.arange(-6, 6).reshape(3, 4)
        view = values.T[::-1, ::2]
        bits = algebra.binary_encode(view)
        np.testing.assert_array_equal(algebra.binary_decode(bits), view)
        np.testing.assert_array_equal(algebra.binary_decode(np.asfortranarray(bits)[::2]), view[::2])

    def test_bits_may_be_lists_and_any_integers(self):
        """Bits decode from nested lists and from integer dtypes other than uint8."""
        assert algebra.binary_decode([[1, 0, 1] + [0] * 61]).tolist() == [5]
        assert algebra.binary_decode(np.ones(64, dtype=np.int64)).tolist() == -1

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([0.5], "values: holds floats that are not integers"),
            ([1e-300], "values: holds floats that are not integers"),
            ([math.nan], "values: holds NaN or infinity"),
            ([math.inf, 1.0], "values: holds NaN or infinity"),
            ([2.0**63], "values: holds values outside the int64 range [-2**63, 2**63 - 1]"),
            ([-(2.0**63) - 2048], "values: holds values outside the int64 range [-2**63, 2**63 - 1]"),
            (1e300, "values: holds values outside the int64 range [-2**63, 2**63 - 1]"),
            (
                np.array([2**63], dtype=np.uint64),
                "values: holds values outside the int64 range [-2**63, 2**63 - 1]",
            ),
            ([2**63], "values: holds values outside the int64 range [-2**63, 2**63 - 1]"),
            ([2**63, -1], "values: holds values outside the int64 range [-2**63, 2**63 - 1]"),
            ([2**64], "values: want integers or floats of at most 64 bits, got dtype object"),
            ([INT64_MIN - 1], "values: want integers or floats of at most 64 bits, got dtype object"),
            (
                [2**53 + 1, 1.0],
                "values: holds an integer that float64 cannot represent, mixed with other numbers",
            ),
            (True, "values: want numbers, got bools"),
            ([1, False], "values: want numbers, got bools"),
            (np.array([True]), "values: want numbers, got bools"),
            ("7", "values: want integers or floats of at most 64 bits, got dtype <U1"),
            ([1j], "values: want integers or floats of at most 64 bits, got dtype complex128"),
        ],
    )
    def test_refuses_what_is_no_int64(self, values, message):
        """Fractions, values outside int64, bools and non-numbers are refused and never rounded or wrapped."""
        assert refusal(algebra.binary_encode, values) == message

    @pytest.mark.parametrize(
        ("bits", "message"),
        [
            (np.zeros(63, dtype=np.uint8), "bits: want shape (..., 64), got (63,)"),
            (np.zeros((64, 2), dtype=np.uint8), "bits: want shape (..., 64), got (64, 2)"),
            (0, "bits: want shape (..., 64), got ()"),
            (np.full(64, 2), "bits: holds elements other than 0 and 1"),
            (np.full(64, -1), "bits: holds elements other than 0 and 1"),
            (np.full(64, 256), "bits: holds elements other than 0 and 1"),
            (np.zeros(64), "bits: want integers 0 and 1, got dtype float64"),
            (np.zeros(64, dtype=bool), "bits: want numbers, got bools"),
            ([0] * 63 + [True], "bits: want numbers, got bools"),
            (["0"] * 64, "bits: want integers or floats of at most 64 bits, got dtype <U1"),
        ],
    )
    def test_refuses_what_are_no_bits(self, bits, message):
        """Other shapes, elements other than 0 and 1, floats and bools are refused."""
        assert refusal(algebra.binary_decode, bits) == message
