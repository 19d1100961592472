"""kill -9 at the points that lie furthest apart; `make test-mesh` takes all of them, with and without the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mesh.kills import killed_and_back

if TYPE_CHECKING:
    from tests.mesh.processes import Site


@pytest.mark.parametrize(("point", "offline"), [("publish", True), ("kept", True), ("acknowledge", False)])
def test_a_node_that_was_killed_goes_on(site: Site, point: str, offline: bool) -> None:
    """It serves what it had or what it was to have, comes to the registry's state, and can go back without a line."""
    killed_and_back(site, point, 1, offline=offline)
