"""Between the contract's messages and the domain's records; requests have passed `validate`."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.histogram import Histogram
from neuralmesh_server.metrics.records import Delta, LoadedVersion, LoadState, ReportedPrediction, VersionDelta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh_server.metrics.comparison import Comparison, Difference
    from neuralmesh_server.metrics.figures import Figures
    from neuralmesh_server.metrics.ingest import Receipt
    from neuralmesh_server.metrics.labels import Labels
    from neuralmesh_server.metrics.nodes import Node
    from neuralmesh_server.metrics.operations import Row
    from neuralmesh_server.metrics.outcomes import Joined
    from neuralmesh_server.metrics.rollouts import StepDelta

_REASON_CHARACTERS = 1000
_LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the latest that a Timestamp can say."""


def delta_from(request: Any, rollouts: tuple[StepDelta, ...]) -> Delta:
    """Return the delta of an IngestDeltaRequest whose part about rollouts is converted."""
    return Delta(
        node=request.node,
        epoch=request.epoch,
        sequence=request.sequence,
        applied_revision=request.applied_revision,
        uptime_ms=request.uptime.seconds * 1000 + request.uptime.nanos // 1_000_000,
        versions=tuple(_version_delta(entry) for entry in request.versions),
        predictions=tuple(prediction for entry in request.predictions for prediction in _predictions(entry)),
        loaded=tuple(_loaded_from(entry) for entry in request.loaded),
        unresolved_errors={code: count for code, count in request.unresolved_errors.items() if count},
        dropped_predictions=request.dropped_predictions,
        final=request.final,
        rollouts=rollouts,
        lost_receipts=request.lost_receipts,
    )


def labels_from(request: Any) -> Labels:
    """Return the labels of a RecordOutcomeRequest."""
    if request.labels[0].WhichOneof("value") == "bytes_value":
        return tuple(label.bytes_value for label in request.labels)
    return tuple(label.int_value for label in request.labels)


def receipt_to(receipt: Receipt) -> Any:
    """Return an IngestDeltaResponse."""
    return pb.IngestDeltaResponse(committed_sequence=receipt.committed_sequence, duplicate=receipt.duplicate)


def joined_to(joined: Joined | None) -> Any:
    """Return a RecordOutcomeResponse; None is an outcome that waits."""
    if joined is None:
        return pb.RecordOutcomeResponse(state=pb.RecordOutcomeResponse.STATE_PENDING)
    return pb.RecordOutcomeResponse(
        state=pb.RecordOutcomeResponse.STATE_COUNTED,
        model=joined.model,
        version=joined.version,
        correct_rows=joined.correct_rows,
    )


def figures_to(figures: Figures) -> Any:
    """Return VersionMetrics."""
    totals = figures.totals
    return pb.VersionMetrics(
        model=totals.model,
        version=totals.version,
        digest=totals.digest,
        requests=totals.requests,
        rows=totals.rows,
        errors=figures.failures,
        errors_by_code=dict(totals.errors),
        latency_p50_seconds=figures.latency_p50,
        latency_p99_seconds=figures.latency_p99,
        outcomes=totals.outcomes,
        correct=totals.correct,
        accuracy=figures.accuracy,
        size_bytes=totals.size_bytes,
        latency_seconds=_histogram_to(totals.latency),
        ready_nodes=figures.ready_nodes,
        first_request_time=_timestamp(totals.first_request_ms),
        last_request_time=_timestamp(totals.last_request_ms),
    )


def comparison_to(comparison: Comparison) -> Any:
    """Return a CompareVersionsResponse."""
    return pb.CompareVersionsResponse(
        baseline=figures_to(comparison.baseline),
        candidate=figures_to(comparison.candidate),
        accuracy_difference=comparison.accuracy.value if comparison.accuracy else None,
        accuracy_difference_interval=_interval(comparison.accuracy),
        error_rate_difference=comparison.error_rate.value if comparison.error_rate else None,
        error_rate_difference_interval=_interval(comparison.error_rate),
        latency_p50_ratio=comparison.latency_p50_ratio,
        latency_p99_ratio=comparison.latency_p99_ratio,
    )


def row_to(row: Row) -> Any:
    """Return an OperationsRow."""
    return pb.OperationsRow(
        key=row.key,
        title=row.title,
        value=row.value,
        unit=row.unit,
        status=f"STATUS_{row.status.name}",
        detail=row.detail,
    )


def node_to(node: Node) -> Any:
    """Return a NodeStatus."""
    return pb.NodeStatus(
        node=node.name,
        running=node.running,
        start_time=_timestamp(node.start_ms),
        last_seen_time=_timestamp(node.last_seen_ms),
        applied_revision=node.applied_revision,
        loaded=[_loaded_to(entry) for entry in node.loaded],
        gaps=node.gaps,
        dropped_predictions=node.dropped_predictions,
        uptime_percent=node.uptime_percent,
        lost_receipts=node.lost_receipts,
    )


def page_token(parent: str, model: str, version: int) -> str:
    """Return the token of the page that begins behind a version, for a listing of `parent`."""
    return base64.urlsafe_b64encode(json.dumps([parent, model, version]).encode()).decode()


def page_start(token: str, parent: str) -> tuple[str, int]:
    """Return the (model, version) behind which a page begins; an empty token is the first page.

    Raises:
        InvalidArgumentError: PAGE_TOKEN_INVALID: the token was not given for a listing of `parent`.
    """
    if not token:
        return "", 0
    try:
        of_parent, model, version = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
        if of_parent == parent and isinstance(model, str) and type(version) is int and 0 < version < 2**31:
            return model, version
    except (binascii.Error, ValueError, TypeError, RecursionError):
        pass  # not ours, whatever it is
    raise page_token_invalid(token)


def page_token_invalid(token: str) -> InvalidArgumentError:
    """Return the error for a page token that was not given for a listing."""
    return InvalidArgumentError(
        "PAGE_TOKEN_INVALID",
        f"page token {token[:80]!a} was not given for this listing",
        pageToken=ascii(token[:80]),
    )


def _version_delta(entry: Any) -> VersionDelta:
    return VersionDelta(
        model=entry.model,
        version=entry.version,
        digest=entry.digest,
        requests=entry.requests,
        rows=entry.rows,
        errors={code: count for code, count in entry.errors.items() if count},
        latency=_histogram_from(entry.latency_seconds),
    )


def _predictions(entry: Any) -> Iterator[ReportedPrediction]:
    values = tuple(entry.bytes_labels) or tuple(entry.int_labels)
    start = 0
    for identifier, rows in zip(entry.prediction_ids, entry.row_counts, strict=True):
        yield ReportedPrediction(identifier, entry.model, entry.version, values[start : start + rows])
        start += rows


def _histogram_from(message: Any) -> Histogram:
    return Histogram.from_parts(
        message.scale,
        dict(zip(message.indexes, message.counts, strict=True)),
        zero_count=message.zero_count,
        total=message.sum,
        low=message.min,
        high=message.max,
    )


def _histogram_to(histogram: Histogram) -> Any:
    indexes = sorted(histogram.buckets)
    return pb.Histogram(
        scale=histogram.scale,
        indexes=indexes,
        counts=[histogram.buckets[index] for index in indexes],
        zero_count=histogram.zero_count,
        sum=histogram.sum,
        min=histogram.min,
        max=histogram.max,
    )


def _loaded_from(entry: Any) -> LoadedVersion:
    return LoadedVersion(
        model=entry.model,
        version=entry.version,
        digest=entry.digest,
        state=LoadState(entry.state),
        reason=entry.reason[:_REASON_CHARACTERS],  # a long explanation must not cost a node its telemetry
        size_bytes=entry.size_bytes,
        aliases=tuple(entry.aliases),
    )


def _loaded_to(entry: LoadedVersion) -> Any:
    return pb.LoadedVersion(
        model=entry.model,
        version=entry.version,
        digest=entry.digest,
        state=f"STATE_{entry.state.name}",
        reason=entry.reason,
        size_bytes=entry.size_bytes,
        aliases=entry.aliases,
    )


def _interval(difference: Difference | None) -> Any:
    return pb.Interval(low=difference.low, high=difference.high) if difference else None


def _timestamp(milliseconds: int | None) -> Timestamp | None:
    if milliseconds is None:
        return None
    milliseconds = min(max(milliseconds, 0), _LAST_MS)  # one clock that is off must not break every reader
    return Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
