"""The operations table: the suite's state in eight lines, each with a status and the reason for it.

Statuses, with the limits below:

    nodes_running    OK: every node runs that did not say goodbye; DEGRADED: some are silent; DOWN: none runs
    uptime_percent   mean over the nodes; OK from 99, DEGRADED from 50, DOWN below
    work_done        requests answered; by the share that the servers' own failures have among all: OK up to 1 %,
                     DEGRADED up to 50 %, DOWN above
    models_loaded    models with a ready version on a running node; DEGRADED: a model that nodes report has none;
                     DOWN: none has
    versions_loaded  versions ready on a running node; DEGRADED: some failed to load; DOWN: none is ready
    latency_p50/p99  over all versions, in seconds; OK up to 0.1 / 1, DEGRADED above
    telemetry_gaps   epochs that ended without a goodbye; OK: none and nothing was missed or dropped, else DEGRADED

A row whose base is empty is NO_DATA. A kill or an overload in the past keeps its mark: the counts are for ever.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from neuralmesh_server.histogram import DEFAULT_SCALE, Histogram
from neuralmesh_server.metrics.records import LoadState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.metrics.nodes import Node
    from neuralmesh_server.metrics.records import Tallies, VersionTotals

SERVER_FAILURES = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Codes for which the servers answer, not the callers."""

UPTIME_OK, UPTIME_DEGRADED = 99.0, 50.0
FAILURE_SHARE_OK, FAILURE_SHARE_DEGRADED = 0.01, 0.5
P50_OK_SECONDS, P99_OK_SECONDS = 0.1, 1.0


class Status(IntEnum):
    """How a row stands; the numbers are the contract's."""

    OK = 1
    DEGRADED = 2
    DOWN = 3
    NO_DATA = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `detail` says in one sentence what the status rests on."""

    key: str
    title: str
    value: float
    unit: str
    status: Status
    detail: str


def table(nodes: Sequence[Node], versions: Sequence[VersionTotals], tallies: Tallies) -> list[Row]:
    """Return the rows in the contract's order."""
    latency = Histogram(DEFAULT_SCALE)
    for version in versions:
        latency.merge(version.latency)
    return [
        _nodes_running(nodes),
        _uptime(nodes),
        _work_done(versions, tallies),
        _models_loaded(nodes),
        _versions_loaded(nodes),
        _latency("latency_p50", "Latency, median", latency, 0.5, P50_OK_SECONDS),
        _latency("latency_p99", "Latency, 99th percentile", latency, 0.99, P99_OK_SECONDS),
        _telemetry_gaps(nodes, tallies),
    ]


def _nodes_running(nodes: Sequence[Node]) -> Row:
    running = sum(node.running for node in nodes)
    silent = [node.name for node in nodes if not node.running and not node.stopped]
    stopped = len(nodes) - running - len(silent)
    if not nodes:
        status, detail = Status.NO_DATA, "No node has reported yet."
    elif not running:
        status, detail = Status.DOWN, f"None of {len(nodes)} nodes runs; {stopped} stopped in order."
    elif silent:
        status, detail = Status.DEGRADED, f"Silent without a goodbye: {_some(silent)}."
    else:
        status, detail = Status.OK, f"{running} of {len(nodes)} nodes run; {stopped} stopped in order."
    return Row("nodes_running", "Nodes running", running, "nodes", status, detail)


def _uptime(nodes: Sequence[Node]) -> Row:
    if not nodes:
        return Row("uptime_percent", "Uptime", 0.0, "percent", Status.NO_DATA, "No node has reported yet.")
    mean = sum(node.uptime_percent for node in nodes) / len(nodes)
    worst = min(nodes, key=lambda node: node.uptime_percent)
    status = Status.OK if mean >= UPTIME_OK else Status.DEGRADED if mean >= UPTIME_DEGRADED else Status.DOWN
    detail = f"Mean over {len(nodes)} nodes since each was first seen; the least is {worst.name} with"
    return Row("uptime_percent", "Uptime", mean, "percent", status, f"{detail} {worst.uptime_percent:.2f} %.")


def _work_done(versions: Sequence[VersionTotals], tallies: Tallies) -> Row:
    answered = sum(version.requests for version in versions)
    codes: Counter[str] = Counter(tallies.unresolved_errors)
    for version in versions:
        codes.update(version.errors)
    attempts = answered + codes.total()
    failures = sum(count for code, count in codes.items() if code in SERVER_FAILURES)
    if not attempts:
        status = Status.NO_DATA
    elif failures <= FAILURE_SHARE_OK * attempts:
        status = Status.OK
    else:
        status = Status.DEGRADED if failures <= FAILURE_SHARE_DEGRADED * attempts else Status.DOWN
    refused = codes.total() - failures
    detail = f"Of {attempts} requests the servers failed {failures} and refused {refused}."
    return Row("work_done", "Work done", answered, "predictions", status, detail)


def _models_loaded(nodes: Sequence[Node]) -> Row:
    states = _states(nodes)
    ready = {model for model, _, state in states if state is LoadState.READY}
    waiting = sorted({model for model, _, _ in states} - ready)
    if not states:
        status, detail = Status.NO_DATA, "No running node holds a version."
    elif not ready:
        status, detail = Status.DOWN, f"No model has a ready version; reported: {_some(waiting)}."
    elif waiting:
        status, detail = Status.DEGRADED, f"Without a ready version: {_some(waiting)}."
    else:
        status, detail = Status.OK, "Every model that nodes report has a ready version."
    return Row("models_loaded", "Models loaded", len(ready), "models", status, detail)


def _versions_loaded(nodes: Sequence[Node]) -> Row:
    states = _states(nodes)
    ready = {(model, version) for model, version, state in states if state is LoadState.READY}
    failed = sorted(f"{model}/{version}" for model, version, state in states if state is LoadState.FAILED)
    if not states:
        status, detail = Status.NO_DATA, "No running node holds a version."
    elif not ready:
        status, detail = Status.DOWN, f"No version is ready; {len(failed)} failed to load."
    elif failed:
        status, detail = Status.DEGRADED, f"Failed to load on a node: {_some(failed)}."
    else:
        status, detail = Status.OK, "No version failed to load."
    return Row("versions_loaded", "Versions loaded", len(ready), "versions", status, detail)


def _states(nodes: Sequence[Node]) -> set[tuple[str, int, LoadState]]:
    """Return what running nodes report; what a node unloaded is not there any more."""
    return {
        (entry.model, entry.version, entry.state)
        for node in nodes
        if node.running
        for entry in node.loaded
        if entry.state is not LoadState.UNLOADED
    }


def _latency(key: str, title: str, latency: Histogram, q: float, limit: float) -> Row:
    if not latency.count:
        return Row(key, title, 0.0, "seconds", Status.NO_DATA, "No request has been answered yet.")
    value = latency.quantile(q)
    status = Status.OK if value <= limit else Status.DEGRADED
    return Row(key, title, value, "seconds", status, f"Over {latency.count} requests; at most {limit:g} s is in order.")


def _telemetry_gaps(nodes: Sequence[Node], tallies: Tallies) -> Row:
    gaps = sum(node.gaps for node in nodes)
    dropped = sum(node.dropped_predictions for node in nodes)
    lost = sum(node.lost_receipts for node in nodes)
    troubles = (gaps, dropped, lost, tallies.missing_deltas, tallies.rejected_outcomes, tallies.expired_outcomes)
    status = Status.DEGRADED if any(troubles) else Status.OK if nodes else Status.NO_DATA
    detail = (
        f"{gaps} epochs ended without a goodbye, {tallies.missing_deltas} deltas never came,"
        f" {dropped} predictions lost their labels, {lost} receipts were lost; outcomes: {tallies.pending} pending,"
        f" {tallies.rejected_outcomes} rejected, {tallies.expired_outcomes} expired."
    )
    return Row("telemetry_gaps", "Telemetry gaps", gaps, "gaps", status, detail)


def _some(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
