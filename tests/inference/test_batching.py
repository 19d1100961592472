"""Dynamic batching: the same answers as without it, faults that stay with their request, and versions left alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.errors import DeadlineExceededError, InternalError, UnavailableError
from neuralmesh_server.inference import inputs as reading
from neuralmesh_server.inference.backends import liam, onnx, warmup
from neuralmesh_server.inference.backends.ending import EndedError, Ending
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.inputs import Inputs
from neuralmesh_server.inference.policy import Batching, Limits, ModelPolicy
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import LoadedModel
from neuralmesh_server.inference.tensors import from_raw, to_raw
from neuralmesh_server.inference.traffic import joining
from neuralmesh_server.inference.traffic.lanes import Result
from tests.inference import models
from tests.inference.rollouts import Gate, Model, Node, Run, policy, replica, request, version
from tests.inference.test_lanes import entered, turns, value

TEN = policy(batching=Batching(max_rows=10, max_delay_us=0))


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node with four threads."""
    node = Node()
    yield node
    await node.close()


def run(node: Node, loaded: LoadedModel, held: ModelPolicy = TEN, **fields: Any) -> asyncio.Task[Result]:
    """Begin to run a request."""
    caller = Caller(deadline=fields.pop("deadline", None))
    sent = request(model=loaded.model, **fields)
    return asyncio.ensure_future(node.lanes.run(held, loaded, sent, reading.read(loaded, sent), caller))


async def together(node: Node, loaded: LoadedModel, held: ModelPolicy = TEN) -> list[Result | BaseException]:
    """Return the results of six requests, with values 1 to 6, of which the last five wait at the same time."""
    tasks = [run(node, loaded, held, value=float(number), rows=number % 3 + 1) for number in range(1, 7)]
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_requests_that_wait_run_as_one(node: Node) -> None:
    """Each gets the rows that it sent, and knows how many rows its batch had."""
    loaded = version(1, lambda x: x * 2, threaded=True)
    results = await together(node, loaded)
    for number, result in enumerate(results, 1):
        assert isinstance(result, Result)
        rows = number % 3 + 1
        assert result.outputs == [
            Output("y", "FP32", (rows, 2), np.full((rows, 2), 2.0 * number, np.float32).tobytes())
        ]
    assert sum(loaded.runner.batches) == 12
    assert max(loaded.runner.batches) <= 10
    assert len(loaded.runner.batches) < 6
    counted = sum(result.executions for result in results if isinstance(result, Result))
    assert counted == len(loaded.runner.batches)


async def test_while_a_batch_runs_the_next_one_collects(node: Node) -> None:
    """Without a delay a batch holds what came while the one before it ran."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    first = run(node, loaded)
    await entered(gate)
    rest = [run(node, loaded, value=float(number)) for number in range(5)]
    await turns()
    gate.open()
    results = await asyncio.gather(first, *rest)
    assert loaded.runner.batches == [1, 5]
    assert [result.batch_rows for result in results] == [0, 5, 5, 5, 5, 5]
    assert [value(result) for result in results[1:]] == [0, 1, 2, 3, 4]


async def test_a_batch_waits_at_the_level_of_its_most_urgent_request(node: Node) -> None:
    """A request of a high priority takes the batch along in which it runs, past what is less urgent."""
    gate, order = Gate(), list[str]()

    def named(name: str) -> Run:
        def work(x: np.ndarray) -> np.ndarray:
            order.append(name)
            return gate(x)

        return work

    held = replace(TEN, limits=Limits(max_running=1))
    versions = [version(number, named(str(number)), threaded=True) for number in (1, 2, 3)]
    tasks = [run(node, versions[0], held)]
    await entered(gate)
    for number, priority in ((1, 9), (2, 5)):
        tasks.append(run(node, versions[number], held, parameters={"priority": priority}))
        while not (asked := _asked(node, versions[number])):  # noqa: ASYNC110 - until its batch waits
            await asyncio.sleep(0)
    tasks.append(run(node, versions[1], held, parameters={"priority": 1}))
    await turns()
    assert [ask.level for ask in asked] == [5]
    gate.open()
    await asyncio.gather(*tasks)
    assert order == ["1", "2", "3"]


def _asked(node: Node, loaded: LoadedModel) -> list[Any]:
    """Return the batches of a version that wait for their place."""
    return [ask for group in node.lanes._batches._groups.values() if group.loaded is loaded for ask in group.asked]


async def test_a_version_that_is_loaded_again_shares_no_batch_with_its_old_copy(node: Node) -> None:
    """A request runs on the copy that was loaded when it came, also while the old one's batch collects."""
    gate = Gate()
    old = version(1, gate, threaded=True)
    first = run(node, old)
    await entered(gate)
    waiting = run(node, old)
    await turns()
    new = version(1, lambda x: x * 2, threaded=True)
    assert value(await run(node, new)) == 2.0
    gate.open()
    assert [value(one) for one in await asyncio.gather(first, waiting)] == [1.0, 1.0]
    assert old.runner.batches == [1, 1]


async def test_a_full_batch_does_not_wait(node: Node) -> None:
    """A batch that can take no more begins, however long the delay, and beside one that runs."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    held = policy(batching=Batching(max_rows=4, max_delay_us=1_000_000_000))
    tasks = [run(node, loaded, held, rows=2) for _ in range(4)]
    await entered(gate, 2)
    assert loaded.runner.batches == [4, 4]
    gate.open()
    await asyncio.gather(*tasks)


async def test_the_delay_ends(node: Node) -> None:
    """A batch that nobody fills begins after the delay."""
    loaded = version(1, threaded=True)
    held = policy(batching=Batching(max_rows=4, max_delay_us=2_000))
    assert value(await run(node, loaded, held)) == 1.0


async def test_a_request_of_a_whole_batch_runs_alone(node: Node) -> None:
    """Nothing is joined to a request that has the rows of a batch already."""
    loaded = version(1, threaded=True)
    result = await run(node, loaded, rows=10)
    assert (loaded.runner.batches, result.batch_rows) == ([10], 0)


async def test_a_poisoned_request_fails_alone(node: Node) -> None:
    """The requests of a batch that fails run one by one, so that the others are answered."""

    def picky(x: np.ndarray) -> np.ndarray:
        if (x == 3).any():
            raise InternalError("MODEL_FAILED", "three")
        return x

    loaded = version(1, picky, threaded=True)
    results = await together(node, loaded)
    assert [type(result) for result in results] == [Result, Result, InternalError, Result, Result, Result]


async def test_a_defect_in_a_batch_reaches_every_caller(node: Node) -> None:
    """An error that is no answer of a model ends the wait of all who were in the batch."""

    def broken(x: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    results = await together(node, version(1, broken, threaded=True))
    assert {type(result) for result in results} == {ZeroDivisionError}


@pytest.mark.parametrize("kind", ["exact", "not-batched", "quick"])
async def test_versions_that_are_left_alone(node: Node, kind: str) -> None:
    """Versions that ask for exact results, count no rows, or run on the loop are never joined."""
    loaded = version(1, threaded=kind != "quick")
    if kind == "exact":
        loaded = replace(loaded, batching_exact=True)
    elif kind == "not-batched":
        (x,), (y,) = loaded.signature.inputs, loaded.signature.outputs
        loaded = replace(loaded, signature=replace(loaded.signature, outputs=(replace(y, shape=(-2, 2)),)))
        assert x.batched
    await together(node, loaded)
    assert sorted(loaded.runner.batches) == [1, 1, 2, 2, 3, 3]


async def test_outputs_that_cannot_be_split_are_given_one_by_one(node: Node) -> None:
    """A version that answers one row for any batch gives right answers, and is not joined again."""
    loaded = version(1, lambda x: x.sum(axis=0, keepdims=True), threaded=True)
    for _ in range(2):
        results = await together(node, loaded)
        sums = [value(result) for result in results if isinstance(result, Result)]
        assert sums == [number * (number % 3 + 1) for number in range(1, 7)]
        batches, loaded.runner.batches = loaded.runner.batches, []
    assert sorted(batches) == [1, 1, 2, 2, 3, 3]


async def test_a_caller_that_leaves_is_taken_out(node: Node) -> None:
    """A request whose caller left before its batch began is not in it."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    first = run(node, loaded)
    await entered(gate)
    rest = [run(node, loaded, value=float(number)) for number in range(4)]
    await turns()
    rest[1].cancel()
    await turns()
    gate.open()
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert loaded.runner.batches == [1, 3]
    assert [type(result) for result in results[1:]] == [Result, asyncio.CancelledError, Result, Result]


async def test_a_deadline_in_the_queue_costs_only_its_request(node: Node) -> None:
    """A request that cannot wait until the batch before it is done fails, and the others are answered."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    first = run(node, loaded)
    await entered(gate)
    late = run(node, loaded, deadline=time.monotonic() + 0.02)
    patient = run(node, loaded, deadline=time.monotonic() + 60)
    with pytest.raises(DeadlineExceededError):
        await late
    gate.open()
    await asyncio.gather(first, patient)
    assert loaded.runner.batches == [1, 1]


async def test_a_deadline_within_a_batch_costs_only_its_request(node: Node) -> None:
    """A request whose deadline passes while its batch runs fails; the batch goes on for the others."""
    gate = Gate()
    loaded = version(1, gate, threaded=True)
    held = policy(batching=Batching(max_rows=2, max_delay_us=10**9))
    patient = run(node, loaded, held)
    late = run(node, loaded, held, deadline=time.monotonic() + 0.05)
    await entered(gate)
    assert loaded.runner.batches == [2]
    with pytest.raises(DeadlineExceededError):
        await late
    gate.open()
    assert value(await patient) == 1.0


async def test_a_batch_that_nobody_waits_for_is_ended(node: Node) -> None:
    """When the last caller of a running batch leaves, its run is asked to end."""
    ends: list[Ending] = []

    class Endless(Model):
        def run(self, inputs: Mapping[str, np.ndarray], ending: Any = None) -> dict[str, np.ndarray]:
            ends.append(ending)
            self.stopped = threading.Event()
            ending.by(self.stopped.set)
            began.release()
            assert self.stopped.wait(20)
            raise EndedError

    began = threading.Semaphore(0)
    runner = Endless(lambda x: x, threaded=True)
    loaded = replace(version(1), runner=runner)
    held = policy(batching=Batching(max_rows=2, max_delay_us=10**9))
    tasks = [run(node, loaded, held) for _ in range(2)]
    assert await asyncio.to_thread(began.acquire, timeout=20)
    tasks[0].cancel()
    await turns()
    assert not ends[0].ended
    tasks[1].cancel()
    await asyncio.wait(tasks)
    await turns()
    assert ends[0].ended


async def test_a_stopping_node_refuses_what_collects(node: Node) -> None:
    """Requests that wait for a batch when the node stops are UNAVAILABLE."""
    loaded = version(1, threaded=True)
    waiting = run(node, loaded, policy(batching=Batching(max_rows=10, max_delay_us=10**9)))
    await turns()
    node.lanes.close()
    with pytest.raises(UnavailableError):
        await waiting
    assert loaded.runner.batches == []


async def test_a_swap_during_batches_mixes_no_versions() -> None:
    """While an alias moves to and fro under load, each answer comes from the version that it names."""
    node = Node(policy=policy(batching=Batching(max_rows=16, max_delay_us=200), limits=Limits(max_running=2)))
    versions = [version(1, lambda x: x + 1, threaded=True), version(2, lambda x: x + 2, threaded=True)]
    node.serve(replica(1, 2, {"version": 1}), *versions)
    met: list[int] = []

    async def calls(worker: int) -> None:
        for number in range(worker, worker + 40):
            if len(met) % 7 == 0:
                node.serve(replica(len(met) + 2, 2, {"version": len(met) % 2 + 1}), *versions)
            answer = await node.answering.answer(request(value=float(number)), Caller())
            assert np.frombuffer(answer.outputs[0].raw, np.float32)[0] == number + answer.loaded.version
            met.append(answer.loaded.version)

    await asyncio.gather(*[calls(worker) for worker in range(30)])
    assert len(met) == 1200
    assert set(met) == {1, 2}
    assert max(max(one.runner.batches) for one in versions) > 1
    await node.close()


def served(kind: str, folder: Path) -> LoadedModel:
    """Return a real version of the digits' signature that always runs in threads."""
    path = folder / "model.onnx"
    path.write_bytes(models.digits_onnx(hidden=32) if kind == "onnx" else models.digits_liam(folder))
    backend = onnx.OnnxBackend() if kind == "onnx" else liam.LiamBackend()
    runner = backend.load({"model.onnx": path})
    checked = warmup.check(runner, None)
    loaded = version(1)
    return replace(
        loaded,
        signature=checked.signature,
        runner=runner,
        base_ns=10**9,
        run_raw=runner.run_raw if checked.raw else None,
    )


@pytest.mark.parametrize("kind", ["onnx", "liam"])
async def test_batched_answers_are_those_of_single_runs(node: Node, kind: str, tmp_path: Path) -> None:
    """A packed network gives the same bits in a batch; an ONNX model gives them within its rounding."""
    loaded = served(kind, tmp_path)
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((rows, 64)).astype(np.float32) for rows in (1, 3, 2, 1, 5)]

    def given_(part: np.ndarray) -> Inputs:
        raw = part.tobytes() if loaded.run_raw is not None else None
        return Inputs(len(part), raw, {} if raw is not None else {loaded.signature.inputs[0].name: part}, [])

    async def one(held: ModelPolicy, part: np.ndarray) -> Result:
        return await node.lanes.run(held, loaded, request(), given_(part), Caller())

    batching = policy(batching=Batching(max_rows=64, max_delay_us=1000))
    alone = [await one(policy(), part) for part in parts]
    joined = await asyncio.gather(*[one(batching, part) for part in parts])
    assert [result.batch_rows for result in joined] == [12] * 5
    for first, second in zip(alone, joined, strict=True):
        for expected, found in zip(first.outputs, second.outputs, strict=True):
            assert (found.name, found.shape) == (expected.name, expected.shape)
            if kind == "liam":
                assert found.raw == expected.raw
            else:
                arrays = (from_raw(side.datatype, side.shape, side.raw) for side in (expected, found))
                np.testing.assert_allclose(*arrays, rtol=1e-5, atol=1e-5)


@given(st.lists(st.lists(st.lists(st.binary(max_size=5), min_size=2, max_size=2), min_size=1, max_size=4), min_size=1))
def test_strings_are_split_by_rows(parts: list[list[list[bytes]]]) -> None:
    """BYTES have no fixed width: a part ends where its last element ends."""
    rows = [len(part) for part in parts]
    arrays = []
    for part in parts:
        array = np.empty((len(part), 2), np.object_)
        array[:] = part
        arrays.append(array)
    whole = Output("y", "BYTES", (sum(rows), 2), to_raw("BYTES", np.concatenate(arrays)))
    found = joining.split([whole], rows)
    assert [one.raw for (one,) in found] == [to_raw("BYTES", array) for array in arrays]
    assert [one.shape for (one,) in found] == [(count, 2) for count in rows]
