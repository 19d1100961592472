"""The figures as Prometheus metrics. Labels are bounded: model, version, node and gRPC code, never a prediction id.

Latency histograms have their classic bounds at powers of two, which are bounds of the exponential buckets, so
cumulative counts are exact. Digests stand only in `neuralmesh_version_info`; join with `group_left`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuralmesh_server.histogram import Histogram
    from neuralmesh_server.metrics.overview import Overview

LOWEST_BOUND, HIGHEST_BOUND = -20, 6
"""Exponents of the classic bounds: about 1 us to 64 s."""


def render(overview: Overview) -> bytes:
    """Return the text exposition of an overview."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(overview))
    return generate_latest(registry)


def classic_buckets(latency: Histogram) -> list[tuple[str, float]]:
    """Return (bound, values up to it) for the powers of two that are bounds of the histogram's buckets, and +Inf."""
    indexes = sorted(latency.buckets)
    step = 1 << max(-latency.scale, 0)
    seen, position = latency.zero_count, 0
    cut: list[tuple[str, float]] = []
    for exponent in range(LOWEST_BOUND, HIGHEST_BOUND + 1):
        if exponent % step:
            continue  # not a bound at this coarse scale
        first_above = exponent << latency.scale if latency.scale >= 0 else exponent >> -latency.scale
        while position < len(indexes) and indexes[position] < first_above:
            seen += latency.buckets[indexes[position]]
            position += 1
        cut.append((repr(2.0**exponent), seen))
    cut.append(("+Inf", latency.count))
    return cut


class _Collector:
    """Yields the metric families of one overview."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def collect(self) -> Iterator[Metric]:
        yield from self._versions()
        yield from self._nodes()
        yield from self._rollouts()
        yield from self._tallies()

    def _versions(self) -> Iterator[Metric]:
        labels = ["model", "version"]
        requests = _counter("requests", "Requests by gRPC status name; OK are those answered.", [*labels, "code"])
        rows = _counter("rows", "Rows in answered requests.", labels)
        outcomes = _counter("outcomes", "Rows with a known outcome.", [*labels, "result"])
        info = _gauge("version_info", "1; tells the digest of a version.", [*labels, "digest"])
        ready = _gauge("version_ready_nodes", "Running nodes on which a version is ready.", labels)
        size = _gauge("version_size_bytes", "Bytes of a version's artifacts.", labels)
        latency = HistogramMetricFamily(
            "neuralmesh_request_duration_seconds", "Time from a request's bytes to its answer's.", labels=labels
        )
        for figures in self._overview.figures:
            totals = figures.totals
            names = [totals.model, str(totals.version)]
            requests.add_metric([*names, "OK"], totals.requests)
            for code, count in totals.errors.items():
                requests.add_metric([*names, code], count)
            rows.add_metric(names, totals.rows)
            outcomes.add_metric([*names, "correct"], totals.correct)
            outcomes.add_metric([*names, "wrong"], totals.outcomes - totals.correct)
            info.add_metric([*names, totals.digest], 1)
            ready.add_metric(names, len(figures.ready_nodes))
            if totals.size_bytes is not None:
                size.add_metric(names, totals.size_bytes)
            latency.add_metric(names, classic_buckets(totals.latency), totals.latency.sum)
        yield from (requests, rows, latency, outcomes, info, ready, size)

    def _nodes(self) -> Iterator[Metric]:
        running = _gauge("node_running", "1 while a node speaks.", ["node"])
        revision = _gauge("node_applied_revision", "Registry revision that a node has applied.", ["node"])
        uptime = _gauge("node_uptime_ratio", "Share of the time since a node was first seen in which it ran.", ["node"])
        gaps = _counter("telemetry_gaps", "Epochs of a node that ended without a goodbye.", ["node"])
        dropped = _counter("dropped_predictions", "Predictions whose labels a node dropped.", ["node"])
        lost = _counter("lost_receipts", "Receipts that a node lost.", ["node"])
        for node in self._overview.nodes:
            running.add_metric([node.name], int(node.running))
            revision.add_metric([node.name], node.applied_revision)
            uptime.add_metric([node.name], node.uptime_percent / 100.0)
            gaps.add_metric([node.name], node.gaps)
            dropped.add_metric([node.name], node.dropped_predictions)
            lost.add_metric([node.name], node.lost_receipts)
        total = _gauge("nodes_running", "Nodes that speak.", [])
        total.add_metric([], sum(node.running for node in self._overview.nodes))
        yield from (total, running, revision, uptime, gaps, dropped, lost)

    def _rollouts(self) -> Iterator[Metric]:
        labels = ["model", "alias"]
        share = _gauge("rollout_share_ratio", "The canary's share in the newest step of an alias.", labels)
        requests = _counter("rollout_requests", "Requests that were assigned to an arm.", [*labels, "arm"])
        units = _counter("rollout_units", "Units that met an arm, each once in a window.", [*labels, "arm"])
        failures = _counter("rollout_failures", "Failed requests of an arm.", [*labels, "arm"])
        failed = _counter("rollout_failed_units", "Units that an arm failed, each once in a window.", [*labels, "arm"])
        unassigned = _counter("rollout_unassigned", "Requests that no arm was given.", labels)
        dropped = _counter("rollout_dropped_failures", "First failures that were not kept.", labels)
        copies = _counter("shadow_copies", "Copies for a shadow by what became of them.", [*labels, "result"])
        difference = _gauge("shadow_output_difference", "Largest difference to the newest step's shadow.", labels)
        for totals in self._overview.rollouts:
            names = [totals.model, totals.alias]
            share.add_metric(names, totals.share_ppm / 1_000_000)
            for arm, counts in (("stable", totals.stable), ("canary", totals.canary)):
                requests.add_metric([*names, arm], counts.requests)
                units.add_metric([*names, arm], counts.units)
                failures.add_metric([*names, arm], counts.failures)
                failed.add_metric([*names, arm], counts.failed_units)
            unassigned.add_metric(names, totals.unassigned)
            dropped.add_metric(names, totals.dropped_failures)
            shadow = totals.shadow
            disagreed = shadow.compared - shadow.agreed
            results = {
                "agreed": shadow.agreed,
                "disagreed": disagreed,
                "failed": shadow.failed,
                "dropped": shadow.dropped,
            }
            for result, count in results.items():
                copies.add_metric([*names, result], count)
            difference.add_metric(names, shadow.max_difference)
        yield from (share, requests, units, failures, failed, unassigned, dropped, copies, difference)

    def _tallies(self) -> Iterator[Metric]:
        tallies = self._overview.tallies
        unresolved = _counter("unresolved_errors", "Requests that failed before a version was resolved.", ["code"])
        for code, count in tallies.unresolved_errors.items():
            unresolved.add_metric([code], count)
        yield unresolved
        yield _single(_gauge("outcomes_pending", "Outcomes that wait for their prediction.", []), tallies.pending)
        yield _single(
            _counter("rejected_outcomes", "Pending outcomes that did not fit their prediction.", []),
            tallies.rejected_outcomes,
        )
        yield _single(
            _counter("expired_outcomes", "Pending outcomes that were given up to keep within the limit.", []),
            tallies.expired_outcomes,
        )
        yield _single(
            _gauge("missing_deltas", "Deltas that were skipped and have not come.", []), tallies.missing_deltas
        )
        yield _single(
            _counter("expired_rollout_reports", "Reports of rollouts that were given up to keep within the limit.", []),
            tallies.expired_rollout_log,
        )


def _counter(name: str, text: str, labels: Sequence[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"neuralmesh_{name}", text, labels=labels)


def _gauge(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"neuralmesh_{name}", text, labels=labels)


def _single(family: CounterMetricFamily | GaugeMetricFamily, value: float) -> Metric:
    family.add_metric([], value)
    return family
