"""The operations table: order, figures and the limits of each status."""

from __future__ import annotations

from dataclasses import replace

import pytest

from neuralmesh_server.metrics.nodes import survey
from neuralmesh_server.metrics.operations import Status, table
from neuralmesh_server.metrics.records import Epoch, LoadState, Tallies, VersionTotals
from tests.metrics.samples import DIGEST, held, histogram

NOW = 1_000_000
KEYS = [
    "nodes_running",
    "uptime_percent",
    "work_done",
    "models_loaded",
    "versions_loaded",
    "latency_p50",
    "latency_p99",
    "telemetry_gaps",
]


def epoch(node="edge", number=1, *, first=NOW - 100_000, last=NOW, uptime=100_000, final=False, dropped=0):
    """Return an epoch."""
    return Epoch(node, number, 5, uptime, first, last, 9, dropped, final)


def totals(*, requests=0, errors=None, latencies=()):
    """Return totals of a version."""
    return VersionTotals(
        "digits", 1, DIGEST, requests, requests, errors or {}, histogram(*latencies), 0, 0, None, None, None
    )


def rows(epochs=(), loaded=None, versions=(), tallies=None):
    """Return the table's rows by key."""
    nodes = survey(epochs, loaded or {}, NOW, 5000)
    return {row.key: row for row in table(nodes, list(versions), tallies or Tallies())}


def test_rows_come_in_the_contract_order():
    """The table has the eight rows of the contract, in its order, with their units."""
    found = rows()
    assert list(found) == KEYS
    units = ["nodes", "percent", "predictions", "models", "versions", "seconds", "seconds", "gaps"]
    assert [row.unit for row in found.values()] == units


def test_an_empty_service_says_no_data_everywhere():
    """Before the first report no row pretends to know."""
    assert {row.status for row in rows().values()} == {Status.NO_DATA}
    assert all(row.value == 0 and row.detail.endswith(".") for row in rows().values())


@pytest.mark.parametrize(
    ("epochs", "value", "status"),
    [
        ([epoch()], 1, Status.OK),
        ([epoch(last=NOW - 5000)], 1, Status.OK),
        ([epoch(last=NOW - 5001)], 0, Status.DOWN),
        ([epoch(final=True)], 0, Status.DOWN),
        ([epoch("a"), epoch("b", final=True)], 1, Status.OK),
        ([epoch("a"), epoch("b", last=NOW - 6000)], 1, Status.DEGRADED),
        ([epoch("a", 1, final=True), epoch("a", 2)], 1, Status.OK),
    ],
)
def test_nodes_running(epochs, value, status):
    """Silence without a goodbye degrades, a goodbye does not, and nobody running is DOWN."""
    row = rows(epochs)["nodes_running"]
    assert (row.value, row.status) == (value, status)


@pytest.mark.parametrize(
    ("epochs", "percent", "status"),
    [
        ([epoch()], 100.0, Status.OK),
        # ran before this service saw it first: only the time since counts
        ([epoch(uptime=10**9)], 100.0, Status.OK),
        # first life of 40 s, 20 s away, second life of 40 s
        (
            [
                epoch(number=1, first=NOW - 100_000, last=NOW - 60_000, uptime=40_000),
                epoch(number=2, first=NOW - 40_000, last=NOW, uptime=40_000),
            ],
            80.0,
            Status.DEGRADED,
        ),
        # overlapping lives count once
        (
            [epoch(number=1, first=NOW - 100_000, last=NOW - 50_000, uptime=50_000), epoch(number=2, uptime=100_000)],
            100.0,
            Status.OK,
        ),
        ([epoch(first=NOW - 100_000, last=NOW - 75_000, uptime=25_000)], 25.0, Status.DOWN),
        # the last delta of a running node is 2 s old: it ran until now
        ([epoch(first=NOW - 100_000, last=NOW - 2000, uptime=98_000)], 100.0, Status.OK),
        ([epoch("new", first=NOW, last=NOW, uptime=0)], 100.0, Status.OK),
        ([epoch("ahead", first=NOW + 9, last=NOW + 9, uptime=0)], 100.0, Status.OK),
        ([epoch("a"), epoch("b", first=NOW - 100_000, last=NOW - 90_000, uptime=10_000)], 55.0, Status.DEGRADED),
    ],
)
def test_uptime(epochs, percent, status):
    """Uptime is the covered share of the time since a node was first seen, and the row the mean over nodes."""
    row = rows(epochs)["uptime_percent"]
    assert (row.value, row.status) == (pytest.approx(percent), status)


@pytest.mark.parametrize(
    ("requests", "errors", "status"),
    [
        (100, {}, Status.OK),
        (99, {"INTERNAL": 1}, Status.OK),
        (98, {"INTERNAL": 2}, Status.DEGRADED),
        (1, {"INVALID_ARGUMENT": 99}, Status.OK),
        (50, {"UNAVAILABLE": 50}, Status.DEGRADED),
        (49, {"UNAVAILABLE": 51}, Status.DOWN),
        (0, {"INTERNAL": 1}, Status.DOWN),
    ],
)
def test_work_done(requests, errors, status):
    """Failures of the servers degrade the row; what callers did wrong does not."""
    row = rows(versions=[totals(requests=requests, errors=errors)])["work_done"]
    assert (row.value, row.status) == (requests, status)


def test_unresolved_errors_count_as_work():
    """Requests that failed before a version was known are part of the share."""
    row = rows(versions=[totals(requests=1)], tallies=Tallies(unresolved_errors={"INTERNAL": 1}))["work_done"]
    assert row.status is Status.DEGRADED


@pytest.mark.parametrize(
    ("loaded", "models", "versions"),
    [
        ([held()], (1, Status.OK), (1, Status.OK)),
        ([held(), held(version=2)], (1, Status.OK), (2, Status.OK)),
        ([held(), held(version=2, state=LoadState.FAILED)], (1, Status.OK), (1, Status.DEGRADED)),
        ([held(), held("other", state=LoadState.LOADING)], (1, Status.DEGRADED), (1, Status.OK)),
        ([held(state=LoadState.FAILED)], (0, Status.DOWN), (0, Status.DOWN)),
        ([held(state=LoadState.UNLOADED)], (0, Status.NO_DATA), (0, Status.NO_DATA)),
    ],
)
def test_models_and_versions_loaded(loaded, models, versions):
    """What running nodes hold decides; unloaded versions are gone."""
    found = rows([epoch()], {"edge": tuple(loaded)})
    assert (found["models_loaded"].value, found["models_loaded"].status) == models
    assert (found["versions_loaded"].value, found["versions_loaded"].status) == versions


def test_versions_on_silent_nodes_are_not_loaded():
    """A node that does not run serves nothing, whatever it said before."""
    found = rows([epoch(last=0)], {"edge": (held(),)})
    assert (found["versions_loaded"].value, found["versions_loaded"].status) == (0, Status.NO_DATA)


def test_one_version_on_two_nodes_counts_once():
    """Versions are counted, not copies."""
    found = rows([epoch("a"), epoch("b")], {"a": (held(),), "b": (held(),)})
    assert (found["models_loaded"].value, found["versions_loaded"].value) == (1, 1)


def test_latency_is_merged_over_versions():
    """Quantiles are those of all requests together, and degrade above their limits."""
    found = rows(versions=[totals(latencies=(0.01,) * 90), totals(latencies=(2.0,) * 10)])
    assert found["latency_p50"].value == pytest.approx(0.01, rel=0.011)
    assert found["latency_p99"].value == pytest.approx(2.0, rel=0.011)
    assert (found["latency_p50"].status, found["latency_p99"].status) == (Status.OK, Status.DEGRADED)


@pytest.mark.parametrize(
    ("epochs", "tallies", "value", "status"),
    [
        ([epoch()], Tallies(pending=3), 0, Status.OK),
        ([epoch(number=1), epoch(number=2)], Tallies(), 1, Status.DEGRADED),
        ([epoch(number=1, final=True), epoch(number=2)], Tallies(), 0, Status.OK),
        ([epoch(dropped=1)], Tallies(), 0, Status.DEGRADED),
        ([replace(epoch(), lost_receipts=1)], Tallies(), 0, Status.DEGRADED),
        ([epoch()], Tallies(rejected_outcomes=1), 0, Status.DEGRADED),
        ([epoch()], Tallies(expired_outcomes=1), 0, Status.DEGRADED),
        ([epoch()], Tallies(missing_deltas=1), 0, Status.DEGRADED),
    ],
)
def test_telemetry_gaps(epochs, tallies, value, status):
    """Every loss of telemetry shows: gaps in the figure, all of them in status and detail."""
    row = rows(epochs, tallies=tallies)["telemetry_gaps"]
    assert (row.value, row.status) == (value, status)
    assert f"{tallies.rejected_outcomes} rejected" in row.detail
