"""Rollouts, limits and batches of a real node, as clients and the metrics service see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from neuralmesh import AsyncClient, exceptions, oip
from neuralmesh.registry.v1 import resources_pb2 as pb
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.metrics.app import MetricsApp
from neuralmesh_server.settings import MetricsSettings, ServerSettings
from tests.inference import models
from tests.inference.conftest import ANY_PORT, PATIENCE, Suite, push_digits, when, when_ready
from tests.inference.test_endings import ENDLESS, push_looping
from tests.inference.test_rollout import is_canary

ROWS = np.random.default_rng(7).random((2, 64), dtype=np.float32)


@pytest.fixture
async def metrics(suite: Suite) -> AsyncIterator[MetricsApp]:
    """A metrics service that runs."""
    settings = ServerSettings(ANY_PORT, drain_seconds=0.2)
    app = MetricsApp(MetricsSettings(settings, suite.folder / "metrics", http=None))
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def node(suite: Suite, metrics: MetricsApp) -> AsyncIterator[InferenceApp]:
    """A node with three versions of the digits' model: the second differs from the first, the third does not."""
    node = await suite.start_node(metrics=metrics.endpoint, telemetry_seconds=0.01, keep_newest=1)
    client = suite.client(node)
    for seed in (0, 1):
        await push_digits(client, models.digits_onnx(seed))
    await client.push("digits", kind="onnx", files={"third.onnx": models.digits_onnx(0)}, signature=models.DIGITS)
    yield node
    await node.stop()


def steps_client(suite: Suite, metrics: MetricsApp) -> AsyncClient:
    """Return a client of the metrics service."""
    client = AsyncClient(metrics=str(metrics.endpoint), timeout=10)
    suite._clients.append(client)
    return client


async def test_a_rollout_from_promotion_to_figures(suite: Suite, metrics: MetricsApp, node: InferenceApp) -> None:
    """A promotion with canary and shadow splits exactly, names its arms, traces, and arrives at the metrics service."""
    client = suite.client(node)
    await client.promote("digits", 1, canary=(2, 0.25), shadow=(3, 1.0), sticky="parameter:user")
    moved = await client.registry.get_alias("digits", "production")
    await when(node, lambda snapshot: ("digits", 1) in snapshot.served and snapshot.revision >= moved.revision)
    await when_ready(node, "digits", 1, 2, 3)
    met: dict[str, int] = {}
    for number in range(120):
        user = f"user-{number}"
        found = await client.infer("digits", {"input": ROWS}, parameters={"user": user})
        met[user] = found.version
        weights = models.digits_weights(found.version - 1)
        np.testing.assert_array_equal(found.outputs["label"], (ROWS @ weights).argmax(axis=1))
    expected = {user: 2 if is_canary("digits", "production", 2, 250_000, user.encode()) else 1 for user in met}
    assert met == expected
    assert set(met.values()) == {1, 2}
    canary = next(user for user, version in met.items() if version == 2)
    traced = await client.infer("digits", {"input": ROWS}, parameters={"user": canary})
    trace = await client.trace(traced.prediction_id)
    assert trace.version.version == 2
    assert [event.alias_moved.after.canary.version for event in trace.promotions] == [2]
    await node._shadows.settle()
    await node.stop()
    (step,) = [one async for one in steps_client(suite, metrics).metrics.list_rollout_metrics("digits")]
    assert (step.alias, step.revision, step.stable_version) == ("production", moved.revision, 1)
    assert (step.canary_version, step.share_ppm, step.unassigned) == (2, 250_000, 0)
    canaries = sum(version == 2 for version in met.values())
    assert (step.stable.requests, step.stable.units) == (120 - canaries, 120 - canaries)
    assert (step.canary.requests, step.canary.units) == (canaries + 1, canaries)
    assert (step.shadow.compared, step.shadow.agreed) == (step.stable.requests, step.stable.requests)
    assert (step.stable.failures, step.canary.failures) == (0, 0)


async def test_the_end_of_a_rollout_ends_its_arms(suite: Suite, node: InferenceApp) -> None:
    """A promotion of the canary to stable replaces the state whole: every request meets it, and none says an arm."""
    client = suite.client(node)
    await client.promote("digits", 1, canary=(2, 1.0))
    await when_ready(node, "digits", 1, 2)
    assert (await client.infer("digits", {"input": ROWS})).version == 2
    await client.promote("digits", 2)
    await when(node, lambda snapshot: snapshot.targets.get(("digits", "production")) == 2)
    assert (await client.infer("digits", {"input": ROWS})).version == 2
    assert all(route.rollout is None for route in node._serving.snapshot().routes.values())


async def test_batches_over_the_wire(suite: Suite, node: InferenceApp) -> None:
    """With a policy for batches, requests at the same time run as one, and the statistics say so."""
    client = suite.client(node)
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1)
    batching = pb.BatchingPolicy(max_rows=64, max_delay_us=200_000)
    await client.registry.set_model_policy("digits", pb.ModelPolicy(batching=batching))
    await when(node, lambda snapshot: snapshot.route("digits", "").policy.batching is not None)
    _slow_down(node)
    rows = [np.random.default_rng(seed).random((2, 64), dtype=np.float32) for seed in range(32)]
    answers = await asyncio.gather(*[client.infer("digits", {"input": part}) for part in rows])
    for part, answer in zip(rows, answers, strict=True):
        np.testing.assert_allclose(answer.outputs["scores"], part @ models.digits_weights(), rtol=1e-4, atol=1e-4)
    (stats,) = (await client.inference.model_statistics("digits", 1)).model_stats
    assert stats.inference_count == 64
    assert stats.execution_count < 32
    assert sum(one.batch_size * one.compute_infer.count for one in stats.batch_stats) >= 32
    assert stats.inference_stats.queue.count == 32


async def test_a_full_queue_over_the_wire(suite: Suite, node: InferenceApp) -> None:
    """Callers of a model whose queue is full get RESOURCE_EXHAUSTED, with ErrorInfo and RetryInfo; the others an answer."""
    client = suite.client(node)
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1)
    limits = pb.LimitPolicy(max_running=1, max_queued=1)
    batching = pb.BatchingPolicy(max_rows=64, max_delay_us=300_000)
    await client.registry.set_model_policy("digits", pb.ModelPolicy(limits=limits, batching=batching))
    await when(node, lambda snapshot: snapshot.route("digits", "").policy.limits.max_running == 1)
    _slow_down(node)
    queued = _queued(node)
    waiting = asyncio.create_task(client.infer("digits", {"input": ROWS}))
    await queued.wait()
    request = oip.ModelInferRequest(
        model_name="digits",
        inputs=[{"name": "input", "datatype": "FP32", "shape": ROWS.shape}],
        raw_input_contents=[ROWS.tobytes()],
    )
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.unary_unary(f"/{oip.SERVICE.full_name}/ModelInfer")
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call(request.SerializeToString())
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    first, second = rpc_status.from_call(failure.value).details
    assert first.Unpack(info)
    assert second.Unpack(retry)
    assert info.reason == "QUEUE_FULL"
    assert retry.retry_delay.ToNanoseconds() > 0
    assert (await waiting).version == 1


async def test_a_stopping_node_tells_those_who_wait(suite: Suite, node: InferenceApp) -> None:
    """A request that still waits near the end of the grace period is UNAVAILABLE, since it never ran."""
    client = suite.client(node)
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1)
    batching = pb.BatchingPolicy(max_rows=64, max_delay_us=1_000_000)
    await client.registry.set_model_policy("digits", pb.ModelPolicy(batching=batching))
    await when(node, lambda snapshot: snapshot.route("digits", "").policy.batching is not None)
    _slow_down(node)
    queued = _queued(node)
    waiting = asyncio.create_task(client.infer("digits", {"input": ROWS}))
    await queued.wait()
    await node.stop()
    with pytest.raises(exceptions.UnavailableError) as failure:
        await waiting
    assert failure.value.reason == "NOT_SERVING"


async def test_a_cancelled_call_leaves_the_queue(suite: Suite, node: InferenceApp) -> None:
    """A call that its client cancels gives its place in the queue to the next one."""
    client = suite.client(node)
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1)
    limits = pb.LimitPolicy(max_queued=1)
    batching = pb.BatchingPolicy(max_rows=64, max_delay_us=1_000_000)
    await client.registry.set_model_policy("digits", pb.ModelPolicy(limits=limits, batching=batching))
    await when(node, lambda snapshot: snapshot.route("digits", "").policy.limits.max_queued == 1)
    _slow_down(node)
    queued = _queued(node)
    waiting = asyncio.create_task(client.infer("digits", {"input": ROWS}))
    await queued.wait()
    left = _left(node)
    waiting.cancel()
    await asyncio.wait_for(left.wait(), PATIENCE)
    assert (await client.infer("digits", {"input": ROWS})).version == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_a_canary_that_hangs_fails(suite: Suite, *, streamed: bool) -> None:
    """A call whose deadline passes while a version works is that version's failure, and not its caller's."""
    node = await suite.start_node()
    client = suite.client(node)
    for number in (1, 2):
        await push_looping(client, number)
    await client.promote("looping", 1, canary=(2, 1.0))
    await when_ready(node, "looping", 1, 2)
    await when(node, lambda snapshot: ("looping", "production") in snapshot.aliases)
    request = oip.ModelInferRequest(model_name="looping")
    request.inputs.add(name="x", datatype="INT64", shape=[1, 1])
    request.raw_input_contents.append(np.array([ENDLESS], np.int64).tobytes())
    data = request.SerializeToString()
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        if streamed:
            method = channel.stream_stream(f"/{oip.SERVICE.full_name}/ModelStreamInfer")
            calls = [method(iter([data]), timeout=0.4) for _ in range(2)]
        else:
            method = channel.unary_unary(f"/{oip.SERVICE.full_name}/ModelInfer")
            calls = [method(data, timeout=0.4) for _ in range(2)]
        assert {await call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    loaded = node._serving.snapshot().resolve("looping", "2").loaded
    async with asyncio.timeout(PATIENCE):
        while loaded.activity.errors.total() != len(calls):  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.01)
    assert loaded.activity.errors == {"DEADLINE_EXCEEDED": len(calls)}
    (stats,) = (await client.inference.model_statistics("looping", 2)).model_stats
    assert stats.inference_stats.fail.count == len(calls)
    (step,) = node._rollouts.reports()
    assert (step.counts.canary.requests, step.counts.canary.failures) == (len(calls), len(calls))
    assert {failure.code for failure in step.counts.first_failures} == {"DEADLINE_EXCEEDED"}


def _slow_down(node: InferenceApp) -> None:
    """Let the node believe that its versions are slow, so that they run in threads on any machine."""
    for served in node._serving.snapshot().served.values():
        served.loaded.runner.predictable_cost = False  # type: ignore[misc]
    node._hot._prepared = {}  # what it prepared was quick
    node._hot._prepare()


def _left(node: InferenceApp) -> asyncio.Event:
    """Return what is set as soon as a request waits no longer."""
    event = asyncio.Event()
    admission = node._lanes._admission
    unreserve = admission.unreserve

    def watched(*given: object) -> None:
        unreserve(*given)
        event.set()

    admission.unreserve = watched  # type: ignore[method-assign, assignment]
    return event


def _queued(node: InferenceApp) -> asyncio.Event:
    """Return what is set as soon as a request waits in a queue."""
    event = asyncio.Event()
    admission = node._lanes._admission
    reserve = admission.reserve

    def watched(*given: object) -> None:
        reserve(*given)
        event.set()

    admission.reserve = watched  # type: ignore[method-assign, assignment]
    return event
