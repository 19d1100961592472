"""What each call of the metrics service needs; `runtime.access` says what the entries mean, docs/operations.md why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.runtime.access import NODE, READER, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES: Mapping[str, Rule] = {
    "IngestDelta": Rule((NODE,)),
    # Whoever holds a prediction id made the prediction or was told of it: ids cannot be guessed.
    "RecordOutcome": Rule((READER,), anywhere=True),
    "GetVersionMetrics": Rule((READER,), model="name"),
    "ListVersionMetrics": Rule((READER,), model="parent", listed=("metrics", "model")),
    "CompareVersions": Rule((READER,), model="baseline"),
    "ListRolloutMetrics": Rule((READER,), model="model", listed=("rollouts", "model")),
    "GetOperations": Rule((READER,)),
}
"""Rule of every RPC of MetricsService."""

SCRAPE = Rule((READER,))
"""What Prometheus needs to read the figures of all models."""
