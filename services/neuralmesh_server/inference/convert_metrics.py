"""From the node's deltas to the metrics service's messages."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf import duration_pb2

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server.inference import tensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuralmesh_server.histogram import Histogram
    from neuralmesh_server.inference.activity import LabelRecord
    from neuralmesh_server.inference.links import Delta, LoadedReport, VersionReport

_STATES = {
    "READY": pb.LoadedVersion.STATE_READY,
    "LOADING": pb.LoadedVersion.STATE_LOADING,
    "FAILED": pb.LoadedVersion.STATE_FAILED,
}


def ingest_request(node: str, delta: Delta) -> Any:
    """Return the IngestDeltaRequest of a delta; the same delta gives the same bytes."""
    uptime = duration_pb2.Duration()
    uptime.FromNanoseconds(int(delta.uptime_seconds * 1e9))
    return pb.IngestDeltaRequest(
        node=node,
        epoch=delta.epoch_ms,
        sequence=delta.sequence,
        applied_revision=delta.revision,
        uptime=uptime,
        versions=[_version(report) for report in delta.versions],
        predictions=list(_predictions(delta.labels)),
        loaded=[_loaded(report) for report in delta.loaded],
        unresolved_errors=dict(delta.unresolved),
        dropped_predictions=delta.dropped_labels,
        final=delta.final,
    )


def _version(report: VersionReport) -> Any:
    return pb.VersionDelta(
        model=report.model,
        version=report.version,
        digest=report.digest,
        requests=report.requests,
        rows=report.rows,
        errors=dict(report.errors),
        latency_seconds=_histogram(report.latency),
    )


def _histogram(histogram: Histogram) -> Any:
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


def _predictions(labels: Iterable[LabelRecord]) -> Iterable[Any]:
    def subject(record: LabelRecord) -> tuple[str, int, str]:
        return record.activity.model, record.activity.version, record.datatype

    for (model, version, datatype), group in groupby(sorted(labels, key=subject), key=subject):
        records = list(group)
        message = pb.PredictionLabels(
            model=model,
            version=version,
            prediction_ids=[record.prediction_id for record in records],
            row_counts=[record.rows for record in records],
        )
        if datatype == "INT64":
            joined = b"".join(record.raw for record in records)
            message.int_labels.extend(np.frombuffer(joined, tensors.DTYPES["INT64"]).tolist())
        else:
            for record in records:
                message.bytes_labels.extend(tensors.from_raw("BYTES", (record.rows,), record.raw).tolist())
        yield message


def _loaded(report: LoadedReport) -> Any:
    return pb.LoadedVersion(
        model=report.model,
        version=report.version,
        digest=report.digest,
        state=_STATES[report.state],
        reason=report.reason,
        size_bytes=report.size_bytes,
        aliases=list(report.aliases),
    )
