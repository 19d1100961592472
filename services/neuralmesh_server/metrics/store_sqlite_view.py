"""One committed state of the SQLite database, read by plain statements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuralmesh_server.histogram import Histogram
from neuralmesh_server.metrics.records import (
    Epoch,
    LoadedVersion,
    LoadState,
    StoredPrediction,
    Tallies,
    VersionTotals,
)
from neuralmesh_server.metrics.store_sqlite_rollouts import SqliteRolloutView

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

_EPOCH = (
    "SELECT node, epoch, committed, uptime_ms, first_seen_ms, last_seen_ms, applied_revision, dropped_predictions,"
    " final, lost_receipts FROM epochs"
)
_VERSION = (
    "SELECT id, model, version, digest, requests, rows, size_bytes, first_request_ms, last_request_ms, outcomes,"
    " correct, scale, zero_count, total, low, high FROM versions"
)


class SqliteView(SqliteRolloutView):
    """The state that a connection sees while a transaction is open on it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def epoch(self, node: str, epoch: int) -> Epoch | None:
        """See View."""
        row = self._one(f"{_EPOCH} WHERE node = ? AND epoch = ?", node, epoch)
        return _epoch(row) if row else None

    def newest_epoch(self, node: str) -> int | None:
        """See View."""
        newest: int | None = self._one("SELECT max(epoch) FROM epochs WHERE node = ?", node)[0]
        return newest

    def epochs(self) -> list[Epoch]:
        """See View."""
        return [_epoch(row) for row in self._connection.execute(f"{_EPOCH} ORDER BY node, epoch")]

    def loaded(self) -> dict[str, tuple[LoadedVersion, ...]]:
        """See View."""
        rows = self._connection.execute("SELECT node, versions FROM loaded ORDER BY node")
        return {node: decode_loaded(text) for node, text in rows}

    def prediction(self, prediction_id: str) -> StoredPrediction | None:
        """See View."""
        row = self._one(
            "SELECT model, version, labels, truth FROM predictions JOIN versions ON versions.id = version_id"
            " WHERE predictions.id = ?",
            prediction_id,
        )
        return StoredPrediction(*row) if row else None

    def pending(self, prediction_id: str) -> bytes | None:
        """See View."""
        row = self._one("SELECT truth FROM pending WHERE id = ?", prediction_id)
        return row[0] if row else None

    def version(self, model: str, version: int) -> VersionTotals | None:
        """See View."""
        row = self._one(f"{_VERSION} WHERE model = ? AND version = ?", model, version)
        return self._totals(row) if row else None

    def digest(self, model: str, version: int) -> str:
        """See View."""
        row = self._one("SELECT digest FROM versions WHERE model = ? AND version = ?", model, version)
        return row[0] if row else ""

    def versions(
        self, model: str = "", *, after: tuple[str, int] = ("", 0), limit: int | None = None
    ) -> list[VersionTotals]:
        """See View."""
        rows = self._connection.execute(
            f"{_VERSION} WHERE (model, version) > (?, ?) AND (? = '' OR model = ?) ORDER BY model, version LIMIT ?",
            (*after, model, model, -1 if limit is None else limit),
        ).fetchall()
        return [self._totals(row) for row in rows]

    def tallies(self) -> Tallies:
        """See View."""
        values = dict(self._connection.execute("SELECT name, value FROM tallies"))
        (missing,) = self._one("SELECT coalesce(sum(last - first + 1), 0) FROM missing")
        unresolved = dict(self._connection.execute("SELECT code, count FROM unresolved_errors ORDER BY code"))
        return Tallies(**values, missing_deltas=missing, unresolved_errors=unresolved)

    def _totals(self, row: Sequence[Any]) -> VersionTotals:
        key, model, version, digest, requests, rows, size, first, last, outcomes, correct, *shape = row
        scale, zero_count, total, low, high = shape
        buckets = dict(self._connection.execute("SELECT bucket, count FROM buckets WHERE version_id = ?", (key,)))
        errors = dict(
            self._connection.execute("SELECT code, count FROM errors WHERE version_id = ? ORDER BY code", (key,))
        )
        return VersionTotals(
            model=model,
            version=version,
            digest=digest,
            requests=requests,
            rows=rows,
            errors=errors,
            latency=Histogram.from_parts(
                scale, buckets, zero_count=zero_count, total=total, low=low or 0.0, high=high or 0.0
            ),
            outcomes=outcomes,
            correct=correct,
            size_bytes=size,
            first_request_ms=first,
            last_request_ms=last,
        )

    def _one(self, statement: str, *values: object) -> Any:
        return self._connection.execute(statement, values).fetchone()


def encode_loaded(loaded: Sequence[LoadedVersion]) -> str:
    """Return the stored form of what a node holds."""
    return json.dumps(
        [
            [entry.model, entry.version, entry.digest, entry.state, entry.reason, entry.size_bytes, entry.aliases]
            for entry in loaded
        ],
        separators=(",", ":"),
    )


def decode_loaded(text: str) -> tuple[LoadedVersion, ...]:
    """Return what `encode_loaded` stored."""
    return tuple(_decoded(json.loads(text)))


def _decoded(entries: list[list[Any]]) -> Iterator[LoadedVersion]:
    for model, version, digest, state, reason, size, aliases in entries:
        yield LoadedVersion(model, version, digest, LoadState(state), reason, size, tuple(aliases))


def _epoch(row: Sequence[Any]) -> Epoch:
    node, epoch, committed, uptime, first, last, revision, dropped, final, lost = row
    return Epoch(node, epoch, committed, uptime, first, last, revision, dropped, bool(final), lost)
