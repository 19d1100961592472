"""What one version, one model and one upstream may take of a node, so that others get their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from neuralmesh_server.errors import InternalError, ResourceExhaustedError
from neuralmesh_server.inference.answering import Answer
from neuralmesh_server.inference.policy import DEFAULT, Batching, Limits
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.traffic.admission import Admission
from neuralmesh_server.inference.traffic.lanes import UPSTREAM_RUNNING, Lanes, Result
from neuralmesh_server.inference.traffic.lines import Want
from neuralmesh_server.inference.traffic.rollout import unit_hash, unit_key, within
from tests.inference.rollouts import Gate, Node, policy, replica, request, version
from tests.inference.test_lanes import ONE, Remote, entered, run, turns, value


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node with four threads."""
    node = Node()
    yield node
    await node.close()


async def test_a_hanging_canary_leaves_the_stable_arm_its_turn(node: Node) -> None:
    """Where an alias has a canary, no version takes all threads, or all places to wait, that its model may have."""
    gate = Gate()
    stable, canary = version(1, threaded=True), version(2, gate, threaded=True)
    held = replica(9, 2, {"version": 1, "canary": {"version": 2, "share_ppm": 500_000}})
    node.policy = policy(limits=Limits(max_queued=8))
    node.serve(held, stable, canary)
    asked = [asyncio.ensure_future(node.answering.answer(request(id=str(number)), Caller())) for number in range(60)]
    await entered(gate, 2)
    await turns()
    units = [str(number) for number in range(60, 90)]
    units = [one for one in units if not within(unit_hash(unit_key("m", "production", 2), one.encode()), 500_000)]
    for one in units:
        assert (await asyncio.wait_for(node.answering.answer(request(id=one), Caller()), 20)).loaded is stable
    hanging = {str(number) for number in range(90, 150)}
    hanging = {one for one in hanging if within(unit_hash(unit_key("m", "production", 2), one.encode()), 500_000)}
    asked += [asyncio.ensure_future(node.answering.answer(request(id=one), Caller())) for one in hanging]
    await turns()
    pair = [node.answering.answer(request(id=one), Caller()) for one in units[:2]]  # of which one has to wait
    assert [answer.loaded for answer in await asyncio.gather(*pair)] == [stable, stable]
    assert len(canary.runner.batches) == 2
    gate.open()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(one) for one in answers} == {Answer, ResourceExhaustedError}


@pytest.mark.parametrize("most", [2, 8])
async def test_a_hanging_canary_leaves_a_part_of_the_models_limit(node: Node, most: int) -> None:
    """Of the places that the model's own limit gives, one in four stays free for other versions, and at least one."""
    gate = Gate()
    stable, canary = version(1), version(2, gate, threaded=True)
    loaded = {False: stable, True: canary}
    held = policy(limits=Limits(max_running=most))
    single = Node(threads=16)
    tasks = [run(single, canary, held, shared=True) for _ in range(most)]
    await entered(gate, most - max(most // 4, 1))
    assert value(await asyncio.wait_for(run(single, loaded[False], held, shared=True), 20)) == 1.0
    gate.open()
    await asyncio.gather(*tasks)
    await single.close()


async def test_upstreams_are_bounded_without_a_policy(node: Node) -> None:
    """Another server works on so many requests at once; as many as a queue has places wait, and no more."""
    loaded, remote = version(1), Remote()
    loaded.runner.upstream = remote
    total = UPSTREAM_RUNNING + DEFAULT.limits.max_queued
    tasks = [run(node, loaded) for _ in range(total + 10)]
    await turns()
    assert remote.calls == UPSTREAM_RUNNING
    remote.go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in done] == [Result] * total + [ResourceExhaustedError] * 10


async def test_what_waits_is_bounded_in_bytes(node: Node) -> None:
    """Requests that wait hold no more than the node's bytes, of which one model leaves others a part."""
    size = len(request(rows=100).data)
    node.lanes = Lanes(node.execution, 4, max_bytes=8 * size)
    gate, other_gate = Gate(), Gate()
    loaded, other = version(1, gate, threaded=True), version(1, other_gate, threaded=True, model="other")
    tasks = [run(node, loaded, ONE, rows=100) for _ in range(7)]
    tasks += [run(node, other, ONE, rows=99) for _ in range(3)]
    await turns()
    for full in (loaded, other):
        with pytest.raises(ResourceExhaustedError) as failure:
            await asyncio.wait_for(run(node, full, ONE, rows=100), 20)
        assert failure.value.reason == "QUEUE_FULL"
        assert failure.value.metadata["size"] == str(len(request(rows=100, model=full.model).data))
        assert failure.value.retry_seconds is not None
    gate.open()
    other_gate.open()
    assert [type(one) for one in await asyncio.gather(*tasks)] == [Result] * 10
    assert (node.lanes._admission._bytes, node.lanes._admission._lanes) == (0, {})


async def test_bytes_that_an_upstream_holds_are_counted(node: Node) -> None:
    """What another server works on is in this node's memory too."""
    size = len(request(rows=100).data)
    node.lanes = Lanes(node.execution, 4, max_bytes=4 * size)
    loaded, remote = version(1), Remote()
    loaded.runner.upstream = remote
    tasks = [run(node, loaded, rows=100) for _ in range(3)]
    await turns()
    with pytest.raises(ResourceExhaustedError):
        await asyncio.wait_for(run(node, loaded, rows=100), 20)
    remote.go.set()
    await asyncio.gather(*tasks)
    assert (node.lanes._admission._bytes, node.lanes._admission._lanes) == (0, {})


async def test_a_stopping_node_ends_the_calls_to_upstreams(node: Node) -> None:
    """A call that another server may have run is INTERNAL when this node stops, and not UNAVAILABLE."""
    loaded, remote = version(1), Remote()
    loaded.runner.upstream = remote
    task = run(node, loaded)
    await turns()
    node.lanes.close()
    with pytest.raises(InternalError, match="may have run") as failure:
        await asyncio.wait_for(task, 20)
    assert failure.value.reason == "UPSTREAM_FAILED"
    assert node.lanes._asking == set()


async def test_a_batch_that_nobody_waits_for_any_more_is_not_lost() -> None:
    """A batch keeps its place in line when its requests leave, so that the next request of its version is run."""
    single, gate = Node(threads=1), Gate()
    loaded, other = version(1, threaded=True), version(1, gate, threaded=True, model="other")
    held = policy(batching=Batching(max_rows=10, max_delay_us=0))
    first = run(single, other)
    await entered(gate)
    gone = run(single, loaded, held)
    while not single.lanes._batches._tasks:  # noqa: ASYNC110 - until the batch waits for the thread
        await asyncio.sleep(0)
    await turns()
    gone.cancel()
    await asyncio.wait([gone])
    assert single.lanes._admission._lanes["m"].queued == 0
    gate.open()
    await first
    assert value(await asyncio.wait_for(run(single, loaded, held), 20)) == 1.0
    await single.close()


async def test_a_level_can_be_raised_while_one_waits() -> None:
    """A ticket that is hastened goes before those of its old level, and behind those of the new one."""
    admission, order = Admission(1), list[int]()

    async def one(want: Want) -> None:
        place = await admission.admit("m", Limits(), want)
        order.append(want.cost_ns)
        place.release()

    place = await admission.admit("m", Limits(), Want(1, 1, threaded=True, until=None, cost_ns=0))
    wants = [Want(1, level, threaded=True, until=None, cost_ns=number) for number, level in enumerate((9, 5, 3, 9))]
    tasks = [asyncio.ensure_future(one(want)) for want in wants]
    await turns()
    admission.hasten("m", wants[3], 3)
    place.release()
    await asyncio.gather(*tasks)
    assert order == [2, 3, 1, 0]
    assert admission._lanes == {}
