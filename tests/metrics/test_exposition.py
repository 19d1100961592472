"""The Prometheus text against the RPCs, and the HTTP edge against good and bad peers."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server.metrics.exposition import classic_buckets
from tests.metrics import samples


async def exchange(endpoint, data, *, end=False):
    """Send bytes to the HTTP edge and return status, headers and body."""
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(data)
    if end:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), body


async def get(app, path, method="GET"):
    """Request a page."""
    return await exchange(app.http_endpoint, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def samples_of(body):
    """Return the value of each sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


async def fill(stub):
    """Send deltas and outcomes of every kind."""
    identifier = samples.new_id(samples.issuer())
    await stub.IngestDelta(
        samples.delta_message(
            versions=[
                samples.version_message(requests=4, rows=9, errors={"INTERNAL": 2}, latencies=(0.25, 0.26, 3.0, 100.0)),
                samples.version_message("other", 3, requests=1, latencies=(0.0,)),
            ],
            predictions=[samples.predictions_message([identifier], [[1, 2, 3]])],
            loaded=[samples.held_message()],
            unresolved_errors={"NOT_FOUND": 5},
            applied_revision=41,
            dropped_predictions=6,
        )
    )
    await stub.IngestDelta(samples.delta_message(epoch=samples.EPOCH + 1, loaded=[samples.held_message()]))
    await stub.RecordOutcome(samples.outcome_message(identifier, 1, 2, 4))
    await stub.RecordOutcome(samples.outcome_message(samples.new_id(samples.issuer("core")), 1))
    return identifier


async def test_the_text_agrees_with_the_rpcs(app, stub):
    """Every version's and node's figures in the text are those of ListVersionMetrics and GetOperations."""
    await fill(stub)
    status, headers, body = await get(app, "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = samples_of(body)

    def value(name, **labels):
        return found[f"neuralmesh_{name}", tuple(sorted(labels.items()))]

    listed = (await stub.ListVersionMetrics(pb.ListVersionMetricsRequest())).metrics
    assert len(listed) == 2
    for metrics in listed:
        names = {"model": metrics.model, "version": str(metrics.version)}
        assert value("requests_total", **names, code="OK") == metrics.requests
        for code, count in metrics.errors_by_code.items():
            assert value("requests_total", **names, code=code) == count
        assert value("rows_total", **names) == metrics.rows
        assert value("outcomes_total", **names, result="correct") == metrics.correct
        assert value("outcomes_total", **names, result="wrong") == metrics.outcomes - metrics.correct
        assert value("version_info", **names, digest=metrics.digest) == 1
        assert value("version_ready_nodes", **names) == len(metrics.ready_nodes)
        latency = metrics.latency_seconds
        assert value("request_duration_seconds_count", **names) == sum(latency.counts) + latency.zero_count
        assert value("request_duration_seconds_sum", **names) == latency.sum
    operations = await stub.GetOperations(pb.GetOperationsRequest())
    assert value("nodes_running") == operations.rows[0].value == 1
    for node in operations.nodes:
        assert value("node_applied_revision", node=node.node) == node.applied_revision
        assert value("telemetry_gaps_total", node=node.node) == node.gaps == 1
        assert value("dropped_predictions_total", node=node.node) == node.dropped_predictions == 6
        assert value("node_running", node=node.node) == node.running
    assert value("unresolved_errors_total", code="NOT_FOUND") == 5
    assert (value("outcomes_pending"), value("rejected_outcomes_total"), value("missing_deltas")) == (1, 0, 0)


async def test_classic_buckets_are_exact(app, stub):
    """Cumulative counts at powers of two are those of the values themselves."""
    await fill(stub)
    found = samples_of((await get(app, "/metrics"))[2])
    name = "neuralmesh_request_duration_seconds_bucket"
    cut = {
        float(dict(labels)["le"]): value
        for (sample, labels), value in found.items()
        if sample == name and dict(labels)["model"] == "digits"
    }
    values = (0.25, 0.26, 3.0, 100.0)
    assert cut == {bound: sum(value <= bound for value in values) for bound in cut}
    assert set(cut) == {*(2.0**exponent for exponent in range(-20, 7)), math.inf}


@given(
    values=st.lists(st.floats(2**-25, 2**10) | st.integers(-22, 8).map(lambda e: 2.0**e) | st.just(0.0), max_size=50),
    scale=st.integers(-10, 8),
)
def test_cumulative_counts_are_exact_at_any_scale(values, scale):
    """Each bound that is given counts exactly the values up to it; from scale 0 all 27 are given."""
    cut = classic_buckets(samples.histogram(*values, scale=scale))
    assert all(count == sum(value <= float(bound) for value in values) for bound, count in cut)
    assert cut[-1] == ("+Inf", len(values))
    assert scale < 0 or len(cut) == 28


async def test_no_prediction_id_is_ever_a_label(app, stub):
    """Labels are bounded: no id appears in the text."""
    identifier = await fill(stub)
    body = (await get(app, "/metrics"))[2].decode()
    assert identifier not in body
    assert "nm1." not in body
    permitted = {"model", "version", "code", "node", "result", "digest", "le"}
    assert {name for _, labels in samples_of(body.encode()) for name, _ in labels} == permitted


async def test_an_empty_service_is_scraped(app):
    """Before the first delta the text parses and says that no node runs."""
    assert samples_of((await get(app, "/metrics"))[2])["neuralmesh_nodes_running", ()] == 0


async def test_health_is_answered(app):
    """/healthz answers ok; HEAD answers without a body."""
    assert (await get(app, "/healthz"))[::2] == (200, b"ok\n")
    status, headers, body = await get(app, "/healthz", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "3", b"")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /secret HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"\x00\xff\xfe\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 9000, 400),
    ],
)
async def test_bad_requests_get_a_clear_status(app, request_bytes, status):
    """What is no request for a page here gets the status that says so, and the server goes on."""
    assert (await exchange(app.http_endpoint, request_bytes))[0] == status
    assert (await get(app, "/healthz"))[0] == 200


async def test_half_a_request_is_refused(app):
    """A peer that stops in the middle of a head gets 400."""
    assert (await exchange(app.http_endpoint, b"GET /metr", end=True))[0] == 400


async def test_an_open_connection_does_not_hold_up_the_stop(app):
    """Stopping ends connections that have sent nothing."""
    reader, writer = await asyncio.open_connection(app.http_endpoint.host, app.http_endpoint.port)
    async with asyncio.timeout(5):
        await app.stop()
        assert await reader.read() == b""
    writer.close()
