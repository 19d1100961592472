"""The registry's tables in SQLite, as the steps from one version of them to the next."""

from __future__ import annotations

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        revision INTEGER NOT NULL,
        accumulator BLOB NOT NULL,
        state_digest BLOB NOT NULL
    ) STRICT;

    CREATE TABLE models (
        uid INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL,
        time_ms INTEGER NOT NULL,
        latest_version INTEGER NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE events (
        revision INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        model INTEGER REFERENCES models (uid),
        alias TEXT,
        version INTEGER,
        canonical BLOB NOT NULL,
        leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
        state_digest BLOB NOT NULL CHECK (length(state_digest) = 32)
    ) STRICT;
    CREATE INDEX events_by_model ON events (model, revision) WHERE model IS NOT NULL;
    CREATE INDEX events_by_alias ON events (model, alias, revision) WHERE alias IS NOT NULL;
    CREATE INDEX births ON events (revision) WHERE kind IN ('model_created', 'version_created');

    CREATE TABLE versions (
        model INTEGER NOT NULL REFERENCES models (uid),
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        revision INTEGER NOT NULL UNIQUE REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (model, number),
        UNIQUE (model, digest)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE aliases (
        model INTEGER NOT NULL REFERENCES models (uid),
        name TEXT NOT NULL,
        revision INTEGER NOT NULL REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (model, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE promotions (
        model INTEGER NOT NULL,
        alias TEXT NOT NULL,
        depth INTEGER NOT NULL CHECK (depth > 0),
        version INTEGER NOT NULL,
        revision INTEGER NOT NULL REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (model, alias, depth),
        FOREIGN KEY (model, alias) REFERENCES aliases (model, name),
        FOREIGN KEY (model, version) REFERENCES versions (model, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE node_keys (
        node TEXT PRIMARY KEY,
        key BLOB NOT NULL CHECK (length(key) = 32),
        revision INTEGER NOT NULL REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE requests (
        id TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        result BLOB NOT NULL,
        time_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX requests_by_time ON requests (time_ms);
    """,
    """
    CREATE TABLE policies (
        model INTEGER PRIMARY KEY REFERENCES models (uid),
        revision INTEGER NOT NULL REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED
    ) STRICT;

    CREATE TABLE protections (
        model INTEGER NOT NULL REFERENCES models (uid),
        alias TEXT NOT NULL,
        revision INTEGER NOT NULL REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (model, alias)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE assignments (
        name TEXT PRIMARY KEY,
        model INTEGER NOT NULL REFERENCES models (uid),
        revision INTEGER NOT NULL UNIQUE REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE waves (
        model INTEGER NOT NULL REFERENCES models (uid),
        alias TEXT NOT NULL,
        revision INTEGER NOT NULL REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED,
        share_ppm INTEGER NOT NULL,
        PRIMARY KEY (model, alias, revision)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE checks (
        model INTEGER NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        output_digest TEXT NOT NULL,
        revision INTEGER NOT NULL UNIQUE REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (model, version, kind, output_digest),
        FOREIGN KEY (model, version) REFERENCES versions (model, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX checks_by_model ON checks (model, revision);
    CREATE INDEX checks_by_version ON checks (model, version, revision);
    """,
)
