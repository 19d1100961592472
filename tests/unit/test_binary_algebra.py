"""Binary algebra: two's complement bits against Python integers, dense algebra against exact and SciPy oracles."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from liam_core import BinaryAlgebra

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EPSILON = 2.0**-52

algebra = BinaryAlgebra()

small_integers = st.integers(-1000, 1000)
sides = st.integers(1, 7)


def integer_matrix(rows, columns):
    """Return a strategy for matrices of small integers, in which float64 products are exact."""
    return npst.arrays(np.int64, (rows, columns), elements=small_integers)


square_integers = sides.flatmap(lambda n: integer_matrix(n, n))


def exact(array):
    """Return the array with Python integers as elements, whose products never round."""
    return np.asarray(array).astype(object)


def gaussian(seed, *shape):
    """Return standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape)


def bits_of(value):
    """Return the two's complement bits of an integer, least significant first, by string formatting."""
    return [int(bit) for bit in reversed(format(value % 2**64, "064b"))]


# Every value that no operation on real arrays takes, with the message's text after the argument's name.
BAD_ARRAYS = [
    ([[math.nan, 1.0]], "holds NaN or infinity"),
    ([[1.0, -math.inf]], "holds NaN or infinity"),
    (np.zeros((0, 3)), "is empty, shape (0, 3)"),
    (np.eye(2, dtype=bool), "want numbers, got bools"),
    ([[1.0, True], [0.0, 1.0]], "want numbers, got bools"),
    ([[1, np.True_]], "want numbers, got bools"),
    (np.eye(2, dtype=complex), "want integers or floats of at most 64 bits, got dtype complex128"),
    (np.eye(2, dtype=object), "want integers or floats of at most 64 bits, got dtype object"),
    (np.eye(2, dtype=np.longdouble), "want integers or floats of at most 64 bits, got dtype float128"),
    (
        np.zeros((2, 2), dtype="datetime64[s]"),
        "want integers or floats of at most 64 bits, got dtype datetime64[s]",
    ),
    ([["a", "b"]], "want integers or floats of at most 64 bits, got dtype <U1"),
    ([[2**64]], "want integers or floats of at most 64 bits, got dtype object"),
    ([[10**400, 1.0]], "want integers or floats of at most 64 bits, got dtype object"),
    ([[2**53 + 1]], "holds an integer beyond 2**53, which float64 cannot hold exactly"),
    (np.full((2, 2), -(2**53) - 1), "holds an integer beyond 2**53, which float64 cannot hold exactly"),
    (np.full((2, 2), INT64_MIN), "holds an integer beyond 2**53, which float64 cannot hold exactly"),
    (
        np.full((2, 2), 2**64 - 1, dtype=np.uint64),
        "holds an integer beyond 2**53, which float64 cannot hold exactly",
    ),
    ([[2**53 + 1, 0.5]], "holds an integer that float64 cannot represent, mixed with other numbers"),
]

# Operations by the name of the argument under test; the other arguments are good.
TAKES_ARRAY = [
    ("matrix", lambda bad: algebra.transform_matrix(bad, np.eye(2))),
    ("transform", lambda bad: algebra.transform_matrix(np.eye(2), bad)),
    ("left", lambda bad: algebra.hadamard_product(bad, np.eye(2))),
    ("right", lambda bad: algebra.hadamard_product(np.eye(2), bad)),
    ("left", lambda bad: algebra.kronecker_product(bad, np.eye(2))),
    ("right", lambda bad: algebra.kronecker_product(np.eye(2), bad)),
    ("matrix", algebra.frobenius_norm),
    ("matrix", algebra.spectral_decomposition),
    ("matrix", lambda bad: algebra.svd_compress(bad, 1)),
    ("matrix", lambda bad: algebra.matrix_power(bad, 2)),
    ("matrix", lambda bad: algebra.solve_linear_system(bad, [1.0, 1.0])),
    ("rhs", lambda bad: algebra.solve_linear_system(np.eye(2), bad)),
]


def refusal(call, *arguments):
    """Return the message of the `ValueError` that the call must raise."""
    with pytest.raises(ValueError) as refused:
        call(*arguments)
    return str(refused.value)


class TestArguments:
    @pytest.mark.parametrize(("bad", "reason"), BAD_ARRAYS)
    @pytest.mark.parametrize(("name", "call"), TAKES_ARRAY)
    def test_bad_arrays_are_refused_by_name(self, name, call, bad, reason):
        """Every operation refuses what is not an array of finite numbers, naming the argument and the reason."""
        assert refusal(call, bad) == f"{name}: {reason}"

    @pytest.mark.parametrize(("name", "call"), TAKES_ARRAY)
    def test_ragged_lists_are_refused(self, name, call):
        """Lists of different lengths, or arrays that do not stack, are no array."""
        assert refusal(call, [[1.0, 2.0], [3.0]]).startswith(f"{name}: not a rectangular array")
        assert refusal(call, [np.zeros((2, 3)), np.zeros((2, 4))]).startswith(f"{name}: not a rectangular array")

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: algebra.transform_matrix([1.0], [[1.0]]), "matrix: want a matrix, got shape (1,)"),
            (
                lambda: algebra.transform_matrix([[1.0, 2.0]], [[1.0]]),
                "matrix: want a square matrix, got shape (1, 2)",
            ),
            (lambda: algebra.transform_matrix([[1.0]], [1.0]), "transform: want a matrix, got shape (1,)"),
            (lambda: algebra.hadamard_product(1.0, 1.0), "left: want an array, got shape ()"),
            (lambda: algebra.kronecker_product([1.0], [[1.0]]), "left: want a matrix, got shape (1,)"),
            (lambda: algebra.kronecker_product([[1.0]], [1.0]), "right: want a matrix, got shape (1,)"),
            (lambda: algebra.outer_product([[1.0]], [1.0]), "left: want a vector, got shape (1, 1)"),
            (lambda: algebra.outer_product([1.0], 1.0), "right: want a vector, got shape ()"),
            (lambda: algebra.outer_product([], [1.0]), "left: is empty, shape (0,)"),
            (lambda: algebra.outer_product([1.0], [True]), "right: want numbers, got bools"),
            (lambda: algebra.frobenius_norm([1.0]), "matrix: want a matrix, got shape (1,)"),
            (
                lambda: algebra.spectral_decomposition(None),
                "matrix: want integers or floats of at most 64 bits, got dtype object",
            ),
            (
                lambda: algebra.spectral_decomposition([[1.0, 2.0]]),
                "matrix: want a square matrix, got shape (1, 2)",
            ),
            (lambda: algebra.svd_compress([1.0], 1), "matrix: want a matrix, got shape (1,)"),
            (lambda: algebra.matrix_power([[1.0, 2.0]], 2), "matrix: want a square matrix, got shape (1, 2)"),
            (
                lambda: algebra.solve_linear_system([[1.0, 2.0]], [1.0]),
                "matrix: want a square matrix, got shape (1, 2)",
            ),
        ],
    )
    def test_wrong_shapes_are_refused(self, call, message):
        """An argument of the wrong number of dimensions, or not square where it must be, is refused by name."""
        assert refusal(call) == message

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64, np.float16, np.float32, ">f8", ">i4"])
    def test_any_small_dtype_and_byte_order_is_taken(self, dtype):
        """Integers and floats of any width and byte order are computed in native float64."""
        result = algebra.kronecker_product(np.array([[1, 2]], dtype=dtype), [[3]])
        assert result.dtype == np.dtype(np.float64)
        np.testing.assert_array_equal(result, [[3, 6]])

    def test_integers_up_to_two_to_the_53_are_taken(self):
        """The bound of exact integers itself is accepted on both sides."""
        np.testing.assert_array_equal(algebra.outer_product([2**53, -(2**53)], [1]), [[2.0**53], [-(2.0**53)]])

    def test_exact_mixtures_are_taken(self):
        """A list that mixes floats with integers which float64 holds exactly is an array."""
        np.testing.assert_array_equal(algebra.outer_product([2**60, 0.5], [2]), [[2.0**61], [1.0]])


class TestTransform:
    @given(st.data(), sides, sides)
    def test_is_transform_times_matrix_times_transpose(self, data, rows, size):
        """The transform T M T^T of small integers is exact."""
        matrix, transform = data.draw(integer_matrix(size, size)), data.draw(integer_matrix(rows, size))
        result = algebra.transform_matrix(matrix, transform)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(exact(result), exact(transform) @ exact(matrix) @ exact(transform).T)

    def test_is_the_covariance_after_a_linear_map(self):
        """Transforming a covariance gives the covariance of the transformed data."""
        data, transform = gaussian(1, 50, 4), gaussian(2, 3, 4)
        result = algebra.transform_matrix(np.cov(data, rowvar=False), transform)
        np.testing.assert_allclose(result, np.cov(data @ transform.T, rowvar=False), rtol=1e-12)

    def test_refuses_what_does_not_fit(self):
        """A transform must have as many columns as the matrix, and the product must fit float64."""
        assert (
            refusal(algebra.transform_matrix, np.eye(2), np.eye(3))
            == "transform: want shape (m, 2) to fit matrix, got (3, 3)"
        )
        assert (
            refusal(algebra.transform_matrix, [[1e308]], [[1e10]])
            == "matrix, transform: the result exceeds the range of float64"
        )


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


class TestProducts:
    @given(st.data(), npst.array_shapes(max_dims=3, max_side=5))
    def test_hadamard_is_elementwise(self, data, shape):
        """The Hadamard product of small integers is exact for any shape."""
        left, right = (data.draw(npst.arrays(np.int64, shape, elements=small_integers)) for _ in range(2))
        result = algebra.hadamard_product(left, right)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(exact(result), exact(left) * exact(right))

    def test_hadamard_does_not_broadcast(self):
        """Operands of different shapes are refused, even where NumPy would broadcast."""
        assert (
            refusal(algebra.hadamard_product, np.ones((2, 2)), np.ones((1, 2)))
            == "right: want the shape of left, (2, 2), got (1, 2)"
        )

    @given(st.data(), sides, sides, sides, sides)
    def test_kronecker_has_its_definition(self, data, m, n, p, q):
        """Element [i p + k, j q + l] of the Kronecker product is left[i, j] times right[k, l]."""
        left, right = data.draw(integer_matrix(m, n)), data.draw(integer_matrix(p, q))
        result = algebra.kronecker_product(left, right)
        assert result.shape == (m * p, n * q)
        expected = [[int(left[r // p, c // q]) * int(right[r % p, c % q]) for c in range(n * q)] for r in range(m * p)]
        assert result.tolist() == expected

    @settings(deadline=None)
    @given(st.data(), st.integers(1, 4), st.integers(1, 4))
    def test_kronecker_mixed_product(self, data, m, n):
        """Kronecker products multiply factor by factor: (A x B)(C x D) = AC x BD, exactly for integers."""
        a, c = data.draw(integer_matrix(m, m)), data.draw(integer_matrix(m, m))
        b, d = data.draw(integer_matrix(n, n)), data.draw(integer_matrix(n, n))
        np.testing.assert_array_equal(
            algebra.kronecker_product(a, b) @ algebra.kronecker_product(c, d),
            algebra.kronecker_product(a @ c, b @ d),
        )

    @given(st.lists(small_integers, min_size=1, max_size=9), st.lists(small_integers, min_size=1, max_size=9))
    def test_outer_has_its_definition(self, left, right):
        """Element [i, j] of the outer product is left[i] times right[j]."""
        assert algebra.outer_product(left, right).tolist() == [[a * b for b in right] for a in left]

    @pytest.mark.parametrize(
        "call",
        [
            lambda: algebra.hadamard_product([1e200], [1e200]),
            lambda: algebra.kronecker_product([[1e200]], [[-1e200]]),
            lambda: algebra.outer_product([1e200], [1e200]),
        ],
    )
    def test_overflow_is_refused(self, call):
        """A product beyond float64 is an error and not an infinity."""
        assert refusal(call) == "left, right: the result exceeds the range of float64"


class TestFrobeniusNorm:
    @given(st.tuples(sides, sides).flatmap(lambda shape: integer_matrix(*shape)))
    def test_is_the_root_of_the_sum_of_squares(self, matrix):
        """For small integers the norm is the correctly rounded root of an exact sum, up to one unit in the last place."""
        total = int((exact(matrix) ** 2).sum())
        norm = algebra.frobenius_norm(matrix)
        assert isinstance(norm, float)
        assert abs(norm - math.sqrt(total)) <= math.ulp(norm)

    @pytest.mark.parametrize("power", [-1070, -600, 0, 600, 1020])
    def test_squares_neither_overflow_nor_vanish(self, power):
        """The norm of (3, 4) is 5 at every scale that float64 holds."""
        scale = 2.0**power
        assert algebra.frobenius_norm([[3 * scale, 4 * scale]]) == 5 * scale

    def test_of_zeros_is_zero(self):
        """The zero matrix has the norm zero."""
        assert algebra.frobenius_norm(np.zeros((2, 3))) == 0.0

    def test_refuses_a_norm_beyond_float64(self):
        """A norm that float64 cannot hold is an error and not an infinity."""
        assert (
            refusal(algebra.frobenius_norm, [[1.5e308, 1.5e308]]) == "matrix: the result exceeds the range of float64"
        )


class TestSpectralDecomposition:
    @settings(deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 20))
    def test_recomposes_the_matrix(self, seed, size):
        """Values are SciPy's in descending order, vectors are orthonormal, and together they are the matrix."""
        matrix = gaussian(seed, size, size)
        matrix = matrix + matrix.T
        values, vectors = algebra.spectral_decomposition(matrix)
        scale = np.linalg.norm(matrix)
        np.testing.assert_allclose(values, scipy.linalg.eigvalsh(matrix)[::-1], rtol=0, atol=1e-13 * scale)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(size), rtol=0, atol=1e-13)
        np.testing.assert_allclose(vectors * values @ vectors.T, matrix, rtol=0, atol=1e-13 * scale)
        assert (np.diff(values) <= 0).all()
        assert (vectors.max(axis=0) >= abs(vectors).max(axis=0) * (1 - 1e-5)).all()

    def test_names_its_parts(self):
        """The result has named parts, and its known values for a two by two matrix."""
        found = algebra.spectral_decomposition([[2, 1], [1, 2]])
        np.testing.assert_allclose(found.eigenvalues, [3, 1], rtol=1e-15)
        np.testing.assert_allclose(found.eigenvectors, np.array([[1, 1], [1, -1]]) * math.sqrt(0.5), rtol=1e-15)

    def test_signs_do_not_depend_on_the_input_sign(self):
        """A matrix and its negative, whose eigenvectors are the same, report them with the same signs."""
        matrix = gaussian(3, 6, 6)
        matrix = matrix + matrix.T
        np.testing.assert_allclose(
            algebra.spectral_decomposition(matrix).eigenvectors,
            algebra.spectral_decomposition(-matrix).eigenvectors[:, ::-1],
            atol=1e-12,
        )

    def test_refuses_an_asymmetric_matrix(self):
        """A matrix that differs from its transpose by more than rounding is refused, at any scale."""
        message = "matrix: not symmetric, it differs from its transpose by 1 of its largest element (allowed: 4.44e-16)"
        for scale in (1e-300, 1.0, 1e300):
            assert refusal(algebra.spectral_decomposition, [[0.0, scale], [0.0, 0.0]]) == message
        assert "not symmetric" in refusal(algebra.spectral_decomposition, [[1.0, 0.5], [0.5 + 8 * EPSILON, 1.0]])

    def test_refuses_an_eigenvalue_beyond_float64(self):
        """An eigenvalue that float64 cannot hold is an error and not an infinity."""
        message = "matrix: the result exceeds the range of float64"
        assert refusal(algebra.spectral_decomposition, np.full((4, 4), 1e308)) == message


class TestSvdCompress:
    @settings(deadline=None)
    @given(st.integers(0, 2**32), sides, sides, st.data())
    def test_is_the_best_approximation(self, seed, rows, columns, data):
        """The error is the tail of SciPy's singular values, which Eckart and Young show to be the least possible."""
        rank = data.draw(st.integers(1, min(rows, columns)))
        matrix = gaussian(seed, rows, columns)
        found = algebra.svd_compress(matrix, rank)
        expected = scipy.linalg.svdvals(matrix)
        np.testing.assert_allclose(found.singular_values, expected[:rank], rtol=1e-12)
        np.testing.assert_allclose(found.left * found.singular_values @ found.right, found.approximation, atol=1e-13)
        np.testing.assert_allclose(found.left.T @ found.left, np.eye(rank), atol=1e-13)
        np.testing.assert_allclose(found.right @ found.right.T, np.eye(rank), atol=1e-13)
        error = np.linalg.norm(matrix - found.approximation)
        assert error == pytest.approx(np.linalg.norm(expected[rank:]), abs=1e-12)
        assert found.energy_kept == pytest.approx((expected[:rank] ** 2).sum() / (expected**2).sum(), rel=1e-12)
        assert found.compression_ratio == float(Fraction(rows * columns, rank * (rows + columns + 1)))
        assert (found.left.max(axis=0) >= abs(found.left).max(axis=0) * (1 - 1e-5)).all()

    def test_full_rank_keeps_everything(self):
        """At full rank the matrix comes back and exactly all of its energy is kept."""
        matrix = gaussian(8, 5, 7)
        found = algebra.svd_compress(matrix, 5)
        np.testing.assert_allclose(found.approximation, matrix, atol=1e-13)
        assert found.energy_kept == 1.0

    def test_energy_grows_with_the_rank(self):
        """Every further component keeps at least as much energy."""
        matrix = gaussian(9, 12, 9)
        energies = [algebra.svd_compress(matrix, rank).energy_kept for rank in range(1, 10)]
        assert energies == sorted(energies)
        assert energies[-1] == 1.0

    def test_shapes(self):
        """The factors of a (5, 3) matrix at rank 2 are (5, 2), (2,) and (2, 3)."""
        found = algebra.svd_compress(np.arange(15).reshape(5, 3), np.int64(2))
        assert [part.shape for part in found[:4]] == [(5, 2), (2,), (2, 3), (5, 3)]

    def test_of_the_zero_matrix(self):
        """The zero matrix is kept whole by any rank; nothing divides by zero."""
        found = algebra.svd_compress(np.zeros((3, 2)), 1)
        assert found.energy_kept == 1.0
        np.testing.assert_array_equal(found.approximation, np.zeros((3, 2)))

    @pytest.mark.parametrize("power", [-1000, 1000])
    def test_scale_does_not_matter(self, power):
        """Near the ends of float64 the factors are the same and the energy neither overflows nor vanishes."""
        matrix = gaussian(4, 4, 4)
        plain, scaled = algebra.svd_compress(matrix, 2), algebra.svd_compress(np.ldexp(matrix, power), 2)
        np.testing.assert_array_equal(scaled.left, plain.left)
        np.testing.assert_array_equal(scaled.singular_values, np.ldexp(plain.singular_values, power))
        np.testing.assert_array_equal(scaled.approximation, np.ldexp(plain.approximation, power))
        assert scaled.energy_kept == plain.energy_kept

    @pytest.mark.parametrize(
        ("rank", "message"),
        [
            (0, "rank: want an integer of at least 1, got 0"),
            (-1, "rank: want an integer of at least 1, got -1"),
            (3, "rank: want at most 2 for shape (2, 3), got 3"),
            (1.0, "rank: want an integer, got float"),
            (True, "rank: want an integer, got the bool True"),
        ],
    )
    def test_refuses_bad_ranks(self, rank, message):
        """The rank is an integer from one to the smaller side."""
        assert refusal(algebra.svd_compress, np.ones((2, 3)), rank) == message

    def test_refuses_a_singular_value_beyond_float64(self):
        """A singular value that float64 cannot hold is an error and not an infinity."""
        assert (
            refusal(algebra.svd_compress, np.full((4, 4), 1e308), 1)
            == "matrix: the result exceeds the range of float64"
        )


class TestMatrixPower:
    @given(
        st.integers(1, 5).flatmap(lambda n: npst.arrays(np.int64, (n, n), elements=st.integers(-9, 9))),
        st.integers(0, 7),
    )
    def test_is_repeated_multiplication(self, matrix, exponent):
        """Powers of small integer matrices are exact, the power zero being the identity."""
        expected = exact(np.eye(len(matrix), dtype=np.int64))
        for _ in range(exponent):
            expected = expected @ exact(matrix)
        result = algebra.matrix_power(matrix, exponent)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(exact(result), expected)

    @settings(deadline=None)
    @given(st.integers(0, 2**32), sides, st.integers(1, 6))
    def test_negative_powers_undo_positive_ones(self, seed, size, exponent):
        """The power -k times the power k of a well conditioned matrix is the identity."""
        matrix = gaussian(seed, size, size) / (4 * size) + np.eye(size)
        product = algebra.matrix_power(matrix, -exponent) @ algebra.matrix_power(matrix, exponent)
        np.testing.assert_allclose(product, np.eye(size), atol=1e-9)

    def test_of_a_unimodular_matrix(self):
        """The Fibonacci matrix has the known integer powers on both sides of zero."""
        np.testing.assert_array_equal(
            algebra.matrix_power([[1, 1], [1, 0]], 70),
            [[308061521170129, 190392490709135], [190392490709135, 117669030460994]],
        )
        np.testing.assert_allclose(algebra.matrix_power([[1, 1], [1, 0]], -5), [[-3, 5], [5, -8]], rtol=1e-13)

    def test_of_a_large_exponent(self):
        """Squaring makes an astronomic exponent quick: a rotation of order four to the power 10**30 + 1 is itself."""
        quarter = [[0, -1], [1, 0]]
        np.testing.assert_array_equal(algebra.matrix_power(quarter, 10**30 + 1), quarter)

    def test_power_zero_of_a_singular_matrix_is_the_identity(self):
        """The power zero needs no inverse."""
        np.testing.assert_array_equal(algebra.matrix_power([[1, 1], [1, 1]], 0), np.eye(2))

    @pytest.mark.parametrize("scale", [1e-300, 1.0, 1e150])
    def test_scale_is_not_singularity(self, scale):
        """A tiny or huge multiple of the identity has an inverse."""
        np.testing.assert_allclose(algebra.matrix_power(scale * np.eye(2), -1), np.eye(2) / scale, rtol=1e-15)

    @pytest.mark.parametrize(
        ("matrix", "exponent", "message"),
        [
            (
                np.zeros((2, 2)),
                -1,
                "matrix: singular (rank 0 of 2, condition number inf), so it has no power -1",
            ),
            (
                np.diag([1.0, 0.0, 2.0]),
                -3,
                "matrix: singular (rank 2 of 3, condition number inf), so it has no power -3",
            ),
            (
                np.diag([1.0, 1e-20]),
                -1,
                "matrix: singular (rank 1 of 2, condition number 1e+20), so it has no power -1",
            ),
            (
                np.diag([1.0, 5e-324]),
                -1,
                "matrix: singular (rank 1 of 2, condition number inf), so it has no power -1",
            ),
            (np.eye(2), 0.5, "exponent: want an integer, got float"),
            (np.eye(2), "2", "exponent: want an integer, got str"),
            (np.eye(2), True, "exponent: want an integer, got the bool True"),
            ([[1e200]], 2, "matrix: the result exceeds the range of float64"),
            ([[1e-200]], -2, "matrix: the result exceeds the range of float64"),
            ([[1e200, 1e200], [-1e200, 1e200]], 3, "matrix: the result exceeds the range of float64"),
        ],
    )
    def test_refuses_what_has_no_power(self, matrix, exponent, message):
        """Inverses of singular matrices, exponents that are no integers and overflow are refused."""
        assert refusal(algebra.matrix_power, matrix, exponent) == message


class TestSolve:
    @settings(deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 4))
    def test_agrees_with_scipy(self, seed, size, count):
        """Solutions of one and of many right-hand sides are those of SciPy and keep the shape of rhs."""
        matrix, rhs = gaussian(seed, size, size) + 3 * np.eye(size), gaussian(seed + 1, size, count)
        expected = scipy.linalg.solve(matrix, rhs)
        tolerance = 1e-14 * np.linalg.cond(matrix) * size
        result = algebra.solve_linear_system(matrix, rhs)
        np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * np.abs(expected).max())
        single = algebra.solve_linear_system(matrix, rhs[:, 0])
        assert single.shape == (size,)
        np.testing.assert_allclose(single, expected[:, 0], rtol=0, atol=tolerance * np.abs(expected).max())

    def test_an_ill_conditioned_system_has_a_small_residual(self):
        """A Hilbert matrix of condition 1e13 still gives a solution that satisfies the equations to rounding."""
        matrix, rhs = scipy.linalg.hilbert(10), np.arange(10.0)
        solution = algebra.solve_linear_system(matrix, rhs)
        residual = np.linalg.norm(matrix @ solution - rhs)
        assert residual <= 10 * EPSILON * np.linalg.norm(matrix) * np.linalg.norm(solution)

    @pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
    def test_scale_is_not_singularity(self, scale):
        """The same system at another scale has the same solution."""
        result = algebra.solve_linear_system(scale * np.array([[2.0, 1.0], [1.0, 3.0]]), scale * np.array([3.0, 4.0]))
        np.testing.assert_allclose(result, [1, 1], rtol=1e-14)

    @settings(deadline=None)
    @given(st.integers(0, 2**32), st.integers(2, 10), st.integers(-300, 300), st.data())
    def test_tells_inconsistent_from_consistent(self, seed, size, power, data):
        """Of a singular system, rhs in the range of the matrix has infinitely many solutions and any other has none."""
        rank = data.draw(st.integers(1, size - 1))
        basis = np.linalg.qr(gaussian(seed, size, size))[0]
        matrix = np.ldexp(basis[:, :rank] @ gaussian(seed + 1, rank, size), power)
        reachable = matrix @ gaussian(seed + 2, size)
        unreachable = reachable + basis[:, rank] * np.linalg.norm(reachable)
        singular = f"matrix: singular (rank {rank} of {size}, condition number "
        for rhs in (reachable, np.stack([reachable, 2 * reachable], axis=1)):
            message = refusal(algebra.solve_linear_system, matrix, rhs)
            assert message.startswith(singular)
            assert message.endswith("); rhs is consistent with it: infinitely many solutions")
        for rhs in (unreachable, np.stack([reachable, unreachable], axis=1)):
            message = refusal(algebra.solve_linear_system, matrix, rhs)
            assert message.startswith(singular)
            assert message.endswith("); rhs is inconsistent with it: no solution")

    def test_consistency_has_a_tolerance(self):
        """A right-hand side off the range by rounding is consistent; one that is off by 2e-12 is not."""
        matrix = np.ones((2, 2))
        assert "rhs is consistent" in refusal(algebra.solve_linear_system, matrix, [1.0, 1.0 + 64 * EPSILON])
        assert "rhs is inconsistent" in refusal(algebra.solve_linear_system, matrix, [1.0, 1.0 + 2e-12])

    @pytest.mark.parametrize(
        ("matrix", "rhs", "message"),
        [
            (
                np.diag([1.0, 0.0]),
                [1.0, 1.0],
                "matrix: singular (rank 1 of 2, condition number inf); rhs is inconsistent with it: no solution",
            ),
            (
                np.diag([4.0, 1e-20]),
                [1.0, 0.0],
                "matrix: singular (rank 1 of 2, condition number 4e+20); rhs is consistent with it: infinitely many solutions",
            ),
            (
                np.zeros((2, 2)),
                [0.0, 0.0],
                "matrix: singular (rank 0 of 2, condition number inf); rhs is consistent with it: infinitely many solutions",
            ),
            (
                np.zeros((2, 2)),
                [0.0, 1e-300],
                "matrix: singular (rank 0 of 2, condition number inf); rhs is inconsistent with it: no solution",
            ),
            (np.eye(2), [1.0, 2.0, 3.0], "rhs: want shape (2,) or (2, k), got (3,)"),
            (np.eye(2), np.ones((3, 2)), "rhs: want shape (2,) or (2, k), got (3, 2)"),
            (np.eye(2), np.ones((2, 1, 1)), "rhs: want shape (2,) or (2, k), got (2, 1, 1)"),
            (np.eye(2), 1.0, "rhs: want an array, got shape ()"),
            (1e-300 * np.eye(2), [1e300, 1.0], "matrix, rhs: the result exceeds the range of float64"),
        ],
    )
    def test_refuses_what_has_no_one_solution(self, matrix, rhs, message):
        """Singular systems say which way and how badly; other shapes and overflow are refused."""
        assert refusal(algebra.solve_linear_system, matrix, rhs) == message
