"""What an edge node did while it was cut off arrives once, over restarts too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from neuralmesh import AsyncClient
from neuralmesh_server.metrics.app import MetricsApp
from neuralmesh_server.settings import MetricsSettings, ServerSettings
from tests.inference.conftest import ANY_PORT, when_settled
from tests.inference.edge.conftest import Site, answer


async def test_requests_of_a_long_cut_are_counted_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes answer with everything cut off; when the line is back their requests are all there, once."""
    monkeypatch.setattr("neuralmesh_server.inference.reporting.telemetry.FAREWELL_SECONDS", 0.05)
    settings = MetricsSettings(ServerSettings(ANY_PORT, drain_seconds=0.2), site.folder / "metrics", http=None)
    metrics = MetricsApp(settings)
    endpoint = await metrics.start()
    asked = {"metrics": endpoint, "telemetry_seconds": 0.01}
    node = await site.start(**asked)
    await site.registry.applied()
    await metrics.stop()
    await site.registry.stop()
    total = 0
    for requests in (20, 7, 11):
        await when_settled(node)
        client = site.client(node)
        for _ in range(requests):
            assert (await answer(client)).version == 1
        total += requests
        await site.stop_node(node)
        node = await site.start(**asked)
    metrics = MetricsApp(replace(settings, server=replace(settings.server, listen=endpoint)))
    await metrics.start()
    await site.stop_node(node)
    async with AsyncClient(metrics=str(endpoint), timeout=10) as reader:
        figures = await reader.metrics.get_version_metrics("digits", 1)
        (status,) = (await reader.metrics.get_operations()).nodes
    assert (figures.requests, figures.rows) == (total, 2 * total)
    assert status.gaps == 0
    await metrics.stop()
