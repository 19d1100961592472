"""The labor intelligence engine: metrics become tensors."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liam_core import LaborIntelligenceEngine
from tests.unit.labor import METRICS, full_metric_sets, metric_values

metric_sets = st.dictionaries(st.sampled_from(METRICS), metric_values)


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
