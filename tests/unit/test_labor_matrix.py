"""The labor intelligence engine: tensors become their covariance."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liam_core import LaborIntelligenceEngine
from tests.unit.labor import EPSILON, METRICS, full_metric_sets


def exact_rank(rows):
    """Return the rank of a list of rows of fractions by elimination."""
    rows, rank = [row[:] for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for r in range(rank + 1, len(rows)):
            factor = rows[r][column] / rows[rank][column]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[rank], strict=True)]
        rank += 1
    return rank


class TestLaborMatrix:
    def test_one_tensor_gives_its_second_moment(self):
        """A single tensor x, which has no covariance, gives exactly x x^T."""
        engine = LaborIntelligenceEngine(64)
        tensor = engine.ingest_labor_data({"productivity": 85.5, "efficiency": 92.3})
        np.testing.assert_array_equal(engine.compute_labor_matrix([tensor]), np.outer(tensor, tensor))

    @given(st.lists(full_metric_sets, min_size=2, max_size=12))
    def test_several_tensors_give_the_sample_covariance(self, data):
        """Two or more tensors give NumPy's unbiased covariance (ddof 1), symmetric to the last bit."""
        engine = LaborIntelligenceEngine(10)
        tensors = [engine.ingest_labor_data(metrics) for metrics in data]
        matrix = engine.compute_labor_matrix(tensors)
        largest = max(float(np.abs(tensor).max()) for tensor in tensors)
        np.testing.assert_allclose(
            matrix, np.cov(np.array(tensors), rowvar=False, ddof=1), rtol=1e-9, atol=1e-13 * largest**2
        )
        np.testing.assert_array_equal(matrix, matrix.T)

    @given(
        st.integers(2, 9).flatmap(
            lambda n: st.lists(st.lists(st.integers(-999, 999), min_size=8, max_size=8), min_size=n, max_size=n)
        )
    )
    def test_matches_exact_rational_arithmetic(self, rows):
        """For small integers the covariance agrees with fractions to a few units in the last place of its scale."""
        matrix = LaborIntelligenceEngine(8).compute_labor_matrix(rows)
        count = len(rows)
        means = [Fraction(sum(column), count) for column in zip(*rows, strict=True)]
        exact = [
            [sum((row[i] - means[i]) * (row[j] - means[j]) for row in rows) / (count - 1) for j in range(8)]
            for i in range(8)
        ]
        scale = max(float(exact[i][i]) for i in range(8))
        np.testing.assert_allclose(matrix, np.array(exact, dtype=np.float64), rtol=0, atol=32 * EPSILON * scale)

    def test_a_large_common_offset_does_not_cancel(self):
        """Deviations of one around a mean of 1e15 keep their exact variance."""
        rows = np.full((3, 8), 1e15) + np.array([[-1.0], [0.0], [1.0]])
        np.testing.assert_array_equal(LaborIntelligenceEngine(8).compute_labor_matrix(rows), np.ones((8, 8)))

    def test_equal_tensors_have_no_covariance(self):
        """Copies of one tensor give exactly zero, although the mean of three 0.1 is not 0.1 in floating point."""
        engine = LaborIntelligenceEngine(8)
        tensor = np.full(8, 0.1)
        np.testing.assert_array_equal(engine.compute_labor_matrix([tensor] * 3), np.zeros((8, 8)))

    @given(st.lists(st.lists(st.integers(-3, 3), min_size=8, max_size=8), min_size=2, max_size=14))
    def test_rank_is_that_of_the_metrics(self, rows):
        """Padding and rotation add nothing: the labor matrix has the rank of the metrics' exact covariance."""
        engine = LaborIntelligenceEngine(24, seed=2)
        data = [dict(zip(METRICS, row, strict=True)) for row in rows]
        matrix = engine.compute_labor_matrix([engine.ingest_labor_data(metrics) for metrics in data])
        shifted = [[Fraction(a - b) for a, b in zip(row, rows[0], strict=True)] for row in rows[1:]]
        assert engine.analyze_intelligence_patterns(matrix)["rank"] == exact_rank(shifted)

    def test_accepts_an_array_of_tensors(self):
        """An array (n, dimensions) is the same as the list of its rows."""
        engine = LaborIntelligenceEngine(8)
        rows = np.random.default_rng(0).standard_normal((5, 8))
        np.testing.assert_array_equal(engine.compute_labor_matrix(rows), engine.compute_labor_matrix(list(rows)))

    def test_leaves_its_arguments_alone(self):
        """The tensors are not changed, so they can be used again."""
        engine = LaborIntelligenceEngine(8)
        rows = np.arange(16.0).reshape(2, 8)
        engine.compute_labor_matrix(rows)
        np.testing.assert_array_equal(rows, np.arange(16.0).reshape(2, 8))

    @pytest.mark.parametrize(
        ("tensors", "message"),
        [
            ([], "tensors: want at least one vector, got none"),
            (np.zeros((0, 8)), "tensors: want at least one vector, got none"),
            (5.0, "tensors: want a sequence of vectors, got float"),
            (None, "tensors: want a sequence of vectors, got NoneType"),
            (np.array(5.0), "tensors: want a sequence of vectors, got ndarray"),
            (iter([np.zeros(8)]), "tensors: want a sequence of vectors, got list_iterator"),
            ({"a": np.zeros(8)}, "tensors: want a sequence of vectors, got dict"),
            ("quality", "tensors[0]: want integers or floats of at most 64 bits, got dtype <U1"),
            (np.zeros(8), "tensors[0]: want a vector, got shape ()"),
            ([np.zeros(8), np.zeros(9)], "tensors[1]: want shape (8,), got (9,)"),
            ([np.zeros((8, 1))], "tensors[0]: want a vector, got shape (8, 1)"),
            ([np.zeros(0)], "tensors[0]: is empty, shape (0,)"),
            ([np.zeros(8), np.full(8, np.nan)], "tensors[1]: holds NaN or infinity"),
            ([np.full(8, -np.inf)], "tensors[0]: holds NaN or infinity"),
            ([np.zeros(8, dtype=bool)], "tensors[0]: want numbers, got bools"),
            ([[0.0] * 7 + [True]], "tensors[0]: want numbers, got bools"),
            (
                [np.zeros(8, dtype=complex)],
                "tensors[0]: want integers or floats of at most 64 bits, got dtype complex128",
            ),
            ([np.full(8, 1e200)], "tensors: the result exceeds the range of float64"),
            ([np.full(8, 1.5e308), np.full(8, -1.5e308)], "tensors: the result exceeds the range of float64"),
        ],
    )
    def test_refuses_bad_tensors(self, tensors, message):
        """No tensors, other shapes and dtypes, non-finite values and overflow are refused with the tensor's index."""
        with pytest.raises(ValueError) as refused:
            LaborIntelligenceEngine(8).compute_labor_matrix(tensors)
        assert str(refused.value) == message
