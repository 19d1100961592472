"""Admission: limits, queues, priorities, deadlines, cancellation, and threads shared between models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from neuralmesh_server.errors import DeadlineExceededError, NeuralMeshError, ResourceExhaustedError, UnavailableError
from neuralmesh_server.inference import inputs as reading
from neuralmesh_server.inference.backends.backend import UpstreamAnswer
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.policy import DEFAULT, Limits, ModelPolicy
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import LoadedModel
from neuralmesh_server.inference.traffic.admission import Admission
from neuralmesh_server.inference.traffic.lanes import Result
from neuralmesh_server.inference.traffic.lines import Want
from neuralmesh_server.runtime.status import to_status
from tests.inference.rollouts import Gate, Node, policy, request, version

ONE = policy(limits=Limits(max_running=1))


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node with four threads."""
    node = Node()
    yield node
    await node.close()


def run(node: Node, loaded: LoadedModel, held: ModelPolicy = DEFAULT, **fields: Any) -> asyncio.Task[Result]:
    """Begin to run a request."""
    caller, shared = Caller(deadline=fields.pop("deadline", None)), fields.pop("shared", False)
    sent = request(model=loaded.model, **fields)
    return asyncio.ensure_future(node.lanes.run(held, loaded, sent, reading.read(loaded, sent), caller, shared=shared))


def value(result: Result) -> float:
    """Return the first element of a result."""
    return float(np.frombuffer(result.outputs[0].raw, np.float32)[0])


async def turns() -> None:
    """Let everything that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def entered(gate: Gate, count: int = 1) -> None:
    """Return when so many further runs have begun."""
    await asyncio.to_thread(gate.wait_entered, count)


async def test_a_model_runs_no_more_than_its_limit(node: Node) -> None:
    """With a limit of two, the third request begins when one of the first two is done."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    tasks = [run(node, loaded, policy(limits=Limits(max_running=2))) for _ in range(3)]
    await entered(gate, 2)
    await turns()
    assert len(loaded.runner.batches) == 2
    gate.open()
    await asyncio.gather(*tasks)
    assert len(loaded.runner.batches) == 3
    assert loaded.activity.queued == 3


async def test_a_full_queue_refuses_with_a_hint(node: Node) -> None:
    """A request that finds no place to wait is RESOURCE_EXHAUSTED, runs nothing, and learns when to try again."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    held = policy(limits=Limits(max_running=1, max_queued=2))
    tasks = [run(node, loaded, held) for _ in range(3)]
    await entered(gate)
    with pytest.raises(ResourceExhaustedError) as failure:
        await run(node, loaded, held)
    assert failure.value.reason == "QUEUE_FULL"
    assert failure.value.metadata == {"model": "m", "limit": "2"}
    assert failure.value.retry_seconds is not None
    assert failure.value.retry_seconds > 0
    trailing = dict(to_status(failure.value).trailing_metadata)
    assert int(trailing["grpc-retry-pushback-ms"]) >= 1
    assert b"google.rpc.RetryInfo" in trailing["grpc-status-details-bin"]
    gate.open()
    await asyncio.gather(*tasks)
    assert value(await run(node, loaded, held)) == 1.0


async def test_the_highest_priority_goes_first_and_then_who_came_first(node: Node) -> None:
    """1 goes before the default, which is 0 or 5, which goes before 9 and everything beyond."""
    gate, order = Gate(), list[float]()

    def work(x: np.ndarray) -> np.ndarray:
        if x[0, 0] == 0:
            return gate(x)
        order.append(float(x[0, 0]))
        return x

    loaded = version(1, work, threaded=True)
    first = run(node, loaded, ONE, value=0.0)
    await entered(gate)
    priorities = {1: 9, 2: 0, 3: 1000, 4: 5, 5: 1, 6: 0, 7: 1}
    tasks = []
    for number, priority in priorities.items():
        tasks.append(run(node, loaded, ONE, value=float(number), parameters={"priority": priority}))
        await turns()
    gate.open()
    await asyncio.gather(first, *tasks)
    assert order == [5, 7, 2, 4, 6, 1, 3]


@pytest.mark.parametrize(
    ("limits", "fields"),
    [
        (Limits(max_running=1), {"deadline": 0.02}),
        (Limits(max_running=1, max_wait_ms=20), {}),
        (Limits(max_running=1), {"parameters": {"timeout": 20_000}}),
    ],
    ids=["deadline", "policy", "parameter"],
)
async def test_what_waits_too_long_does_not_run(node: Node, limits: Limits, fields: dict[str, Any]) -> None:
    """The caller's deadline, the policy's longest wait and the parameter `timeout` each end the wait."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    held = policy(limits=limits)
    first = run(node, loaded, held)
    await entered(gate)
    if "deadline" in fields:
        fields = {"deadline": time.monotonic() + fields["deadline"]}
    with pytest.raises(DeadlineExceededError) as failure:
        await run(node, loaded, held, **fields)
    assert failure.value.reason == "DEADLINE_EXPIRED"
    gate.open()
    await first
    assert len(loaded.runner.batches) == 1


async def test_a_caller_that_leaves_takes_its_request_along(node: Node) -> None:
    """A queued request whose caller is gone is not run, and its place in the queue is free at once."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    held = policy(limits=Limits(max_running=1, max_queued=1))
    first = run(node, loaded, held)
    await entered(gate)
    for _ in range(5):
        gone = run(node, loaded, held)
        await turns()
        gone.cancel()
        await asyncio.wait([gone])
        assert gone.cancelled()
    last = run(node, loaded, held)
    await turns()
    gate.open()
    await asyncio.gather(first, last)
    assert len(loaded.runner.batches) == 2


async def test_a_caller_that_leaves_as_it_is_let_in_gives_its_place_back() -> None:
    """A place that was granted to somebody who left in the same moment goes to the next one."""
    admission, want = Admission(1), Want(1, 5, threaded=True, until=None, cost_ns=0)
    place = await admission.admit("m", Limits(), want)
    waiting = [asyncio.ensure_future(admission.admit("m", Limits(), want)) for _ in range(2)]
    await turns()
    place.release()
    waiting[0].cancel()
    await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    waiting[1].result().release()
    assert admission._lanes == {}


async def test_nothing_is_left_of_those_who_left() -> None:
    """A ticket whose caller went away is not kept until its turn would have come."""
    admission, want = Admission(1), Want(1, 5, threaded=True, until=None, cost_ns=0)
    place = await admission.admit("m", Limits(), want)
    waiting = [asyncio.ensure_future(admission.admit("m", Limits(), want)) for _ in range(5)]
    await turns()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert admission._lanes["m"].shares[1].threaded.all() == []
    place.release()
    assert admission._lanes == {}


async def test_endless_runs_of_one_model_leave_a_thread_to_others(node: Node) -> None:
    """A model without a limit of its own takes all threads but one, so that another model answers beside it."""
    gate = Gate()
    endless = version(1, gate, threaded=True, model="endless")
    tasks = [run(node, endless) for _ in range(8)]
    await entered(gate, 3)
    other = version(1, threaded=True, model="other")
    for _ in range(10):
        assert value(await run(node, other)) == 1.0
    assert len(endless.runner.batches) == 3
    gate.open()
    await asyncio.gather(*tasks)


async def test_a_thread_that_outlives_its_caller_stays_counted(node: Node) -> None:
    """A run that does not end when its caller gives up keeps its place: nothing is run beyond the limit."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    first = run(node, loaded, ONE)
    await entered(gate)
    first.cancel()
    await asyncio.wait([first])
    second = run(node, loaded, ONE)
    await turns()
    assert len(loaded.runner.batches) == 1
    gate.open()
    assert value(await second) == 1.0


async def test_threads_go_round_between_models(node: Node) -> None:
    """Of two models that wait for the only thread, the one that had it longest ago goes first."""
    single = Node(threads=1)
    gate, order = Gate(), list[str]()

    def named(name: str) -> LoadedModel:
        def work(x: np.ndarray) -> np.ndarray:
            order.append(name)
            return gate(x)

        return version(1, work, threaded=True, model=name)

    one, other = named("one"), named("other")
    tasks = [run(single, one)]
    await entered(gate)
    tasks += [run(single, one), run(single, one), run(single, other), run(single, other)]
    await turns()
    gate.open()
    await asyncio.gather(*tasks)
    assert order == ["one", "other", "one", "other", "one"]
    await single.close()


async def test_a_stopping_node_refuses_what_never_ran(node: Node) -> None:
    """What waits when the node stops is UNAVAILABLE, and so is what comes later: both may be tried elsewhere."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    first = run(node, loaded, ONE)
    await entered(gate)
    waiting = run(node, loaded, ONE)
    await turns()
    node.lanes.close()
    for task in (waiting, run(node, loaded, ONE)):
        with pytest.raises(UnavailableError) as failure:
            await task
        assert failure.value.reason == "NOT_SERVING"
    gate.open()
    await first
    assert len(loaded.runner.batches) == 1


class Remote:
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def infer(self, sent: Any, signature: Any, caller: Caller) -> UpstreamAnswer:
        """Answer what was sent."""
        del signature, caller
        self.calls += 1
        await self.go.wait()
        return UpstreamAnswer([Output("y", "FP32", (1, 2), sent.raw[0])], {"upstream": "far"}, "unverified")


async def test_limits_hold_for_upstreams(node: Node) -> None:
    """Requests that another server runs are limited alike, take no thread, and bring its parameters along."""
    loaded = version(1)
    remote = Remote()
    loaded.runner.upstream = remote
    tasks = [run(node, loaded, policy(limits=Limits(max_running=2, max_queued=1))) for _ in range(4)]
    await turns()
    assert remote.calls == 2
    remote.go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in done] == [Result, Result, Result, ResourceExhaustedError]
    assert isinstance(done[0], Result)
    assert (done[0].parameters, done[0].exact) == ({"upstream": "far"}, "unverified")


async def test_a_quick_version_without_limits_meets_no_queue(node: Node) -> None:
    """What runs on the loop runs at once, whatever waits beside it."""
    gate = Gate()
    slow, quick = version(1, gate, threaded=True), version(2)
    tasks = [run(node, slow) for _ in range(6)]
    await entered(gate, 3)
    assert value(await run(node, quick)) == 1.0
    assert quick.activity.queued == 0
    gate.open()
    await asyncio.gather(*tasks)


async def test_a_failing_run_frees_its_place(node: Node) -> None:
    """Errors of a model leave no place taken."""

    def fail(x: np.ndarray) -> np.ndarray:
        raise NeuralMeshError("MODEL_FAILED", "no")

    loaded = version(1, fail, threaded=True)
    for _ in range(5):
        with pytest.raises(NeuralMeshError):
            await run(node, loaded, ONE)
