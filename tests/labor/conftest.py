"""A running coordinator for the tests of the labor array."""

from __future__ import annotations

import pytest

from tests.labor.array_bench import running


@pytest.fixture
async def bench(tmp_path):
    """A coordinator in a folder of its own, with a clock of its own."""
    async with running(tmp_path) as made:
        yield made
