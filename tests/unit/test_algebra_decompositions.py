"""Binary algebra: the spectral decomposition and the compression by singular values against SciPy."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.matrices import EPSILON, algebra, gaussian, refusal, sides


class TestSpectralDecomposition:
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
