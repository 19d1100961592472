"""The desired state of a node, model by model: a step merged into what is held gives the whole that follows.

It applies nothing: the replica checks the digest of the whole and takes it, or leaves what it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server.inference.edge.mesh import RefusedError
from neuralmesh_server.inference.holding.replica import SnapshotPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuralmesh_server.inference.holding.records import (
        AliasRecord,
        ModelRecord,
        PolicyRecord,
        StalenessRecord,
        VersionRecord,
    )
    from neuralmesh_server.inference.holding.replica import Replica


@dataclass(frozen=True, slots=True)
class ModelPart:
    """All that a node is to hold of one model; `policy` and `staleness` are None where the model has none."""

    model: ModelRecord
    versions: tuple[VersionRecord, ...] = ()
    aliases: tuple[AliasRecord, ...] = ()
    policy: PolicyRecord | None = None
    staleness: StalenessRecord | None = None


@dataclass(frozen=True, slots=True)
class MeshStep:
    """One step of the registry, and what the node holds after it; see SyncResponse in the contract."""

    revision: int
    digest: bytes
    whole: bool = False
    models: tuple[ModelPart, ...] = ()
    removed: tuple[str, ...] = ()
    event_hash: bytes = b""

    @property
    def changes(self) -> bool:
        """True when it is more than a sign of life."""
        return self.whole or bool(self.models) or bool(self.removed)


def parts_of(replica: Replica) -> list[ModelPart]:
    """Return what a replica holds as the registry says it, model by model."""
    return [
        ModelPart(
            model=record,
            versions=tuple(
                version for key, version in replica.versions.items() if key[0] == name and key not in replica.carried
            ),
            aliases=tuple(alias for key, alias in replica.alias_records.items() if key[0] == name),
            policy=replica.policy_records.get(name),
            staleness=replica.staleness.get(name),
        )
        for name, record in replica.models.items()
    ]


def merged(held: Iterable[ModelPart], step: MeshStep) -> SnapshotPart:
    """Return the whole state after a step.

    Raises:
        RefusedError: The step contradicts itself.
    """
    parts = {} if step.whole else {part.model.name: part for part in held}
    for name in step.removed:
        parts.pop(name, None)
    for part in step.models:
        _check(part, step.revision)
        parts[part.model.name] = part
    ordered = [parts[name] for name in sorted(parts)]
    return SnapshotPart(
        models=tuple(part.model for part in ordered),
        versions=tuple(version for part in ordered for version in part.versions),
        aliases=tuple(alias for part in ordered for alias in part.aliases),
        first=True,
        last=True,
        policies=tuple(part.policy for part in ordered if part.policy is not None),
        staleness=tuple(part.staleness for part in ordered if part.staleness is not None),
    )


def _check(part: ModelPart, revision: int) -> None:
    name = part.model.name
    others = {record.model for record in part.versions} | {record.model for record in part.aliases}
    others |= {record.model for record in (part.policy, part.staleness) if record is not None}
    others -= {name}
    if others:
        raise RefusedError(revision, f"the state of model {name!r} speaks of model {min(others)!r}")
    numbers = {version.version for version in part.versions}
    if len(numbers) < len(part.versions) or len({alias.alias for alias in part.aliases}) < len(part.aliases):
        raise RefusedError(revision, f"the state of model {name!r} says something twice")
    for alias in part.aliases:
        missing = set(alias.versions()) - numbers
        if missing:
            raise RefusedError(
                revision, f"alias {alias.alias!r} of model {name!r} names version {min(missing)}, which was not sent"
            )
