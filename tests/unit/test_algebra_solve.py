"""Binary algebra: linear systems against SciPy, and what is said of singular ones."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.matrices import EPSILON, algebra, gaussian, refusal


class TestSolve:
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
