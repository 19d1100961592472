"""Deltas, predictions and histograms for the tests of the metrics service."""

from __future__ import annotations

from liam_core.oip import Numbers
from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server import prediction_id
from neuralmesh_server.histogram import Histogram
from neuralmesh_server.metrics import labels as label_bytes
from neuralmesh_server.metrics.records import (
    Delta,
    LoadedVersion,
    LoadState,
    ReportedPrediction,
    VersionDelta,
)

DIGEST = "sha256:" + "ab" * 32
KEY = b"k" * 32
EPOCH = 1_700_000_000_000


def issuer(node="edge", epoch=EPOCH):
    """Return an issuer of prediction ids."""
    return prediction_id.Issuer(node, KEY, epoch, Numbers())


def new_id(ids, version=1):
    """Return the next id of an issuer for a version."""
    return ids.issue(prediction_id.subject(7, 1, version, DIGEST), 5)


def histogram(*values, scale=5):
    """Return a histogram of values."""
    made = Histogram(scale)
    for value in values:
        made.record(value)
    return made


def counts(model="digits", version=1, *, requests=1, rows=1, errors=None, latencies=(0.001,), scale=5):
    """Return what one version did."""
    return VersionDelta(model, version, DIGEST, requests, rows, errors or {}, histogram(*latencies, scale=scale))


def held(model="digits", version=1, *, state=LoadState.READY, size=1000):
    """Return a version on a node."""
    return LoadedVersion(model, version, DIGEST, state, "", size, ())


def delta(node="edge", sequence=1, *, epoch=EPOCH, versions=(), predictions=(), loaded=(), final=False, **others):
    """Return a delta."""
    values = {"applied_revision": 3, "uptime_ms": 1000, "unresolved_errors": {}, "dropped_predictions": 0, **others}
    return Delta(
        node=node,
        epoch=epoch,
        sequence=sequence,
        versions=tuple(versions),
        predictions=tuple(predictions),
        loaded=tuple(loaded),
        final=final,
        **values,
    )


def reported(identifier, labels, model="digits", version=1):
    """Return a reported prediction."""
    return ReportedPrediction(identifier, model, version, tuple(labels))


def encoded(*labels):
    """Return the stored bytes of labels."""
    return label_bytes.encode(labels)


def histogram_message(made):
    """Return the message of a histogram."""
    indexes = sorted(made.buckets)
    return pb.Histogram(
        scale=made.scale,
        indexes=indexes,
        counts=[made.buckets[index] for index in indexes],
        zero_count=made.zero_count,
        sum=made.sum,
        min=made.min,
        max=made.max,
    )


def version_message(model="digits", version=1, *, requests=1, rows=1, errors=None, latencies=None, digest=DIGEST):
    """Return the message of what one version did; every request took 1 ms unless latencies are given."""
    made = histogram(*((0.001,) if latencies is None else latencies))
    if latencies is None:
        made.buckets = dict.fromkeys(made.buckets, requests)
    return pb.VersionDelta(
        model=model,
        version=version,
        digest=digest,
        requests=requests,
        rows=rows,
        errors=errors or {},
        latency_seconds=histogram_message(made),
    )


def delta_message(node="edge", sequence=1, *, epoch=EPOCH, **fields):
    """Return the message of a delta."""
    return pb.IngestDeltaRequest(node=node, epoch=epoch, sequence=sequence, **fields)


def held_message(model="digits", version=1, *, state=pb.LoadedVersion.STATE_READY, size=1000, digest=DIGEST):
    """Return the message of a version on a node."""
    return pb.LoadedVersion(model=model, version=version, digest=digest, state=state, size_bytes=size)


def predictions_message(ids, labels, model="digits", version=1):
    """Return the message of predictions with one integer label list each."""
    return pb.PredictionLabels(
        model=model,
        version=version,
        prediction_ids=ids,
        row_counts=[len(entry) for entry in labels],
        int_labels=[label for entry in labels for label in entry],
    )


def outcome_message(identifier, *labels):
    """Return the message of an outcome."""
    made = [pb.Label(bytes_value=label) if isinstance(label, bytes) else pb.Label(int_value=label) for label in labels]
    return pb.RecordOutcomeRequest(prediction_id=identifier, labels=made)
