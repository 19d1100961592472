"""The registry's queries in SQLite: `View` over one connection.

It opens no transaction and decides nothing; `store_sqlite` does the one, the rules the other. `store_sqlite_changes`
writes.
"""

# ruff: noqa: D102 - the methods are described by the protocols that they implement
from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from neuralmesh_server.registry import events
from neuralmesh_server.registry.records import (
    Alias,
    AliasMoved,
    AliasProtected,
    AliasState,
    Event,
    Head,
    Model,
    ModelPolicyChanged,
    MoveKind,
    Version,
)
from neuralmesh_server.registry.records_mesh import AssignmentChanged, Wave
from neuralmesh_server.registry.store import LISTED_ROLLBACKS, PAGE_BYTES
from neuralmesh_server.state_digest import StateDigest

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from neuralmesh_server.proof_seal import Proof
    from neuralmesh_server.registry.records_checks import Check
    from neuralmesh_server.registry.records_mesh import Assignment
    from neuralmesh_server.registry.records_policy import AliasProtection, ModelPolicy

T = TypeVar("T")

_EMPTY_DIGEST = StateDigest().value()
_MODEL = (
    "SELECT m.name, m.uid, m.description, m.time_ms, m.latest_version, m.revision,"
    " coalesce(p.revision, 0), e.canonical, e.leaf_hash"
    " FROM models m LEFT JOIN policies p ON p.model = m.uid LEFT JOIN events e ON e.revision = p.revision"
)
_EVENT = "SELECT e.canonical, e.leaf_hash FROM events e"
_ALIAS = (
    "SELECT e.canonical, e.leaf_hash, a.model FROM aliases a "
    "JOIN events e ON e.revision = a.revision JOIN models m ON m.uid = a.model"
)
_ALIAS_BYTES = 1024
"""About what an alias adds to an answer beyond its last move."""


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
        row = self._row(f"{_MODEL} WHERE m.name = ?", name)
        return None if row is None else _model(row)

    def model_of(self, uid: int) -> Model | None:
        row = self._row(f"{_MODEL} WHERE m.uid = ?", uid)
        return None if row is None else _model(row)

    def models(self, after: str, limit: int) -> list[Model]:
        rows = self._rows(f"{_MODEL} WHERE m.name > ? ORDER BY m.name LIMIT ?", after, limit)
        return _page((len(row[2].encode()), _model(row)) for row in rows)

    def policies(self) -> dict[str, tuple[ModelPolicy, int]]:
        rows = self._rows(f"{_EVENT} JOIN policies p ON p.revision = e.revision")
        found = ((event, _policy_changed(event)) for event in (events.read(*row) for row in rows))
        return {change.model: (change.after, event.revision) for event, change in found}

    def exact_version(self, model: Model) -> int | None:
        row = self._row(
            "SELECT v.number FROM versions v JOIN events e ON e.revision = v.revision,"
            " json_each(CAST(e.canonical AS TEXT), '$.change.metadata') pair"
            " WHERE v.model = ? AND pair.value ->> 0 = 'batching' AND pair.value ->> 1 = 'exact' LIMIT 1",
            model.uid,
        )
        return None if row is None else row[0]

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
        return _page((len(row[0]) + _ALIAS_BYTES, self._alias(*row)) for row in rows)

    def all_aliases(self) -> list[Alias]:
        return [self._alias(*row) for row in self._rows(f"{_ALIAS} ORDER BY a.model, a.name")]

    def protection(self, model: Model, alias: str) -> AliasProtection | None:
        return self._protection(model.uid, alias)[0]

    def protection_revision(self, model: Model, alias: str) -> int:
        return self._protection(model.uid, alias)[1]

    def is_known(self, model: Model, alias: str) -> bool:
        row = self._row("SELECT 1 FROM events WHERE model = ? AND alias = ? LIMIT 1", model.uid, alias)
        return row is not None

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
            " (SELECT x.revision FROM events x WHERE x.model = a.model AND x.alias = a.name AND x.revision <= ?"
            " AND x.kind = 'alias_moved' ORDER BY x.revision DESC LIMIT 1)"
            " WHERE a.model = ? ORDER BY a.name",
            revision,
            model.uid,
        )
        moves = (events.read(*row) for row in rows)
        return [event for event in moves if version in _moved(event).after.versions()]

    def assignment(self, name: str) -> Assignment | None:
        row = self._row(f"{_EVENT} JOIN assignments a ON a.revision = e.revision WHERE a.name = ?", name)
        return None if row is None else _assigned(events.read(*row))

    def assignments(self, after: int, limit: int) -> list[Assignment]:
        rows = self._rows(
            f"{_EVENT} JOIN assignments a ON a.revision = e.revision WHERE a.revision > ? ORDER BY a.revision LIMIT ?",
            after,
            limit,
        )
        return _page((len(row[0]), _assigned(events.read(*row))) for row in rows)

    def all_assignments(self) -> list[Assignment]:
        rows = self._rows(f"{_EVENT} JOIN assignments a ON a.revision = e.revision ORDER BY a.revision")
        return [_assigned(events.read(*row)) for row in rows]

    def waves(self, model: Model | None = None) -> list[Wave]:
        rows = self._rows(
            "SELECT e.canonical, e.leaf_hash, w.share_ppm FROM waves w JOIN events e ON e.revision = w.revision"
            " WHERE ?1 IS NULL OR w.model = ?1 ORDER BY w.revision DESC",
            None if model is None else model.uid,
        )
        return [_wave(events.read(data, leaf_hash), share) for data, leaf_hash, share in rows]

    def alias_before(self, model: Model, alias: str, revision: int) -> Alias | None:
        row = self._row(
            f"{_EVENT} WHERE e.model = ? AND e.alias = ? AND e.kind = 'alias_moved' AND e.revision < ?"
            " ORDER BY e.revision DESC LIMIT 1",
            model.uid,
            alias,
            revision,
        )
        return None if row is None else self._alias(row[0], row[1], model.uid, before=revision)

    def check(self, model: Model, version: int, kind: str, output_digest: str) -> Check | None:
        row = self._row(
            f"{_EVENT} JOIN checks c ON c.revision = e.revision"
            " WHERE c.model = ? AND c.version = ? AND c.kind = ? AND c.output_digest = ?",
            model.uid,
            version,
            kind,
            output_digest,
        )
        return None if row is None else events.read(*row).check

    def checks(self, model: Model, version: int | None, before: int, limit: int) -> list[Check]:
        rows = self._rows(
            f"{_EVENT} JOIN checks c ON c.revision = e.revision"
            f" WHERE c.model = ? AND c.revision < ?{'' if version is None else ' AND c.version = ?'}"
            " ORDER BY c.revision DESC LIMIT ?",
            *(value for value in (model.uid, before, version, limit) if value is not None),
        )
        return _page((len(row[0]), events.read(*row).check) for row in rows)

    def node_key(self, node: str) -> tuple[bytes, int] | None:
        row = self._row("SELECT key, revision FROM node_keys WHERE node = ?", node)
        return None if row is None else (row[0], row[1])

    def remembered(self, request_id: str) -> tuple[str, bytes] | None:
        row = self._row("SELECT fingerprint, result FROM requests WHERE id = ?", request_id)
        return None if row is None else (row[0], row[1])

    def _alias(self, data: bytes, leaf_hash: bytes, uid: int, before: int = 2**62) -> Alias:
        """Return the alias of its last move, or of its last one before a revision since which it was only promoted."""
        event = events.read(data, leaf_hash)
        move = _moved(event)
        below = self._rows(
            "SELECT version FROM promotions WHERE model = ? AND alias = ? AND revision < ?"
            " ORDER BY depth DESC LIMIT ? OFFSET 1",
            uid,
            move.alias,
            before,
            LISTED_ROLLBACKS,
        )
        protection, protection_revision = self._protection(uid, move.alias)
        return Alias(
            model=move.model,
            name=move.alias,
            state=move.after,
            rollback_versions=tuple(row[0] for row in below),
            revision=event.revision,
            time_ms=event.time_ms,
            actor=event.actor,
            reason=event.reason,
            protection=protection,
            protection_revision=protection_revision,
            proof=move.proof if move.kind is MoveKind.PROMOTE else self._proof(uid, move.alias, before),
        )

    def _proof(self, uid: int, alias: str, before: int) -> Proof | None:
        """Return what came with the promotion on top of an alias's stack, without those from a revision on."""
        row = self._row(
            f"{_EVENT} JOIN promotions p ON p.revision = e.revision WHERE p.model = ? AND p.alias = ?"
            " AND p.revision < ? ORDER BY p.depth DESC LIMIT 1",
            uid,
            alias,
            before,
        )
        return _moved(events.read(*row)).proof

    def _protection(self, uid: int, alias: str) -> tuple[AliasProtection | None, int]:
        """Return an alias's protection, and the revision of its last change."""
        row = self._row(
            f"{_EVENT} JOIN protections p ON p.revision = e.revision WHERE p.model = ? AND p.alias = ?", uid, alias
        )
        if row is None:
            return None, 0
        event = events.read(*row)
        assert isinstance(event.change, AliasProtected)
        return event.change.after, event.revision

    def _rows(self, sql: str, *values: object) -> Iterable[Any]:
        return self._connection.execute(sql, values)

    def _row(self, sql: str, *values: object) -> Any:
        return self._connection.execute(sql, values).fetchone()


def _moved(event: Event) -> AliasMoved:
    assert isinstance(event.change, AliasMoved)
    return event.change


def _assigned(event: Event) -> Assignment:
    assert isinstance(event.change, AssignmentChanged)
    after = event.change.after
    assert after is not None
    return dataclasses.replace(
        after, revision=event.revision, actor=event.actor, time_ms=event.time_ms, reason=event.reason
    )


def _wave(event: Event, share_ppm: int) -> Wave:
    move = _moved(event)
    assert move.waves is not None
    return Wave(move.model, move.alias, event.revision, move.waves, share_ppm)


def _policy_changed(event: Event) -> ModelPolicyChanged:
    assert isinstance(event.change, ModelPolicyChanged)
    return event.change


def _model(row: tuple[Any, ...]) -> Model:
    *columns, policy_revision, policy, leaf_hash = row
    model = Model(*columns)
    if policy is None:
        return model
    after = _policy_changed(events.read(policy, leaf_hash)).after
    return dataclasses.replace(model, policy=after, policy_revision=policy_revision)


def _page(items: Iterable[tuple[int, T]]) -> list[T]:
    page: list[T] = []
    total = 0
    for size, item in items:
        total += size
        if page and total > PAGE_BYTES:
            break
        page.append(item)
    return page
