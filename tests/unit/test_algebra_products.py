"""Binary algebra: transforms, products and the Frobenius norm against exact integers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.unit.matrices import algebra, exact, gaussian, integer_matrix, refusal, sides, small_integers


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
