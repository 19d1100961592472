"""The labor intelligence engine: the article's snippet, the rotation, the covariance and its analysis."""

import math
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import liam_core
from liam_core import LaborIntelligenceEngine

METRICS = (
    "productivity",
    "efficiency",
    "quality",
    "throughput",
    "utilization",
    "latency",
    "error_rate",
    "completion_rate",
)

SEED_SNIPPET = """\
from liam_core import LaborIntelligenceEngine, BinaryAlgebra
engine = LaborIntelligenceEngine(dimensions=64)
algebra = BinaryAlgebra()
tensor = engine.ingest_labor_data({'productivity': 85.5, 'efficiency': 92.3, 'quality': 88.7, 'throughput': 120.0})
matrix = engine.compute_labor_matrix([tensor])
patterns = engine.analyze_intelligence_patterns(matrix)
print(f"Rank: {patterns['rank']}, Condition: {patterns['condition_number']:.2f}")
"""

EPSILON = 2.0**-52

metric_values = st.floats(-1e6, 1e6)
metric_sets = st.dictionaries(st.sampled_from(METRICS), metric_values)
full_metric_sets = st.fixed_dictionaries(dict.fromkeys(METRICS, metric_values))


def symmetric(seed, size):
    """Return a random symmetric, indefinite matrix."""
    half = np.random.default_rng(seed).standard_normal((size, size))
    return half + half.T


class TestSeedSnippet:
    def test_prints_a_finite_rank_and_condition_number(self):
        """The seed article's snippet runs verbatim, without warnings, and reports the rank-one matrix that it builds."""
        environment = os.environ | {"PYTHONPATH": str(Path(liam_core.__file__).parents[1])}
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", SEED_SNIPPET],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Rank: 1, Condition: 1.00\n", "")


class TestConstruction:
    def test_defaults_to_64_dimensions_and_seed_0(self):
        """An engine built without arguments is the one of 64 dimensions and seed 0."""
        engine = LaborIntelligenceEngine()
        assert (engine.dimensions, engine.seed) == (64, 0)
        np.testing.assert_array_equal(engine.rotation, LaborIntelligenceEngine(64, 0).rotation)

    @pytest.mark.parametrize("dimensions", [8, 9, 64, 130])
    def test_rotation_is_orthogonal(self, dimensions):
        """The rotation is a square orthogonal matrix at the smallest size, at odd sizes and at larger ones."""
        rotation = LaborIntelligenceEngine(dimensions, seed=3).rotation
        assert rotation.dtype == np.float64
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(dimensions), rtol=0, atol=dimensions * EPSILON * 4)

    def test_rotation_has_the_haar_sign_fix(self):
        """The factor R that belongs to the rotation has a positive diagonal, which makes the rotation Haar distributed."""
        rotation = LaborIntelligenceEngine(16, seed=5).rotation
        upper = rotation.T @ np.random.default_rng(5).standard_normal((16, 16))
        assert (np.diagonal(upper) > 0).all()
        np.testing.assert_allclose(np.tril(upper, -1), 0, atol=1e-13)

    def test_rotation_depends_on_dimensions_and_seed_only(self):
        """Two engines of the same dimensions and seed hold the same bytes; another seed gives another rotation."""
        first, second = LaborIntelligenceEngine(32, seed=7), LaborIntelligenceEngine(32, seed=7)
        assert first.rotation.tobytes() == second.rotation.tobytes()
        assert not np.allclose(first.rotation, LaborIntelligenceEngine(32, seed=8).rotation)

    def test_rotation_is_read_only(self):
        """The rotation cannot be changed through the property, so an engine's tensors stay comparable."""
        with pytest.raises(ValueError, match="read-only"):
            LaborIntelligenceEngine(8).rotation[0, 0] = 1.0

    def test_accepts_numpy_integers(self):
        """NumPy integers are integers: dimensions and seed may come from an array."""
        engine = LaborIntelligenceEngine(np.int32(8), seed=np.uint8(2))
        assert (engine.dimensions, engine.seed) == (8, 2)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"dimensions": 7}, "dimensions: want an integer of at least 8, got 7"),
            ({"dimensions": -64}, "dimensions: want an integer of at least 8, got -64"),
            ({"dimensions": 64.0}, "dimensions: want an integer, got float"),
            ({"dimensions": "64"}, "dimensions: want an integer, got str"),
            ({"dimensions": None}, "dimensions: want an integer, got NoneType"),
            ({"dimensions": True}, "dimensions: want an integer, got the bool True"),
            ({"dimensions": np.True_}, "dimensions: want an integer, got the bool True"),
            ({"seed": -1}, "seed: want an integer of at least 0, got -1"),
            ({"seed": 0.5}, "seed: want an integer, got float"),
            ({"seed": False}, "seed: want an integer, got the bool False"),
        ],
    )
    def test_refuses_bad_arguments(self, arguments, message):
        """Dimensions below the number of metrics and anything that is not an integer are refused by name."""
        with pytest.raises(ValueError) as refused:
            LaborIntelligenceEngine(**arguments)
        assert str(refused.value) == message


class TestIngest:
    @pytest.mark.parametrize(("coordinate", "metric"), list(enumerate(METRICS)))
    def test_each_metric_has_its_coordinate(self, coordinate, metric):
        """A metric of one, alone, becomes the rotation's column of that metric's fixed place."""
        engine = LaborIntelligenceEngine(20)
        tensor = engine.ingest_labor_data({metric: 1})
        assert tensor.shape == (20,)
        assert tensor.dtype == np.float64
        np.testing.assert_allclose(tensor, engine.rotation[:, coordinate], rtol=1e-15, atol=0)

    @given(metric_sets)
    def test_rotation_undone_gives_back_the_metrics(self, data):
        """Rotating a tensor back yields the metrics in order, zero where absent, and zeros for the padding."""
        engine = LaborIntelligenceEngine(12, seed=1)
        padded = engine.rotation.T @ engine.ingest_labor_data(data)
        expected = [data.get(metric, 0.0) for metric in METRICS] + [0.0] * 4
        np.testing.assert_allclose(padded, expected, rtol=0, atol=1e-14 * (1 + max(map(abs, expected))))

    @given(full_metric_sets, full_metric_sets)
    def test_distances_are_kept(self, first, second):
        """The distance of two tensors is the distance of their metrics."""
        engine = LaborIntelligenceEngine(64)
        distance = np.linalg.norm(engine.ingest_labor_data(first) - engine.ingest_labor_data(second))
        expected = math.dist([first[metric] for metric in METRICS], [second[metric] for metric in METRICS])
        assert distance == pytest.approx(expected, rel=1e-12, abs=1e-8)

    def test_order_of_keys_does_not_matter(self):
        """The same metrics named in another order give the same bytes."""
        engine = LaborIntelligenceEngine(16)
        data = {metric: index + 0.1 for index, metric in enumerate(METRICS)}
        backwards = dict(reversed(data.items()))
        assert engine.ingest_labor_data(data).tobytes() == engine.ingest_labor_data(backwards).tobytes()

    def test_a_known_tensor(self):
        """A tensor computed by an earlier build is computed again, so stored tensors stay comparable."""
        data = {metric: float(index) for index, metric in enumerate(METRICS, start=1)}
        known = [
            4.678282458790788,
            -2.249738367971238,
            3.147458391731795,
            -1.4140118612345736,
            1.9020977089948752,
            -7.7116445980844555,
            -8.19164670573282,
            -5.912352559411648,
        ]
        tensor = LaborIntelligenceEngine(8, seed=1).ingest_labor_data(data)
        np.testing.assert_allclose(tensor, known, rtol=1e-12)

    def test_no_metrics_give_the_zero_tensor(self):
        """Absent metrics are zero, so an empty mapping is the zero tensor."""
        np.testing.assert_array_equal(LaborIntelligenceEngine(8).ingest_labor_data({}), np.zeros(8))

    @pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int16(3), Fraction(3)])
    def test_accepts_any_real_number(self, value):
        """Integers, floats, NumPy scalars and fractions are numbers alike."""
        engine = LaborIntelligenceEngine(8)
        np.testing.assert_array_equal(
            engine.ingest_labor_data({"quality": value}), engine.ingest_labor_data({"quality": 3.0})
        )

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"speed": 1.0}, f"data: unknown metrics speed; known are {', '.join(METRICS)}"),
            (
                {"quality": 1.0, "zeal": 1.0, "Quality": 1.0, 5: 1.0},
                f"data: unknown metrics 5, Quality, zeal; known are {', '.join(METRICS)}",
            ),
            ({"quality": math.nan}, "data['quality']: want a finite number, got nan"),
            ({"latency": math.inf}, "data['latency']: want a finite number, got inf"),
            ({"latency": -math.inf}, "data['latency']: want a finite number, got -inf"),
            ({"quality": True}, "data['quality']: want a real number, got bool"),
            ({"quality": np.False_}, "data['quality']: want a real number, got bool"),
            ({"quality": "85"}, "data['quality']: want a real number, got str"),
            ({"quality": None}, "data['quality']: want a real number, got NoneType"),
            ({"quality": 1j}, "data['quality']: want a real number, got complex"),
            ({"quality": Decimal(1)}, "data['quality']: want a real number, got Decimal"),
            ({"quality": [1.0]}, "data['quality']: want a real number, got list"),
            ({"quality": 10**400}, "data['quality']: the number exceeds the range of float64"),
            (dict.fromkeys(METRICS, 1.7e308), "data: the result exceeds the range of float64"),
            ([("quality", 1.0)], "data: want a mapping of metric names to numbers, got list"),
            (None, "data: want a mapping of metric names to numbers, got NoneType"),
        ],
    )
    def test_refuses_bad_data(self, data, message):
        """Unknown metrics and values that are no finite numbers are refused with the metric's name."""
        with pytest.raises(ValueError) as refused:
            LaborIntelligenceEngine(8).ingest_labor_data(data)
        assert str(refused.value) == message


class TestLaborMatrix:
    def test_one_tensor_gives_its_second_moment(self):
        """A single tensor x, which has no covariance, gives exactly x x^T."""
        engine = LaborIntelligenceEngine(64)
        tensor = engine.ingest_labor_data({"productivity": 85.5, "efficiency": 92.3})
        np.testing.assert_array_equal(engine.compute_labor_matrix([tensor]), np.outer(tensor, tensor))

    @settings(deadline=None)
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

    @settings(deadline=None)
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

    @settings(deadline=None)
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

    @settings(deadline=None)
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

    @settings(deadline=None)
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

    @settings(deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 12))
    def test_pattern_signs_are_fixed(self, seed, size):
        """The largest element of every pattern is positive, so two runs or two platforms agree on the sign."""
        vectors = self.analyze(symmetric(seed, size))["dominant_patterns"]
        assert (vectors.max(axis=0) >= abs(vectors).max(axis=0) * (1 - 1e-5)).all()

    def test_equally_large_elements_leave_the_sign_to_the_first(self):
        """In (1, -1)/sqrt(2), where rounding could prefer either element, the first one is positive."""
        vectors = self.analyze([[1.0, -0.5], [-0.5, 1.0]])["dominant_patterns"]
        np.testing.assert_allclose(vectors[:, 0], [math.sqrt(0.5), -math.sqrt(0.5)], rtol=1e-15)

    @settings(deadline=None)
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
