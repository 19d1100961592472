"""The labor intelligence engine: the analysis of a covariance matrix."""

import math

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from liam_core import LaborIntelligenceEngine
from tests.unit.labor import EPSILON


def symmetric(seed, size):
    """Return a random symmetric, indefinite matrix."""
    half = np.random.default_rng(seed).standard_normal((size, size))
    return half + half.T


class TestPatterns:
    def analyze(self, matrix):
        return LaborIntelligenceEngine(8).analyze_intelligence_patterns(matrix)

    def test_has_exactly_the_documented_keys_and_types(self):
        """The result is a dictionary of float64 arrays and plain Python numbers under eight names."""
        patterns = self.analyze([[2, 0], [0, 1]])
        assert {key: type(value) for key, value in patterns.items()} == {
            "eigenvalues": np.ndarray,
            "explained_variance": np.ndarray,
            "dominant_patterns": np.ndarray,
            "trace": float,
            "determinant": float,
            "rank": int,
            "condition_number": float,
            "frobenius_norm": float,
        }

    def test_of_a_diagonal_matrix(self):
        """A diagonal matrix shows every figure exactly."""
        patterns = self.analyze(np.diag([1.0, 8.0, 4.0, 2.0]))
        np.testing.assert_array_equal(patterns["eigenvalues"], [8, 4, 2, 1])
        np.testing.assert_array_equal(patterns["explained_variance"], np.array([8, 4, 2, 1]) / 15)
        np.testing.assert_array_equal(patterns["dominant_patterns"], np.eye(4)[:, [1, 2, 3, 0]])
        assert (patterns["trace"], patterns["determinant"], patterns["rank"]) == (15.0, 64.0, 4)
        assert (patterns["condition_number"], patterns["frobenius_norm"]) == (8.0, math.sqrt(85))

    @given(st.integers(0, 2**32), st.integers(1, 20))
    def test_agrees_with_scipy(self, seed, size):
        """Eigenvalues, determinant, rank, condition and norm of random symmetric matrices are those of SciPy and NumPy."""
        matrix = symmetric(seed, size)
        patterns = self.analyze(matrix)
        expected = scipy.linalg.eigvalsh(matrix)[::-1]
        tolerance = 1e-13 * size * max(abs(expected))
        np.testing.assert_allclose(patterns["eigenvalues"], expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(patterns["explained_variance"], abs(expected) / abs(expected).sum(), atol=1e-12)
        assert patterns["determinant"] == pytest.approx(scipy.linalg.det(matrix), rel=1e-8)
        assert patterns["trace"] == pytest.approx(sum(expected), abs=tolerance)
        assert patterns["rank"] == np.linalg.matrix_rank(matrix)
        assert patterns["condition_number"] == pytest.approx(np.linalg.cond(matrix), rel=1e-8)
        assert patterns["frobenius_norm"] == pytest.approx(scipy.linalg.norm(matrix), rel=1e-14)

    @given(st.integers(0, 2**32), st.integers(2, 12), st.data())
    def test_condition_is_over_the_nonzero_spectrum(self, seed, size, data):
        """Of a singular covariance the rank is found, the determinant is exactly zero and round-off is no divisor."""
        rank = data.draw(st.integers(1, size - 1))
        basis = LaborIntelligenceEngine(12, seed=seed).rotation[:size, :size]
        basis = np.linalg.qr(basis)[0][:, :rank]
        spectrum = np.linspace(1.0, 100.0, rank)
        patterns = self.analyze(basis * spectrum @ basis.T)
        assert (patterns["rank"], patterns["determinant"]) == (rank, 0.0)
        assert patterns["condition_number"] == pytest.approx(spectrum[-1] / spectrum[0], rel=1e-10)

    def test_rank_tolerance_is_size_times_epsilon(self):
        """An eigenvalue counts just above n * eps * largest and does not count at it."""
        at = 2 * EPSILON
        assert self.analyze(np.diag([1.0, at]))["rank"] == 1
        above = self.analyze(np.diag([1.0, at * (1 + EPSILON)]))
        assert (above["rank"], above["condition_number"]) == (2, pytest.approx(1 / at))

    def test_negative_eigenvalues_count_by_magnitude(self):
        """An indefinite matrix has its sign in the eigenvalues and determinant, and its magnitude everywhere else."""
        patterns = self.analyze(np.diag([-6.0, 2.0]))
        np.testing.assert_array_equal(patterns["eigenvalues"], [2, -6])
        np.testing.assert_array_equal(patterns["explained_variance"], [0.25, 0.75])
        assert (patterns["determinant"], patterns["condition_number"], patterns["trace"]) == (
            -12.0,
            3.0,
            -4.0,
        )
        np.testing.assert_array_equal(patterns["dominant_patterns"], [[1, 0], [0, 1]])

    @pytest.mark.parametrize("size", [1, 5])
    def test_of_the_zero_matrix(self, size):
        """The zero matrix has rank 0, no patterns and, as NumPy has it, an infinite condition number; nothing warns."""
        patterns = self.analyze(np.zeros((size, size)))
        assert (patterns["rank"], patterns["condition_number"]) == (0, math.inf)
        assert patterns["condition_number"] == np.linalg.cond(np.zeros((2, 2)))
        assert (patterns["trace"], patterns["determinant"], patterns["frobenius_norm"]) == (0.0, 0.0, 0.0)
        assert patterns["dominant_patterns"].shape == (size, 0)
        np.testing.assert_array_equal(patterns["eigenvalues"], np.zeros(size))
        np.testing.assert_array_equal(patterns["explained_variance"], np.zeros(size))

    @given(st.integers(0, 2**32), st.integers(1, 15))
    def test_dominant_patterns_are_the_fewest_that_reach_the_share(self, seed, size):
        """Patterns are unit eigenvectors of the leading eigenvalues; they explain 95 % and one fewer would not."""
        half = np.random.default_rng(seed).standard_normal((size, size))
        matrix = half @ half.T
        patterns = self.analyze(matrix)
        vectors = patterns["dominant_patterns"]
        count = vectors.shape[1]
        scale = patterns["frobenius_norm"]
        np.testing.assert_allclose(matrix @ vectors, vectors * patterns["eigenvalues"][:count], atol=1e-12 * scale)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), atol=1e-12)
        assert patterns["explained_variance"][:count].sum() >= 0.95 - 1e-12
        assert patterns["explained_variance"][: count - 1].sum() < 0.95

    def test_a_share_reached_exactly_is_enough(self):
        """Nineteen of twenty equal components are exactly 95 %, whatever the last bit of the running sum."""
        assert self.analyze(np.eye(20))["dominant_patterns"].shape == (20, 19)

    @given(st.integers(0, 2**32), st.integers(1, 12))
    def test_pattern_signs_are_fixed(self, seed, size):
        """The largest element of every pattern is positive, so two runs or two platforms agree on the sign."""
        vectors = self.analyze(symmetric(seed, size))["dominant_patterns"]
        assert (vectors.max(axis=0) >= abs(vectors).max(axis=0) * (1 - 1e-5)).all()

    def test_equally_large_elements_leave_the_sign_to_the_first(self):
        """In (1, -1)/sqrt(2), where rounding could prefer either element, the first one is positive."""
        vectors = self.analyze([[1.0, -0.5], [-0.5, 1.0]])["dominant_patterns"]
        np.testing.assert_allclose(vectors[:, 0], [math.sqrt(0.5), -math.sqrt(0.5)], rtol=1e-15)

    @given(st.integers(0, 2**32), st.integers(1, 10), st.integers(-900, 900))
    def test_scale_does_not_matter(self, seed, size, power):
        """Multiplying by a power of two, up to the ends of float64, scales the eigenvalues and changes nothing else."""
        matrix = symmetric(seed, size)
        plain, scaled = self.analyze(matrix), self.analyze(np.ldexp(matrix, power))
        np.testing.assert_array_equal(scaled["eigenvalues"], np.ldexp(plain["eigenvalues"], power))
        np.testing.assert_array_equal(scaled["explained_variance"], plain["explained_variance"])
        np.testing.assert_array_equal(scaled["dominant_patterns"], plain["dominant_patterns"])
        assert scaled["frobenius_norm"] == math.ldexp(plain["frobenius_norm"], power)
        assert scaled["trace"] == math.ldexp(plain["trace"], power)
        assert (scaled["rank"], scaled["condition_number"]) == (plain["rank"], plain["condition_number"])

    def test_determinant_does_not_overflow_on_the_way(self):
        """Sixty eigenvalues of 2**20 and sixty of 2**-20 have the determinant one, though a partial product is 2**1200."""
        matrix = np.diag([2.0**20] * 60 + [2.0**-20] * 60)
        assert self.analyze(matrix)["determinant"] == 1.0

    def test_determinant_of_a_large_matrix(self):
        """The determinant of two times the identity of size 600 is 2**600, exactly."""
        assert self.analyze(2 * np.eye(600))["determinant"] == 2.0**600

    @pytest.mark.parametrize(("first", "expected"), [(1e200, math.inf), (-1e200, -math.inf)])
    def test_determinant_beyond_float64_is_infinite(self, first, expected):
        """A determinant that float64 cannot hold is infinite with the right sign, and nothing warns."""
        assert self.analyze(np.diag([first, 1e200]))["determinant"] == expected

    def test_determinant_below_float64_is_zero_at_full_rank(self):
        """A determinant too small for float64 is zero although the rank is full."""
        patterns = self.analyze(np.diag([1e-200, 1e-200]))
        assert (patterns["rank"], patterns["determinant"], patterns["condition_number"]) == (2, 0.0, 1.0)

    def test_asymmetry_of_rounding_is_taken(self):
        """A matrix that is symmetric but for the rounding of a product is analysed as its symmetric part."""
        matrix = np.array([[2.0, 1.0], [1.0 + EPSILON, 2.0]])
        np.testing.assert_allclose(self.analyze(matrix)["eigenvalues"], [3, 1], rtol=1e-15)

    @pytest.mark.parametrize(
        ("matrix", "message"),
        [
            (
                [[1.0, 2.0], [3.0, 4.0]],
                (
                    "matrix: not symmetric, it differs from its transpose by 0.25 of its largest element"
                    " (allowed: 4.44e-16)"
                ),
            ),
            ([[1.0, 2.0, 3.0]], "matrix: want a square matrix, got shape (1, 3)"),
            ([1.0, 2.0], "matrix: want a matrix, got shape (2,)"),
            (np.zeros((2, 2, 2)), "matrix: want a matrix, got shape (2, 2, 2)"),
            (1.0, "matrix: want a matrix, got shape ()"),
            (np.zeros((0, 0)), "matrix: is empty, shape (0, 0)"),
            ([[math.nan]], "matrix: holds NaN or infinity"),
            ([[1.0, math.inf], [math.inf, 1.0]], "matrix: holds NaN or infinity"),
            ([[True]], "matrix: want numbers, got bools"),
            ([[1j]], "matrix: want integers or floats of at most 64 bits, got dtype complex128"),
            ([["1"]], "matrix: want integers or floats of at most 64 bits, got dtype <U1"),
            (None, "matrix: want integers or floats of at most 64 bits, got dtype object"),
            (np.full((9, 9), 1e308), "matrix: the result exceeds the range of float64"),
            (np.diag([1e308, 1e308]), "matrix: the result exceeds the range of float64"),
        ],
    )
    def test_refuses_bad_matrices(self, matrix, message):
        """What is not a finite symmetric matrix of numbers with a norm in float64 is refused with the reason."""
        with pytest.raises(ValueError) as refused:
            self.analyze(matrix)
        assert str(refused.value) == message

    def test_rotation_seed_does_not_change_the_findings(self):
        """Engines with other seeds and dimensions find the same non-zero spectrum in the same data."""
        data = [{"quality": 1.0, "latency": 2.0}, {"quality": 4.0}, {"error_rate": 3.0}, {"throughput": 9.0}]

        def leading(engine):
            tensors = [engine.ingest_labor_data(metrics) for metrics in data]
            found = engine.analyze_intelligence_patterns(engine.compute_labor_matrix(tensors))
            return [found["rank"], found["condition_number"], *found["eigenvalues"][:3]]

        expected = leading(LaborIntelligenceEngine(8))
        assert leading(LaborIntelligenceEngine(50, seed=9)) == pytest.approx(expected, rel=1e-11)
        assert expected[0] == 3
