"""kill -9 at every point of a new state's way: the node serves offline afterwards, and converges when it hears again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.processes import ServerProcess
from neuralmesh import AsyncClient, exceptions
from neuralmesh_server.content_store import ContentStore
from tests.inference import models
from tests.inference.conftest import PATIENCE
from tests.inference.edge.conftest import Site, answer

SHORT = {"download": 2, "published": 1, "keep": 1, "acknowledge": 1}
"""The points between which the most happens; tests/mesh/long takes all that there are."""
BIG = models.digits_onnx(2, hidden=3000)


def spawn(site: Site, *program: str) -> ServerProcess:
    """Start a node's process on the folder of `edge-1`."""
    environment = {
        "PYTHONPATH": ":".join(str(Path.cwd() / one) for one in ("native", "services", "clients/python/src", ".")),
        "NEURALMESH_REGISTRY": site.registry.address,
        "NEURALMESH_NODE": "edge-1",
        "NEURALMESH_EDGE_STORE": str(site.folder / "edge-1"),
        "NEURALMESH_EDGE_LISTEN": "127.0.0.1:0",
        "NEURALMESH_EDGE_LABELS": "tier=edge",
    }
    return ServerProcess(["-m", *program, "edge"], environment, site.folder / "edge.log")


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[AsyncClient]:
    """Run a node's process; gives a client of it."""
    process = spawn(site, "neuralmesh_server")
    try:
        address = await asyncio.to_thread(process.listening, "edge")
        async with AsyncClient(inference=address, timeout=10, actor="tester") as client:
            yield client
    finally:
        await asyncio.to_thread(process.kill)


def stored(site: Site, digest: str) -> int:
    """Return how many bytes of an artifact a node has, complete or not."""
    store = ContentStore(site.folder / "edge-1" / "artifacts")
    return store.size(digest) if store.has(digest) else store.committed(digest)


async def first_answer(client: AsyncClient) -> int:
    """Return the version that answers as soon as one does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return (await answer(client)).version
            except exceptions.UnavailableError:
                await asyncio.sleep(0.01)  # a starting process has no event to wait for


@pytest.mark.parametrize(("point", "time"), SHORT.items())
async def test_a_kill_costs_nothing_but_time(site: Site, point: str, time: int) -> None:
    """Offline one of the alias's versions answers; online the newest does, and nothing was fetched twice."""
    node = await site.start()
    await site.registry.applied()
    await site.stop_node(node)
    number = site.registry.push("digits", BIG)
    revision = await site.registry.promote("digits", number)
    process = spawn(site, "tests.mesh.failpoint", point, str(time))
    await asyncio.to_thread(process._process.wait, PATIENCE)
    assert process._process.returncode == -9
    applied = [one.revision for one in site.registry.reports if one.outcome == 1]
    assert applied == sorted(applied)
    if point != "acknowledge":
        assert revision not in applied
    await site.registry.stop()
    there = stored(site, site.registry.digest_of("digits", number))

    async with running(site) as client:
        assert await first_answer(client) in {1, number}
        assert not (await client.edge.get_edge_status()).connected
    await site.registry.start()
    site.registry.reports.clear()
    async with running(site) as client:
        report = await site.registry.applied(revision)
        assert report.state_digest == site.registry.digest()
        assert await first_answer(client) == number
    assert report.figures.fetched_registry_bytes == len(BIG) - there
    assert json.loads((site.folder / "edge-1" / "mesh.json").read_bytes())["highest"] == revision


async def test_a_move_on_the_node_is_durable_when_it_is_answered(site: Site) -> None:
    """A kill right after the answer takes nothing of it."""
    await site.registry.promote("digits", site.registry.push("digits", models.digits_onnx(2)))
    node = await site.start()
    await site.registry.applied()
    await site.stop_node(node)
    await site.registry.stop()
    async with running(site) as client:
        assert await first_answer(client) == 2
        await client.edge.override_alias("digits", version=1)
    async with running(site) as client:
        assert await first_answer(client) == 1
