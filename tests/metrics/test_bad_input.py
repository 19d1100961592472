"""A corpus of bad requests: each gets its reason, and none leaves a trace."""

from __future__ import annotations

import math
import time

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from tests.channels import OWN
from tests.metrics import samples
from tests.metrics.test_service import refused

IDS = samples.issuer()
ID = samples.new_id(IDS)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def version(**changes):
    """Return a delta message whose one version differs from a good one."""
    entry = samples.version_message()
    for name, value in changes.items():
        setattr(entry, name, value)
    return samples.delta_message(versions=[entry])


def latency(**changes):
    """Return a delta message whose one histogram differs from a good one of two values."""
    made = samples.histogram_message(samples.histogram(0.5, 2.0))
    for name, value in changes.items():
        if isinstance(value, list):
            made.ClearField(name)
            getattr(made, name).extend(value)
        else:
            setattr(made, name, value)
    entry = samples.version_message(requests=2)
    entry.latency_seconds.CopyFrom(made)
    return samples.delta_message(versions=[entry])


def predictions(**changes):
    """Return a delta message whose predictions differ from good ones."""
    fields = {"prediction_ids": [ID], "row_counts": [2], "int_labels": [1, 2], **changes}
    return samples.delta_message(predictions=[pb.PredictionLabels(model="digits", version=1, **fields)])


def held(**changes):
    """Return a delta message whose held version differs from a good one."""
    entry = samples.held_message()
    for name, value in changes.items():
        if isinstance(value, list):
            entry.aliases.extend(value)
        else:
            setattr(entry, name, value)
    return samples.delta_message(loaded=[entry])


BAD_DELTAS = {
    "no node": (samples.delta_message(""), "NAME_INVALID"),
    "node with a slash": (samples.delta_message("a/b"), "NAME_INVALID"),
    "node of a look-alike": (samples.delta_message("\u0435dge"), "NAME_INVALID"),
    "node with NUL": (samples.delta_message("edge\0"), "NAME_INVALID"),
    "node too long": (samples.delta_message("a" * 256), "NAME_INVALID"),
    "no epoch": (samples.delta_message(epoch=0), "epoch"),
    "negative epoch": (samples.delta_message(epoch=-1), "epoch"),
    "epoch beyond 48 bits": (samples.delta_message(epoch=2**48), "epoch"),
    "epoch in two days": (samples.delta_message(epoch=int(time.time() * 1000) + 2 * 86_400_000), "epoch"),
    "no sequence": (samples.delta_message(sequence=0), "sequence"),
    "huge sequence": (samples.delta_message(sequence=2**64 - 1), "sequence"),
    "huge revision": (samples.delta_message(applied_revision=2**64 - 1), "applied_revision"),
    "huge dropped": (samples.delta_message(dropped_predictions=2**64 - 1), "dropped_predictions"),
    "negative uptime": (samples.delta_message(uptime=Duration(seconds=-1)), "uptime"),
    "endless uptime": (samples.delta_message(uptime=Duration(seconds=2**62)), "uptime"),
    "negative nanos": (samples.delta_message(uptime=Duration(nanos=-1)), "uptime.nanos"),
    "unresolved of no code": (samples.delta_message(unresolved_errors={"BROKEN": 1}), "unresolved_errors"),
    "unresolved OK": (samples.delta_message(unresolved_errors={"OK": 1}), "unresolved_errors"),
    "unresolved huge": (samples.delta_message(unresolved_errors={"INTERNAL": 2**63}), "unresolved_errors"),
    "model with ..": (version(model="a..b"), "NAME_INVALID"),
    "no model": (version(model=""), "NAME_INVALID"),
    "version 0": (version(version=0), "VERSION_INVALID"),
    "version -1": (version(version=-1), "VERSION_INVALID"),
    "no digest": (version(digest=""), "DIGEST_INVALID"),
    "digest in capitals": (version(digest="sha256:" + "AB" * 32), "DIGEST_INVALID"),
    "huge requests": (version(requests=2**64 - 1), "versions[0].requests"),
    "more requests than latencies": (version(requests=2), "versions[0].requests"),
    "more latencies than requests": (version(requests=0), "versions[0].requests"),
    "huge rows": (version(rows=2**41), "versions[0].rows"),
    "error of no code": (
        samples.delta_message(versions=[samples.version_message(errors={"internal": 1})]),
        "versions[0].errors",
    ),
    "scale too fine": (latency(scale=21), "versions[0].latency_seconds.scale"),
    "scale too coarse": (latency(scale=-11), "versions[0].latency_seconds.scale"),
    "counts too few": (latency(counts=[1]), "versions[0].latency_seconds.counts"),
    "indexes descending": (latency(indexes=[31, -33]), "versions[0].latency_seconds.indexes"),
    "indexes repeated": (latency(indexes=[31, 31]), "versions[0].latency_seconds.indexes"),
    "index below any float": (latency(indexes=[-(2**31), 31]), "versions[0].latency_seconds.indexes"),
    "index above any float": (latency(indexes=[31, 1024 * 32]), "versions[0].latency_seconds.indexes"),
    "index above any float, coarse": (latency(scale=-10, indexes=[0, 1]), "versions[0].latency_seconds.indexes"),
    "too many buckets": (
        latency(scale=20, indexes=list(range(65_537)), counts=[1] * 65_537),
        "versions[0].latency_seconds.indexes",
    ),
    "huge count": (latency(counts=[1, 2**64 - 1]), "versions[0].latency_seconds.counts"),
    "huge zero count": (latency(zero_count=2**63), "versions[0].latency_seconds.zero_count"),
    "sum NaN": (latency(sum=math.nan), "versions[0].latency_seconds.sum"),
    "sum infinite": (latency(sum=math.inf), "versions[0].latency_seconds.sum"),
    "sum negative": (latency(sum=-1.0), "versions[0].latency_seconds.sum"),
    "min NaN": (latency(min=math.nan), "versions[0].latency_seconds.min"),
    "min negative": (latency(min=-1.0), "versions[0].latency_seconds.min"),
    "min above max": (latency(min=3.0), "versions[0].latency_seconds.min"),
    "min above zeros": (latency(zero_count=1), "versions[0].latency_seconds.min"),
    "max infinite": (latency(max=math.inf), "versions[0].latency_seconds.max"),
    "id of no form": (predictions(prediction_ids=["nm1.edge.x"]), "PREDICTION_ID_INVALID"),
    "id of another node": (
        predictions(prediction_ids=[samples.new_id(samples.issuer("core"))]),
        "predictions[0].prediction_ids",
    ),
    "id of another version": (
        predictions(prediction_ids=[samples.new_id(IDS, 2)]),
        "predictions[0].prediction_ids",
    ),
    "row counts too many": (predictions(row_counts=[1, 1]), "predictions[0].row_counts"),
    "labels too few": (predictions(row_counts=[3]), "predictions[0].row_counts"),
    "labels of two types": (predictions(bytes_labels=[b"x"]), "predictions[0].bytes_labels"),
    "too many predictions": (
        predictions(prediction_ids=[ID] * 100_001, row_counts=[0] * 100_001, int_labels=[]),
        "predictions",
    ),
    "state unspecified": (held(state=0), "loaded[0].state"),
    "state unknown": (held(state=99), "loaded[0].state"),
    "size negative": (held(size_bytes=-1), "loaded[0].size_bytes"),
    "alias malformed": (held(aliases=["Production"]), "NAME_INVALID"),
    "too many held": (samples.delta_message(loaded=[samples.held_message()] * 10_001), "loaded"),
    "too many versions": (samples.delta_message(versions=[pb.VersionDelta()] * 10_001), "versions"),
}


@pytest.mark.parametrize("case", BAD_DELTAS)
async def test_bad_deltas_are_refused_and_leave_nothing(stub, case):
    """The refusal names the field or the reason; nothing is counted, and the sequence stays free."""
    request, expected = BAD_DELTAS[case]
    code, reason, metadata = await refused(stub.IngestDelta(request))
    assert code is INVALID
    assert expected in {reason, metadata.get("field")}
    assert reason in {"FIELD_INVALID", expected}
    operations = await stub.GetOperations(pb.GetOperationsRequest())
    assert (len(operations.nodes), operations.rows[2].value) == (0, 0)
    assert not (await stub.ListVersionMetrics(pb.ListVersionMetricsRequest())).metrics
    assert not (await stub.IngestDelta(samples.delta_message())).duplicate


@pytest.mark.parametrize(
    ("request_message", "reason"),
    [
        (samples.outcome_message("", 1), "PREDICTION_ID_INVALID"),
        (samples.outcome_message("nm1.edge." + "A" * 63, 1), "PREDICTION_ID_INVALID"),
        (samples.outcome_message("nm2" + ID[3:], 1), "PREDICTION_ID_INVALID"),
        (samples.outcome_message(ID + "\n", 1), "PREDICTION_ID_INVALID"),
        (samples.outcome_message(ID + "x" * 10_000, 1), "PREDICTION_ID_INVALID"),
        (samples.outcome_message(ID), "OUTCOME_INVALID"),
        (samples.outcome_message(ID, *range(65_537)), "OUTCOME_INVALID"),
        (samples.outcome_message(ID, 1, b"1"), "OUTCOME_INVALID"),
        (samples.outcome_message(ID, b"x" * 65_537), "OUTCOME_INVALID"),
        (pb.RecordOutcomeRequest(prediction_id=ID, labels=[pb.Label()]), "OUTCOME_INVALID"),
    ],
)
async def test_bad_outcomes_are_refused_and_leave_nothing(stub, request_message, reason):
    """An outcome that could fit no prediction is refused at once and does not wait."""
    assert (await refused(stub.RecordOutcome(request_message)))[:2] == (INVALID, reason)
    rows = (await stub.GetOperations(pb.GetOperationsRequest())).rows
    assert "0 pending" in rows[-1].detail


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "NAME_INVALID"),
        ("digits", "NAME_INVALID"),
        ("models/digits", "NAME_INVALID"),
        ("models/../versions/1", "NAME_INVALID"),
        ("models/digits/versions/1/x", "NAME_INVALID"),
        ("models/digits/versions/1abc", "VERSION_INVALID"),
        ("models/digits/versions/-1", "VERSION_INVALID"),
        ("models/digits/versions/ 1", "VERSION_INVALID"),
        ("models/digits/versions/\u0661", "VERSION_INVALID"),
        ("models/digits/versions/4294967297", "VERSION_INVALID"),
        ("models/" + "a" * 300 + "/versions/1", "NAME_INVALID"),
    ],
)
async def test_bad_names_are_refused(stub, name, reason):
    """Names that are none get a reason, whichever call they are in."""
    good = "models/digits/versions/1"
    assert (await refused(stub.GetVersionMetrics(pb.GetVersionMetricsRequest(name=name))))[:2] == (INVALID, reason)
    for request in (
        pb.CompareVersionsRequest(baseline=name, candidate=good),
        pb.CompareVersionsRequest(baseline=good, candidate=name),
    ):
        assert (await refused(stub.CompareVersions(request)))[:2] == (INVALID, reason)


async def test_versions_of_two_models_are_not_compared(stub):
    """The candidate must be of the baseline's model."""
    request = pb.CompareVersionsRequest(baseline="models/a/versions/1", candidate="models/b/versions/1")
    code, reason, metadata = await refused(stub.CompareVersions(request))
    assert (code, reason, metadata["field"]) == (INVALID, "FIELD_INVALID", "candidate")


async def test_a_negative_page_size_is_refused(stub):
    """page_size is at least 0."""
    code, reason, metadata = await refused(stub.ListVersionMetrics(pb.ListVersionMetricsRequest(page_size=-1)))
    assert (code, reason, metadata["field"]) == (INVALID, "FIELD_INVALID", "page_size")


async def test_bytes_that_are_no_message_are_refused(app):
    """A malformed request is the caller's error."""
    async with grpc.aio.insecure_channel(str(app.endpoint), OWN) as channel:
        call = channel.unary_unary("/neuralmesh.metrics.v1.MetricsService/IngestDelta")
        assert (await refused(call(b"\xff\xff\xff")))[:2] == (INVALID, "REQUEST_MALFORMED")


async def test_a_long_reason_is_shortened_and_not_refused(stub):
    """A node keeps its telemetry however much its loader had to say."""
    request = held(state=pb.LoadedVersion.STATE_FAILED, reason="x" * 5000)
    await stub.IngestDelta(request)
    node = (await stub.GetOperations(pb.GetOperationsRequest())).nodes[0]
    assert node.loaded[0].reason == "x" * 1000


async def test_the_largest_counts_add_up_without_loss(stub):
    """The limits of one delta keep sums exact."""
    for sequence in range(1, 5):
        await stub.IngestDelta(
            samples.delta_message(sequence=sequence, versions=[samples.version_message(requests=2**40, rows=2**40)])
        )
    request = pb.GetVersionMetricsRequest(name="models/digits/versions/1")
    assert (await stub.GetVersionMetrics(request)).metrics.requests == 2**42
