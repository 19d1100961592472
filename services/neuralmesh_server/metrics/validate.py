"""Checks of requests, field by field: what passes here is safe to convert, add and store.

Limits keep sums far inside 64 bits and label sets bounded. Each failure names the field.
"""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from neuralmesh_server import names, prediction_id
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.histogram import MAX_SCALE, MIN_SCALE
from neuralmesh_server.metrics import validate_rollouts
from neuralmesh_server.metrics.fields import MAX_COUNT, at_most, field_invalid, within
from neuralmesh_server.metrics.records import CODES, LoadState

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_EPOCH_AHEAD_MS = 24 * 60 * 60 * 1000
"""How far the clock of a node may be ahead of this service's."""
MAX_SEQUENCE = 2**40
MAX_REVISION = 2**48 - 1
MAX_UPTIME_SECONDS = 2**40
MAX_BYTES = 2**53 - 1
MAX_VERSIONS = 10_000
MAX_BUCKETS = 65_536
MAX_PREDICTIONS = 100_000
MAX_ALIASES = 1_000
MAX_LABELS = 65_536
MAX_LABEL_BYTES = 65_536
MAX_PAGE = 1000
DEFAULT_PAGE = 100

_MIN_EXPONENT, _MAX_EXPONENT = -1075, 1023
_NANOS = 10**9


def check_delta(request: Any, now_ms: int) -> None:
    """Check an IngestDeltaRequest that arrived at `now_ms` (ms since 1970).

    Raises:
        InvalidArgumentError: FIELD_INVALID, NAME_INVALID, VERSION_INVALID, DIGEST_INVALID or PREDICTION_ID_INVALID.
    """
    names.check_node(request.node)
    within("epoch", request.epoch, 1, now_ms + MAX_EPOCH_AHEAD_MS)
    within("sequence", request.sequence, 1, MAX_SEQUENCE)
    within("applied_revision", request.applied_revision, 0, MAX_REVISION)
    within("dropped_predictions", request.dropped_predictions, 0, MAX_COUNT)
    within("uptime", request.uptime.seconds, 0, MAX_UPTIME_SECONDS)
    within("uptime.nanos", request.uptime.nanos, 0, _NANOS - 1)
    _errors("unresolved_errors", request.unresolved_errors)
    at_most("versions", request.versions, MAX_VERSIONS)
    for number, delta in enumerate(request.versions):
        _version_delta(f"versions[{number}]", delta)
    at_most("loaded", request.loaded, MAX_VERSIONS)
    for number, entry in enumerate(request.loaded):
        _loaded(f"loaded[{number}]", entry)
    within("predictions", sum(len(entry.prediction_ids) for entry in request.predictions), 0, MAX_PREDICTIONS)
    for number, entry in enumerate(request.predictions):
        _predictions(f"predictions[{number}]", entry, request.node)
    within("lost_receipts", request.lost_receipts, 0, MAX_COUNT)
    validate_rollouts.check(request.rollouts)


def check_outcome(request: Any) -> None:
    """Check a RecordOutcomeRequest; whether it fits a prediction is for the domain to say.

    Raises:
        InvalidArgumentError: OUTCOME_INVALID: no labels, too many, too long, without a value, or of two types.
            PREDICTION_ID_INVALID: the id has not the form of one.
    """
    prediction_id.parse(request.prediction_id)
    count = len(request.labels)
    if not 1 <= count <= MAX_LABELS:
        raise _outcome(f"{count} labels are not from 1 to {MAX_LABELS}", labels=count)
    kinds = {label.WhichOneof("value") or "none" for label in request.labels}
    if len(kinds) > 1 or "none" in kinds:
        shown = ", ".join(sorted(kinds))
        raise _outcome(f"labels must all have a value of one type, not {shown}", types=shown)
    if "bytes_value" in kinds:
        longest = max(len(label.bytes_value) for label in request.labels)
        if longest > MAX_LABEL_BYTES:
            raise _outcome(f"a label has {longest} bytes; at most {MAX_LABEL_BYTES}", bytes=longest)


def page_size(size: int) -> int:
    """Return how many entries a page has, or raise FIELD_INVALID for a negative size."""
    if size < 0:
        raise field_invalid("page_size", f"{size} is negative")
    return min(size, MAX_PAGE) or DEFAULT_PAGE


def check_comparable(baseline: str, candidate: str) -> tuple[str, int, int]:
    """Return model, baseline version and candidate version of two resource names.

    Raises:
        InvalidArgumentError: A name is malformed, or they are versions of two models.
    """
    model, first = names.parse_version_name(baseline)
    other, second = names.parse_version_name(candidate)
    if other != model:
        raise field_invalid("candidate", f"{candidate} is not a version of the baseline's model {model}")
    return model, first, second


def _version_delta(field: str, delta: Any) -> None:
    names.check_model(delta.model)
    names.check_version(delta.version)
    names.check_digest(delta.digest)
    within(f"{field}.requests", delta.requests, 0, MAX_COUNT)
    within(f"{field}.rows", delta.rows, 0, MAX_COUNT)
    _errors(f"{field}.errors", delta.errors)
    _histogram(f"{field}.latency_seconds", delta.latency_seconds)
    timed = delta.latency_seconds.zero_count + sum(delta.latency_seconds.counts)
    if timed != delta.requests:
        raise field_invalid(f"{field}.requests", f"{delta.requests} requests do not match {timed} latencies")


def _histogram(field: str, histogram: Any) -> None:
    scale = histogram.scale
    within(f"{field}.scale", scale, MIN_SCALE, MAX_SCALE)
    indexes, counts = histogram.indexes, histogram.counts
    if len(indexes) != len(counts):
        raise field_invalid(f"{field}.counts", f"{len(counts)} counts do not match {len(indexes)} indexes")
    at_most(f"{field}.indexes", indexes, MAX_BUCKETS)
    if any(right <= left for left, right in pairwise(indexes)):
        raise field_invalid(f"{field}.indexes", "they are not ascending")
    if indexes:
        # Buckets that no float falls into are refused: a float is above 2^-1075 and at most 2^1024.
        low, high = _bucket_range(scale)
        within(f"{field}.indexes", indexes[0], low, high)
        within(f"{field}.indexes", indexes[-1], low, high)
    for count in counts:
        within(f"{field}.counts", count, 0, MAX_COUNT)
    within(f"{field}.zero_count", histogram.zero_count, 0, MAX_COUNT)
    _extent(field, histogram)


def _extent(field: str, histogram: Any) -> None:
    """Check sum, min and max against each other and the counts."""
    for part in ("sum", "min", "max"):
        if not isfinite(getattr(histogram, part)):
            raise field_invalid(f"{field}.{part}", f"{getattr(histogram, part)} is not finite")
    if not any(histogram.counts) and not histogram.zero_count:
        return
    if histogram.min > histogram.max:
        raise field_invalid(f"{field}.min", f"{histogram.min} is above the max of {histogram.max}")
    if histogram.zero_count:
        if histogram.min > 0:
            raise field_invalid(f"{field}.min", f"{histogram.min} is above 0, and zero_count is not 0")
    elif histogram.min <= 0:
        raise field_invalid(f"{field}.min", f"{histogram.min} is not above 0, and zero_count is 0")
    elif histogram.sum <= 0:
        raise field_invalid(f"{field}.sum", f"{histogram.sum} is not above 0, and zero_count is 0")


def _bucket_range(scale: int) -> tuple[int, int]:
    if scale >= 0:
        return _MIN_EXPONENT << scale, ((_MAX_EXPONENT + 1) << scale) - 1
    return _MIN_EXPONENT >> -scale, _MAX_EXPONENT >> -scale


def _predictions(field: str, entry: Any, node: str) -> None:
    names.check_model(entry.model)
    names.check_version(entry.version)
    if len(entry.row_counts) != len(entry.prediction_ids):
        reason = f"{len(entry.row_counts)} counts do not match {len(entry.prediction_ids)} prediction ids"
        raise field_invalid(f"{field}.row_counts", reason)
    if entry.int_labels and entry.bytes_labels:
        raise field_invalid(f"{field}.bytes_labels", "labels are of one type, and int_labels are given")
    rows, given = sum(entry.row_counts), len(entry.int_labels) + len(entry.bytes_labels)
    if rows != given:
        raise field_invalid(f"{field}.row_counts", f"they add up to {rows} rows, and {given} labels are given")
    head, version = f"{prediction_id.PREFIX}.{node}.", entry.version.to_bytes(4, "big")
    for identifier in entry.prediction_ids:
        if prediction_id.is_issued_for(identifier, head, version):
            continue
        parsed = prediction_id.parse(identifier)
        if parsed.node != node:
            raise field_invalid(f"{field}.prediction_ids", f"{identifier} was not issued by node {node}")
        if parsed.version != entry.version:
            raise field_invalid(f"{field}.prediction_ids", f"{identifier} does not name version {entry.version}")


def _loaded(field: str, entry: Any) -> None:
    names.check_model(entry.model)
    names.check_version(entry.version)
    names.check_digest(entry.digest)
    if entry.state not in {int(state) for state in LoadState}:
        raise field_invalid(f"{field}.state", f"{entry.state} is no state")
    within(f"{field}.size_bytes", entry.size_bytes, 0, MAX_BYTES)
    at_most(f"{field}.aliases", entry.aliases, MAX_ALIASES)
    for alias in entry.aliases:
        names.check_alias(alias)


def _errors(field: str, errors: Mapping[str, int]) -> None:
    for code, count in errors.items():
        if code not in CODES:
            raise field_invalid(field, f"{code[:80]!a} is not the gRPC status name of a failure")
        within(field, count, 0, MAX_COUNT)


def _outcome(why: str, **metadata: object) -> InvalidArgumentError:
    return InvalidArgumentError("OUTCOME_INVALID", f"the outcome cannot be recorded: {why}", **metadata)
