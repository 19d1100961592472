"""kill -9 between a state that is kept and its artifacts; `make test-mesh` takes every point, with and without the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mesh.kills import killed_and_back

if TYPE_CHECKING:
    from tests.mesh.processes import Site


@pytest.mark.parametrize(("point", "offline"), [("publish", True)])
def test_a_node_that_was_killed_goes_on(site: Site, point: str, offline: bool) -> None:
    """It serves what it had or what it was to have, comes to the registry's state, and can go back without a line."""
    killed_and_back(site, point, 1, offline=offline)
