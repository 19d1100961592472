"""Changes to the SQLite database within the writer's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.histogram import DEFAULT_SCALE, Histogram
from neuralmesh_server.metrics import labels
from neuralmesh_server.metrics.store_sqlite_rollouts import SqliteRolloutLedger
from neuralmesh_server.metrics.store_sqlite_view import SqliteView, encode_loaded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.metrics.records import Epoch, LoadedVersion, ReportedPrediction, VersionDelta
    from neuralmesh_server.metrics.rollouts import StepDelta
    from neuralmesh_server.metrics.store import Retention

STORED_SCALE = DEFAULT_SCALE
"""Finest scale that is stored: within 1.1 %, and at most 67,168 buckets a version, whatever nodes send."""


class SqliteLedger(SqliteRolloutLedger, SqliteView):
    """The state that the writer's open transaction sees and changes."""

    def put_epoch(self, epoch: Epoch) -> None:
        """See Ledger."""
        self._run(
            "INSERT OR REPLACE INTO epochs (node, epoch, committed, uptime_ms, first_seen_ms, last_seen_ms,"
            " applied_revision, dropped_predictions, final, lost_receipts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            epoch.node,
            epoch.epoch,
            epoch.committed,
            epoch.uptime_ms,
            epoch.first_seen_ms,
            epoch.last_seen_ms,
            epoch.applied_revision,
            epoch.dropped_predictions,
            int(epoch.final),
            epoch.lost_receipts,
        )

    def add_missing(self, node: str, epoch: int, first: int, last: int) -> None:
        """See Ledger."""
        if first <= last:
            self._run("INSERT INTO missing (node, epoch, first, last) VALUES (?, ?, ?, ?)", node, epoch, first, last)

    def take_missing(self, node: str, epoch: int, sequence: int) -> bool:
        """See Ledger."""
        row = self._one(
            "SELECT first, last FROM missing WHERE node = ? AND epoch = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            node,
            epoch,
            sequence,
        )
        if row is None or row[1] < sequence:
            return False
        first, last = row
        self._run("DELETE FROM missing WHERE node = ? AND epoch = ? AND first = ?", node, epoch, first)
        self.add_missing(node, epoch, first, sequence - 1)
        self.add_missing(node, epoch, sequence + 1, last)
        return True

    def put_loaded(self, node: str, loaded: Sequence[LoadedVersion]) -> None:
        """See Ledger."""
        text = encode_loaded(loaded)
        if self._one("SELECT 1 FROM loaded WHERE node = ? AND versions = ?", node, text):
            return  # the usual case: nothing was loaded or unloaded since the delta before
        self._run("INSERT OR REPLACE INTO loaded (node, versions) VALUES (?, ?)", node, text)
        for entry in loaded:
            key = self._version_id(entry.model, entry.version, entry.digest)
            if entry.size_bytes:
                self._run(
                    "UPDATE versions SET size_bytes = ? WHERE id = ? AND digest = ?",
                    entry.size_bytes,
                    key,
                    entry.digest,
                )

    def add_counts(self, delta: VersionDelta, now_ms: int) -> None:
        """See Ledger."""
        key = self._version_id(delta.model, delta.version, delta.digest)
        seen = now_ms if delta.requests else None
        self._run(
            "UPDATE versions SET requests = requests + ?, rows = rows + ?,"
            " first_request_ms = coalesce(min(first_request_ms, ?), first_request_ms, ?),"
            " last_request_ms = coalesce(max(last_request_ms, ?), last_request_ms, ?) WHERE id = ?",
            delta.requests,
            delta.rows,
            seen,
            seen,
            seen,
            seen,
            key,
        )
        self._connection.executemany(
            "INSERT INTO errors (version_id, code, count) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            [(key, code, count) for code, count in delta.errors.items()],
        )
        if delta.latency.count:
            self._add_latency(key, delta.latency)

    def add_rollout(self, node: str, epoch: int, sequence: int, delta: StepDelta, now_ms: int) -> None:
        """See Ledger."""
        size = self.put_rollout(node, epoch, sequence, delta, now_ms)
        self._tally("rollout_log", 1)
        self._tally("rollout_log_bytes", size)

    def add_unresolved_errors(self, errors: Mapping[str, int]) -> None:
        """See Ledger."""
        self._connection.executemany(
            "INSERT INTO unresolved_errors (code, count) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            list(errors.items()),
        )

    def add_predictions(self, predictions: Sequence[tuple[ReportedPrediction, bytes | None]]) -> None:
        """See Ledger."""
        keys: dict[tuple[str, int], int] = {}
        count = size = 0
        for prediction, truth in predictions:
            version = (prediction.model, prediction.version)
            key = keys.get(version)
            if key is None:
                key = keys[version] = self._version_id(*version, "")
            encoded = labels.encode(prediction.labels)
            self._run(
                "INSERT INTO predictions (id, version_id, labels, truth) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                prediction.id,
                key,
                encoded,
                truth,
            )
            if self._connection.changes():
                count += 1
                size += len(encoded)
        if count:
            self._tally("predictions", count)
            self._tally("prediction_bytes", size)

    def set_truth(self, prediction_id: str, truth: bytes) -> None:
        """See Ledger."""
        self._run("UPDATE predictions SET truth = ? WHERE id = ?", truth, prediction_id)

    def add_outcomes(self, model: str, version: int, rows: int, correct: int) -> None:
        """See Ledger."""
        self._run(
            "UPDATE versions SET outcomes = outcomes + ?, correct = correct + ? WHERE id = ?",
            rows,
            correct,
            self._version_id(model, version, ""),
        )

    def add_pending(self, prediction_id: str, truth: bytes) -> None:
        """See Ledger."""
        self._run("INSERT INTO pending (id, truth) VALUES (?, ?)", prediction_id, truth)
        self._tally("pending", 1)
        self._tally("pending_bytes", len(truth))

    def has_pending(self) -> bool:
        """See Ledger."""
        return self._one("SELECT 1 FROM pending LIMIT 1") is not None

    def take_pending(self, prediction_id: str) -> bytes | None:
        """See Ledger."""
        truth = self.pending(prediction_id)
        if truth is not None:
            self._run("DELETE FROM pending WHERE id = ?", prediction_id)
            self._tally("pending", -1)
            self._tally("pending_bytes", -len(truth))
        return truth

    def count_rejected_outcome(self) -> None:
        """See Ledger."""
        self._tally("rejected_outcomes", 1)

    def prune(self, retention: Retention) -> None:
        """Delete batches of the oldest predictions, pending outcomes and reports of steps while there are too many."""
        while self._exceeds("predictions", retention.predictions + retention.batch) or self._exceeds(
            "prediction_bytes", retention.prediction_bytes
        ):
            self._drop("predictions", "prediction_bytes", "labels", retention.batch)
        while self._exceeds("pending", retention.pending + retention.batch) or self._exceeds(
            "pending_bytes", retention.pending_bytes
        ):
            self._tally("expired_outcomes", self._drop("pending", "pending_bytes", "truth", retention.batch))
        while self._exceeds("rollout_log", retention.rollout_log + retention.batch) or self._exceeds(
            "rollout_log_bytes", retention.rollout_log_bytes
        ):
            dropped = self._drop("rollout_log", "rollout_log_bytes", "failures", retention.batch)
            self._tally("expired_rollout_log", dropped)

    def _exceeds(self, tally: str, limit: int) -> bool:
        return self._one("SELECT 1 FROM tallies WHERE name = ? AND value > ?", tally, limit) is not None

    def _drop(self, table: str, bytes_tally: str, column: str, batch: int) -> int:
        """Delete the oldest rows, a batch or a tenth of the table: few rows with many labels must not all go."""
        (kept,) = self._one("SELECT value FROM tallies WHERE name = ?", table)
        # The names of table and column are this module's own.
        oldest = f"SELECT number, length({column}) AS size FROM {table} ORDER BY number LIMIT ?"  # noqa: S608
        count, size, last = self._one(
            f"SELECT count(*), coalesce(sum(size), 0), max(number) FROM ({oldest})",  # noqa: S608
            min(batch, kept // 10 + 1),
        )
        self._run(f"DELETE FROM {table} WHERE number <= ?", last)  # noqa: S608
        self._tally(table, -count)
        self._tally(bytes_tally, -size)
        dropped: int = count
        return dropped

    def _add_latency(self, key: int, latency: Histogram) -> None:
        """Add a histogram to a version's, at the coarser scale of the two and at most STORED_SCALE."""
        (stored,) = self._one("SELECT scale FROM versions WHERE id = ?", key)
        scale = min(stored, latency.scale)
        if latency.scale > scale:
            latency = latency.copy()
            latency.fold(scale)
        if stored > scale:
            self._fold_stored(key, stored - scale, scale)
        self._connection.executemany(
            "INSERT INTO buckets (version_id, bucket, count) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + excluded.count",
            [(key, bucket, count) for bucket, count in latency.buckets.items()],
        )
        self._run(
            "UPDATE versions SET zero_count = zero_count + ?, total = total + ?, low = min(coalesce(low, ?), ?),"
            " high = max(coalesce(high, ?), ?) WHERE id = ?",
            latency.zero_count,
            latency.sum,
            latency.min,
            latency.min,
            latency.max,
            latency.max,
            key,
        )

    def _fold_stored(self, key: int, shift: int, scale: int) -> None:
        # SQLite shifts arithmetically, so negative buckets fold downwards as they must.
        rows = self._connection.execute(
            "SELECT bucket >> ? AS folded, sum(count) FROM buckets WHERE version_id = ? GROUP BY folded", (shift, key)
        ).fetchall()
        self._run("DELETE FROM buckets WHERE version_id = ?", key)
        self._connection.executemany(
            "INSERT INTO buckets (version_id, bucket, count) VALUES (?, ?, ?)", [(key, *row) for row in rows]
        )
        self._run("UPDATE versions SET scale = ? WHERE id = ?", scale, key)

    def _version_id(self, model: str, version: int, digest: str) -> int:
        """Return the key of a version, new if it has none; an empty digest stands for one not known yet."""
        row = self._one("SELECT id, digest FROM versions WHERE model = ? AND version = ?", model, version)
        if row is None:
            row = self._one(
                "INSERT INTO versions (model, version, digest, scale) VALUES (?, ?, ?, ?) RETURNING id",
                model,
                version,
                digest,
                STORED_SCALE,
            )
        elif digest and not row[1]:
            self._run("UPDATE versions SET digest = ? WHERE id = ?", digest, row[0])
        key: int = row[0]
        return key

    def _tally(self, name: str, amount: int) -> None:
        self._run(
            "INSERT INTO tallies (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            name,
            amount,
        )

    def _run(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)
