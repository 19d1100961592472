"""The figures of one version, derived from its totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server.metrics.records import LoadState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.histogram import Histogram
    from neuralmesh_server.metrics.records import LoadedVersion, VersionTotals


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals of a version and what follows from them; a share without a base is None.

    Attributes:
        ready_nodes: Running nodes on which the version is ready, in order of their names.
    """

    totals: VersionTotals
    ready_nodes: tuple[str, ...] = ()

    @property
    def failures(self) -> int:
        """Requests that failed."""
        return sum(self.totals.errors.values())

    @property
    def attempts(self) -> int:
        """Requests that were answered or failed."""
        return self.totals.requests + self.failures

    @property
    def error_rate(self) -> float | None:
        """Share of the attempts that failed, 0 to 1."""
        return self.failures / self.attempts if self.attempts else None

    @property
    def accuracy(self) -> float | None:
        """Share of the rows with a known outcome that were predicted right, 0 to 1."""
        return self.totals.correct / self.totals.outcomes if self.totals.outcomes else None

    @property
    def latency_p50(self) -> float | None:
        """Median latency in seconds."""
        return quantile(self.totals.latency, 0.5)

    @property
    def latency_p99(self) -> float | None:
        """99th percentile of the latency in seconds."""
        return quantile(self.totals.latency, 0.99)


def quantile(histogram: Histogram, q: float) -> float | None:
    """Return a quantile, or None of an empty histogram."""
    return histogram.quantile(q) if histogram.count else None


def ready_nodes(
    loaded: Mapping[str, Sequence[LoadedVersion]], running: frozenset[str]
) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return, for each (model, version) that is ready somewhere, the running nodes on which it is, in order."""
    found: dict[tuple[str, int], list[str]] = {}
    for node in sorted(running & loaded.keys()):
        for entry in loaded[node]:
            if entry.state is LoadState.READY:
                found.setdefault((entry.model, entry.version), []).append(node)
    return {version: tuple(nodes) for version, nodes in found.items()}
