"""Real processes behind a line that is cut or damaged; `make test-mesh` takes every fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.mesh.lines import FAULTS, converges_over

if TYPE_CHECKING:
    from neuralmesh_server.demo.mesh.line import Line
    from tests.mesh.processes import Site


@pytest.mark.parametrize("name", ["cut within the artifact", "damaged within the artifact"])
def test_a_bad_line_delays_and_nothing_else(site: Site, line: Line, name: str) -> None:
    """The node comes to the registry's state, and never answers anything but what a version says."""
    converges_over(site, line, FAULTS[name])


def test_a_cut_line_is_no_reason_to_stop(site: Site, line: Line, loop: asyncio.AbstractEventLoop) -> None:
    """The node answers, is started again and answers; when the line is back, it goes to where the registry is now."""
    site.start(through=line.address)
    site.await_version(1)
    site.await_converged()
    asyncio.run_coroutine_threadsafe(line.down(), loop).result(10)
    for version in (2, 1, 2):
        site.promote(version)
    assert site.answers() == 1
    site.stop()
    site.start(through=line.address)
    site.await_version(1)
    asyncio.run_coroutine_threadsafe(line.up(), loop).result(10)
    site.await_version(2)
    site.await_converged()
