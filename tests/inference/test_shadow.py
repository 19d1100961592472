"""Shadows: copies are compared and counted, and no caller ever notices them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neuralmesh_server.errors import InternalError
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.reporting.rollout_activity import ShadowCounts
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.traffic import agreement, shadow
from neuralmesh_server.inference.traffic.agreement import Side
from tests.inference.rollouts import Gate, Node, replica, request, version

MILLION = 1_000_000


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node that serves nothing yet."""
    node = Node()
    yield node
    await node.close()


def shadowed(share_ppm: int = MILLION, **more: Any) -> dict[str, Any]:
    """Return the state of an alias with version 3 as its shadow."""
    return {"version": 1, "shadow": {"version": 3, "share_ppm": share_ppm}, **more}


async def answer(node: Node, count: int = 1, **fields: Any) -> list[int]:
    """Return the versions that answer so many requests, one after the other."""
    return [(await node.answering.answer(request(**fields), Caller())).loaded.version for _ in range(count)]


def counts(node: Node) -> ShadowCounts:
    """Return what the one step's shadow did."""
    (report,) = node.rollouts.reports()
    return report.counts.shadow


async def test_copies_that_give_the_same_bits_agree(node: Node) -> None:
    """Every answered request is copied, run and compared; callers get the stable version's answer alone."""
    stable, other = version(1), version(3)
    node.serve(replica(9, 3, shadowed()), stable, other)
    assert await answer(node, 20) == [1] * 20
    await node.shadows.settle()
    assert counts(node) == ShadowCounts(compared=20, agreed=20)
    assert other.runner.batches == [1] * 20
    assert other.activity.requests == 0


async def test_copies_that_differ_are_told_with_their_distance(node: Node) -> None:
    """Without labels any other bit is a disagreement; the largest difference is kept."""
    node.serve(replica(9, 3, shadowed()), version(1), version(3, lambda x: x + (x > 1) * 0.25))
    await answer(node, 2)
    await answer(node, 1, value=2.0)
    await node.shadows.settle()
    assert counts(node) == ShadowCounts(compared=3, agreed=2, max_difference=0.25)


@pytest.mark.parametrize("threaded", [True, False])
async def test_a_copy_that_fails_fails_alone(node: Node, threaded: bool) -> None:
    """An error of the shadow is counted, and its caller has its answer."""

    def fail(x: np.ndarray) -> np.ndarray:
        raise InternalError("MODEL_FAILED", "no")

    node.serve(replica(9, 3, shadowed()), version(1), version(3, fail, threaded=threaded))
    assert await answer(node, 3) == [1, 1, 1]
    await node.shadows.settle()
    assert counts(node) == ShadowCounts(failed=3)


async def test_a_shadow_that_never_ends_delays_nobody(node: Node) -> None:
    """Callers are answered while a shadow blocks for ever; copies that find no room are dropped and counted."""
    gate = Gate()
    node.serve(replica(9, 3, shadowed()), version(1, threaded=True), version(3, gate, threaded=True))
    total = shadow.MAX_COPIES + 30
    assert await answer(node, total) == [1] * total
    await asyncio.to_thread(gate.wait_entered)
    assert counts(node).dropped == 30
    assert counts(node).compared == 0
    gate.open()
    await node.shadows.settle()
    assert counts(node) == ShadowCounts(compared=shadow.MAX_COPIES, agreed=shadow.MAX_COPIES, dropped=30)


async def test_a_copy_ends_after_its_time() -> None:
    """A copy that takes too long counts as failed, and the next one is run."""
    node, gate = Node(), Gate()
    copies = shadow.Shadows(node.rollouts, max_seconds=0.05)
    node.answering._shadows = copies
    node.serve(replica(9, 3, shadowed()), version(1), version(3, gate, threaded=True))
    await answer(node, 2)
    await copies.settle()
    assert counts(node) == ShadowCounts(failed=2)
    gate.open()
    await copies.close()
    await node.close()


async def test_one_blocked_shadow_leaves_others_running(node: Node) -> None:
    """Aliases have queues of their own."""
    gate = Gate()
    held = replica(9, 3, shadowed())
    node.serve(held, version(1), version(3, gate, threaded=True))
    await answer(node)
    await asyncio.to_thread(gate.wait_entered)
    other = replica(10, 3, {"version": 1})
    other.aliases["m", "second"] = replace(held.aliases["m", "production"], alias="second")
    node.serve(other, version(1), version(3))
    await answer(node, 5, model_version="second")
    task = node.shadows._queues["m", "second"].task
    assert task is not None
    await task
    found = [report.counts.shadow.compared for report in node.rollouts.reports() if report.rollout.alias == "second"]
    assert found == [5]
    gate.open()


async def test_the_share_of_copies_is_kept(node: Node) -> None:
    """About the share of the answers is copied; nothing is at a share of 0."""
    node.serve(replica(9, 3, shadowed(200_000)), version(1), version(3))
    for _ in range(50):
        await answer(node, 20)
        await node.shadows.settle()
    assert 120 < counts(node).compared < 280
    node.serve(replica(10, 3, shadowed(0)), version(1), version(3))
    node.rollouts.forget()
    await answer(node, 50)
    await node.shadows.settle()
    assert counts(node) == ShadowCounts()


async def test_only_what_the_stable_arm_answered_is_copied(node: Node) -> None:
    """Agreement is agreement with the stable version: beside a canary its answers alone are copied."""
    state = shadowed(canary={"version": 2, "share_ppm": MILLION // 2})
    node.serve(replica(9, 3, state), version(1), version(2, lambda x: x + 1), version(3))
    met = await answer(node, 40)
    await node.shadows.settle()
    assert 0 < met.count(1) < 40
    assert counts(node) == ShadowCounts(compared=met.count(1), agreed=met.count(1))


async def test_what_answers_in_place_of_the_stable_version_is_not_copied(node: Node) -> None:
    """While the alias's version is not ready, the one before it answers, and nothing says how the two agree."""
    held = replica(8, 3, {"version": 2})
    node.serve(held, version(2), version(3))
    node.serve(replica(9, 3, shadowed()), version(2), version(3))
    assert await answer(node, 5) == [2] * 5
    await node.shadows.settle()
    assert counts(node) == ShadowCounts()


async def test_copies_for_a_shadow_that_is_not_ready_are_dropped(node: Node) -> None:
    """A copy that was due is counted, also where its shadow cannot be loaded."""
    node.serve(replica(9, 3, shadowed()), version(1))
    assert await answer(node, 5) == [1] * 5
    assert counts(node) == ShadowCounts(dropped=5)


async def test_failed_requests_are_not_copied(node: Node) -> None:
    """There is nothing to compare with where no answer was given."""

    def fail(x: np.ndarray) -> np.ndarray:
        raise InternalError("MODEL_FAILED", "no")

    other = version(3)
    node.serve(replica(9, 3, shadowed()), version(1, fail), other)
    with pytest.raises(InternalError):
        await answer(node)
    await node.shadows.settle()
    assert other.runner.batches == []


async def test_what_waits_at_the_end_counts_as_dropped() -> None:
    """Closing ends copies that run and drops those that wait; none is lost from the count."""
    node, gate = Node(), Gate()
    node.serve(replica(9, 3, shadowed()), version(1), version(3, gate, threaded=True))
    await answer(node, 5)
    await asyncio.to_thread(gate.wait_entered)
    await node.shadows.close()
    assert counts(node).dropped == 5
    gate.open()
    await node.close()


def labels(*values: int) -> Output:
    """Return a label output."""
    return Output("label", "INT64", (len(values),), np.array(values, "<i8").tobytes())


def scores(*values: float) -> Output:
    """Return an output of numbers."""
    return Output("scores", "FP32", (len(values),), np.array(values, "<f4").tobytes())


@pytest.mark.parametrize(
    ("one", "other", "agreeing", "identical", "difference"),
    [
        ([labels(1, 2), scores(1, 2)], [labels(1, 2), scores(1, 2)], 2, True, 0.0),
        ([labels(1, 2), scores(1, 2)], [labels(1, 2), scores(1, 2.5)], 2, False, 0.5),
        ([labels(1, 2), scores(1, 2)], [labels(1, 3), scores(1, 2)], 1, False, 0.0),
        ([labels(1, 2), scores(1, math.nan)], [labels(1, 2), scores(1, math.nan)], 2, True, 0.0),
        ([labels(1, 2), scores(1, math.nan)], [labels(1, 2), scores(1, 3)], 2, False, math.inf),
        ([labels(1, 2), scores(1)], [labels(1, 2), scores(1, 3)], 2, False, math.inf),
        ([labels(1, 2)], [labels(1)], 0, False, math.inf),
    ],
)
def test_agreement_is_of_labels_where_there_are_any(
    one: list[Output], other: list[Output], agreeing: int, identical: bool, difference: float
) -> None:
    """Rows agree by their labels; bits and distances are told beside them."""
    found = agreement.compare(Side(one, 0), Side(other, 0), 2)
    assert (found.rows, found.agreeing_rows, found.identical, found.max_difference) == (
        2, agreeing, identical, difference,
    )  # fmt: skip


def test_agreement_without_labels_is_of_bits() -> None:
    """Where one side has no labels, all rows agree or none does."""
    assert agreement.compare(Side([scores(1)], -1), Side([scores(1)], -1), 3).agreeing_rows == 3
    assert agreement.compare(Side([scores(1)], -1), Side([scores(2)], -1), 3).agreeing_rows == 0
