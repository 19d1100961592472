"""Real stores and real servers for the tests of the metrics service."""

from __future__ import annotations

import grpc
import pytest

from neuralmesh.metrics.v1 import metrics_service_pb2_grpc
from neuralmesh_server.metrics.app import MetricsApp
from neuralmesh_server.metrics.store_sqlite import SqliteStore
from neuralmesh_server.settings import Endpoint, MetricsSettings, ServerSettings
from tests.channels import OWN

LOOPBACK = Endpoint("127.0.0.1", 0)


@pytest.fixture
def settings(tmp_path):
    """Settings of a service in a folder of its own, on free ports."""
    return MetricsSettings(server=ServerSettings(LOOPBACK, drain_seconds=1.0), data=tmp_path / "metrics", http=LOOPBACK)


@pytest.fixture
async def app(settings):
    """A running metrics service."""
    running = MetricsApp(settings)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def stub(app):
    """A stub of the running metrics service."""
    async with grpc.aio.insecure_channel(str(app.endpoint), OWN) as channel:
        yield metrics_service_pb2_grpc.MetricsServiceStub(channel)


@pytest.fixture(params=["sqlite"])
async def store(request, tmp_path):
    """An empty store; every implementation passes the same tests."""
    made = SqliteStore(tmp_path / "store")
    yield made
    made.close()
