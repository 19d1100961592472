"""Binary algebra: which arrays every operation takes, and the message with which it refuses the others."""

import math

import numpy as np
import pytest

from tests.unit.matrices import algebra, refusal

INT64_MIN = -(2**63)

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
