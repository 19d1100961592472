"""Binary algebra: powers of matrices, negative ones included, against exact products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.unit.matrices import algebra, exact, gaussian, refusal, sides


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
