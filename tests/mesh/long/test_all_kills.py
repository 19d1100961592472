"""kill -9 at every point between two states of an edge node, with the registry there and gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mesh.failpoint import POINTS
from tests.mesh.kills import killed_and_back

if TYPE_CHECKING:
    from tests.mesh.processes import Site

TWICE = ("load", "loaded", "keep", "kept")
"""Points that a node passes when it starts, and again when it goes over to the new version."""


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize(("point", "number"), [*((point, 1) for point in POINTS), *((point, 2) for point in TWICE)])
def test_a_node_that_was_killed_goes_on(site: Site, point: str, number: int, offline: bool) -> None:
    """It serves what it had or what it was to have, comes to the registry's state, and can go back without a line."""
    killed_and_back(site, point, number, offline=offline)
