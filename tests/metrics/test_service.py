"""The RPCs of the metrics service over a real connection."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from tests.metrics import samples

COUNTED = pb.RecordOutcomeResponse.STATE_COUNTED
PENDING = pb.RecordOutcomeResponse.STATE_PENDING


async def refused(call):
    """Await a call that must fail; return its code, reason and metadata."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info = error_details_pb2.ErrorInfo()
    (detail,) = rpc_status.from_call(caught.value).details
    assert detail.Unpack(info)
    return caught.value.code(), info.reason, dict(info.metadata)


async def metrics_of(stub, model="digits", version=1):
    """Return the figures of a version."""
    request = pb.GetVersionMetricsRequest(name=f"models/{model}/versions/{version}")
    return (await stub.GetVersionMetrics(request)).metrics


async def test_a_delta_counts_once_and_shows_in_the_figures(stub):
    """Figures are those of the delta; its repetition is acknowledged as a duplicate and changes nothing."""
    delta = samples.delta_message(
        versions=[samples.version_message(requests=3, rows=7, errors={"INTERNAL": 1}, latencies=(0.25, 0.25, 0.5))],
        loaded=[samples.held_message()],
    )
    first = await stub.IngestDelta(delta)
    assert (first.committed_sequence, first.duplicate) == (1, False)
    found = await metrics_of(stub)
    again = await stub.IngestDelta(delta)
    assert (again.committed_sequence, again.duplicate) == (1, True)
    assert await metrics_of(stub) == found
    assert (found.requests, found.rows, found.errors, dict(found.errors_by_code)) == (3, 7, 1, {"INTERNAL": 1})
    assert found.latency_p50_seconds == pytest.approx(0.25, rel=0.011)
    assert found.latency_p99_seconds == 0.5
    assert list(found.latency_seconds.counts) == [2, 1]
    assert (found.digest, found.size_bytes, list(found.ready_nodes)) == (samples.DIGEST, 1000, ["edge"])
    assert found.first_request_time.ToMilliseconds() == found.last_request_time.ToMilliseconds() > 0
    assert not found.HasField("accuracy")


async def test_absent_figures_are_absent(stub):
    """A version that is only held has no quantiles, times, size or accuracy."""
    await stub.IngestDelta(samples.delta_message(loaded=[samples.held_message(size=0)]))
    found = await metrics_of(stub)
    optional = ["latency_p50_seconds", "latency_p99_seconds", "accuracy", "size_bytes"]
    optional += ["first_request_time", "last_request_time"]
    assert [name for name in optional if found.HasField(name)] == []
    assert found.requests == 0


async def test_outcome_after_the_delta(stub):
    """An outcome of a reported prediction counts at once, once, and a different one is a conflict."""
    identifier = samples.new_id(samples.issuer())
    predictions = [samples.predictions_message([identifier], [[1, 2, 3]])]
    await stub.IngestDelta(samples.delta_message(versions=[samples.version_message()], predictions=predictions))
    outcome = samples.outcome_message(identifier, 1, 2, 9)
    expected = pb.RecordOutcomeResponse(state=COUNTED, model="digits", version=1, correct_rows=2)
    assert await stub.RecordOutcome(outcome) == expected
    assert await stub.RecordOutcome(outcome) == expected
    conflict = await refused(stub.RecordOutcome(samples.outcome_message(identifier, 1, 2, 3)))
    assert conflict == (grpc.StatusCode.ALREADY_EXISTS, "OUTCOME_CONFLICT", {"id": identifier})
    found = await metrics_of(stub)
    assert (found.outcomes, found.correct, found.accuracy) == (3, 2, pytest.approx(2 / 3))


async def test_outcome_before_the_delta(stub):
    """An early outcome is pending, may be repeated, is replaced by another, and counts when the delta comes."""
    identifier = samples.new_id(samples.issuer())
    outcome = samples.outcome_message(identifier, 4)
    for early in (samples.outcome_message(identifier, 5), outcome, outcome):
        assert await stub.RecordOutcome(early) == pb.RecordOutcomeResponse(state=PENDING)
    assert "1 pending" in (await stub.GetOperations(pb.GetOperationsRequest())).rows[-1].detail
    predictions = [samples.predictions_message([identifier], [[4]])]
    await stub.IngestDelta(samples.delta_message(versions=[samples.version_message()], predictions=predictions))
    assert (await stub.RecordOutcome(outcome)).correct_rows == 1
    found = await metrics_of(stub)
    assert (found.outcomes, found.correct) == (1, 1)
    conflict = await refused(stub.RecordOutcome(samples.outcome_message(identifier, 5)))
    assert conflict[:2] == (grpc.StatusCode.ALREADY_EXISTS, "OUTCOME_CONFLICT")


async def test_another_digest_is_refused_and_replaces_nothing(stub):
    """Counts of other bytes under a known version are refused with both digests; held ones leave its digest and size."""
    other = "sha256:" + "cd" * 32
    await stub.IngestDelta(samples.delta_message(versions=[samples.version_message()], loaded=[samples.held_message()]))
    before = await metrics_of(stub)
    delta = samples.delta_message(
        "core", versions=[samples.version_message("new"), samples.version_message(digest=other)]
    )
    code, reason, metadata = await refused(stub.IngestDelta(delta))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DIGEST_MISMATCH")
    assert (metadata["expected"], metadata["actual"]) == (samples.DIGEST, other)
    assert len((await stub.ListVersionMetrics(pb.ListVersionMetricsRequest())).metrics) == 1
    await stub.IngestDelta(samples.delta_message("core", loaded=[samples.held_message(digest=other, size=7)]))
    found = await metrics_of(stub)
    assert (found.digest, found.size_bytes, found.requests) == (before.digest, before.size_bytes, before.requests)


async def test_a_digest_that_comes_after_the_labels_is_taken(stub):
    """A version that is known from its predictions only has no digest, and takes the first that is reported."""
    predictions = [samples.predictions_message([samples.new_id(samples.issuer())], [[1]])]
    await stub.IngestDelta(samples.delta_message(predictions=predictions))
    assert (await metrics_of(stub)).digest == ""
    await stub.IngestDelta(samples.delta_message(sequence=2, versions=[samples.version_message()]))
    assert (await metrics_of(stub)).digest == samples.DIGEST


async def test_bytes_labels_are_joined(stub):
    """Outcomes of BYTES labels compare byte for byte."""
    identifier = samples.new_id(samples.issuer())
    entry = pb.PredictionLabels(
        model="digits", version=1, prediction_ids=[identifier], row_counts=[2], bytes_labels=[b"cat", b"\x00\xff"]
    )
    await stub.IngestDelta(samples.delta_message(predictions=[entry]))
    found = await stub.RecordOutcome(samples.outcome_message(identifier, b"cat", b"\x00\xfe"))
    assert (found.state, found.correct_rows) == (COUNTED, 1)


@pytest.mark.parametrize("labels", [(1,), (1, 2, 3), (b"1", b"2")])
async def test_an_outcome_that_does_not_fit_is_refused_or_dropped(stub, labels):
    """Wrong number or type of labels: refused when the prediction is known, dropped and counted when it waited."""
    ids = samples.issuer()
    known, early = samples.new_id(ids), samples.new_id(ids)
    assert (await stub.RecordOutcome(samples.outcome_message(early, *labels))).state == PENDING
    predictions = [samples.predictions_message([known, early], [[1, 2], [1, 2]])]
    await stub.IngestDelta(samples.delta_message(versions=[samples.version_message()], predictions=predictions))
    code, reason, metadata = await refused(stub.RecordOutcome(samples.outcome_message(known, *labels)))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OUTCOME_INVALID")
    assert metadata["id"] == known
    gaps = (await stub.GetOperations(pb.GetOperationsRequest())).rows[-1]
    assert "1 rejected" in gaps.detail
    assert gaps.status == pb.OperationsRow.STATUS_DEGRADED
    assert (await metrics_of(stub)).outcomes == 0
    assert (await stub.RecordOutcome(samples.outcome_message(early, 1, 2))).correct_rows == 2


async def test_outcomes_from_many_callers_count_once_each(stub):
    """Concurrent outcomes, repeated, around the delta that reports them, end in one count for each prediction."""
    ids = samples.issuer()
    names = [samples.new_id(ids) for _ in range(50)]
    delta = samples.delta_message(
        versions=[samples.version_message(requests=50)],
        predictions=[samples.predictions_message(names, [[number % 3] for number in range(50)])],
    )
    calls = [stub.RecordOutcome(samples.outcome_message(name, 0)) for name in names for _ in range(2)]
    calls.insert(40, stub.IngestDelta(delta))
    await asyncio.gather(*calls, *(stub.IngestDelta(delta) for _ in range(2)))
    found = await metrics_of(stub)
    assert (found.requests, found.outcomes, found.correct) == (50, 50, 17)


async def test_listing_pages_through_all_versions_once(stub):
    """Pages of any size hold every version once, in order; a model narrows the listing."""
    keys = [(model, version) for model in ("a", "b", "c.d") for version in (1, 2, 10)]
    await stub.IngestDelta(samples.delta_message(versions=[samples.version_message(*key) for key in reversed(keys)]))
    for size in (1, 2, 4, 9, 0, 5000):
        for parent, expected in (("", keys), ("models/b", [key for key in keys if key[0] == "b"])):
            found, token = [], ""
            while True:
                page = await stub.ListVersionMetrics(
                    pb.ListVersionMetricsRequest(parent=parent, page_size=size, page_token=token)
                )
                assert size in {0, 5000} or len(page.metrics) <= size
                found += [(entry.model, entry.version) for entry in page.metrics]
                token = page.next_page_token
                if not token:
                    break
            assert found == expected


async def test_page_tokens_belong_to_their_listing(stub):
    """A token of another listing, or an invented one, is refused."""
    await stub.IngestDelta(samples.delta_message(versions=[samples.version_message(version=v) for v in (1, 2)]))
    page = await stub.ListVersionMetrics(pb.ListVersionMetricsRequest(page_size=1))
    nested = "W1tbW1tbW1tb" * 400
    for parent, token in [("models/digits", page.next_page_token), ("", "x"), ("", "W10="), ("", "ü"), ("", nested)]:
        request = pb.ListVersionMetricsRequest(parent=parent, page_token=token)
        code, reason, _ = await refused(stub.ListVersionMetrics(request))
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_versions_are_compared(stub):
    """The comparison holds both figures, differences with intervals, and ratios."""
    ids = samples.issuer()
    first, second = samples.new_id(ids, 1), samples.new_id(ids, 2)
    delta = samples.delta_message(
        versions=[
            samples.version_message(version=1, requests=9, errors={"INTERNAL": 1}, latencies=(1.0,) * 9),
            samples.version_message(version=2, requests=10, latencies=(2.0,) * 10),
        ],
        predictions=[
            samples.predictions_message([first], [[1] * 10], version=1),
            samples.predictions_message([second], [[1] * 10], version=2),
        ],
    )
    await stub.IngestDelta(delta)
    await stub.RecordOutcome(samples.outcome_message(first, *[1] * 3, *[0] * 7))
    await stub.RecordOutcome(samples.outcome_message(second, *[1] * 9, 0))
    request = pb.CompareVersionsRequest(baseline="models/digits/versions/1", candidate="models/digits/versions/2")
    found = await stub.CompareVersions(request)
    assert (found.baseline.accuracy, found.candidate.accuracy) == (0.3, 0.9)
    assert found.accuracy_difference == pytest.approx(0.6)
    interval = found.accuracy_difference_interval
    assert (interval.low, interval.high) == (pytest.approx(0.1705, abs=5e-5), pytest.approx(0.8090, abs=5e-5))
    assert found.error_rate_difference == pytest.approx(-0.1)
    assert found.error_rate_difference_interval.low < -0.1 < found.error_rate_difference_interval.high
    assert (found.latency_p50_ratio, found.latency_p99_ratio) == (2.0, 2.0)


async def test_unknown_versions_are_not_found(stub):
    """A version that nobody reported is VERSION_NOT_FOUND, with its name."""
    name = "models/digits/versions/7"
    expected = (grpc.StatusCode.NOT_FOUND, "VERSION_NOT_FOUND", {"name": name})
    assert await refused(stub.GetVersionMetrics(pb.GetVersionMetricsRequest(name=name))) == expected
    compare = pb.CompareVersionsRequest(baseline=name, candidate=name)
    assert await refused(stub.CompareVersions(compare)) == expected


async def test_operations_show_the_nodes(stub):
    """Nodes come in order with what they said last; a goodbye ends their running."""
    loaded = [samples.held_message()]
    for node in ("edge-b", "edge-a"):
        await stub.IngestDelta(
            samples.delta_message(
                node, uptime=Duration(seconds=3), applied_revision=12, loaded=loaded, dropped_predictions=2
            )
        )
    await stub.IngestDelta(samples.delta_message("edge-b", 2, final=True))
    found = await stub.GetOperations(pb.GetOperationsRequest())
    assert [(node.node, node.running) for node in found.nodes] == [("edge-a", True), ("edge-b", False)]
    node = found.nodes[0]
    assert (node.applied_revision, node.dropped_predictions, node.gaps) == (12, 2, 0)
    assert list(node.loaded) == loaded
    assert node.start_time.ToMilliseconds() == samples.EPOCH
    assert 0 <= node.uptime_percent <= 100
    assert found.rows[0].key == "nodes_running"
    assert (found.rows[0].value, found.rows[0].status) == (1, pb.OperationsRow.STATUS_OK)
