"""The fleet as Prometheus metrics. The one label is the node's name, never a selector, a digest or a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuralmesh_server.registry.mesh.fleet import Fleet, Sight

_GAUGES: tuple[tuple[str, str, Callable[[Sight], float]], ...] = (
    ("connected", "1 while the node's stream is open.", lambda sight: sight.connected),
    ("converged", "1 while the node holds what it is to hold.", lambda sight: sight.node.converged),
    ("applied_revision", "Revision that the node last applied.", lambda sight: sight.node.applied_revision),
    ("desired_revision", "Revision since which its state is what it is.", lambda sight: sight.node.desired_revision),
    ("silence_seconds", "Time since the node was last heard.", lambda sight: sight.silence),
    ("cache_bytes", "Bytes of complete artifacts on the node.", lambda sight: sight.node.figures.cache_bytes),
    ("cache_limit_bytes", "Most bytes that it may hold.", lambda sight: sight.node.figures.cache_limit_bytes),
    ("overrides", "Aliases that are set aside on the node.", lambda sight: len(sight.node.figures.overrides)),
    ("load_failures", "Versions that it could not load.", lambda sight: len(sight.node.figures.failures)),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Sight], float]], ...] = (
    ("fetched_upstream_bytes", "Bytes fetched from upstream.", lambda s: s.node.figures.fetched_upstream_bytes),
    ("fetched_registry_bytes", "Bytes fetched from the registry.", lambda s: s.node.figures.fetched_registry_bytes),
    ("forwarded", "Calls passed upward.", lambda s: s.node.figures.forwarded),
    ("forward_failures", "Calls passed upward that failed there.", lambda s: s.node.figures.forward_failures),
    ("hedged", "Calls sent upward beside the node's own run.", lambda s: s.node.figures.hedged),
    ("hedges_won", "Hedged calls that upstream answered first.", lambda s: s.node.figures.hedges_won),
    ("hedges_compared", "Answers of both sides that were compared.", lambda s: s.node.figures.hedges_compared),
    ("hedges_different", "Compared answers that differed.", lambda s: s.node.figures.hedges_different),
    ("lost_reports", "Reports of telemetry that were given up for room.", lambda s: s.node.figures.lost_reports),
)


def render(revision: int, fleet: Fleet) -> bytes:
    """Return the text exposition of the fleet at a revision."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(revision, list(fleet.sights())))
    return generate_latest(registry)


class _Collector:
    """Yields the metric families of a fleet."""

    def __init__(self, revision: int, sights: list[Sight]) -> None:
        self._revision = revision
        self._sights = sights

    def collect(self) -> Iterator[Metric]:
        for name, text, value in (
            ("registry_revision", "Newest revision of the registry.", self._revision),
            ("mesh_nodes", "Edge nodes that ever said hello.", len(self._sights)),
            ("mesh_nodes_connected", "Edge nodes that are connected.", sum(one.connected for one in self._sights)),
            ("mesh_nodes_converged", "Edge nodes that converged.", sum(one.node.converged for one in self._sights)),
        ):
            yield GaugeMetricFamily(f"neuralmesh_{name}", text, value=value)
        for name, text, figure in _GAUGES:
            yield self._each(GaugeMetricFamily(f"neuralmesh_mesh_node_{name}", text, labels=["node"]), figure)
        for name, text, figure in _COUNTERS:
            yield self._each(CounterMetricFamily(f"neuralmesh_mesh_node_{name}", text, labels=["node"]), figure)

    def _each(
        self, family: GaugeMetricFamily | CounterMetricFamily, figure: Callable[[Sight], float]
    ) -> GaugeMetricFamily | CounterMetricFamily:
        for sight in self._sights:
            family.add_metric([sight.node.name], float(figure(sight)))
        return family
