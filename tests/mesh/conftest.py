"""A site for each test, and a line to its registry, ended whatever the test does."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from neuralmesh_server.demo.mesh.line import Line
from tests.mesh.processes import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A registry with two versions, and an edge node that has not been started."""
    site = Site.build(tmp_path)
    yield site
    site.end()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread, on which lines live."""
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
