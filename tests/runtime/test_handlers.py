"""The server edge: parsing, translating errors, health, reflection and draining, over real connections."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from neuralmesh_server import errors
from neuralmesh_server.runtime import status
from neuralmesh_server.runtime.handlers import Call, service_handler, snake_case
from neuralmesh_server.runtime.server import Server
from neuralmesh_server.settings import Endpoint, ServerSettings, SettingsError

SERVICE = pb.DESCRIPTOR.services_by_name["MetricsService"]


class Servicer:
    """Answers the metrics contract in ways that tests ask for."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def record_outcome(self, request: Any, call: Call) -> Any:
        if request.prediction_id == "wait":
            self.entered.set()
            await self.release.wait()
        elif request.prediction_id == "defect":
            raise ZeroDivisionError("secret")
        elif request.prediction_id:
            raise errors.AbortedError("ETAG_MISMATCH", f"saw {request.prediction_id}", expected=request.prediction_id)
        return pb.RecordOutcomeResponse(state=pb.RecordOutcomeResponse.STATE_COUNTED)

    async def get_operations(self, request: Any, call: Call) -> Any:
        return pb.GetOperationsResponse(
            rows=[pb.OperationsRow(key=call.metadata("x-test") or "", detail=str(call.identity))]
        )

    async def unused(self, request: Any, call: Call) -> Any:
        raise NotImplementedError

    ingest_delta = get_version_metrics = list_version_metrics = compare_versions = list_rollout_metrics = unused


@pytest.fixture
async def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def server(servicer: Servicer, transport: str) -> AsyncIterator[Server]:
    handler = service_handler(SERVICE, servicer, GetMessageClass)
    settings = ServerSettings(Endpoint("127.0.0.1", 0), drain_seconds=5, transport=transport)
    server = Server(settings, [(SERVICE, handler)])
    await server.start()
    await server.set_serving(serving=True)
    yield server
    servicer.release.set()
    await server.stop()


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(str(server.endpoint)) as channel:
        yield channel


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """Return the one ErrorInfo of a failed call."""
    found = rpc_status.from_call(error)
    assert found is not None
    (detail,) = found.details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    return info


async def test_domain_error_becomes_a_status_with_one_error_info(channel: grpc.aio.Channel) -> None:
    """The caller gets code, message, reason, domain and the message's variables."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await MetricsServiceStub(channel).RecordOutcome(pb.RecordOutcomeRequest(prediction_id="e1"))
    assert raised.value.code() is grpc.StatusCode.ABORTED
    assert raised.value.details() == "saw e1"
    info = error_info(raised.value)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "ETAG_MISMATCH",
        "neuralmesh",
        {"expected": "e1"},
    )


async def test_defect_is_internal_and_tells_nothing(
    channel: grpc.aio.Channel, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unexpected exception is INTERNAL with an incident number that the log explains."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await MetricsServiceStub(channel).RecordOutcome(pb.RecordOutcomeRequest(prediction_id="defect"))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in raised.value.details()
    captured = capsys.readouterr()
    assert error_info(raised.value).metadata["incident"] in captured.out + captured.err


async def test_bytes_that_are_no_message_are_the_callers_error(channel: grpc.aio.Channel) -> None:
    """A malformed request is INVALID_ARGUMENT with REQUEST_MALFORMED."""
    call = channel.unary_unary("/neuralmesh.metrics.v1.MetricsService/RecordOutcome")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"\x0a\xff\xff")
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(raised.value).reason == "REQUEST_MALFORMED"


async def test_hostile_text_does_not_break_the_status(channel: grpc.aio.Channel) -> None:
    """Megabytes of echo are cut so that the status still fits into a header."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await MetricsServiceStub(channel).RecordOutcome(pb.RecordOutcomeRequest(prediction_id="ü" * 1_000_000))
    assert raised.value.code() is grpc.StatusCode.ABORTED
    assert raised.value.details().endswith("…")
    assert error_info(raised.value).reason == "ETAG_MISMATCH"


async def test_call_tells_metadata_and_no_identity_without_tls(channel: grpc.aio.Channel) -> None:
    """A servicer sees the caller's metadata; without mutual TLS nobody is authenticated."""
    answer = await MetricsServiceStub(channel).GetOperations(pb.GetOperationsRequest(), metadata=[("x-test", "here")])
    assert (answer.rows[0].key, answer.rows[0].detail) == ("here", "None")


async def test_health_knows_the_server_and_its_service(channel: grpc.aio.Channel) -> None:
    """Health answers for the empty name and the service, NOT_FOUND for others, and Watch tells the first state."""
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", SERVICE.full_name):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Check(health_pb2.HealthCheckRequest(service="other"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=""))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


async def test_reflection_lists_and_describes_the_service(channel: grpc.aio.Channel) -> None:
    """A client without the contract learns it from the server."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE.full_name)

    answers = [answer async for answer in stub.ServerReflectionInfo(ask())]
    assert SERVICE.full_name in {service.name for service in answers[0].list_services_response.service}
    assert answers[1].file_descriptor_response.file_descriptor_proto


async def test_stop_lets_accepted_calls_finish(server: Server, servicer: Servicer, channel: grpc.aio.Channel) -> None:
    """A call that was accepted before the stop is answered; the server is gone afterwards."""
    call = MetricsServiceStub(channel).RecordOutcome(pb.RecordOutcomeRequest(prediction_id="wait"))
    waiting = asyncio.ensure_future(call)
    await servicer.entered.wait()
    stopping = asyncio.ensure_future(server.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    servicer.release.set()
    assert (await waiting).state == pb.RecordOutcomeResponse.STATE_COUNTED
    await stopping
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await MetricsServiceStub(channel).GetOperations(pb.GetOperationsRequest())
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_taken_port_is_a_clear_error(server: Server, transport: str) -> None:
    """A second server on the same port fails at start and says so."""
    second = Server(ServerSettings(server.endpoint, transport=transport), [])
    with pytest.raises(SettingsError, match=r"cannot listen on 127\.0\.0\.1"):
        await second.start()


def test_servicer_without_a_method_is_refused() -> None:
    """A contract that is not fully answered fails when the server is built."""
    with pytest.raises(AttributeError, match="ingest_delta"):
        service_handler(SERVICE, object(), GetMessageClass)


@pytest.mark.parametrize(
    ("name", "expected"), [("CreateModel", "create_model"), ("ServerLive", "server_live"), ("Watch", "watch")]
)
def test_snake_case(name: str, expected: str) -> None:
    """RPC names become Python names."""
    assert snake_case(name) == expected


def test_status_of_every_error_is_distinct() -> None:
    """No two kinds of error share a code."""
    assert len(set(status.CODES.values())) == len(status.CODES)
