"""A store that a node filled, for nodes within this program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.inference import models
from tests.inference.conftest import Suite, push_digits, when


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    """A suite whose registry runs."""
    suite = Suite(tmp_path)
    await suite.start_registry()
    yield suite
    await suite.stop()


async def fill(suite: Suite) -> None:
    """Have the registry know two versions of `digits`, of which production is the packed network."""
    client = suite.client()
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await push_digits(client, models.digits_onnx())
    await client.promote("digits", 1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of a node named `edge` that holds both versions; no registry runs any more."""

    async def serve() -> None:
        suite = Suite(tmp_path)
        try:
            await suite.start_registry()
            await fill(suite)
            node = await suite.start_node("edge")
            await when(node, lambda found: ("digits", "") in found.routes and len(found.served) == 2)
        finally:
            await suite.stop()

    asyncio.run(serve())
    return tmp_path / "edge"
