"""What a node is to hold: a pure function of what the log says, the node's labels and its name.

It reads nothing: `picture` has taken from the log what is needed. A `Plan` is the function for one picture, with
what it has worked out kept, so that a thousand nodes which no selector and no wave tells apart cost one computation.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping  # noqa: TC003 - dataclasses evaluate nothing, and readers see the type
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical, state_digest
from neuralmesh_server.registry import documents, documents_policy
from neuralmesh_server.registry.mesh import selectors
from neuralmesh_server.registry.records import Actor, Alias, AliasState
from neuralmesh_server.registry.records_mesh import EVERY_NODE_PPM
from neuralmesh_server.registry.records_policy import ModelPolicy
from neuralmesh_server.state_digest import StateDigest

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.registry.records import Model, Version
    from neuralmesh_server.registry.records_mesh import Assignment, StalenessPolicy, Wave
    from neuralmesh_server.registry.records_policy import LimitPolicy

MOST_KEPT = 10_000
"""Label sets, and states, that a plan keeps; anybody may ask for the state of labels that no node has."""

_PLACES = 2**64


@dataclass(frozen=True, slots=True)
class Standing:
    """An alias as a move left it, for the nodes that the move has reached.

    Attributes:
        alias: None where the alias did not exist.
        revision: That of the move; 0 for what was before the oldest that counts.
        share_ppm: The share of the nodes that it has reached.
    """

    alias: Alias | None
    revision: int = 0
    share_ppm: int = EVERY_NODE_PPM


@dataclass(frozen=True, slots=True)
class Part:
    """A model with what assignments need of it.

    Attributes:
        aliases: The standings of each alias that an assignment names, the newest first; the last has reached every
            node.
        versions: Every version that a standing or a pin names or a rollback would bring back.
    """

    model: Model
    aliases: Mapping[str, tuple[Standing, ...]]
    versions: Mapping[int, Version]


@dataclass(frozen=True, slots=True)
class Picture:
    """What the log says at a revision, as far as edge nodes are concerned.

    Attributes:
        assignments: All of them, in order of their revisions.
        parts: By the names of the models that assignments name.
        waves: The moves that have not reached every node, the newest first.
        event_hash: Leaf hash of the event of the revision.
    """

    revision: int
    assignments: tuple[Assignment, ...] = ()
    parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    waves: tuple[Wave, ...] = ()
    event_hash: bytes = b""


@dataclass(frozen=True)
class ModelState:
    """What a node is to hold of one model; versions and aliases are in order."""

    model: Model
    versions: tuple[Version, ...]
    aliases: tuple[Alias, ...]
    staleness: StalenessPolicy | None

    def entries(self) -> list[Fact]:
        """Return its entries in the state digest."""
        name = self.model.name
        found = [state_digest.model_entry(name, self.model.uid)]
        found += [state_digest.version_entry(name, version.number, version.digest) for version in self.versions]
        for alias in self.aliases:
            state = documents.state_fact(alias.state)
            previous = alias.rollback_versions[0] if alias.rollback_versions else 0
            found.append(state_digest.alias_entry(name, alias.name, alias.revision, state, previous))
        if self.model.policy is not None:
            found.append(state_digest.policy_entry(name, documents_policy.policy_fact(self.model.policy)))
        if self.staleness is not None:
            action, seconds = int(self.staleness.action), self.staleness.after_seconds
            found.append(state_digest.staleness_entry(name, action, seconds))
        return found

    @cached_property
    def accumulator(self) -> bytes:
        """The sum over its entries."""
        total = StateDigest()
        for entry in self.entries():
            total.add(entry)
        return total.accumulator()


@dataclass(frozen=True)
class DesiredState:
    """What a node is to hold, by the names of the models in byte order, and the digest of all entries."""

    models: Mapping[str, ModelState]

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the sum of the entries of all models."""
        total = StateDigest()
        for state in self.models.values():
            total.join(state.accumulator)
        return total.value()


def place(move_revision: int, node: str) -> int:
    """Return the place of a node in the waves of a move: a number from 0 to 2^64 - 1 that only the two decide."""
    data = hashlib.sha256(canonical.encode([move_revision, node])).digest()
    return int.from_bytes(data[:8], "big")


def reaches(share_ppm: int, move_revision: int, node: str) -> bool:
    """Say whether a node is among the share of the nodes that a move has reached."""
    return share_ppm >= EVERY_NODE_PPM or place(move_revision, node) * EVERY_NODE_PPM < share_ppm * _PLACES


class Plan:
    """The desired state of any node at one picture.

    Args:
        picture: What the log says.
        before: An earlier plan; what it worked out for models that have not changed is taken over.
    """

    def __init__(self, picture: Picture, before: Plan | None = None) -> None:
        self.picture = picture
        self._selectors = tuple(selectors.parse(one.selector) for one in picture.assignments)
        self._keys = sorted(frozenset().union(*(selector.keys for selector in self._selectors)))
        self._waved = tuple(
            (name, alias, standings)
            for name, part in sorted(picture.parts.items())
            for alias, standings in sorted(part.aliases.items())
            if len(standings) > 1
        )
        self._held: dict[tuple[str | None, ...], tuple[Assignment, ...]] = {}
        self._states: dict[tuple[tuple[int, ...], tuple[int, ...]], DesiredState] = {}
        self._models: dict[tuple[str, tuple[int, ...], tuple[int, ...]], ModelState] = {}
        if before is not None and before.picture.assignments is picture.assignments:
            kept = {name for name, part in picture.parts.items() if before.picture.parts.get(name) is part}
            self._models = {key: state for key, state in before._models.items() if key[0] in kept}  # noqa: SLF001

    def state(self, labels: Mapping[str, str], node: str) -> DesiredState:
        """Return what a node is to hold."""
        held = self._holding(labels)
        chosen = tuple(_choice(standings, node) for _, _, standings in self._waved)
        key = tuple(assignment.revision for assignment in held), chosen
        found = self._states.get(key)
        if found is None:
            _bound(self._states)
            found = self._states[key] = self._make(held, chosen)
        return found

    def follows(self, labels: Mapping[str, str], model: str, alias: str) -> bool:
        """Say whether nodes of such labels hold what an alias says, and no pinned version in its place."""
        return any((one.model, one.alias, one.pinned_version) == (model, alias, 0) for one in self._holding(labels))

    def _holding(self, labels: Mapping[str, str]) -> tuple[Assignment, ...]:
        """Return the assignments that hold for labels: of those of one alias the newest, in order of their names."""
        reduced = tuple(labels.get(key) for key in self._keys)
        found = self._held.get(reduced)
        if found is None:
            _bound(self._held)
            newest = {
                (assignment.model, assignment.alias): assignment
                for assignment, selector in zip(self.picture.assignments, self._selectors, strict=True)
                if selector.matches(labels)
            }
            found = self._held[reduced] = tuple(newest[name] for name in sorted(newest))
        return found

    def _make(self, held: tuple[Assignment, ...], chosen: tuple[int, ...]) -> DesiredState:
        by_model: dict[str, list[Assignment]] = {}
        for assignment in held:
            by_model.setdefault(assignment.model, []).append(assignment)
        choices = {(name, alias): index for (name, alias, _), index in zip(self._waved, chosen, strict=True)}
        return DesiredState(
            {name: self._model(name, tuple(assignments), choices) for name, assignments in by_model.items()}
        )

    def _model(
        self, name: str, assignments: tuple[Assignment, ...], choices: Mapping[tuple[str, str], int]
    ) -> ModelState:
        indexes = tuple(choices.get((name, one.alias), 0) for one in assignments)
        key = name, tuple(one.revision for one in assignments), indexes
        found = self._models.get(key)
        if found is None:
            found = self._models[key] = _model_state(self.picture.parts[name], assignments, indexes)
        return found


def desired(picture: Picture, labels: Mapping[str, str], node: str) -> DesiredState:
    """Return what a node is to hold."""
    return Plan(picture).state(labels, node)


def _bound(kept: dict[Any, Any]) -> None:
    if len(kept) >= MOST_KEPT:
        kept.clear()


def _choice(standings: tuple[Standing, ...], node: str) -> int:
    """Return which standing of an alias holds for a node: the newest that has reached it."""
    return next(index for index, one in enumerate(standings) if reaches(one.share_ppm, one.revision, node))


def _model_state(part: Part, assignments: tuple[Assignment, ...], indexes: tuple[int, ...]) -> ModelState:
    aliases = []
    for assignment, index in zip(assignments, indexes, strict=True):
        alias = _pinned(assignment) if assignment.pinned_version else part.aliases[assignment.alias][index].alias
        if alias is not None:
            aliases.append(dataclasses.replace(alias, rollback_versions=alias.rollback_versions[:1]))
    needed = sorted({number for alias in aliases for number in (*alias.state.versions(), *alias.rollback_versions)})
    newest_first = sorted(assignments, key=lambda one: one.revision, reverse=True)
    limits = next((one.limits for one in newest_first if one.limits is not None), None)
    staleness = next((one.staleness for one in newest_first if one.staleness is not None), None)
    return ModelState(
        model=_limited(part.model, limits),
        versions=tuple(part.versions[number] for number in needed),
        aliases=tuple(aliases),
        staleness=staleness,
    )


def _pinned(assignment: Assignment) -> Alias:
    """Return the alias that a pin stands for; there is nothing that a rollback would bring back."""
    return Alias(
        model=assignment.model,
        name=assignment.alias,
        state=AliasState(assignment.pinned_version),
        rollback_versions=(),
        revision=assignment.revision,
        time_ms=assignment.time_ms,
        actor=assignment.actor or Actor(""),
        reason=assignment.reason,
    )


def _limited(model: Model, limits: LimitPolicy | None) -> Model:
    if limits is None:
        return model
    policy = ModelPolicy() if model.policy is None else model.policy
    return dataclasses.replace(model, policy=dataclasses.replace(policy, limits=limits))
