"""Counting deltas: each exactly once, in whatever order and however often they come.

A node numbers its deltas from 1 and sends them in order. Numbers that a later delta skipped are remembered, so that a
late one still counts, once, and never passes for a repeat. That also lets a service whose database was lost or restored
go on with a running epoch: it takes the first number it sees and shows the ones before as missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError
from neuralmesh_server.metrics import outcomes
from neuralmesh_server.metrics.records import Epoch

if TYPE_CHECKING:
    from neuralmesh_server.metrics.records import Delta, VersionDelta
    from neuralmesh_server.metrics.store import Ledger

MAX_SKIP = 1_000_000
"""Most deltas that may be skipped at once in a known epoch; more is no loss but a number gone wrong."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delta: the highest sequence of its epoch that is counted, and whether this one was before."""

    committed_sequence: int
    duplicate: bool


def ingest(ledger: Ledger, delta: Delta, now_ms: int) -> Receipt:
    """Count a delta that arrived at `now_ms` (ms since 1970), unless it was counted before.

    A delta of an older epoch still counts, but does not replace what the node holds.

    Raises:
        InvalidArgumentError: FIELD_INVALID: the sequence is far beyond the highest of its epoch.
        FailedPreconditionError: DIGEST_MISMATCH: counts of a version that is known with another digest.
    """
    known = ledger.epoch(delta.node, delta.epoch)
    committed = known.committed if known else 0
    if delta.sequence <= committed and not ledger.take_missing(delta.node, delta.epoch, delta.sequence):
        return Receipt(committed, duplicate=True)
    if known and delta.sequence > committed + MAX_SKIP:
        why = f"{delta.sequence} is more than {MAX_SKIP} beyond the highest, {committed}, of epoch {delta.epoch}"
        raise InvalidArgumentError("FIELD_INVALID", f"field sequence: {why}", field="sequence", why=why)
    if delta.sequence > committed + 1:
        ledger.add_missing(delta.node, delta.epoch, committed + 1, delta.sequence - 1)
    newest = ledger.newest_epoch(delta.node)
    epoch = _extended(known, delta, now_ms)
    ledger.put_epoch(epoch)
    if delta.sequence > committed and (newest is None or delta.epoch >= newest):
        ledger.put_loaded(delta.node, delta.loaded)
    for version in delta.versions:
        _check_digest(ledger, version)
        ledger.add_counts(version, now_ms)
    for rollout in delta.rollouts:
        ledger.add_rollout(delta.node, delta.epoch, delta.sequence, rollout, now_ms)
    ledger.add_unresolved_errors(delta.unresolved_errors)
    outcomes.join(ledger, delta.predictions)
    return Receipt(epoch.committed, duplicate=False)


def _check_digest(ledger: Ledger, delta: VersionDelta) -> None:
    """Refuse counts of other bytes under a known name: figures of two contents must not add up to one."""
    known = ledger.digest(delta.model, delta.version)
    if known and known != delta.digest:
        raise FailedPreconditionError(
            "DIGEST_MISMATCH",
            f"version {delta.version} of model {delta.model} was counted with digest {known}, not {delta.digest}",
            model=delta.model,
            version=delta.version,
            expected=known,
            actual=delta.digest,
        )


def _extended(known: Epoch | None, delta: Delta, now_ms: int) -> Epoch:
    """Return the epoch with a delta added; a delta that comes late changes nothing that a later one has said."""
    if known is None:
        return Epoch(
            node=delta.node,
            epoch=delta.epoch,
            committed=delta.sequence,
            uptime_ms=delta.uptime_ms,
            first_seen_ms=now_ms,
            last_seen_ms=now_ms,
            applied_revision=delta.applied_revision,
            dropped_predictions=delta.dropped_predictions,
            final=delta.final,
            lost_receipts=delta.lost_receipts,
        )
    late = delta.sequence <= known.committed
    return Epoch(
        node=known.node,
        epoch=known.epoch,
        committed=max(known.committed, delta.sequence),
        uptime_ms=known.uptime_ms if late else delta.uptime_ms,
        first_seen_ms=known.first_seen_ms,
        last_seen_ms=known.last_seen_ms if late else max(known.last_seen_ms, now_ms),
        applied_revision=known.applied_revision if late else delta.applied_revision,
        dropped_predictions=known.dropped_predictions + delta.dropped_predictions,
        final=known.final or delta.final,
        lost_receipts=known.lost_receipts + delta.lost_receipts,
    )
