"""What the registry says, held by the node: models, versions, aliases and policies at one revision, proved by a digest.

A replica follows steps and says at once when it does not hold what the registry holds. It loads nothing and serves
nothing; `loader` and `serving` read it. Beside what the digest proves it may carry versions that still answer though
the registry has gone on without them, and aliases that somebody set aside on this node.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from neuralmesh_server import canonical, state_digest
from neuralmesh_server.inference import policy
from neuralmesh_server.inference.holding.records import (
    AliasRecord,
    DivergedError,
    ModelRecord,
    PolicyRecord,
    StalenessRecord,
    VersionRecord,
    alias_record,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MAX_ROLLBACK = 100
"""How many versions below an alias are kept, as many as the registry lists."""


@dataclass(frozen=True, slots=True)
class AliasMove:
    """A promotion or rollback: the version before (0 for none) and the state after."""

    model: str
    alias: str
    rollback: bool
    before: int
    version: int
    state: Mapping[str, canonical.Fact]
    revision: int


Change: TypeAlias = "ModelRecord | VersionRecord | AliasMove | PolicyRecord | None"
"""One event; None for one that changes nothing here."""


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """A part of the whole state; the first replaces what was there, the last completes it."""

    models: tuple[ModelRecord, ...]
    versions: tuple[VersionRecord, ...]
    aliases: tuple[AliasRecord, ...]
    first: bool
    last: bool
    policies: tuple[PolicyRecord, ...] = ()
    staleness: tuple[StalenessRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the registry, and what a follower holds after it; `digest` is empty between parts of a snapshot."""

    revision: int
    digest: bytes
    part: SnapshotPart | None = None
    changes: tuple[tuple[int, Change], ...] = ()


@dataclass(slots=True)
class _Tables:
    models: dict[str, ModelRecord] = field(default_factory=dict)
    versions: dict[tuple[str, int], VersionRecord] = field(default_factory=dict)
    aliases: dict[tuple[str, str], AliasRecord] = field(default_factory=dict)
    policies: dict[str, policy.ModelPolicy] = field(default_factory=dict)
    policy_records: dict[str, PolicyRecord] = field(default_factory=dict)
    staleness: dict[str, StalenessRecord] = field(default_factory=dict)
    carried: set[tuple[str, int]] = field(default_factory=set)
    digest: state_digest.StateDigest = field(default_factory=state_digest.StateDigest)

    def add_model(self, record: ModelRecord) -> None:
        self.models[record.name] = record
        self.digest.add(state_digest.model_entry(record.name, record.uid))

    def add_version(self, record: VersionRecord) -> None:
        self.versions[record.model, record.version] = record
        self.digest.add(state_digest.version_entry(record.model, record.version, record.digest))

    def put_alias(self, record: AliasRecord) -> None:
        before = self.aliases.get((record.model, record.alias))
        if before is not None:
            self.digest.remove(alias_entry(before))
        self.aliases[record.model, record.alias] = record
        self.digest.add(alias_entry(record))

    def put_policy(self, record: PolicyRecord) -> None:
        before = self.policy_records.get(record.model)
        if before is not None:
            self.digest.remove(_policy_entry(before))
        self.policy_records[record.model] = record
        self.policies[record.model] = policy.read(record.policy)
        self.digest.add(_policy_entry(record))

    def add_staleness(self, record: StalenessRecord) -> None:
        self.staleness[record.model] = record
        self.digest.add(state_digest.staleness_entry(record.model, record.action, record.after_seconds))


class Replica:
    """The registry's state at `revision`; revision 0 is the empty registry, or nothing known yet.

    `outdated` holds while the state lacks what a newer release of the node keeps of it: it can be served, and the
    registry should send it again.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.outdated = False
        self._tables = _Tables()
        self._incoming: _Tables | None = None
        self._aside: dict[tuple[str, str], int] = {}

    @property
    def models(self) -> dict[str, ModelRecord]:
        """Models by name."""
        return self._tables.models

    @property
    def versions(self) -> dict[tuple[str, int], VersionRecord]:
        """Versions by model and number, those that are only carried among them."""
        return self._tables.versions

    @property
    def carried(self) -> frozenset[tuple[str, int]]:
        """Versions that the registry's state has no more."""
        return frozenset(self._tables.carried)

    @property
    def aliases(self) -> dict[tuple[str, str], AliasRecord]:
        """Aliases by model and name, as this node takes them: those that are set aside name another version."""
        if not self._aside:
            return self._tables.aliases
        return {key: self._moved_here(key, record) for key, record in self._tables.aliases.items()}

    @property
    def alias_records(self) -> dict[tuple[str, str], AliasRecord]:
        """Aliases as the registry says them, which is how they stand in the digest."""
        return self._tables.aliases

    @property
    def policies(self) -> dict[str, policy.ModelPolicy]:
        """Policies by model; a model without one has none here."""
        return self._tables.policies

    @property
    def policy_records(self) -> dict[str, PolicyRecord]:
        """The same policies as they stand in the digest."""
        return self._tables.policy_records

    @property
    def staleness(self) -> dict[str, StalenessRecord]:
        """What holds of a model when the registry is silent for long; a model without it has none here."""
        return self._tables.staleness

    def digest(self) -> bytes:
        """Return the state's digest, 32 bytes."""
        return self._tables.digest.value()

    def apply(self, step: Step) -> bool:
        """Take a step; returns whether the replica changed.

        Raises:
            DivergedError: The step does not follow on what is held, or leads to another digest. What is held stays
                readable, but only a snapshot may follow.
        """
        before = self.revision
        if step.part is not None:
            return self._take(step.part, step)
        for revision, change in step.changes:
            if revision != self.revision + 1:
                raise DivergedError(f"event {revision} came after revision {self.revision}")
            self._change(change)
            self.revision = revision
        self._check(step)
        return self.revision != before

    def advance(self, revision: int, digest: bytes) -> None:
        """Take note that the state is the same at a higher revision; raises DivergedError when it is another."""
        if digest != self.digest():
            raise DivergedError(f"the state of revision {revision} does not have its digest")
        self.revision = revision

    def carry(self, records: Collection[VersionRecord]) -> None:
        """Hold versions beside the state, those that are not in it and whose model is."""
        for record in records:
            key = (record.model, record.version)
            if record.model in self._tables.models and key not in self._tables.versions:
                self._tables.versions[key] = record
                self._tables.carried.add(key)

    def release(self, kept: Collection[tuple[str, int]]) -> None:
        """Let go the carried versions that are not among these."""
        for key in self._tables.carried - set(kept):
            self._tables.carried.discard(key)
            del self._tables.versions[key]

    def set_aside(self, moves: Mapping[tuple[str, str], int]) -> None:
        """Have aliases name other versions on this node, these and no others."""
        self._aside = dict(moves)

    def _moved_here(self, key: tuple[str, str], record: AliasRecord) -> AliasRecord:
        version = self._aside.get(key)
        if version is None or (key[0], version) not in self.versions:
            return record
        below = (record.version, *(one for one in record.below if one != version))
        return replace(record, version=version, state={"version": version}, below=below, canary=None, shadow=None)

    def _take(self, part: SnapshotPart, step: Step) -> bool:
        if part.first:
            self._incoming = _Tables()
        incoming = self._incoming
        if incoming is None:
            raise DivergedError("a snapshot began in its middle")
        for model in part.models:
            incoming.add_model(model)
        for version in part.versions:
            incoming.add_version(version)
        for alias in part.aliases:
            incoming.put_alias(alias)
        for record in part.policies:
            incoming.put_policy(record)
        for staleness in part.staleness:
            incoming.add_staleness(staleness)
        if not part.last:
            return False
        if step.digest and incoming.digest.value() != step.digest:
            raise DivergedError(f"the snapshot of revision {step.revision} does not have its digest")
        self._tables, self._incoming, self.revision = incoming, None, step.revision
        self.outdated = False
        return True

    def _check(self, step: Step) -> None:
        if self.revision != step.revision:
            raise DivergedError(f"the registry is at revision {step.revision}, its events led to {self.revision}")
        if step.digest and self.digest() != step.digest:
            raise DivergedError(f"the state of revision {step.revision} does not have its digest")

    def _change(self, change: Change) -> None:
        if isinstance(change, ModelRecord):
            self._tables.add_model(change)
        elif isinstance(change, VersionRecord):
            self._tables.add_version(change)
        elif isinstance(change, AliasMove):
            self._tables.put_alias(self._moved(change))
        elif isinstance(change, PolicyRecord):
            self._tables.put_policy(change)

    def _moved(self, move: AliasMove) -> AliasRecord:
        held = self._tables.aliases.get((move.model, move.alias))
        below = held.below if held is not None else ()
        if not move.rollback:
            below = ((move.before, *below) if move.before else below)[:MAX_ROLLBACK]
        elif move.version in below:
            below = below[below.index(move.version) + 1 :]
        else:
            raise DivergedError(f"alias {move.model}/{move.alias} went back to a version that was not below it")
        return alias_record(move.model, move.alias, move.state, move.revision, below)


def _policy_entry(record: PolicyRecord) -> canonical.Fact:
    return state_digest.policy_entry(record.model, dict(record.policy))


def alias_entry(record: AliasRecord) -> canonical.Fact:
    """Return an alias as it stands in the state digest."""
    previous = record.below[0] if record.below else 0
    return state_digest.alias_entry(record.model, record.alias, record.revision, record.state, previous)
