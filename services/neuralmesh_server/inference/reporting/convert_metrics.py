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
    from neuralmesh_server.inference.links import Delta, LoadedReport, VersionReport
    from neuralmesh_server.inference.reporting.labels import LabelBatch
    from neuralmesh_server.inference.reporting.rollout_activity import ArmCounts, ShadowCounts, StepReport

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
        rollouts=[_rollout(report) for report in delta.rollouts],
        lost_receipts=delta.lost_receipts,
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


def _predictions(labels: Iterable[LabelBatch]) -> Iterable[Any]:
    def subject(batch: LabelBatch) -> tuple[str, int, str]:
        return batch.activity.model, batch.activity.version, batch.datatype

    for (model, version, datatype), group in groupby(sorted(labels, key=subject), key=subject):
        message = pb.PredictionLabels(model=model, version=version)
        for batch in group:
            message.prediction_ids.extend(batch.prediction_ids)
            message.row_counts.extend(batch.rows)
            if datatype == "INT64":
                message.int_labels.extend(np.frombuffer(batch.raw, tensors.DTYPES["INT64"]).tolist())
            else:
                message.bytes_labels.extend(tensors.from_raw("BYTES", (sum(batch.rows),), batch.raw).tolist())
        yield message


def _rollout(report: StepReport) -> Any:
    rollout, counts = report.rollout, report.counts
    return pb.RolloutDelta(
        model=rollout.model,
        alias=rollout.alias,
        revision=rollout.revision,
        stable_version=rollout.stable_version,
        canary_version=rollout.canary_version,
        share_ppm=rollout.share_ppm,
        stable=_arm(counts.stable),
        canary=_arm(counts.canary),
        shadow=_shadow(rollout.shadow_version, counts.shadow) if rollout.shadow_version else None,
        first_failures=[
            pb.UnitFailure(unit=failure.unit, canary=failure.canary, code=failure.code, offset_ms=failure.offset_ms)
            for failure in counts.first_failures
        ],
        dropped_failures=counts.dropped_failures,
        unassigned=counts.unassigned,
        forgotten_units=counts.forgotten_units,
    )


def _arm(counts: ArmCounts) -> Any:
    return pb.ArmDelta(
        requests=counts.requests, units=counts.units, failures=counts.failures, failed_units=counts.failed_units
    )


def _shadow(version: int, counts: ShadowCounts) -> Any:
    return pb.ShadowDelta(
        version=version,
        compared=counts.compared,
        agreed=counts.agreed,
        failed=counts.failed,
        dropped=counts.dropped,
        max_output_difference=counts.max_difference,
    )


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
