"""Real processes behind a line that is slow, cut, damaged, half closed or dead in one direction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from neuralmesh_server.demo.mesh.line import Faults, Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mesh.processes import Site


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread, on which lines live."""
    import threading  # noqa: PLC0415

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def line(site: Site, loop: asyncio.AbstractEventLoop) -> Iterator[Line]:
    """A line to the site's registry."""
    line = Line.to(site.registry.address)
    asyncio.run_coroutine_threadsafe(line.up(), loop).result(10)
    yield line
    asyncio.run_coroutine_threadsafe(line.down(), loop).result(10)


FAULTS = {
    "slow": Faults(delay_seconds=0.2),
    "cut early": Faults(cut_down_at=600),
    "cut within the artifact": Faults(cut_down_at=2_500),
    "damaged early": Faults(flip_down_at=500),
    "damaged within the artifact": Faults(flip_down_at=2_600),
    "half closed": Faults(half_close_at=1_500),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_line_delays_and_nothing_else(site: Site, line: Line, name: str) -> None:
    """The node comes to the registry's state, and never answers anything but what a version says."""
    line.faults = Faults(**{field: getattr(FAULTS[name], field) for field in FAULTS[name].__slots__})
    site.start(through=line.address)
    site.await_version(1)
    site.await_converged()
    line.faults = Faults()
    site.promote(2)
    site.await_version(2)
    site.await_converged()


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
