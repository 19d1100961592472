"""What the deltas say about the nodes: who runs, since when, and how much of the time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuralmesh_server.metrics.records import Epoch, LoadedVersion


@dataclass(frozen=True, slots=True)
class Node:
    """One node; times in ms since 1970.

    Attributes:
        running: It spoke lately and did not say goodbye.
        stopped: It said goodbye and has not come back.
        gaps: Epochs before the newest that ended without a goodbye.
        uptime_percent: Share of the time since it was first seen in which it ran, 0 to 100.
    """

    name: str
    running: bool
    stopped: bool
    start_ms: int
    last_seen_ms: int
    applied_revision: int
    loaded: tuple[LoadedVersion, ...]
    gaps: int
    dropped_predictions: int
    uptime_percent: float
    lost_receipts: int = 0


def survey(
    epochs: Iterable[Epoch], loaded: Mapping[str, tuple[LoadedVersion, ...]], now_ms: int, running_ms: int
) -> list[Node]:
    """Return the nodes in order of their names.

    Args:
        epochs: In order of node and epoch.
        loaded: What each node holds, by its name.
        now_ms: Present time, ms since 1970.
        running_ms: A node that has been silent for longer does not run.
    """
    return [
        _node(name, list(lives), loaded.get(name, ()), now_ms, running_ms)
        for name, lives in groupby(epochs, key=lambda epoch: epoch.node)
    ]


def _node(name: str, epochs: Sequence[Epoch], loaded: tuple[LoadedVersion, ...], now_ms: int, running_ms: int) -> Node:
    newest = epochs[-1]
    last_seen = max(epoch.last_seen_ms for epoch in epochs)
    running = not newest.final and now_ms - newest.last_seen_ms <= running_ms
    return Node(
        name=name,
        running=running,
        stopped=newest.final,
        start_ms=newest.epoch,
        last_seen_ms=last_seen,
        applied_revision=newest.applied_revision,
        loaded=loaded,
        gaps=sum(not epoch.final for epoch in epochs[:-1]),
        dropped_predictions=sum(epoch.dropped_predictions for epoch in epochs),
        uptime_percent=_uptime_percent(epochs, now_ms, running=running),
        lost_receipts=sum(epoch.lost_receipts for epoch in epochs),
    )


def _uptime_percent(epochs: Sequence[Epoch], now_ms: int, *, running: bool) -> float:
    """Return the covered share of the time from the first delta to now.

    An epoch covers the `uptime` before its last delta, on this service's clock, and the newest one of a running node
    the time until now. The clocks of nodes are not trusted, so epochs may seem to overlap; an overlap counts once.
    """
    first = min(epoch.first_seen_ms for epoch in epochs)
    if now_ms <= first:
        return 100.0
    spans = sorted((epoch.last_seen_ms - epoch.uptime_ms, epoch.last_seen_ms) for epoch in epochs)
    if running:
        spans.append((epochs[-1].last_seen_ms, now_ms))
    covered, reached = 0, first
    for start, end in spans:
        covered += max(0, min(end, now_ms) - max(start, reached))
        reached = max(reached, min(end, now_ms))
    return 100.0 * covered / (now_ms - first)
