"""What arms did, counted by request and by unit, and reported once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server import errors
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.links import LinkError
from neuralmesh_server.inference.reporting import convert_metrics, rollout_activity
from neuralmesh_server.inference.reporting.rollout_activity import ArmCounts, StepCounts, UnitFailure
from neuralmesh_server.inference.reporting.telemetry import Telemetry
from neuralmesh_server.inference.request import Caller
from tests.inference.rollouts import Node, replica, request, version

MILLION = 1_000_000


class Clock:
    """A clock that somebody moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.seconds


class Failing:
    """A model that fails as it is told."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Answer the input, or raise."""
        if self.error is not None:
            raise self.error
        return x


@pytest.fixture
async def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
async def node(clock: Clock) -> AsyncIterator[Node]:
    """A node whose rollouts are counted by the clock."""
    node = Node(clock=clock)
    yield node
    await node.close()


def serve(node: Node, canary: Failing | None = None, share: int = MILLION, revision: int = 9) -> None:
    """Serve a rollout whose canary is version 2."""
    state = {"version": 1, "canary": {"version": 2, "share_ppm": share}}
    node.serve(replica(revision, 2, state), version(1), version(2, canary or Failing()))


async def ask(node: Node, unit: str = "", **fields: Any) -> bool:
    """Send a request; returns whether it was answered."""
    try:
        await node.answering.answer(request(id=unit, **fields), Caller())
    except (NeuralMeshError, ZeroDivisionError):
        return False
    return True


def counts(node: Node) -> StepCounts:
    """Return what the one step did."""
    (report,) = node.rollouts.reports()
    return report.counts


async def test_a_unit_counts_once_in_a_window(node: Node, clock: Clock) -> None:
    """Requests count each time, their unit once in ten minutes."""
    serve(node)
    for unit in ("a", "a", "b", "a"):
        await ask(node, unit)
    assert counts(node).canary == ArmCounts(requests=4, units=2)
    clock.seconds += 600
    await ask(node, "a")
    assert counts(node).canary == ArmCounts(requests=5, units=3)


async def test_the_first_failure_of_a_unit_is_kept_in_order(node: Node, clock: Clock) -> None:
    """A burst of failures of one unit is one failed unit; the list keeps the order and the moments."""
    failing = Failing()
    serve(node, failing)
    failing.error = errors.InternalError("MODEL_FAILED", "no")
    for unit in ("b", "a", "a", "b"):
        clock.seconds += 1.5
        assert not await ask(node, unit)
    found = counts(node)
    assert found.canary == ArmCounts(requests=4, units=2, failures=4, failed_units=2)
    assert [(failure.canary, failure.code, failure.offset_ms) for failure in found.first_failures] == [
        (True, "INTERNAL", 1500),
        (True, "INTERNAL", 3000),
    ]
    assert len({failure.unit for failure in found.first_failures}) == 2
    clock.seconds += 600
    assert not await ask(node, "a")
    assert counts(node).canary.failed_units == 3


FAULTS = [
    (errors.InternalError("MODEL_FAILED", ""), True),
    (errors.DeadlineExceededError("DEADLINE_EXPIRED", ""), True),
    (errors.ResourceExhaustedError("QUEUE_FULL", ""), True),
    (errors.UnavailableError("PEER_UNREACHABLE", ""), True),
    (errors.FailedPreconditionError("DIGEST_MISMATCH", ""), True),
    (errors.DataLossError("ARTIFACT_CORRUPT", ""), True),
    (ZeroDivisionError(), True),
    (errors.InvalidArgumentError("INPUT_INVALID", ""), False),
    (errors.NotFoundError("MODEL_NOT_FOUND", ""), False),
    (errors.PermissionDeniedError("PERMISSION_DENIED", ""), False),
]


@pytest.mark.parametrize(("error", "blamed"), FAULTS, ids=lambda value: type(value).__name__)
async def test_only_failures_that_are_not_the_callers_count(node: Node, error: Exception, blamed: bool) -> None:
    """An arm answers for what the server or the version does wrong, and not for wrong requests."""
    failing = Failing()
    serve(node, failing)
    failing.error = error
    assert not await ask(node, "a")
    assert counts(node).canary == ArmCounts(requests=1, units=1, failures=blamed, failed_units=blamed)


async def test_a_cancelled_request_is_no_failure_of_its_arm(node: Node) -> None:
    """A caller that goes away says nothing about the version."""
    failing = Failing()
    serve(node, failing)
    failing.error = asyncio.CancelledError()  # type: ignore[assignment]
    with pytest.raises(asyncio.CancelledError):
        await ask(node, "a")
    assert counts(node).canary == ArmCounts(requests=1, units=1)


async def test_memory_for_units_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of units and failures requests go on counting, and what was not kept is counted too."""
    monkeypatch.setattr(rollout_activity, "MAX_UNITS", 10)
    failing = Failing()
    serve(node, failing)
    failing.error = errors.InternalError("MODEL_FAILED", "no")
    for number in range(25):
        await ask(node, f"unit-{number}")
    found = counts(node)
    assert found.canary == ArmCounts(requests=25, units=10, failures=25, failed_units=10)
    assert (found.forgotten_units, found.dropped_failures, len(found.first_failures)) == (15, 15, 10)


async def test_the_list_of_failures_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delta holds so many first failures and no more; after it was taken there is room again."""
    monkeypatch.setattr(rollout_activity, "MAX_FIRST_FAILURES", 5)
    failing = Failing()
    serve(node, failing)
    failing.error = errors.InternalError("MODEL_FAILED", "no")
    for _ in range(8):
        await ask(node)
    assert (len(counts(node).first_failures), counts(node).dropped_failures) == (5, 3)
    assert counts(node).canary.failed_units == 8
    node.rollouts.forget()
    await ask(node)
    assert (len(counts(node).first_failures), counts(node).dropped_failures) == (1, 0)


async def test_steps_are_counted_apart_and_forgotten(node: Node, clock: Clock) -> None:
    """Each move of the alias opens a step; one that is over leaves no memory behind."""
    serve(node, revision=9)
    await ask(node, "a")
    serve(node, revision=10, share=0)
    await ask(node, "a")
    assert [(report.rollout.revision, report.counts.stable.requests) for report in node.rollouts.reports()] == [
        (9, 0),
        (10, 1),
    ]
    node.rollouts.forget()
    assert node.rollouts.reports() == ()
    clock.seconds += 600
    node.rollouts.forget()
    assert node.rollouts._steps == {}


class Ear:
    """A metrics service that hears each delta, some of them twice, and fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.heard: dict[int, pb.IngestDeltaRequest] = {}
        self.failures = failures
        self.kept: list[bytes] = []

    def encode(self, delta: Any) -> bytes:
        """Return a delta's bytes."""
        data: bytes = convert_metrics.ingest_request("local", delta).SerializeToString()
        return data

    async def ingest(self, data: bytes) -> None:
        """Hear a delta."""
        delta = pb.IngestDeltaRequest.FromString(data)
        before = self.heard.setdefault(delta.sequence, delta)
        assert before == delta
        if self.failures:
            self.failures -= 1
            raise LinkError("PEER_UNREACHABLE", "lost", unreachable=True)

    def load(self) -> list[bytes]:
        """Return what a spool kept."""
        return []

    def save(self, deltas: Any) -> None:
        """Keep deltas."""
        self.kept = list(deltas)

    def clear(self) -> None:
        """Keep nothing."""
        self.kept = []


async def test_every_request_of_an_arm_is_reported_once(node: Node) -> None:
    """Over many deltas, of which some have to be sent again, the figures add up to what happened."""
    failing, ear = Failing(), Ear(failures=2)
    lost = 3
    telemetry = Telemetry(
        metrics=ear, spool=ear, activity=node.activity, epoch_ms=1, interval=0.005, loaded=lambda: (),
        revision=lambda: 1, rollouts=node.rollouts, lost_receipts=lambda: lost,
    )  # fmt: skip
    serve(node, failing, share=500_000)
    task = asyncio.create_task(telemetry.run())
    for number in range(300):
        failing.error = errors.InternalError("MODEL_FAILED", "no") if number % 3 == 0 else None
        await ask(node, f"unit-{number % 100}")
        await asyncio.sleep(0)
    lost = 5
    task.cancel()
    await asyncio.wait([task])
    await telemetry.farewell()
    deltas = [rollout for delta in ear.heard.values() for rollout in delta.rollouts]
    assert {(one.model, one.alias, one.revision, one.canary_version, one.share_ppm) for one in deltas} == {
        ("m", "production", 9, 2, 500_000)
    }
    assert sum(one.stable.requests + one.canary.requests for one in deltas) == 300
    assert sum(one.stable.units + one.canary.units for one in deltas) == 100
    failures = [failure for one in deltas for failure in one.first_failures]
    assert sum(one.canary.failed_units for one in deltas) == len(failures)
    assert len({failure.unit for failure in failures}) == len(failures) > 0
    assert sum(delta.lost_receipts for delta in ear.heard.values()) == 5


def test_a_delta_says_all_that_is_counted(node: Node) -> None:
    """Every field of the counts stands in the message."""
    serve(node)
    route = node.serving.snapshot().route("m", "")
    assert route.rollout is not None
    found = StepCounts(
        stable=ArmCounts(1, 2, 3, 4), canary=ArmCounts(5, 6, 7, 8), unassigned=9, forgotten_units=10,
        first_failures=[UnitFailure(2**64 - 1, True, "INTERNAL", 11)], dropped_failures=12,
    )  # fmt: skip
    made = convert_metrics._rollout(rollout_activity.StepReport(route.rollout, found))
    assert (made.stable, made.canary) == (
        pb.ArmDelta(requests=1, units=2, failures=3, failed_units=4),
        pb.ArmDelta(requests=5, units=6, failures=7, failed_units=8),
    )
    assert (made.unassigned, made.forgotten_units, made.dropped_failures) == (9, 10, 12)
    assert made.first_failures[0] == pb.UnitFailure(unit=2**64 - 1, canary=True, code="INTERNAL", offset_ms=11)
    assert not made.HasField("shadow")
