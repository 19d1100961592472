"""The registry's changes in SQLite: `Transaction` over one connection.

It opens no transaction and decides nothing; `store_sqlite` does the one, the rules the other.
"""

# ruff: noqa: D102 - the methods are described by the protocols that they implement
from __future__ import annotations

from neuralmesh_server.registry import events
from neuralmesh_server.registry.records import (
    AliasMoved,
    AliasProtected,
    Event,
    Model,
    Version,
    VersionCreated,
)
from neuralmesh_server.registry.records_checks import CheckRecorded
from neuralmesh_server.registry.records_mesh import AssignmentChanged, WaveReached
from neuralmesh_server.registry.store_sqlite_queries import SqliteView

REMEMBERED_MS = 48 * 3600 * 1000
"""How long the result of a request id is kept."""

_OF_ALIAS = (AliasMoved, AliasProtected, AssignmentChanged, WaveReached)


class SqliteTransaction(SqliteView):
    """Also writes; the caller holds the write transaction open."""

    def append(self, event: Event, state_accumulator: bytes, state_digest: bytes, model: Model | None) -> None:
        change = event.change
        alias = change.alias if isinstance(change, _OF_ALIAS) else None
        version = change.after.version if isinstance(change, AliasMoved) else None
        self._rows(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            event.revision,
            event.time_ms,
            events.NAMES[type(change)],
            None if model is None else model.uid,
            alias,
            change.number if isinstance(change, (VersionCreated, CheckRecorded)) else version,
            event.canonical,
            event.leaf_hash,
            state_digest,
        )
        self._rows(
            "INSERT INTO head VALUES (1, ?1, ?2, ?3)"
            " ON CONFLICT (one) DO UPDATE SET revision = ?1, accumulator = ?2, state_digest = ?3",
            event.revision,
            state_accumulator,
            state_digest,
        )

    def accumulator(self) -> bytes:
        row = self._row("SELECT accumulator FROM head")
        return b"" if row is None else row[0]

    def next_uid(self) -> int:
        uid: int = self._row("SELECT coalesce(max(uid), 0) + 1 FROM models")[0]
        return uid

    def insert_model(self, model: Model) -> None:
        self._rows(
            "INSERT INTO models (name, uid, description, time_ms, latest_version, revision) VALUES (?, ?, ?, ?, ?, ?)",
            model.name,
            model.uid,
            model.description,
            model.time_ms,
            model.latest_version,
            model.revision,
        )

    def insert_version(self, model: Model, version: Version) -> None:
        self._rows(
            "INSERT INTO versions VALUES (?, ?, ?, ?)",
            model.uid,
            version.number,
            version.digest,
            version.revision,
        )
        self._rows("UPDATE models SET latest_version = ? WHERE uid = ?", version.number, model.uid)

    def push(self, model: Model, alias: str, version: int, revision: int) -> None:
        depth = self.stack_depth(model, alias) + 1
        self._moved(model, alias, revision)
        self._rows("INSERT INTO promotions VALUES (?, ?, ?, ?, ?)", model.uid, alias, depth, version, revision)

    def cut(self, model: Model, alias: str, depth: int, revision: int) -> None:
        self._moved(model, alias, revision)
        self._rows("DELETE FROM promotions WHERE model = ? AND alias = ? AND depth > ?", model.uid, alias, depth)

    def set_policy(self, model: Model, revision: int) -> None:
        self._rows(
            "INSERT INTO policies VALUES (?1, ?2) ON CONFLICT (model) DO UPDATE SET revision = ?2", model.uid, revision
        )

    def set_protection(self, model: Model, alias: str, revision: int) -> None:
        self._rows(
            "INSERT INTO protections VALUES (?1, ?2, ?3) ON CONFLICT (model, alias) DO UPDATE SET revision = ?3",
            model.uid,
            alias,
            revision,
        )

    def set_assignment(self, name: str, model: Model, revision: int) -> None:
        self._rows(
            "INSERT INTO assignments VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET revision = ?3",
            name,
            model.uid,
            revision,
        )

    def drop_assignment(self, name: str) -> None:
        self._rows("DELETE FROM assignments WHERE name = ?", name)

    def set_wave(self, model: Model, alias: str, revision: int, share_ppm: int) -> None:
        self._rows(
            "INSERT INTO waves VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (model, alias, revision) DO UPDATE SET share_ppm = ?4",
            model.uid,
            alias,
            revision,
            share_ppm,
        )

    def end_waves(self, model: Model, alias: str) -> None:
        self._rows("DELETE FROM waves WHERE model = ? AND alias = ?", model.uid, alias)

    def insert_check(self, model: Model, change: CheckRecorded, revision: int) -> None:
        finding = change.finding
        self._rows(
            "INSERT INTO checks VALUES (?, ?, ?, ?, ?)",
            model.uid,
            change.number,
            finding.kind,
            finding.output_digest,
            revision,
        )

    def insert_node_key(self, node: str, key: bytes, revision: int) -> None:
        self._rows("INSERT INTO node_keys VALUES (?, ?, ?)", node, key, revision)

    def remember(self, request_id: str, fingerprint: str, result: bytes, time_ms: int) -> None:
        self._rows("DELETE FROM requests WHERE time_ms < ?", time_ms - REMEMBERED_MS)
        self._rows("INSERT INTO requests VALUES (?, ?, ?, ?)", request_id, fingerprint, result, time_ms)

    def _moved(self, model: Model, alias: str, revision: int) -> None:
        self._rows(
            "INSERT INTO aliases VALUES (?1, ?2, ?3) ON CONFLICT (model, name) DO UPDATE SET revision = ?3",
            model.uid,
            alias,
            revision,
        )
