"""What is passed on, when it is not, and what the caller hears: without servers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from neuralmesh_server.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NeuralMeshError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from neuralmesh_server.inference.answering import Passed
from neuralmesh_server.inference.policy import Limits
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import LoadedModel
from neuralmesh_server.inference.upstreams.link import UpstreamError
from neuralmesh_server.inference.upward.counts import Counts
from neuralmesh_server.inference.upward.forwarding import LONGEST_SECONDS, Forwarding
from tests.inference.rollouts import Gate, Node, policy, replica, request, version
from tests.inference.test_lanes import entered, turns
from tests.inference.upward.above import ANSWER, Link, Ready, unknown
from tests.inference.upward.test_recent import Clock

DIGEST = "sha256:" + "ab" * 32


def missing() -> NotFoundError:
    """Return why a call cannot be served."""
    return NotFoundError("MODEL_NOT_FOUND", "model 'm' is not known here", model="m")


def forwarding(link: Link, **changes: Any) -> Forwarding:
    """Return what passes calls on by a link."""
    fields = {"label": "above:1", "counts": Counts(), "digest_of": unknown, **changes}
    return Forwarding(link=link, **fields)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node that serves version 1 and knows a second one."""
    node = Node()
    yield node
    await node.close()


def join(node: Node, link: Link, **changes: Any) -> Counts:
    """Let a node pass on what it cannot serve; returns what is counted."""
    counts = Counts()
    node.answering._forwarder = forwarding(link, counts=counts, **changes)
    return counts


async def test_bytes_deadline_hops_and_traces_go_along() -> None:
    """The request goes as it came, with what is left of the deadline, one hop more and the caller's trace."""
    link, sent = Ready(), request()
    metadata = {"traceparent": "00-1-2-01", "authorization": "Bearer secret"}
    caller = Caller(time.monotonic() + 5, metadata.get, hops=1)
    assert await forwarding(link).instead(missing(), sent, caller, DIGEST) == ANSWER
    (passing,) = link.passed
    assert passing.data is sent.data
    assert 4 < passing.seconds <= 5
    assert dict(passing.metadata) == {
        "neuralmesh-hops": "2", "neuralmesh-digest": DIGEST, "traceparent": "00-1-2-01",
    }  # fmt: skip


async def test_the_digest_is_the_callers_or_what_is_known() -> None:
    """A digest that the caller demands goes before the one that was found here, and that before what is only known."""
    link = Ready()
    one = forwarding(link, digest_of=lambda model, version: f"known {model} {version}")
    await one.instead(missing(), request(), Caller(digest="demanded"), "found")
    await one.instead(missing(), request(), Caller(), "found")
    await one.instead(missing(), request(model_version="3"), Caller())
    assert [dict(passing.metadata)["neuralmesh-digest"] for passing in link.passed] == [
        "demanded",
        "found",
        "known m 3",
    ]
    assert link.passed[0].seconds == LONGEST_SECONDS


async def test_a_stale_node_does_not_say_where_an_alias_stands() -> None:
    """A stale node passes calls of an alias on without a digest, since the alias may have moved; numbers never move."""
    link = Ready()
    one = forwarding(link, digest_of=lambda *_: DIGEST)
    stale = UnavailableError("STATE_STALE", "not heard for long")
    await one.instead(stale, request(model_version="production"), Caller())
    await one.instead(stale, request(model_version="3"), Caller())
    assert ["neuralmesh-digest" in dict(passing.metadata) for passing in link.passed] == [False, True]


async def test_two_nodes_pass_a_call_on_and_no_third() -> None:
    """A call that came over two nodes ends here, and says so."""
    link = Ready()
    with pytest.raises(FailedPreconditionError) as caught:
        await forwarding(link).instead(missing(), request(), Caller(hops=2))
    assert (caught.value.reason, caught.value.metadata["localReason"]) == ("HOPS_EXCEEDED", "MODEL_NOT_FOUND")
    assert link.passed == []


async def test_no_call_goes_up_that_would_be_late() -> None:
    """Where the upstream took longer of late than there is time, the caller hears at once, and when to try again."""
    clock, link, counts = Clock(), Link(), Counts()
    one = forwarding(link, counts=counts, clock=clock)
    asked = asyncio.ensure_future(one.instead(missing(), request(), Caller()))
    await link.asked()
    clock.now += 3.0
    link.answers[0].set_result(ANSWER)
    await asked
    with pytest.raises(UnavailableError) as caught:
        await one.instead(missing(), request(), Caller(time.monotonic() + 2))
    assert (caught.value.reason, counts.forwarded, len(link.passed)) == ("PEER_UNREACHABLE", 1, 1)
    assert caught.value.retry_seconds == pytest.approx(3.001)
    asked = asyncio.ensure_future(one.instead(missing(), request(model="other"), Caller(time.monotonic() + 2)))
    await link.asked(2)  # another model may be quicker
    link.answers[1].set_result(ANSWER)
    await asked
    clock.now += 60  # and it may have become quick
    asked = asyncio.ensure_future(one.instead(missing(), request(), Caller(time.monotonic() + 2)))
    await link.asked(3)
    link.answers[2].set_result(ANSWER)
    assert await asked == ANSWER


async def test_a_passed_deadline_is_told() -> None:
    """A call whose time is over is DEADLINE_EXPIRED and is not passed on."""
    link = Ready()
    with pytest.raises(DeadlineExceededError):
        await forwarding(link).instead(missing(), request(), Caller(time.monotonic() - 1))
    assert link.passed == []


@pytest.mark.parametrize(
    "failed",
    [
        UpstreamError("UNAVAILABLE", "no connection", sent=False),
        UpstreamError("DEADLINE_EXCEEDED", "no connection", sent=False),
        UpstreamError("UNAVAILABLE", "stops", reason="NOT_SERVING"),
        UpstreamError("NOT_FOUND", "unknown", reason="MODEL_NOT_FOUND"),
        UpstreamError("FAILED_PRECONDITION", "other bytes", reason="DIGEST_MISMATCH"),
        UpstreamError("FAILED_PRECONDITION", "too far", reason="HOPS_EXCEEDED"),
        UpstreamError("RESOURCE_EXHAUSTED", "full", reason="QUEUE_FULL"),
        UpstreamError("UNAUTHENTICATED", "who are you", reason="UNAUTHENTICATED"),
        UpstreamError("UNIMPLEMENTED", "no such method"),
    ],
    ids=lambda failed: f"{failed.code}-{failed.reason}",
)
async def test_the_local_error_stands_where_nothing_ran(failed: UpstreamError) -> None:
    """What the upstream did not run either fails as it would have without one; the metadata says what it said."""
    counts, error = Counts(), missing()
    with pytest.raises(NotFoundError) as caught:
        await forwarding(Ready(failed), counts=counts).instead(error, request(), Caller())
    assert caught.value is error
    assert (counts.forwarded, counts.forward_failures) == (1, 1)
    assert error.metadata["upstreamCode"] == failed.code
    assert error.metadata.get("upstreamReason", "") == failed.reason


@pytest.mark.parametrize(
    ("failed", "kind", "reason"),
    [
        (UpstreamError("UNAVAILABLE", "connection lost"), InternalError, "UPSTREAM_FAILED"),
        (UpstreamError("INTERNAL", "a defect", reason="INTERNAL"), InternalError, "UPSTREAM_FAILED"),
        (UpstreamError("DEADLINE_EXCEEDED", "late"), DeadlineExceededError, "UPSTREAM_FAILED"),
        (UpstreamError("RESOURCE_EXHAUSTED", "too large"), ResourceExhaustedError, "UPSTREAM_FAILED"),
        (UpstreamError("FAILED_PRECONDITION", "far", reason="UPSTREAM_FAILED"), FailedPreconditionError, "UPSTREAM_FAILED"),
        (UpstreamError("INVALID_ARGUMENT", "shape", reason="INPUT_INVALID"), InvalidArgumentError, "INPUT_INVALID"),
        (UpstreamError("INVALID_ARGUMENT", "shape", reason="unheard of"), InvalidArgumentError, "UPSTREAM_FAILED"),
    ],
)  # fmt: skip
async def test_what_may_have_run_is_told(failed: UpstreamError, kind: type[NeuralMeshError], reason: str) -> None:
    """An error that may have come after a run is not hidden behind one that invites to try again."""
    with pytest.raises(NeuralMeshError) as caught:
        await forwarding(Ready(failed)).instead(missing(), request(), Caller())
    assert (type(caught.value), caught.value.reason) == (kind, reason)


async def test_calls_that_took_too_long_count_as_long() -> None:
    """An upstream that answers nobody in time is known to take at least that long."""
    clock, link = Clock(), Link()
    one = forwarding(link, clock=clock)
    asked = asyncio.ensure_future(one.instead(missing(), request(), Caller()))
    await link.asked()
    clock.now += 4.0
    link.answers[0].set_exception(UpstreamError("DEADLINE_EXCEEDED", "late"))
    with pytest.raises(DeadlineExceededError):
        await asked
    assert not one.may_ask(request(), Caller(time.monotonic() + 3))
    assert one.may_ask(request(), Caller(time.monotonic() + 5))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model": "unknown"}, "MODEL_NOT_FOUND"),
        ({"model_version": "9"}, "VERSION_NOT_FOUND"),
        ({"model_version": "nobody"}, "ALIAS_NOT_FOUND"),
        ({"model_version": "2"}, "VERSION_NOT_READY"),
    ],
)
async def test_misses_go_up_and_count_as_no_failure(node: Node, fields: dict[str, str], reason: str) -> None:
    """What is unknown or not ready here is answered from above; the same call fails with its reason without one."""
    node.serve(replica(9, 2, {"version": 1}), version(1))
    with pytest.raises(NeuralMeshError) as caught:
        await node.answering.answer(request(**fields), Caller())
    assert caught.value.reason == reason
    failed = sum(node.activity.unresolved.values())
    link = Ready()
    counts = join(node, link)
    assert await node.answering.answer(request(**fields), Caller()) == Passed(ANSWER)
    assert (counts.forwarded, sum(node.activity.unresolved.values())) == (1, failed)


@pytest.mark.parametrize(
    "fields", [{"model": "Not A Name"}, {"model_version": "1x"}, {"parameters": {"priority": "high"}}]
)
async def test_bad_requests_stay_here(node: Node, fields: dict[str, Any]) -> None:
    """What is INVALID_ARGUMENT here is not passed on."""
    link = Ready()
    join(node, link)
    node.serve(replica(9, 1, {"version": 1}), version(1))
    with pytest.raises(InvalidArgumentError):
        await node.answering.answer(request(**fields), Caller())
    assert link.passed == []


async def full(node: Node, gate: Gate) -> tuple[LoadedModel, list[asyncio.Task[Any]]]:
    """Have a node that runs one request, while another one fills its queue."""
    loaded = version(1, gate, threaded=True)
    node.policy = policy(limits=Limits(max_running=1, max_queued=1))
    node.serve(replica(9, 1, {"version": 1}), loaded)
    tasks = [asyncio.create_task(node.answering.answer(request(), Caller())) for _ in range(2)]
    await entered(gate)
    await turns()
    return loaded, tasks


async def test_what_finds_no_place_goes_up_with_its_digest(node: Node) -> None:
    """A call for which the queue is full is answered from above by the same digest, and is no failure of the version."""
    gate, link = Gate(), Ready()
    loaded, tasks = await full(node, gate)
    counts = join(node, link)
    assert await node.answering.answer(request(), Caller()) == Passed(ANSWER)
    assert dict(link.passed[0].metadata)["neuralmesh-digest"] == loaded.digest
    assert (counts.forwarded, loaded.activity.failures) == (1, 0)
    gate.open()
    await asyncio.gather(*tasks)


async def test_a_full_queue_stays_what_it_is_where_nobody_helps(node: Node) -> None:
    """With the upstream away, the caller hears QUEUE_FULL with its hint, and it counts as that."""
    gate = Gate()
    loaded, tasks = await full(node, gate)
    join(node, Ready(UpstreamError("UNAVAILABLE", "no connection", sent=False)))
    with pytest.raises(ResourceExhaustedError) as caught:
        await node.answering.answer(request(), Caller())
    assert caught.value.reason == "QUEUE_FULL"
    assert caught.value.retry_seconds is not None
    assert loaded.activity.errors["RESOURCE_EXHAUSTED"] == 1
    gate.open()
    await asyncio.gather(*tasks)


async def test_a_caller_who_goes_away_takes_his_call_along(node: Node) -> None:
    """Cancelling a call cancels it above as well, and it counts as cancelled."""
    link = Link()
    join(node, link)
    node.serve(replica(9, 1, {"version": 1}), version(1))
    task = asyncio.create_task(node.answering.answer(request(model="unknown"), Caller()))
    await link.asked()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (link.cancelled, node.activity.unresolved["CANCELLED"]) == (1, 1)
