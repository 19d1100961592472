"""Everything at one moment: figures of all versions, the nodes and the other counts, from one committed state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server.metrics.figures import Figures, ready_nodes
from neuralmesh_server.metrics.nodes import survey

if TYPE_CHECKING:
    from neuralmesh_server.metrics.nodes import Node
    from neuralmesh_server.metrics.records import Tallies, VersionTotals
    from neuralmesh_server.metrics.rollouts import AliasTotals
    from neuralmesh_server.metrics.store import View


@dataclass(frozen=True, slots=True)
class Overview:
    """The state at one moment: figures by (model, version), nodes by name, rollouts by (model, alias), in order."""

    figures: tuple[Figures, ...]
    nodes: tuple[Node, ...]
    tallies: Tallies
    rollouts: tuple[AliasTotals, ...] = ()


@dataclass(frozen=True, slots=True)
class Observer:
    """Derives what is asked from a committed state and the present time.

    Attributes:
        now_ms: Present time, ms since 1970.
        running_ms: A node that has been silent for longer does not run.
    """

    now_ms: int
    running_ms: int

    def overview(self, view: View) -> Overview:
        """Return everything."""
        nodes = self.nodes(view)
        return Overview(self._figures(nodes, view.versions()), nodes, view.tallies(), tuple(view.rollout_sums()))

    def nodes(self, view: View) -> tuple[Node, ...]:
        """Return the nodes in order of their names."""
        return tuple(survey(view.epochs(), view.loaded(), self.now_ms, self.running_ms))

    def version(self, view: View, model: str, version: int) -> Figures | None:
        """Return the figures of one version, or None when nothing was reported of it."""
        totals = view.version(model, version)
        return None if totals is None else self._figures(self.nodes(view), [totals])[0]

    def page(self, view: View, model: str, after: tuple[str, int], limit: int) -> tuple[Figures, ...]:
        """Return figures of one model's versions, or of all with an empty `model`, from behind (model, version)."""
        return self._figures(self.nodes(view), view.versions(model, after=after, limit=limit))

    @staticmethod
    def _figures(nodes: tuple[Node, ...], versions: list[VersionTotals]) -> tuple[Figures, ...]:
        ready = ready_nodes(
            {node.name: node.loaded for node in nodes}, frozenset(node.name for node in nodes if node.running)
        )
        return tuple(Figures(totals, ready.get((totals.model, totals.version), ())) for totals in versions)
