"""A site for each test, ended whatever the test does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
