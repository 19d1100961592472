"""The tables of the labor array, step by step; a step that was released never changes."""

from __future__ import annotations

STEPS = (
    """
    CREATE TABLE service (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL) STRICT;
    INSERT INTO service (one, generation) VALUES (1, 0);
    CREATE TABLE jobs (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        job TEXT NOT NULL UNIQUE,
        plan_digest TEXT NOT NULL,
        context BLOB NOT NULL,
        wish BLOB NOT NULL,
        summary TEXT NOT NULL,
        options TEXT NOT NULL,
        state TEXT NOT NULL,
        actor TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        problem TEXT NOT NULL,
        output_digest TEXT NOT NULL,
        report BLOB NOT NULL
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, sequence);
    CREATE TABLE shards (
        job TEXT NOT NULL,
        shard INTEGER NOT NULL,
        action TEXT NOT NULL,
        cached INTEGER NOT NULL,
        PRIMARY KEY (job, shard)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX shards_by_action ON shards (action);
    CREATE TABLE events (
        job TEXT NOT NULL,
        event INTEGER NOT NULL,
        fact TEXT NOT NULL,
        PRIMARY KEY (job, event)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE epochs (
        job TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        slots TEXT NOT NULL,
        pending BLOB NOT NULL,
        assigned BLOB NOT NULL,
        PRIMARY KEY (job, epoch)
    ) STRICT;
    CREATE TABLE recipes (digest TEXT PRIMARY KEY, fact BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE action_cache (
        action TEXT PRIMARY KEY,
        recipe TEXT NOT NULL,
        input TEXT NOT NULL,
        rows INTEGER NOT NULL,
        skipped INTEGER NOT NULL,
        result BLOB NOT NULL,
        digest TEXT NOT NULL,
        worker TEXT NOT NULL,
        confirmed TEXT NOT NULL,
        disputed INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX action_cache_by_input ON action_cache (input);
    CREATE INDEX action_cache_by_recipe ON action_cache (recipe);
    CREATE TABLE votes (
        vote INTEGER PRIMARY KEY AUTOINCREMENT,
        action TEXT NOT NULL,
        worker TEXT NOT NULL,
        digest TEXT NOT NULL,
        result BLOB NOT NULL,
        UNIQUE (action, worker, digest)
    ) STRICT;
    CREATE TABLE alarms (
        alarm INTEGER PRIMARY KEY AUTOINCREMENT,
        action TEXT NOT NULL,
        job TEXT NOT NULL,
        shard INTEGER NOT NULL,
        first_digest TEXT NOT NULL,
        first_worker TEXT NOT NULL,
        second_digest TEXT NOT NULL,
        second_worker TEXT NOT NULL,
        quarantined TEXT NOT NULL,
        time_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX alarms_by_action ON alarms (action);
    CREATE TABLE workers (
        name TEXT PRIMARY KEY,
        host TEXT NOT NULL,
        slots INTEGER NOT NULL,
        numerics TEXT NOT NULL,
        done INTEGER NOT NULL,
        quarantined INTEGER NOT NULL,
        seen_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE jobs ADD COLUMN used_ms INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX action_cache_by_output ON action_cache (json_extract(CAST(result AS TEXT), '$.output[0]'));
    """,
)
