"""The status of every way to fail, over the wire: our own, and Triton's with `--compat triton`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from neuralmesh import oip
from neuralmesh_server.errors import NotSupportedError, ResourceExhaustedError, UnavailableError
from neuralmesh_server.inference import compat
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.settings import InferenceSettings, SettingsError
from tests.inference import models
from tests.inference.conditions import TABLE, Row, infer, typed
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready

FAILED = [("digits", 2), ("broken", 1)]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["", "triton"], ids=["ours", "triton"])
async def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InferenceApp]:
    """A node with a good and a broken version of `digits`, the first of which is `production`, and `broken`."""
    suite = Suite(tmp_path_factory.mktemp("suite"))
    await suite.start_registry()
    node = await suite.start_node(compat=request.param)
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await client.promote("digits", 1)
    await push_digits(client, b"no model")
    await push_digits(client, b"no model either", model="broken")
    await when_ready(node, "digits", 1)
    await when(node, lambda snapshot: all(snapshot.states.get(key) and snapshot.states[key].reason for key in FAILED))
    yield node
    await suite.stop()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_each_condition_has_its_status(node: InferenceApp, row: Row) -> None:
    """Code, reason and, for Triton's clients, text are those of the table; there is exactly one ErrorInfo."""
    data = row.request if isinstance(row.request, bytes) else row.request.SerializeToString()
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.unary_unary(f"/inference.GRPCInferenceService/{row.method}")(data, timeout=PATIENCE)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call
    (detail,) = rpc_status.from_call(failure.value).details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    assert info.reason == row.reason
    compat = node._settings.compat
    assert failure.value.code().name == (row.triton if compat and row.triton else row.code)
    if compat:
        assert (failure.value.details() or "").startswith(row.text)
    assert str(node._settings.data) not in (failure.value.details() or "")


@pytest.mark.asyncio(loop_scope="module")
async def test_the_server_has_the_name_that_was_asked_for(node: InferenceApp) -> None:
    """The server's name is ours, or Triton's."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        data = await channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata")(b"")
    assert oip.ServerMetadataResponse.FromString(data).name == (node._settings.compat or "neuralmesh")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", [row for row in TABLE if row.method == "ModelInfer"], ids=lambda row: row.name)
async def test_a_stream_gives_the_same_text_in_band(node: InferenceApp, row: Row) -> None:
    """A failure within a stream has the message that a single request gets."""
    data = row.request if isinstance(row.request, bytes) else row.request.SerializeToString()
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(data, timeout=PATIENCE)
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(iter([data]), timeout=PATIENCE)
        (answer,) = [oip.ModelStreamInferResponse.FromString(item) async for item in call]
    assert answer.error_message == failure.value.details()


@pytest.mark.asyncio(loop_scope="module")
async def test_typed_contents_are_answered(node: InferenceApp) -> None:
    """The requests of this table fail for their own reasons: unchanged ones are answered, raw and typed."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        for request in (infer(), infer(typed)):
            data = await channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(request.SerializeToString())
            assert len(oip.ModelInferResponse.FromString(data).outputs) == 2


def test_overload_is_unavailable_in_tritons_words() -> None:
    """A full queue has Triton's status and text, and keeps its reason and variables; what Triton lacks stays ours."""
    asked = compat.Asked("ModelInfer", "digits", "1")
    full = ResourceExhaustedError("QUEUE_FULL", "the queue is full", model="digits")
    said = compat.triton(full, asked)
    assert (type(said), said.message) == (UnavailableError, "Exceeds maximum queue size")
    assert (said.reason, said.metadata) == ("QUEUE_FULL", {"model": "digits"})
    absent = NotSupportedError("NOT_SUPPORTED", "no", feature="trace")
    assert compat.triton(absent, asked) is absent
    assert compat.plain(full, asked) is full


def test_another_compatibility_is_refused() -> None:
    """The setting knows `triton` and nothing else."""
    assert InferenceSettings.from_env({"NEURALMESH_COMPAT": "triton"}).compat == "triton"
    with pytest.raises(SettingsError, match="NEURALMESH_COMPAT"):
        InferenceSettings.from_env({"NEURALMESH_COMPAT": "mlserver"})
