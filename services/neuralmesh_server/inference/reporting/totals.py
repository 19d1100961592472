"""What a version did on all the processes that share a port: the sums of their totals.

It reads activities of other processes by their memory; it never writes there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuralmesh_server.inference.reporting.activity import VersionActivity


class Siblings(Protocol):
    """The other processes that answer on this process's port."""

    def activities(self) -> Sequence[VersionActivity]:
        """Return what their versions did up to now; blocks."""


@dataclass(slots=True)
class Totals:
    """Sums of one version; see neuralmesh_server.inference.reporting.activity.VersionActivity."""

    model: str
    version: int
    requests: int = 0
    rows: int = 0
    success_ns: int = 0
    failures: int = 0
    failure_ns: int = 0
    executions: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0
    queued: int = 0
    queue_ns: int = 0
    last_ms: int = 0
    batches: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, other: VersionActivity | Totals) -> None:
        """Add what one process did, or other sums."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.last_ms = max(self.last_ms, other.last_ms)
        for rows, (runs, spent) in other.batches.items():
            before_runs, before_spent = self.batches.get(rows, (0, 0))
            self.batches[rows] = (before_runs + runs, before_spent + spent)


_SUMMED = (
    "requests",
    "rows",
    "success_ns",
    "failures",
    "failure_ns",
    "executions",
    "input_ns",
    "infer_ns",
    "output_ns",
    "queued",
    "queue_ns",
)


def sums(activities: Iterable[VersionActivity | Totals]) -> list[Totals]:
    """Return the sums of each version, in order of model and version."""
    found: dict[tuple[str, int], Totals] = {}
    for one in activities:
        found.setdefault((one.model, one.version), Totals(one.model, one.version)).add(one)
    return [found[key] for key in sorted(found)]


class Alone:
    """No other processes."""

    def activities(self) -> Sequence[VersionActivity]:
        """Return nothing."""
        return ()
