"""Starting and stopping the metrics service, and what it refuses to start with."""

from __future__ import annotations

import socket
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh.metrics.v1 import metrics_service_pb2_grpc
from neuralmesh_server.metrics.app import MetricsApp
from neuralmesh_server.settings import Endpoint, SettingsError
from tests.channels import OWN
from tests.metrics import samples
from tests.metrics.conftest import LOOPBACK


async def test_health_answers_for_the_service(app):
    """A started service is SERVING under its full name."""
    async with grpc.aio.insecure_channel(str(app.endpoint), OWN) as channel:
        request = health_pb2.HealthCheckRequest(service="neuralmesh.metrics.v1.MetricsService")
        answer = await health_pb2_grpc.HealthStub(channel).Check(request)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_everything_is_there_after_a_restart(settings):
    """Figures, pending outcomes and sequences survive a stop and a start on the same folder."""
    identifier = samples.new_id(samples.issuer())
    delta = samples.delta_message(versions=[samples.version_message()], loaded=[samples.held_message()])
    before = None
    for restarted in (False, True):
        app = MetricsApp(settings)
        await app.start()
        async with grpc.aio.insecure_channel(str(app.endpoint), OWN) as channel:
            stub = metrics_service_pb2_grpc.MetricsServiceStub(channel)
            assert (await stub.IngestDelta(delta)).duplicate is restarted
            await stub.RecordOutcome(samples.outcome_message(identifier, 1))
            found = await stub.ListVersionMetrics(pb.ListVersionMetricsRequest())
            before = before or found
            assert found == before
        await app.stop()


async def test_http_can_be_switched_off(settings):
    """Without an HTTP address nothing listens for HTTP."""
    app = MetricsApp(replace(settings, http=None))
    await app.start()
    assert app.http_endpoint is None
    await app.stop()


def test_open_http_is_refused_unless_insecure(settings):
    """HTTP beyond loopback needs --insecure."""
    exposed = replace(settings, http=Endpoint("0.0.0.0", 0))  # noqa: S104 - the address under test
    with pytest.raises(SettingsError, match="NEURALMESH_METRICS_HTTP"):
        MetricsApp(exposed)
    MetricsApp(replace(exposed, server=replace(settings.server, insecure=True)))


@pytest.mark.parametrize("edge", ["grpc", "http"])
async def test_a_taken_port_is_a_settings_error_and_frees_the_folder(settings, edge):
    """A port that is in use stops the start with its address, and a stop afterwards leaves the folder free."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = Endpoint("127.0.0.1", taken.getsockname()[1])
        wrong = {"http": endpoint} if edge == "http" else {"server": replace(settings.server, listen=endpoint)}
        app = MetricsApp(replace(settings, **wrong))
        with pytest.raises(SettingsError, match=str(endpoint.port)):
            await app.start()
        await app.stop()
    again = MetricsApp(replace(settings, http=LOOPBACK))
    await again.start()
    await again.stop()


async def test_two_services_do_not_share_a_folder(app, settings):
    """A second service on the same folder is refused."""
    second = MetricsApp(settings)
    with pytest.raises(SettingsError, match="another metrics service uses the data folder"):
        await second.start()
    await second.stop()
