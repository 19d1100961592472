"""The registry's queries in SQLite: `View` and `Transaction` over one connection.

It opens no transaction and decides nothing; `store_sqlite` does the one, the rules the other.
"""

# ruff: noqa: D102 - the methods are described by the protocols that they implement
from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from neuralmesh_server.registry import events
from neuralmesh_server.registry.records import (
    Alias,
    AliasMoved,
    AliasState,
    Event,
    Head,
    Model,
    ModelCreated,
    NodeRegistered,
    Version,
    VersionCreated,
)
from neuralmesh_server.registry.store import LISTED_ROLLBACKS, PAGE_BYTES
from neuralmesh_server.state_digest import StateDigest

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

T = TypeVar("T")

REMEMBERED_MS = 48 * 3600 * 1000
"""How long the result of a request id is kept."""

_EMPTY_DIGEST = StateDigest().value()
_MODEL = "SELECT name, uid, description, time_ms, latest_version, revision FROM models"
_EVENT = "SELECT e.canonical, e.leaf_hash FROM events e"
_ALIAS = (
    "SELECT e.canonical, e.leaf_hash, a.model FROM aliases a "
    "JOIN events e ON e.revision = a.revision JOIN models m ON m.uid = a.model"
)
_KINDS: dict[type, str] = {
    ModelCreated: "model_created",
    VersionCreated: "version_created",
    AliasMoved: "alias_moved",
    NodeRegistered: "node_registered",
}


class SqliteView:
    """Reads through one connection, inside a transaction that the caller holds open."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def head(self) -> Head:
        row = self._row("SELECT revision, state_digest FROM head")
        return Head(0, _EMPTY_DIGEST) if row is None else Head(*row)

    def digest_at(self, revision: int) -> bytes | None:
        if revision == 0:
            return _EMPTY_DIGEST
        row = self._row("SELECT state_digest FROM events WHERE revision = ?", revision)
        return None if row is None else row[0]

    def model(self, name: str) -> Model | None:
        row = self._row(f"{_MODEL} WHERE name = ?", name)
        return None if row is None else Model(*row)

    def model_of(self, uid: int) -> Model | None:
        row = self._row(f"{_MODEL} WHERE uid = ?", uid)
        return None if row is None else Model(*row)

    def models(self, after: str, limit: int) -> list[Model]:
        rows = self._rows(f"{_MODEL} WHERE name > ? ORDER BY name LIMIT ?", after, limit)
        return _page((len(row[2].encode()), Model(*row)) for row in rows)

    def version(self, model: Model, number: int) -> Version | None:
        row = self._row(
            f"{_EVENT} JOIN versions v ON v.revision = e.revision WHERE v.model = ? AND v.number = ?",
            model.uid,
            number,
        )
        return None if row is None else events.read(*row).version

    def version_of_digest(self, model: Model, digest: str) -> int | None:
        row = self._row("SELECT number FROM versions WHERE model = ? AND digest = ?", model.uid, digest)
        return None if row is None else row[0]

    def versions(self, model: Model, before: int, limit: int) -> list[Version]:
        rows = self._rows(
            f"{_EVENT} JOIN versions v ON v.revision = e.revision"
            " WHERE v.model = ? AND v.number < ? ORDER BY v.number DESC LIMIT ?",
            model.uid,
            before,
            limit,
        )
        return _page((len(row[0]), events.read(*row).version) for row in rows)

    def alias(self, model: Model, alias: str) -> Alias | None:
        row = self._row(f"{_ALIAS} WHERE a.model = ? AND a.name = ?", model.uid, alias)
        return None if row is None else self._alias(*row)

    def aliases(self, model: Model, after: str, limit: int) -> list[Alias]:
        rows = self._rows(f"{_ALIAS} WHERE a.model = ? AND a.name > ? ORDER BY a.name LIMIT ?", model.uid, after, limit)
        return [self._alias(*row) for row in rows]

    def all_aliases(self) -> list[Alias]:
        return [self._alias(*row) for row in self._rows(f"{_ALIAS} ORDER BY a.model, a.name")]

    def stack_depth(self, model: Model, alias: str) -> int:
        depth: int = self._row(
            "SELECT coalesce(max(depth), 0) FROM promotions WHERE model = ? AND alias = ?", model.uid, alias
        )[0]
        return depth

    def stack_find(self, model: Model, alias: str, version: int) -> int | None:
        row = self._row(
            "SELECT depth FROM promotions WHERE model = ? AND alias = ? AND version = ? AND depth < ?"
            " ORDER BY depth DESC LIMIT 1",
            model.uid,
            alias,
            version,
            self.stack_depth(model, alias),
        )
        return None if row is None else row[0]

    def stack_state(self, model: Model, alias: str, depth: int) -> AliasState:
        row = self._row(
            f"{_EVENT} JOIN promotions p ON p.revision = e.revision WHERE p.model = ? AND p.alias = ? AND p.depth = ?",
            model.uid,
            alias,
            depth,
        )
        return _moved(events.read(*row)).after

    def events_after(self, revision: int, limit: int, until: int | None = None) -> list[Event]:
        rows = self._rows(
            f"{_EVENT} WHERE e.revision > ? AND e.revision <= ? ORDER BY e.revision LIMIT ?",
            revision,
            2**62 if until is None else until,
            limit,
        )
        return _page((len(row[0]), events.read(*row)) for row in rows)

    def events_before(
        self, revision: int, limit: int, model: Model | None = None, alias: str | None = None
    ) -> list[Event]:
        if model is None:
            rows = self._rows(f"{_EVENT} WHERE e.revision < ? ORDER BY e.revision DESC LIMIT ?", revision, limit)
        elif alias is None:
            rows = self._rows(
                f"{_EVENT} WHERE e.model = ? AND e.revision < ? ORDER BY e.revision DESC LIMIT ?",
                model.uid,
                revision,
                limit,
            )
        else:
            rows = self._rows(
                f"{_EVENT} WHERE e.model = ? AND e.alias = ? AND e.revision < ? ORDER BY e.revision DESC LIMIT ?",
                model.uid,
                alias,
                revision,
                limit,
            )
        return _page((len(row[0]), events.read(*row)) for row in rows)

    def births_after(self, revision: int, limit: int, until: int) -> list[Event]:
        rows = self._rows(
            f"{_EVENT} WHERE e.kind IN ('model_created', 'version_created') AND e.revision > ? AND e.revision <= ?"
            " ORDER BY e.revision LIMIT ?",
            revision,
            until,
            limit,
        )
        return _page((len(row[0]), events.read(*row)) for row in rows)

    def version_count(self, model: str, until: int) -> int:
        count: int = self._row(
            "SELECT count(*) FROM versions v JOIN models m ON m.uid = v.model WHERE m.name = ? AND v.revision <= ?",
            model,
            until,
        )[0]
        return count

    def moves_in_force(self, model: Model, version: int, revision: int) -> list[Event]:
        rows = self._rows(
            f"{_EVENT} JOIN aliases a ON e.revision ="  # noqa: S608 - put together from constants
            " (SELECT max(x.revision) FROM events x WHERE x.model = a.model AND x.alias = a.name AND x.revision <= ?)"
            " WHERE a.model = ? AND e.version = ? ORDER BY a.name",
            revision,
            model.uid,
            version,
        )
        return [events.read(*row) for row in rows]

    def node_key(self, node: str) -> tuple[bytes, int] | None:
        row = self._row("SELECT key, revision FROM node_keys WHERE node = ?", node)
        return None if row is None else (row[0], row[1])

    def remembered(self, request_id: str) -> tuple[str, bytes] | None:
        row = self._row("SELECT fingerprint, result FROM requests WHERE id = ?", request_id)
        return None if row is None else (row[0], row[1])

    def _alias(self, data: bytes, leaf_hash: bytes, uid: int) -> Alias:
        event = events.read(data, leaf_hash)
        move = _moved(event)
        below = self._rows(
            "SELECT version FROM promotions WHERE model = ? AND alias = ? ORDER BY depth DESC LIMIT ? OFFSET 1",
            uid,
            move.alias,
            LISTED_ROLLBACKS,
        )
        return Alias(
            model=move.model,
            name=move.alias,
            state=move.after,
            rollback_versions=tuple(row[0] for row in below),
            revision=event.revision,
            time_ms=event.time_ms,
            actor=event.actor,
            reason=event.reason,
        )

    def _rows(self, sql: str, *values: object) -> Iterable[Any]:
        return self._connection.execute(sql, values)

    def _row(self, sql: str, *values: object) -> Any:
        return self._connection.execute(sql, values).fetchone()


class SqliteTransaction(SqliteView):
    """Also writes; the caller holds the write transaction open."""

    def append(self, event: Event, state_accumulator: bytes, state_digest: bytes, model: Model | None) -> None:
        change = event.change
        moved = change if isinstance(change, AliasMoved) else None
        version = change.number if isinstance(change, VersionCreated) else None
        self._rows(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            event.revision,
            event.time_ms,
            _KINDS[type(change)],
            None if model is None else model.uid,
            None if moved is None else moved.alias,
            version if moved is None else moved.after.version,
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


def _moved(event: Event) -> AliasMoved:
    assert isinstance(event.change, AliasMoved)
    return event.change


def _page(items: Iterable[tuple[int, T]]) -> list[T]:
    page: list[T] = []
    total = 0
    for size, item in items:
        total += size
        if page and total > PAGE_BYTES:
            break
        page.append(item)
    return page
