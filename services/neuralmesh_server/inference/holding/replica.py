"""What the registry says, held by the node: models, versions, aliases and policies at one revision, proved by a digest.

A replica follows steps and says at once when it does not hold what the registry holds. It loads nothing and serves
nothing; `loader` and `serving` read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from neuralmesh_server import canonical, state_digest
from neuralmesh_server.inference import policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.inference.tensors import Signature

MAX_ROLLBACK = 100
"""How many versions below an alias are kept, as many as the registry lists."""


class DivergedError(Exception):
    """The replica does not hold what the registry holds at its revision."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model and its number."""

    name: str
    uid: int


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of a version: path in the manifest, size in bytes, digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version; `signature` is None when the pusher did not say, `batching_exact` when it must never be batched."""

    model: str
    version: int
    digest: str
    kind: str
    files: tuple[FileRecord, ...]
    signature: Signature | None
    size_bytes: int
    batching_exact: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """Another version beside the stable one, and its share in parts per million."""

    version: int
    share_ppm: int


class StickySource(IntEnum):
    """Where the value that decides a request's arm is read, by the contract's numbers."""

    PARAMETER = 1
    METADATA = 2
    REQUEST_ID = 3


@dataclass(frozen=True, slots=True)
class StickyKey:
    """Which value of a request decides its arm; `key` is empty for the request's id."""

    source: StickySource
    key: str


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """An alias.

    Attributes:
        version: The version that answers, the stable arm.
        revision: Revision of the last move.
        state: All that it says, as it stands in the state digest.
        below: Versions that rollback would go through, nearest first.
        canary: The arm that gets a share of the units, None for none.
        shadow: The arm that gets copies, None for none.
        sticky: What decides the arm, None for the request's id.
    """

    model: str
    alias: str
    version: int
    revision: int
    state: canonical.Fact
    below: tuple[int, ...]
    canary: Arm | None = None
    shadow: Arm | None = None
    sticky: StickyKey | None = None

    def versions(self) -> tuple[int, ...]:
        """Return the versions that the alias needs: the stable one, then the canary's and the shadow's."""
        arms = (arm.version for arm in (self.canary, self.shadow) if arm is not None)
        return tuple(dict.fromkeys((self.version, *arms)))


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


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A model's policy as it stands in the state digest; see `policy.read`."""

    model: str
    policy: Mapping[str, canonical.Fact]


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
            self.digest.remove(_alias_entry(before))
        self.aliases[record.model, record.alias] = record
        self.digest.add(_alias_entry(record))

    def put_policy(self, record: PolicyRecord) -> None:
        before = self.policy_records.get(record.model)
        if before is not None:
            self.digest.remove(_policy_entry(before))
        self.policy_records[record.model] = record
        self.policies[record.model] = policy.read(record.policy)
        self.digest.add(_policy_entry(record))


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

    @property
    def models(self) -> dict[str, ModelRecord]:
        """Models by name."""
        return self._tables.models

    @property
    def versions(self) -> dict[tuple[str, int], VersionRecord]:
        """Versions by model and number."""
        return self._tables.versions

    @property
    def aliases(self) -> dict[tuple[str, str], AliasRecord]:
        """Aliases by model and name."""
        return self._tables.aliases

    @property
    def policies(self) -> dict[str, policy.ModelPolicy]:
        """Policies by model; a model without one has none here."""
        return self._tables.policies

    @property
    def policy_records(self) -> dict[str, PolicyRecord]:
        """The same policies as they stand in the digest."""
        return self._tables.policy_records

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


def alias_record(
    model: str, alias: str, state: Mapping[str, Any], revision: int, below: tuple[int, ...]
) -> AliasRecord:
    """Return the record of an alias from its state as it stands in the digest: only what is set has a key.

    Raises:
        DivergedError: A newer registry reads sticky keys where this node cannot.
    """
    return AliasRecord(
        model=model,
        alias=alias,
        version=state["version"],
        revision=revision,
        state=dict(state),
        below=below,
        canary=_arm(state.get("canary")),
        shadow=_arm(state.get("shadow")),
        sticky=_sticky(state.get("sticky_key")),
    )


def _sticky(state: Mapping[str, Any] | None) -> StickyKey | None:
    if state is None:
        return None
    try:
        return StickyKey(StickySource(state["source"]), state["key"])
    except ValueError:
        raise DivergedError(f"this node knows no source {state['source']} of sticky keys") from None


def _arm(state: Mapping[str, Any] | None) -> Arm | None:
    return None if state is None else Arm(state["version"], state["share_ppm"])


def _policy_entry(record: PolicyRecord) -> canonical.Fact:
    return state_digest.policy_entry(record.model, dict(record.policy))


def _alias_entry(record: AliasRecord) -> canonical.Fact:
    previous = record.below[0] if record.below else 0
    return state_digest.alias_entry(record.model, record.alias, record.revision, record.state, previous)
