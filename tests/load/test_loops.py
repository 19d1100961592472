"""Sending a workload to a real server, and what is counted."""

from __future__ import annotations

import asyncio

import grpc
import numpy as np
import pytest

from neuralmesh.exceptions import UnavailableError
from neuralmesh_server.load import schedule
from neuralmesh_server.load.loops import Connections, Harness
from tests.load.answerer import Answerer, answerer, workload

TIMES = schedule.uniform(2_000, 0.05)


@pytest.fixture
async def server():
    """Run the server."""
    async with answerer() as running:
        yield running


@pytest.fixture
async def connections(server: Answerer):
    """Open two connections to it."""
    async with Connections({"inference": server.address, "timeout": 10.0}, 2) as opened:
        yield opened


async def test_an_open_loop_sends_the_whole_schedule_and_judges_each_answer(connections, server):
    """Every intended request is sent once, answered once and right."""
    harness = Harness(connections, workload())
    await harness.expect(await harness.current())
    outcome = await harness.open_loop(TIMES)
    assert outcome.good
    assert outcome.record.sent == outcome.record.answered == outcome.answers.right == len(TIMES)
    assert outcome.answers.versions == {"1": len(TIMES)}
    assert server.asked == len(TIMES) + 1


async def test_waiting_for_a_server_that_stalls_counts_from_the_intended_moment(connections, server):
    """Requests that a limit held back are late through the stall; the raw latency does not show it, the corrected does."""
    server.gate.clear()
    harness = Harness(connections, workload())
    running = asyncio.create_task(harness.open_loop(TIMES, most_open=1))
    await asyncio.to_thread(_wait_for, lambda: server.asked == 1)
    server.gate.set()
    record = (await running).record
    assert record.most_open == 1
    assert record.held_back > 0
    assert record.corrected.count == record.raw.count == len(TIMES)
    assert record.corrected.sum > record.raw.sum
    assert any("limit of requests under way" in limit for limit in record.limits())


async def test_an_open_loop_does_not_wait_for_answers(connections, server):
    """While the server holds every answer back, all requests of the schedule are sent."""
    server.gate.clear()
    harness = Harness(connections, workload())
    running = asyncio.create_task(harness.open_loop(TIMES))
    await asyncio.to_thread(_wait_for, lambda: server.asked == len(TIMES))
    assert harness.record.open == len(TIMES)
    assert harness.record.answered == 0
    server.gate.set()
    assert (await running).record.most_open == len(TIMES)


async def test_a_closed_loop_has_as_many_requests_under_way_as_callers(connections, server):
    """Each caller waits for its answer; the loop ends after the number of requests."""
    server.gate.clear()
    harness = Harness(connections, workload())
    running = asyncio.create_task(harness.closed_loop(3, requests=20))
    await asyncio.to_thread(_wait_for, lambda: server.asked == 3)
    server.gate.set()
    record = (await running).record
    assert record.most_open == 3
    assert record.sent == record.answered == 20


async def test_failures_are_counted_by_code_and_reason(connections, server):
    """A failed request has no latency, is no answer, and makes the outcome bad."""
    codes = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, None, None]
    server.status = lambda number: codes[number % 4]
    outcome = await Harness(connections, workload()).closed_loop(1, requests=40)
    assert outcome.record.failures == {
        ("UNAVAILABLE", "PEER_UNREACHABLE"): 10,
        ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED"): 10,
    }
    assert outcome.record.answered == outcome.record.corrected.count == outcome.answers.right == 20
    assert not outcome.good
    assert {(one["code"], one["count"]) for one in outcome.as_json()["failures"]} == {
        ("UNAVAILABLE", 10),
        ("RESOURCE_EXHAUSTED", 10),
    }


async def test_answers_to_another_request_are_wrong(connections, server):
    """An answer that would be right for another row is found out."""
    server.spoil = lambda number, outputs: outputs + np.float32(8) if number % 10 == 0 else outputs
    outcome = await Harness(connections, workload()).closed_loop(2, requests=100)
    assert (outcome.answers.right, outcome.answers.wrong, outcome.record.failed) == (90, 10, 0)
    assert not outcome.good


async def test_a_version_that_appears_in_the_middle_is_judged_by_its_own_outputs(connections, server):
    """After a swap the answers name the new version and are held against it."""
    harness = Harness(connections, workload())
    await harness.expect("1")

    def swap(number: int, outputs: np.ndarray) -> np.ndarray:
        if number == 50:
            server.version = "2"
        return outputs

    server.spoil = swap
    outcome = await harness.closed_loop(1, requests=100)
    assert outcome.good
    assert outcome.answers.versions == {"1": 50, "2": 50}
    assert outcome.answers.right == 100


async def test_a_new_version_that_answers_with_the_old_one_s_outputs_is_wrong(connections, server):
    """What a torn swap would look like."""
    server.version = "2"
    server.spoil = lambda _number, outputs: outputs / np.float32(3) * np.float32(2)
    outcome = await Harness(connections, workload()).closed_loop(1, requests=10)
    assert (outcome.answers.right, outcome.answers.wrong) == (0, 10)


async def test_a_version_that_cannot_be_asked_leaves_its_answers_unjudged(connections, server):
    """Nobody can say whether they are right, so the outcome is not good, and it says why."""

    def vanish(number: int, outputs: np.ndarray) -> np.ndarray:
        if number == 10:
            server.factors = {}
        return outputs

    server.spoil = vanish
    outcome = await Harness(connections, workload()).closed_loop(1, requests=10)
    assert outcome.answers.unjudged == 10
    assert "no version 1" in outcome.answers.unasked["1"]
    assert not outcome.good


async def test_small_differences_are_right_where_the_platform_promises_no_bits(connections, server):
    """An ONNX version may differ in the last places; an exact one may not."""
    server.spoil = lambda _number, outputs: outputs * np.float32(1 + 1e-6)
    server.platform = "onnx"
    assert (await Harness(connections, workload()).closed_loop(1, requests=16)).good
    server.platform = "liam.binary_network"
    assert (await Harness(connections, workload()).closed_loop(1, requests=16)).answers.wrong > 0


async def test_nothing_is_sent_to_a_server_that_is_not_there():
    """Connecting fails before the first request."""
    with pytest.raises(UnavailableError):
        async with Connections({"inference": "127.0.0.1:1", "timeout": 5.0}, 2):
            pass


async def test_a_closed_loop_without_an_end_is_refused(connections):
    """It would go on for ever."""
    with pytest.raises(ValueError, match="ends after"):
        await Harness(connections, workload()).closed_loop(1)


def _wait_for(holds) -> None:
    from tests.processes import until

    until(holds, "the server was asked")
