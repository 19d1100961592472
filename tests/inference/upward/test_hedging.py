"""Hedged runs: who answers, what becomes of the other side, how many there are, and what is compared."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from neuralmesh import oip
from neuralmesh_server.errors import InternalError
from neuralmesh_server.inference.answering import Answer, Passed
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import LoadedModel
from neuralmesh_server.inference.upstreams import convert_upstream
from neuralmesh_server.inference.upstreams.link import UpstreamError
from neuralmesh_server.inference.upward.counts import Counts
from neuralmesh_server.inference.upward.forwarding import Forwarding
from neuralmesh_server.inference.upward.hedging import CALLS_PER_HEDGE, SHORTEST_SECONDS, Hedging
from tests.inference.rollouts import Gate, Node, replica, request, version
from tests.inference.upward.above import Link, unknown


class Hedged:
    """A node that hedges version 1, whose runs wait for a gate, and the link to the node above."""

    def __init__(self, node: Node, *, exact: str = "bits") -> None:
        self.node = node
        self.gate = Gate()
        self.link = Link()
        self.counts = Counts()
        self.fails = False
        self.loaded = version(1, self._run, threaded=True)
        self.loaded.runner.exact = exact
        above = Forwarding(link=self.link, label="above:1", counts=self.counts, digest_of=unknown)
        self.hedging = Hedging(above, self.counts, convert_upstream.read_reply)
        node.answering._hedger = self.hedging
        node.serve(replica(9, 1, {"version": 1}), self.loaded)
        self.permit()

    def _run(self, x: np.ndarray) -> np.ndarray:
        found = self.gate(x)
        if self.fails:
            raise InternalError("MODEL_FAILED", "it failed")
        return found

    def permit(self, hedges: int = 1) -> None:
        """Permit so many hedges more."""
        for _ in range(hedges * CALLS_PER_HEDGE):
            self.hedging._tokens.called()

    def ask(self, **fields: Any) -> asyncio.Task[Answer | Passed]:
        """Begin a call."""
        return asyncio.create_task(self.node.answering.answer(request(**fields), Caller()))

    def above(self, value: float = 1.0) -> bytes:
        """Return what the node above answers, whose version gives so much."""
        response = oip.ModelInferResponse(model_name="m", model_version="1")
        response.outputs.add(name="y", datatype="FP32", shape=[1, 2])
        response.raw_output_contents.append(np.full((1, 2), value, np.float32).tobytes())
        return bytes(response.SerializeToString())

    async def compared(self) -> None:
        """Return when nothing is compared any more."""
        await asyncio.gather(*self.hedging._comparing)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node with four threads."""
    node = Node()
    yield node
    await node.close()


def digest_of(hedged: Hedged, loaded: LoadedModel) -> bool:
    """Say whether the call above named the version's digest."""
    return dict(hedged.link.passed[0].metadata)["neuralmesh-digest"] == loaded.digest


async def test_the_upstream_answers_what_takes_long_here(node: Node) -> None:
    """The first answer wins: it goes out as it came, and the run here counts neither as answered nor as failed."""
    hedged = Hedged(node, exact="build")
    task = hedged.ask()
    await hedged.link.asked()
    hedged.link.answers[0].set_result(hedged.above())
    assert await task == Passed(hedged.above())
    assert digest_of(hedged, hedged.loaded)
    assert (hedged.counts.hedged, hedged.counts.hedges_won, hedged.counts.hedges_compared) == (1, 1, 0)
    assert (hedged.loaded.activity.requests, hedged.loaded.activity.failures) == (0, 0)
    hedged.gate.open()


async def test_the_run_here_wins_and_ends_the_call(node: Node) -> None:
    """When this node answers first, the call above is cancelled."""
    hedged = Hedged(node, exact="build")
    task = hedged.ask()
    await hedged.link.asked()
    hedged.gate.open()
    answer = await task
    assert isinstance(answer, Answer)
    assert (hedged.counts.hedged, hedged.counts.hedges_won) == (1, 0)
    await asyncio.gather(*hedged.link.answers, return_exceptions=True)
    assert hedged.link.cancelled == 1
    assert hedged.loaded.activity.requests == 1


async def test_what_is_quick_is_not_hedged(node: Node) -> None:
    """A run that ends within its usual time goes nowhere else."""
    hedged = Hedged(node)
    hedged.gate.open()
    hedged.hedging._took.of(hedged.loaded.activity.owner).add(30.0)  # its usual time
    assert isinstance(await hedged.ask(), Answer)
    assert hedged.counts.hedged == 0


async def test_without_tokens_nothing_is_hedged(node: Node) -> None:
    """The twenty-first call that is slow waits for this node."""
    hedged = Hedged(node, exact="build")
    first = hedged.ask()
    await hedged.link.asked()
    second = hedged.ask()
    await asyncio.to_thread(hedged.gate.wait_entered, 2)
    await asyncio.sleep(20 * SHORTEST_SECONDS)  # the second is late by now
    assert len(hedged.link.passed) == 1
    hedged.link.answers[0].set_result(hedged.above())
    assert isinstance(await first, Passed)
    hedged.gate.open()
    assert isinstance(await second, Answer)
    assert hedged.counts.hedged == 1


async def test_a_side_that_fails_leaves_the_answer_to_the_other(node: Node) -> None:
    """The upstream's failure is none of the caller's business, nor is this node's when the upstream answers."""
    hedged = Hedged(node, exact="build")
    task = hedged.ask()
    await hedged.link.asked()
    hedged.link.answers[0].set_exception(UpstreamError("INTERNAL", "a defect"))
    hedged.gate.open()
    assert isinstance(await task, Answer)
    hedged.gate, hedged.fails = Gate(), True
    hedged.permit()
    task = hedged.ask()
    await hedged.link.asked(2)
    hedged.gate.open()
    await asyncio.to_thread(hedged.gate.wait_entered)
    hedged.link.answers[1].set_result(hedged.above())
    assert await task == Passed(hedged.above())


async def test_when_both_fail_the_failure_here_is_told(node: Node) -> None:
    """The caller hears what happened on the node that he asked."""
    hedged = Hedged(node, exact="build")
    hedged.fails = True
    task = hedged.ask()
    await hedged.link.asked()
    hedged.link.answers[0].set_exception(UpstreamError("INTERNAL", "a defect"))
    hedged.gate.open()
    with pytest.raises(InternalError) as caught:
        await task
    assert caught.value.reason == "MODEL_FAILED"
    assert hedged.loaded.activity.failures == 1


async def test_a_caller_who_goes_away_ends_both_sides(node: Node) -> None:
    """Cancelling a hedged call cancels it above, and frees the place of its run."""
    hedged = Hedged(node)
    task = hedged.ask()
    await hedged.link.asked()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await asyncio.gather(*hedged.link.answers, return_exceptions=True)
    assert hedged.link.cancelled == 1
    hedged.gate.open()


@pytest.mark.parametrize(("value", "different"), [(1.0, 0), (2.0, 1)])
@pytest.mark.parametrize("upstream_first", [True, False])
async def test_a_share_is_awaited_on_both_sides_and_compared(
    node: Node, value: float, different: int, *, upstream_first: bool
) -> None:
    """Whoever wins, both answers of the pair are held against one another bit for bit; the loser is not cancelled."""
    hedged = Hedged(node)
    task = hedged.ask()
    await hedged.link.asked()
    if upstream_first:
        hedged.link.answers[0].set_result(hedged.above(value))
        assert isinstance(await task, Passed)
        hedged.gate.open()
    else:
        hedged.gate.open()
        assert isinstance(await task, Answer)
        hedged.link.answers[0].set_result(hedged.above(value))
    await hedged.compared()
    assert (hedged.counts.hedges_compared, hedged.counts.hedges_different) == (1, different)
    assert hedged.link.cancelled == 0


async def test_the_others_of_sixteen_are_not_compared(node: Node) -> None:
    """Of sixteen hedges one is compared; the loser of every other one is cancelled."""
    hedged = Hedged(node)
    hedged.gate.open()
    hedged.permit(3)
    hedged.counts.hedged = 1
    hedged.gate = Gate()
    task = hedged.ask()
    await hedged.link.asked()
    hedged.link.answers[0].set_result(hedged.above())
    await task
    assert (hedged.counts.hedged, hedged.counts.hedges_compared) == (2, 0)
    assert not hedged.hedging._comparing
    hedged.gate.open()


async def test_a_side_that_fails_is_not_compared(node: Node) -> None:
    """A pair with one answer says nothing."""
    hedged = Hedged(node)
    task = hedged.ask()
    await hedged.link.asked()
    hedged.gate.open()
    await task
    hedged.link.answers[0].set_exception(UpstreamError("INTERNAL", "a defect"))
    await hedged.compared()
    assert hedged.counts.hedges_compared == 0


async def test_what_fails_at_once_says_nothing_of_how_long_runs_take(node: Node) -> None:
    """Failures, and calls that their callers give up, count where they took long; else every run would be hedged."""
    hedged = Hedged(node)
    took = hedged.hedging._took.of(hedged.loaded.activity.owner)
    for _ in range(100):
        took.add(0.5)
    hedged.fails = True
    hedged.gate.open()
    for _ in range(50):
        with contextlib.suppress(InternalError):
            await hedged.ask()
    assert took.p95() == 0.5
    assert hedged.link.passed == []
    hedged.gate._open.clear()
    given_up = hedged.ask()
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert len(took._kept) == 100
    hedged.gate.open()
