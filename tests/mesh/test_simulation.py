"""Schedules of the simulated mesh; `make test-mesh` runs thousands, and any seed by its number."""

from __future__ import annotations

import pytest

from tests.mesh.simulation import schedules


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_the_mesh_converges(seed: int) -> None:
    """See `world`: what holds while everything goes wrong, and what must come of it."""
    schedules.run(seed)
