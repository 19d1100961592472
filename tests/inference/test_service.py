"""The protocol's methods at the edge of a node, over the wire."""

from __future__ import annotations

import asyncio
import time

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from neuralmesh import oip
from neuralmesh_server.errors import DeadlineExceededError
from neuralmesh_server.inference import convert
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.service import EXTENSIONS
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready

ROWS = np.random.default_rng(3).random((2, 64), dtype=np.float32)


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node that serves the ONNX model as version 1, which is `production`, and the packed network as version 2."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1, 2)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    return node


async def call(node: InferenceApp, method: str, request: object) -> object:
    """Call a method as any client would."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    answer = oip.message_class(oip.SERVICE.methods_by_name[method].output_type)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        path = f"/inference.GRPCInferenceService/{method}"
        if oip.SERVICE.methods_by_name[method].server_streaming:
            stream = channel.stream_stream(path)(iter([data]), timeout=PATIENCE)
            return [answer.FromString(item) async for item in stream]
        return answer.FromString(await channel.unary_unary(path)(data, timeout=PATIENCE))


async def refused(node: InferenceApp, method: str, request: object) -> tuple[str, str]:
    """Return code and reason of a call that fails with exactly one ErrorInfo."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call(node, method, request)
    (detail,) = rpc_status.from_call(failure.value).details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    assert info.domain == "neuralmesh"
    return failure.value.code().name, info.reason


def infer_request(version: str = "", **fields: object) -> object:
    """Return a good request."""
    request = oip.ModelInferRequest(model_name="digits", model_version=version, **fields)
    request.inputs.add(name="input", datatype="FP32", shape=ROWS.shape)
    request.raw_input_contents.append(ROWS.tobytes())
    return request


@pytest.mark.parametrize(
    ("version", "expected"),
    [("", True), ("1", True), ("production", True), ("9", False), ("staging", False)],
)
async def test_readiness_of_a_version_is_never_an_error(node: InferenceApp, version: str, expected: bool) -> None:
    """A version that is not there is not ready."""
    answer = await call(node, "ModelReady", oip.ModelReadyRequest(name="digits", version=version))
    assert answer.ready is expected
    other = await call(node, "ModelReady", oip.ModelReadyRequest(name="Unknown/model", version=version))
    assert other.ready is False


@pytest.mark.parametrize("version", ["1abc", "-1", " 1", "01", "0"])
@pytest.mark.parametrize(
    ("method", "request_of"),
    [
        ("ModelReady", lambda version: oip.ModelReadyRequest(name="digits", version=version)),
        ("ModelMetadata", lambda version: oip.ModelMetadataRequest(name="digits", version=version)),
        ("ModelStatistics", lambda version: oip.ModelStatisticsRequest(name="digits", version=version)),
        ("ModelInfer", infer_request),
    ],
)
async def test_a_malformed_version_is_an_error_everywhere(
    node: InferenceApp, method: str, request_of: object, version: str
) -> None:
    """What is no version is INVALID_ARGUMENT in every method that takes one."""
    assert await refused(node, method, request_of(version)) == ("INVALID_ARGUMENT", "VERSION_INVALID")


async def test_live_ready_and_health_agree(node: InferenceApp) -> None:
    """After the first reconciliation the server is live, ready and SERVING under both names."""
    assert (await call(node, "ServerLive", oip.ServerLiveRequest())).live
    await asyncio.wait_for(node._loader.settled.wait(), PATIENCE)
    assert (await call(node, "ServerReady", oip.ServerReadyRequest())).ready
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "inference.GRPCInferenceService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_node_that_knows_nothing_is_live_but_not_ready(suite: Suite) -> None:
    """Without a registry and without a store of its own, a node says NOT_SERVING and answers UNAVAILABLE."""
    await suite.stop_registry()
    node = await suite.start_node()
    assert (await call(node, "ServerLive", oip.ServerLiveRequest())).live
    assert not (await call(node, "ServerReady", oip.ServerReadyRequest())).ready
    assert await refused(node, "ModelInfer", infer_request()) == ("UNAVAILABLE", "NOT_SERVING")
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_metadata_says_what_a_version_takes_and_is(node: InferenceApp) -> None:
    """Server and model describe themselves."""
    server = await call(node, "ServerMetadata", oip.ServerMetadataRequest())
    assert (server.name, tuple(server.extensions)) == ("neuralmesh", EXTENSIONS)
    model = await call(node, "ModelMetadata", oip.ModelMetadataRequest(name="digits", version="2"))
    assert (list(model.versions), model.platform) == (["1", "2"], "liam.binary_network")
    assert [(one.name, one.datatype, list(one.shape)) for one in model.inputs] == [("input", "FP32", [-1, 64])]
    assert [one.name for one in model.outputs] == ["label", "scores"]
    assert (model.properties["version"], model.properties["node"]) == ("2", "local")
    assert model.properties["digest"].startswith("sha256:")


async def test_statistics_count_what_was_asked(node: InferenceApp) -> None:
    """Answered and failed requests, rows and runs are counted by version."""
    for _ in range(3):
        await call(node, "ModelInfer", infer_request("2"))
    await refused(node, "ModelInfer", infer_request("2", outputs=[{"name": "nope"}]))
    everything = (await call(node, "ModelStatistics", oip.ModelStatisticsRequest())).model_stats
    assert [(one.name, one.version) for one in everything] == [("digits", "1"), ("digits", "2")]
    (one,) = (await call(node, "ModelStatistics", oip.ModelStatisticsRequest(name="digits", version="2"))).model_stats
    assert (one.inference_count, one.execution_count) == (6, 3)
    assert (one.inference_stats.success.count, one.inference_stats.fail.count) == (3, 1)
    assert one.inference_stats.success.ns >= one.inference_stats.compute_infer.ns > 0
    assert one.last_inference > 0
    named = oip.ModelStatisticsRequest(name="digits", version="production")
    assert [one.version for one in (await call(node, "ModelStatistics", named)).model_stats] == ["1"]
    unknown = oip.ModelStatisticsRequest(name="other")
    assert await refused(node, "ModelStatistics", unknown) == ("NOT_FOUND", "MODEL_NOT_FOUND")


async def test_the_index_lists_versions(node: InferenceApp) -> None:
    """The index lists every version; naming a repository is not supported."""
    index = await call(node, "RepositoryIndex", oip.RepositoryIndexRequest(ready=True))
    assert [(one.name, one.version, one.state) for one in index.models] == [
        ("digits", "1", "READY"),
        ("digits", "2", "READY"),
    ]
    named = oip.RepositoryIndexRequest(repository_name="r")
    assert await refused(node, "RepositoryIndex", named) == ("UNIMPLEMENTED", "NOT_SUPPORTED")


ABSENT = [
    *(f"{kind}SharedMemory{verb}" for kind in ("System", "Cuda") for verb in ("Status", "Register", "Unregister")),
    "TraceSetting",
    "LogSettings",
]


@pytest.mark.parametrize("method", ABSENT)
async def test_what_is_not_offered_says_so(node: InferenceApp, method: str) -> None:
    """Methods that are not offered are UNIMPLEMENTED with a reason."""
    assert await refused(node, method, b"") == ("UNIMPLEMENTED", "NOT_SUPPORTED")


async def test_trace_settings_of_an_unknown_model_are_not_found(node: InferenceApp) -> None:
    """Case 4.22: a setting of a model that is not there is NOT_FOUND, and of one that is there not offered."""
    request = oip.TraceSettingRequest(model_name="nope")
    assert await refused(node, "TraceSetting", request) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    request.model_name = "digits"
    assert await refused(node, "TraceSetting", request) == ("UNIMPLEMENTED", "NOT_SUPPORTED")


async def test_bytes_that_are_no_message_are_the_callers_error(node: InferenceApp) -> None:
    """Garbage instead of a request is INVALID_ARGUMENT, for messages and for raw bytes."""
    for method in ("ModelInfer", "ModelReady"):
        assert await refused(node, method, b"\xff\xff\xff") == ("INVALID_ARGUMENT", "REQUEST_MALFORMED")


async def test_a_wrong_input_comes_back_with_its_name(node: InferenceApp) -> None:
    """Validation errors travel with their reason."""
    request = infer_request()
    request.inputs[0].shape[1] = 63
    assert await refused(node, "ModelInfer", request) == ("INVALID_ARGUMENT", "INPUT_INVALID")


async def test_a_batch_that_takes_long_does_not_hold_the_loop(node: InferenceApp) -> None:
    """Many rows run in a thread and give the same answers as one by one."""
    rows = np.random.default_rng(5).random((20_000, 64), dtype=np.float32)
    request = oip.ModelInferRequest(model_name="digits", model_version="2")
    request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.tobytes())
    loaded = node._serving.current.resolve("digits", "2").loaded
    assert loaded.cost_ns(20_000) > 50_000
    big, small = await asyncio.gather(call(node, "ModelInfer", request), call(node, "ModelInfer", infer_request("2")))
    assert list(big.outputs[1].shape) == [20_000, 10]
    assert len(small.raw_output_contents[0]) == 16
    import liam_core

    network = liam_core.BinaryNetwork.open(node._settings.data.parent / "network-0.safetensors")
    assert big.raw_output_contents[1] == network.run(rows)[1].tobytes()


async def test_an_expired_deadline_is_noticed_before_the_work(node: InferenceApp) -> None:
    """A deadline that has passed is DEADLINE_EXCEEDED with DEADLINE_EXPIRED and runs nothing; a later one does no harm."""
    request = convert.read_request(infer_request("2").SerializeToString())
    activity = node._serving.current.resolve("digits", "2").loaded.activity
    with pytest.raises(DeadlineExceededError) as failure:
        await node._answering.answer(request, Caller(deadline=time.monotonic() - 0.001))
    assert failure.value.reason == "DEADLINE_EXPIRED"
    assert (activity.executions, activity.errors["DEADLINE_EXCEEDED"]) == (0, 1)
    await node._answering.answer(request, Caller(deadline=time.monotonic() + 60))
    assert activity.executions == 1


async def test_no_rows_give_no_rows(node: InferenceApp) -> None:
    """An empty batch is answered with empty outputs, for either backend."""
    for version in ("1", "2"):
        request = oip.ModelInferRequest(model_name="digits", model_version=version)
        request.inputs.add(name="input", datatype="FP32", shape=[0, 64])
        request.raw_input_contents.append(b"")
        answer = await call(node, "ModelInfer", request)
        assert [list(output.shape) for output in answer.outputs] == [[0], [0, 10]]
        assert list(answer.raw_output_contents) == [b"", b""]
