# Generated from _async/metrics.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""The metrics service's methods, one for each RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh._outcome import build_labels
from neuralmesh._resource import model_name, version_name
from neuralmesh._sync.pages import pages
from neuralmesh.metrics.v1 import metrics_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from neuralmesh._sync.connection import Connection


class Metrics:
    """Deltas of nodes, outcomes, and the figures of versions. Every method raises `neuralmesh.exceptions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def address(self) -> str:
        """Where the calls go, `host:port`."""
        return self._connection.address

    def ingest_delta(self, request: pb.IngestDeltaRequest | bytes) -> pb.IngestDeltaResponse:
        """Add a node's delta, a message or its bytes; a repeat counts once."""
        return self._connection.unary("IngestDelta", pb.IngestDeltaResponse, request)

    def record_outcome(self, prediction_id: str, labels: Iterable[Any]) -> pb.RecordOutcomeResponse:
        """Record the true labels of a prediction.

        Args:
            prediction_id: As the answer gave it.
            labels: One integer, bytes or text for each row, in order.
        """
        request = pb.RecordOutcomeRequest(prediction_id=prediction_id, labels=build_labels(labels))
        return self._connection.unary("RecordOutcome", pb.RecordOutcomeResponse, request)

    def get_version_metrics(self, model: str, version: int | str) -> pb.VersionMetrics:
        """Return the figures of a version."""
        request = pb.GetVersionMetricsRequest(name=version_name(model, version))
        return (self._connection.unary("GetVersionMetrics", pb.GetVersionMetricsResponse, request)).metrics

    def list_version_metrics(self, model: str = "") -> Iterator[pb.VersionMetrics]:
        """Yield the figures of all versions of a model, or of all models."""
        request = pb.ListVersionMetricsRequest(parent=model_name(model) if model else "")
        return pages(self._connection, "ListVersionMetrics", pb.ListVersionMetricsResponse, request, "metrics")

    def compare_versions(self, model: str, baseline: int | str, candidate: int | str) -> pb.CompareVersionsResponse:
        """Put two versions side by side; differences are candidate minus baseline."""
        request = pb.CompareVersionsRequest(
            baseline=version_name(model, baseline), candidate=version_name(model, candidate)
        )
        return self._connection.unary("CompareVersions", pb.CompareVersionsResponse, request)

    def list_rollout_metrics(self, model: str = "") -> Iterator[pb.RolloutMetrics]:
        """Yield what each step of a model's rollouts did, or of all models', the newest step first."""
        request = pb.ListRolloutMetricsRequest(model=model)
        return pages(self._connection, "ListRolloutMetrics", pb.ListRolloutMetricsResponse, request, "rollouts")

    def get_operations(self) -> pb.GetOperationsResponse:
        """Return the operations table and the nodes."""
        return self._connection.unary("GetOperations", pb.GetOperationsResponse, pb.GetOperationsRequest())
