"""Every fault of a line that the short form leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mesh.lines import FAULTS, converges_over

if TYPE_CHECKING:
    from neuralmesh_server.demo.mesh.line import Line
    from tests.mesh.processes import Site


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_line_delays_and_nothing_else(site: Site, line: Line, name: str) -> None:
    """The node comes to the registry's state, and never answers anything but what a version says."""
    converges_over(site, line, FAULTS[name])
