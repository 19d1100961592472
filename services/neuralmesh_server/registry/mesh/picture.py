"""Takes from the log what desired states are made of, anew or by what has changed since."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeAlias

from neuralmesh_server.registry.catalog import find_model, find_version
from neuralmesh_server.registry.mesh.desired import Part, Picture, Standing
from neuralmesh_server.registry.records import NodeRegistered
from neuralmesh_server.registry.records_checks import CheckRecorded
from neuralmesh_server.registry.records_mesh import AssignmentChanged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuralmesh_server.registry.records import (
        AliasMoved,
        AliasProtected,
        Model,
        ModelCreated,
        ModelPolicyChanged,
        VersionCreated,
    )
    from neuralmesh_server.registry.records_mesh import Assignment, Wave, WaveReached
    from neuralmesh_server.registry.store import View

_OfModel: TypeAlias = (
    "ModelCreated | VersionCreated | AliasMoved | ModelPolicyChanged | AliasProtected | AssignmentChanged | WaveReached"
)
"""A change of a model."""

EVENTS = 200
"""When more than so many events are to be read, everything is read anew instead."""


def take(view: View, before: Picture | None = None) -> Picture:
    """Return the picture of a view; the parts of models that no event touched since an earlier one stay the same."""
    revision = view.head().revision
    changes = None if before is None else _changes(view, before.revision, revision)
    if before is None or changes is None:
        return _picture(view, revision, tuple(view.all_assignments()), {})
    if not changes:
        return dataclasses.replace(before, revision=revision, event_hash=event_hash(view, revision))
    assigned = any(isinstance(change, AssignmentChanged) for change in changes)
    assignments = tuple(view.all_assignments()) if assigned else before.assignments
    touched = {change.model for change in changes}
    kept = {name: part for name, part in before.parts.items() if name not in touched}
    return _picture(view, revision, assignments, kept)


def _changes(view: View, after: int, until: int) -> list[_OfModel] | None:
    """Return what happened to models between two revisions; None when it is too much to read."""
    if until - after > EVENTS:
        return None
    found: list[_OfModel] = []
    while after < until:
        events = view.events_after(after, EVENTS, until)
        found += [event.change for event in events if not isinstance(event.change, (NodeRegistered, CheckRecorded))]
        after = events[-1].revision
    return found


def _picture(view: View, revision: int, assignments: tuple[Assignment, ...], kept: dict[str, Part]) -> Picture:
    waves = tuple(view.waves())
    by_model: dict[str, list[Assignment]] = {}
    for assignment in assignments:
        by_model.setdefault(assignment.model, []).append(assignment)
    parts = {
        name: kept[name] if name in kept else _part(view, find_model(view, name), ones, waves)
        for name, ones in sorted(by_model.items())
    }
    return Picture(revision, assignments, parts, waves, event_hash(view, revision))


def event_hash(view: View, revision: int) -> bytes:
    """Return the leaf hash of the event of a revision, which names the history that led there; empty for none."""
    return next((event.leaf_hash for event in view.events_after(revision - 1, 1, revision)), b"") if revision else b""


def _part(view: View, model: Model, assignments: Iterable[Assignment], waves: Iterable[Wave]) -> Part:
    aliases = {
        name: _standings(view, model, name, [one for one in waves if (one.model, one.alias) == (model.name, name)])
        for name in sorted({one.alias for one in assignments})
    }
    numbers = {one.pinned_version for one in assignments if one.pinned_version}
    for standings in aliases.values():
        for alias in (one.alias for one in standings if one.alias is not None):
            numbers.update((*alias.state.versions(), *alias.rollback_versions[:1]))
    return Part(model, aliases, {number: find_version(view, model, number) for number in sorted(numbers)})


def _standings(view: View, model: Model, alias: str, waves: list[Wave]) -> tuple[Standing, ...]:
    """Return an alias as the moves that have not reached every node left it, the newest first, and as it was before."""
    standing = view.alias(model, alias)
    found = []
    for wave in waves:
        found.append(Standing(standing, wave.revision, wave.share_ppm))
        standing = view.alias_before(model, alias, wave.revision)
    return (*found, Standing(standing))
