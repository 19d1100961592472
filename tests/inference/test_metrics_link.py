"""A node that reports to a real metrics service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from neuralmesh import AsyncClient, exceptions
from neuralmesh_server.metrics.app import MetricsApp
from neuralmesh_server.settings import MetricsSettings, ServerSettings
from tests.inference import models
from tests.inference.conftest import ANY_PORT, Suite, push_digits, when_ready

ROWS = np.random.default_rng(7).random((3, 64), dtype=np.float32)


@pytest.fixture
async def metrics_settings(suite: Suite) -> MetricsSettings:
    """Settings of a metrics service with a folder of its own."""
    return MetricsSettings(ServerSettings(ANY_PORT, drain_seconds=0.2), suite.folder / "metrics", http=None)


@pytest.fixture
async def metrics(metrics_settings: MetricsSettings) -> AsyncIterator[MetricsApp]:
    """A metrics service that runs."""
    app = MetricsApp(metrics_settings)
    await app.start()
    yield app
    await app.stop()


def client_of(suite: Suite, metrics: MetricsApp) -> AsyncClient:
    """Return a client of the metrics service."""
    client = AsyncClient(metrics=str(metrics.endpoint), timeout=10)
    suite._clients.append(client)
    return client


async def test_what_a_node_did_arrives_complete(suite: Suite, metrics: MetricsApp) -> None:
    """Requests, rows, errors, latency, size and outcomes of a version are at the metrics service after an orderly stop."""
    node = await suite.start_node(metrics=metrics.endpoint, telemetry_seconds=0.01)
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await when_ready(node, "digits", 1)
    answers = [await client.infer("digits", {"input": ROWS}) for _ in range(20)]
    with pytest.raises(exceptions.InvalidArgumentError):
        await client.infer("digits", {"input": ROWS[:, :5]})
    with pytest.raises(exceptions.NotFoundError):
        await client.infer("nothing", {"input": ROWS})
    await node.stop()
    reader = client_of(suite, metrics)
    figures = await reader.metrics.get_version_metrics("digits", 1)
    assert (figures.requests, figures.rows, dict(figures.errors_by_code)) == (20, 60, {"INVALID_ARGUMENT": 1})
    assert 0 < figures.latency_p50_seconds <= figures.latency_p99_seconds < 1
    assert figures.size_bytes == len(models.digits_onnx())
    truth = answers[0].outputs["label"].copy()
    truth[0] += 1
    outcome = await reader.record_outcome(answers[0].prediction_id, truth.tolist())
    assert (outcome.model, outcome.version, outcome.correct_rows) == ("digits", 1, 2)
    (status,) = (await reader.metrics.get_operations()).nodes
    assert (status.node, status.running, status.gaps) == ("local", False, 0)


async def test_nothing_is_lost_while_the_metrics_service_is_away(
    suite: Suite, metrics_settings: MetricsSettings
) -> None:
    """Requests that were answered while nobody listened are counted once the service is back."""
    app = MetricsApp(metrics_settings)
    endpoint = await app.start()
    node = await suite.start_node(metrics=endpoint, telemetry_seconds=0.01)
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await when_ready(node, "digits", 1)
    await client.infer("digits", {"input": ROWS})
    await app.stop()
    for _ in range(10):
        await client.infer("digits", {"input": ROWS})
    server = replace(metrics_settings.server, listen=endpoint)
    app = MetricsApp(replace(metrics_settings, server=server))
    await app.start()
    await node.stop()
    figures = await client_of(suite, app).metrics.get_version_metrics("digits", 1)
    assert (figures.requests, figures.rows) == (11, 33)
    await app.stop()
