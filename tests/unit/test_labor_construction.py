"""The labor intelligence engine: its arguments and the rotation that it builds from them."""

import numpy as np
import pytest

from liam_core import LaborIntelligenceEngine
from tests.unit.labor import EPSILON


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
