"""The labor array as Prometheus metrics. Labels are bounded: states and outcomes, never a job, a worker or a digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from neuralmesh_server.labor.records import CANCELLED, COMMITTED, FAILED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuralmesh_server.labor.figures import Figures


_PREFIX = "neuralmesh_labor_"


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is at a moment.

    Attributes:
        figures: Counts since the start.
        jobs: Number of jobs by state.
        alarms: Alarms ever.
        held: Leases that hold.
        waiting: Shards that wait for a worker.
        workers: Workers that live.
        quarantined: Workers that get no work.
    """

    figures: Figures
    jobs: Mapping[str, int]
    alarms: int
    held: int
    waiting: int
    workers: int
    quarantined: int


def render(moment: Moment) -> bytes:
    """Return the text exposition of a moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(moment))
    return generate_latest(registry)


class _Collector:
    """Yields the metric families of a moment."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def collect(self) -> Iterator[Metric]:
        moment, figures = self._moment, self._moment.figures
        jobs = GaugeMetricFamily(_PREFIX + "jobs", "Jobs by state.", labels=["state"])
        for state in (RUNNING, COMMITTED, FAILED, CANCELLED):
            jobs.add_metric([state], moment.jobs.get(state, 0))
        yield jobs
        shards = CounterMetricFamily(_PREFIX + "shards", "Shards that got a result since the start.", labels=["source"])
        shards.add_metric(["worker"], figures.computed)
        shards.add_metric(["cache"], figures.cached)
        yield shards
        leases = CounterMetricFamily(
            _PREFIX + "leases", "Leases since the start, by what became of them.", labels=["end"]
        )
        leases.add_metric(["given"], figures.leases)
        leases.add_metric(["lost"], figures.lost)
        leases.add_metric(["failed"], figures.failures)
        yield leases
        yield CounterMetricFamily(
            _PREFIX + "confirmed", "Results that a second run gave again.", value=figures.confirmed
        )
        yield CounterMetricFamily(
            _PREFIX + "nondeterminism", "Actions that gave two results, ever.", value=moment.alarms
        )
        for name, text, value in (
            (_PREFIX + "leases_held", "Leases that hold.", moment.held),
            (_PREFIX + "shards_waiting", "Shards that wait for a worker.", moment.waiting),
            (_PREFIX + "workers_live", "Workers that live.", moment.workers),
            (_PREFIX + "workers_quarantined", "Workers that get no work.", moment.quarantined),
        ):
            yield GaugeMetricFamily(name, text, value=value)
