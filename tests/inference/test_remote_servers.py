"""Versions of kind `remote` whose upstream is no node of ours: dialects, failures, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest

from neuralmesh import exceptions, oip
from neuralmesh_server.inference.app import InferenceApp
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, pb, push_digits, when, when_ready
from tests.inference.test_remote_nodes import push_remote
from tests.inference.upstreams import FakeUpstream, doubled

DOUBLE = pb.Signature(
    inputs=[pb.TensorSpec(name="x", datatype="FP32", shape=[-1, 2])],
    outputs=[pb.TensorSpec(name="y", datatype="FP32", shape=[-1, 2])],
)
X = np.array([[1, 2], [3, 4]], np.float32)


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    """A foreign server."""
    server = FakeUpstream()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def node(suite: Suite, fake: FakeUpstream) -> InferenceApp:
    """A node that serves the foreign server's model as `far`."""
    node = await suite.start_node("front")
    await push_remote(suite.client(node), "far", fake.address, "double", signature=DOUBLE)
    await when_ready(node, "far", 1)
    return node


async def refused(suite: Suite, node: InferenceApp, **keys: Any) -> exceptions.NeuralMeshError:
    """Return the error of a request."""
    with pytest.raises(exceptions.NeuralMeshError) as caught:
        await suite.client(node).infer("far", {"x": X}, **keys)
    return caught.value


def answering(change: Any) -> Any:
    """Return what answers like KServe, changed."""

    async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
        response = doubled(request)
        return change(response) or response

    return answer


def unchanged(response: Any) -> None:
    """Leave an answer as it is."""


def aborting(code: grpc.StatusCode, details: str) -> Any:
    """Return what answers with a status."""

    async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(code, details)

    return answer


async def test_typed_answers_become_raw(suite: Suite, fake: FakeUpstream, node: InferenceApp) -> None:
    """KServe's typed contents reach the caller as raw elements, for a raw and for a typed request."""
    client = suite.client(node)
    answer = await client.infer("far", {"x": X})
    assert answer.outputs["y"].tolist() == [[2, 4], [6, 8]]
    typed = oip.ModelInferRequest(model_name="far", model_version="1")
    typed.inputs.add(name="x", datatype="FP32", shape=[2, 2], contents={"fp32_contents": [1, 2, 3, 4]})
    response = await client.inference.model_infer(typed)
    assert list(response.raw_output_contents) == [(X * 2).tobytes()]
    assert not response.outputs[0].HasField("contents")


async def test_what_the_upstream_receives(suite: Suite, fake: FakeUpstream, node: InferenceApp) -> None:
    """Name and version are replaced, id and parameters pass, what was meant for our queue does not, hops are counted."""
    client = suite.client(node)
    await client.infer("far", {"x": X}, version="1", request_id="mine", parameters={"customer": "c7", "n": 3})
    await client.infer("far", {"x": X}, outputs=["y"], parameters={"customer": "c7", "priority": 1, "timeout": 5})
    (first, metadata), (second, _) = fake.requests
    for request in (first, second):
        assert (request.model_name, request.model_version, list(request.outputs)) == ("double", "", [])
        assert request.parameters["customer"].string_param == "c7"
        assert list(request.raw_input_contents) == [X.tobytes()]
    assert (first.id, first.parameters["n"].int64_param) == ("mine", 3)
    assert set(second.parameters) == {"customer"}
    assert metadata["neuralmesh-hops"] == "1"


async def test_a_server_that_says_nothing_needs_a_declaration(suite: Suite, fake: FakeUpstream) -> None:
    """Without a signature on either side, the version is not served, and what to do is said."""
    node = await suite.start_node("front")
    await push_remote(suite.client(node), "far", fake.address, "double")
    snapshot = await when(node, lambda s: ("far", 1) in s.states and bool(s.states["far", 1].reason))
    assert "declare the version's signature" in snapshot.states["far", 1].reason


async def test_vague_and_foreign_metadata(suite: Suite, fake: FakeUpstream) -> None:
    """A shape of [-1] contradicts no declaration, and properties of another type do not hinder."""
    fake.metadata = oip.ModelMetadataResponse(name="double")
    fake.metadata.inputs.add(name="x", datatype="FP32", shape=[-1])
    fake.metadata.outputs.add(name="y", datatype="FP32", shape=[-1])
    # MLServer's field 6, a map to messages: here the key "k" and an InferParameter whose bytes are no UTF-8
    fake.metadata = (
        fake.metadata.SerializeToString() + b"\x32\x0f\x0a\x01k\x12\x0a\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    )
    node = await suite.start_node("front")
    await push_remote(suite.client(node), "far", fake.address, "double", signature=DOUBLE)
    await when_ready(node, "far", 1)
    assert (await suite.client(node).infer("far", {"x": X})).outputs["y"].tolist() == [[2, 4], [6, 8]]


async def test_an_unknown_model_is_tried_again(suite: Suite, fake: FakeUpstream) -> None:
    """KServe says NOT_FOUND of a model that it does not know; the reason names it."""
    node = await suite.start_node("front")
    await push_remote(suite.client(node), "far", fake.address, "triple", signature=DOUBLE)
    snapshot = await when(node, lambda s: ("far", 1) in s.states and bool(s.states["far", 1].reason))
    assert f"{fake.address}/triple answered NOT_FOUND" in snapshot.states["far", 1].reason
    assert node._loader._failures["far", 1].retry_at is not None


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "no", exceptions.InvalidArgumentError),
        (grpc.StatusCode.NOT_FOUND, "no", exceptions.FailedPreconditionError),
        (grpc.StatusCode.UNIMPLEMENTED, "no", exceptions.FailedPreconditionError),
        (grpc.StatusCode.UNAUTHENTICATED, "no", exceptions.FailedPreconditionError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "no", exceptions.ResourceExhaustedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "no", exceptions.DeadlineExceededError),
        (grpc.StatusCode.UNAVAILABLE, "reset by peer", exceptions.InternalError),
        (
            grpc.StatusCode.UNAVAILABLE,
            "[request id: a] Exceeds maximum queue size",
            exceptions.UnavailableError,
        ),
        (grpc.StatusCode.UNKNOWN, "no", exceptions.InternalError),
        (grpc.StatusCode.CANCELLED, "no", exceptions.InternalError),
    ],
)
async def test_statuses(  # noqa: PLR0917 - fixtures and parameters
    suite: Suite, fake: FakeUpstream, node: InferenceApp, code: grpc.StatusCode, details: str, kind: type
) -> None:
    """UNAVAILABLE reaches a caller only where nothing ran; every status names upstream and what it said."""
    fake.answer = aborting(code, details)
    error = await refused(suite, node)
    assert (type(error), error.reason) == (kind, "UPSTREAM_FAILED")
    assert (error.metadata["upstream"], error.metadata["upstreamCode"]) == (f"{fake.address}/double", code.name)
    assert details in error.message


async def test_a_hint_when_to_try_again_passes_on(suite: Suite, fake: FakeUpstream, node: InferenceApp) -> None:
    """The caller of an overloaded upstream is told what the upstream says about trying again."""

    async def overloaded(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", (("grpc-retry-pushback-ms", "1500"),))

    fake.answer = overloaded
    error = await refused(suite, node)
    assert isinstance(error, exceptions.ResourceExhaustedError)
    assert isinstance(error.__cause__, grpc.aio.AioRpcError)
    assert ("grpc-retry-pushback-ms", "1500") in tuple(error.__cause__.trailing_metadata() or ())


def _rename(response: Any) -> None:
    response.outputs[0].name = "z"


def _twice(response: Any) -> None:
    response.outputs.append(response.outputs[0])


def _other_datatype(response: Any) -> None:
    response.outputs[0].datatype = "FP64"


def _other_shape(response: Any) -> None:
    response.outputs[0].shape[:] = [4, 1]


def _too_few(response: Any) -> None:
    del response.outputs[0].contents.fp32_contents[0]


def _other_contents(response: Any) -> None:
    response.outputs[0].contents.int64_contents.append(1)


def _short_raw(response: Any) -> None:
    response.outputs[0].ClearField("contents")
    response.raw_output_contents.append(b"1234")


def _surplus_raw(response: Any) -> None:
    response.raw_output_contents.extend([X.tobytes(), X.tobytes()])


def _garbage(response: Any) -> bytes:
    return b"\xff\xff\xff"


@pytest.mark.parametrize(
    "change",
    [_rename, _twice, _other_datatype, _other_shape, _too_few, _other_contents, _short_raw, _surplus_raw, _garbage],
)
async def test_wrong_answers_are_not_passed_on(
    suite: Suite, fake: FakeUpstream, node: InferenceApp, change: Any
) -> None:
    """An answer that is not what the signature says is INTERNAL, and the next good one is served."""
    fake.answer = answering(change)
    error = await refused(suite, node)
    assert (type(error), error.reason) == (exceptions.InternalError, "UPSTREAM_FAILED")
    assert error.metadata["upstream"] == f"{fake.address}/double"
    fake.answer = answering(unchanged)
    assert (await suite.client(node).infer("far", {"x": X})).outputs["y"].tolist() == [[2, 4], [6, 8]]


async def test_mlservers_vectors_are_accepted(suite: Suite, fake: FakeUpstream) -> None:
    """A vector that came as [n, 1], as MLServer's codecs write it, is answered as [n]."""
    vector = pb.Signature()
    vector.CopyFrom(DOUBLE)
    vector.outputs[0].shape[:] = [-1]

    def narrow(response: Any) -> None:
        response.outputs[0].shape[:] = [4, 1]

    fake.answer = answering(narrow)
    node = await suite.start_node("front")
    await push_remote(suite.client(node), "far", fake.address, "double", signature=vector)
    await when_ready(node, "far", 1)
    assert (await suite.client(node).infer("far", {"x": X})).outputs["y"].tolist() == [2, 4, 6, 8]


async def test_the_callers_deadline_passes_on(suite: Suite, fake: FakeUpstream, node: InferenceApp) -> None:
    """The upstream sees no more time than the caller gave, and loses the call when that is over."""
    left: list[float] = []

    async def hang(request: Any, context: grpc.aio.ServicerContext) -> Any:
        left.append(context.time_remaining())
        await asyncio.Event().wait()

    fake.answer = hang
    error = await refused(suite, node, timeout=0.5)
    assert isinstance(error, exceptions.DeadlineExceededError)
    assert left[0] < 10  # the version itself would wait for a minute
    await asyncio.wait_for(fake.cancelled.wait(), PATIENCE)


async def test_a_version_has_a_timeout_of_its_own(suite: Suite, fake: FakeUpstream) -> None:
    """A descriptor's timeout ends a call whose caller would wait longer."""

    async def hang(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await asyncio.Event().wait()

    fake.answer = hang
    node = await suite.start_node("front")
    await push_remote(suite.client(node), "far", fake.address, "double", signature=DOUBLE, timeout_ms=200)
    await when_ready(node, "far", 1)
    error = await refused(suite, node, timeout=PATIENCE)
    assert (type(error), error.reason) == (exceptions.DeadlineExceededError, "UPSTREAM_FAILED")


async def test_cancellation_passes_on(suite: Suite, fake: FakeUpstream, node: InferenceApp) -> None:
    """When the caller goes away, the upstream's call is cancelled."""

    async def hang(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await asyncio.Event().wait()

    fake.answer = hang
    call = asyncio.create_task(suite.client(node).infer("far", {"x": X}, timeout=PATIENCE))
    await asyncio.wait_for(fake.reached.wait(), PATIENCE)
    assert not fake.cancelled.is_set()
    call.cancel()
    await asyncio.wait_for(fake.cancelled.wait(), PATIENCE)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_stopping_node_says_that_an_upstream_may_have_run(
    suite: Suite, fake: FakeUpstream, node: InferenceApp
) -> None:
    """A call that the upstream works on when the node's time to stop is over is INTERNAL, and cancelled there."""

    async def hang(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await asyncio.Event().wait()

    fake.answer = hang
    call = asyncio.create_task(suite.client(node).infer("far", {"x": X}, timeout=PATIENCE))
    await asyncio.wait_for(fake.reached.wait(), PATIENCE)
    listener = node._server._listener
    listener._settings = replace(listener._settings, drain_seconds=2.0)  # after the last call, which is due
    await node.stop()
    with pytest.raises(exceptions.InternalError, match="may have run") as caught:
        await call
    assert caught.value.reason == "UPSTREAM_FAILED"
    await asyncio.wait_for(fake.cancelled.wait(), PATIENCE)


async def test_limits_hold_for_what_runs_elsewhere(suite: Suite, fake: FakeUpstream, node: InferenceApp) -> None:
    """The model's limits bound what an upstream gets at once; what is too much is refused before it is asked."""
    free = asyncio.Event()

    async def slow(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await free.wait()
        return doubled(request)

    fake.answer = slow
    client = suite.client(node)
    limits = pb.LimitPolicy(max_running=1, max_queued=1)
    await client.registry.set_model_policy("far", pb.ModelPolicy(limits=limits))
    await when(node, lambda s: s.route("far", "1").policy.limits.max_running == 1)
    calls = [asyncio.create_task(client.infer("far", {"x": X}))]
    await asyncio.wait_for(fake.reached.wait(), PATIENCE)
    calls += [asyncio.create_task(client.infer("far", {"x": X})) for _ in range(2)]
    done, _ = await asyncio.wait(calls, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = [call.exception() for call in done]
    assert isinstance(refused, exceptions.ResourceExhaustedError)
    assert (refused.reason, len(fake.requests)) == ("QUEUE_FULL", 1)
    free.set()
    answers = [await call for call in calls if call not in done]
    assert [answer.outputs["y"].tolist() for answer in answers] == [[[2, 4], [6, 8]]] * 2


async def test_a_silent_upstream_hinders_nobody(suite: Suite) -> None:
    """While a version waits for a server that takes connections and says nothing, others load, and the node can stop."""
    server = socket.create_server(("127.0.0.1", 0))  # the system takes connections; nobody answers them
    address = f"127.0.0.1:{server.getsockname()[1]}"
    node = await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "far", address, "double", signature=DOUBLE)
    await when(node, lambda s: ("far", 1) in s.states)
    await push_digits(client, models.digits_onnx())
    await when_ready(node, "digits", 1)
    assert ("far", 1) not in node._serving.snapshot().served
    suite._apps.remove(node)
    await asyncio.wait_for(node.stop(), PATIENCE)
    server.close()


async def test_a_cut_in_the_middle_is_no_retry(suite: Suite, fake: FakeUpstream, node: InferenceApp) -> None:
    """A connection that breaks while the upstream works is INTERNAL: it may have run. The next call finds it again."""

    async def cut(request: Any, context: grpc.aio.ServicerContext) -> Any:
        stop = asyncio.create_task(fake.stop())
        await asyncio.Event().wait()
        await stop

    fake.answer = cut
    error = await refused(suite, node)
    assert (type(error), error.metadata["upstreamCode"]) == (exceptions.InternalError, "UNAVAILABLE")
    fake.answer = answering(unchanged)
    error = await refused(suite, node)
    assert (type(error), error.reason) == (exceptions.UnavailableError, "PEER_UNREACHABLE")
    await fake.start()
    client, found = suite.client(node), None
    async with asyncio.timeout(PATIENCE):
        while found is None:  # the channel waits a moment before it tries again
            with contextlib.suppress(exceptions.UnavailableError):
                found = (await client.infer("far", {"x": X})).outputs["y"].tolist()
    assert found == [[2, 4], [6, 8]]
