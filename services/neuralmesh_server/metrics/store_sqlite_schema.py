"""The tables of the metrics service in SQLite, as the steps from one version of them to the next."""

from __future__ import annotations

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE epochs (
        node TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        committed INTEGER NOT NULL,
        uptime_ms INTEGER NOT NULL,
        first_seen_ms INTEGER NOT NULL,
        last_seen_ms INTEGER NOT NULL,
        applied_revision INTEGER NOT NULL,
        dropped_predictions INTEGER NOT NULL,
        final INTEGER NOT NULL,
        PRIMARY KEY (node, epoch)
    ) STRICT, WITHOUT ROWID;

    -- Deltas that a later one skipped, as ranges that do not overlap.
    CREATE TABLE missing (
        node TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (node, epoch, first)
    ) STRICT, WITHOUT ROWID;

    -- What each node holds, as JSON: it is replaced and read as a whole.
    CREATE TABLE loaded (
        node TEXT PRIMARY KEY NOT NULL,
        versions TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- low and high are NULL while the latency histogram is empty.
    CREATE TABLE versions (
        id INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        version INTEGER NOT NULL,
        digest TEXT NOT NULL,
        requests INTEGER NOT NULL DEFAULT 0,
        rows INTEGER NOT NULL DEFAULT 0,
        size_bytes INTEGER,
        first_request_ms INTEGER,
        last_request_ms INTEGER,
        outcomes INTEGER NOT NULL DEFAULT 0,
        correct INTEGER NOT NULL DEFAULT 0,
        scale INTEGER NOT NULL,
        zero_count INTEGER NOT NULL DEFAULT 0,
        total REAL NOT NULL DEFAULT 0,
        low REAL,
        high REAL,
        UNIQUE (model, version)
    ) STRICT;

    CREATE TABLE errors (
        version_id INTEGER NOT NULL REFERENCES versions (id),
        code TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (version_id, code)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE buckets (
        version_id INTEGER NOT NULL REFERENCES versions (id),
        bucket INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (version_id, bucket)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE unresolved_errors (
        code TEXT PRIMARY KEY NOT NULL,
        count INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- number is the order of arrival, by which the oldest go first.
    CREATE TABLE predictions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        version_id INTEGER NOT NULL REFERENCES versions (id),
        labels BLOB NOT NULL,
        truth BLOB
    ) STRICT;

    CREATE TABLE pending (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        truth BLOB NOT NULL
    ) STRICT;

    CREATE TABLE tallies (
        name TEXT PRIMARY KEY NOT NULL,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE epochs ADD COLUMN lost_receipts INTEGER NOT NULL DEFAULT 0;

    -- Totals of each step of a rollout. Differences may be infinite, which SQLite keeps.
    CREATE TABLE rollout_steps (
        id INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        alias TEXT NOT NULL,
        revision INTEGER NOT NULL,
        stable_version INTEGER NOT NULL,
        canary_version INTEGER NOT NULL,
        share_ppm INTEGER NOT NULL,
        shadow_version INTEGER NOT NULL,
        stable_requests INTEGER NOT NULL,
        stable_units INTEGER NOT NULL,
        stable_failures INTEGER NOT NULL,
        stable_failed_units INTEGER NOT NULL,
        canary_requests INTEGER NOT NULL,
        canary_units INTEGER NOT NULL,
        canary_failures INTEGER NOT NULL,
        canary_failed_units INTEGER NOT NULL,
        shadow_compared INTEGER NOT NULL,
        shadow_agreed INTEGER NOT NULL,
        shadow_failed INTEGER NOT NULL,
        shadow_dropped INTEGER NOT NULL,
        unassigned INTEGER NOT NULL,
        forgotten_units INTEGER NOT NULL,
        dropped_failures INTEGER NOT NULL,
        shadow_difference REAL NOT NULL,
        UNIQUE (model, alias, revision, stable_version, canary_version, share_ppm, shadow_version)
    ) STRICT;

    CREATE INDEX rollout_steps_newest ON rollout_steps (revision, id);

    -- Every report as it came, in the order of arrival, by which the oldest go first.
    CREATE TABLE rollout_log (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        step_id INTEGER NOT NULL REFERENCES rollout_steps (id),
        node TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        arrived_ms INTEGER NOT NULL,
        stable_requests INTEGER NOT NULL,
        stable_units INTEGER NOT NULL,
        stable_failures INTEGER NOT NULL,
        stable_failed_units INTEGER NOT NULL,
        canary_requests INTEGER NOT NULL,
        canary_units INTEGER NOT NULL,
        canary_failures INTEGER NOT NULL,
        canary_failed_units INTEGER NOT NULL,
        shadow_compared INTEGER NOT NULL,
        shadow_agreed INTEGER NOT NULL,
        shadow_failed INTEGER NOT NULL,
        shadow_dropped INTEGER NOT NULL,
        unassigned INTEGER NOT NULL,
        forgotten_units INTEGER NOT NULL,
        dropped_failures INTEGER NOT NULL,
        shadow_difference REAL NOT NULL,
        failures BLOB NOT NULL,
        UNIQUE (step_id, node, epoch, sequence)
    ) STRICT;
    """,
)
