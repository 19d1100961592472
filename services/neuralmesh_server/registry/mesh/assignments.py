"""Assignments: kept as events of the log, replaced whole, named by the nodes and the alias that they are about."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from neuralmesh_server.errors import NotFoundError
from neuralmesh_server.registry import documents_mesh
from neuralmesh_server.registry.catalog import find_model, find_version
from neuralmesh_server.registry.ledger import Repeatable, record
from neuralmesh_server.registry.records_mesh import AssignmentChange, AssignmentChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.registry.records import Event, Origin
    from neuralmesh_server.registry.records_mesh import Assignment
    from neuralmesh_server.registry.store import Store, Transaction

_SET = Repeatable("SetAssignment", documents_mesh.assignment_change_fact, documents_mesh.read_assignment_change)
_DELETE = Repeatable("DeleteAssignment", documents_mesh.assignment_fact, documents_mesh.read_assignment)


class Assignments:
    """Sets, deletes and lists assignments.

    Args:
        store: Where they are kept.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def set(self, assignment: Assignment, origin: Origin) -> AssignmentChange:
        """Set an assignment in the place of the one of the same id; the one that already holds changes nothing.

        Raises:
            NotFoundError: MODEL_NOT_FOUND, or VERSION_NOT_FOUND of the pinned version.
        """
        arguments: Fact = {"assignment": documents_mesh.assignment_fact(assignment)}

        def rule(transaction: Transaction) -> AssignmentChange:
            now = self._clock()
            return _SET.once(transaction, now, origin, arguments, lambda: _set(transaction, now, assignment, origin))

        return await self._store.change(rule)

    async def delete(self, name: str, origin: Origin) -> Assignment:
        """Delete the assignment of an id and return it.

        Raises:
            NotFoundError: ASSIGNMENT_NOT_FOUND.
        """

        def rule(transaction: Transaction) -> Assignment:
            now = self._clock()
            return _DELETE.once(
                transaction, now, origin, {"assignment": name}, lambda: _delete(transaction, now, name, origin)
            )

        return await self._store.change(rule)

    async def list(self, after: int, limit: int) -> list[Assignment]:
        """Return a page of the assignments in order of their revisions; empty only at the end."""
        return await self._store.read(lambda view: view.assignments(after, limit))


def _set(transaction: Transaction, time_ms: int, assignment: Assignment, origin: Origin) -> AssignmentChange:
    model = find_model(transaction, assignment.model)
    if assignment.pinned_version:
        find_version(transaction, model, assignment.pinned_version)
    before = transaction.assignment(assignment.id)
    if before is not None and assignment.says(before):
        return AssignmentChange(before, before)
    event = _record(transaction, time_ms, origin, before, assignment)
    transaction.set_assignment(assignment.id, model, event.revision)
    return AssignmentChange(dataclasses.replace(assignment, revision=event.revision), before)


def _delete(transaction: Transaction, time_ms: int, name: str, origin: Origin) -> Assignment:
    before = transaction.assignment(name)
    if before is None:
        raise NotFoundError("ASSIGNMENT_NOT_FOUND", f"there is no assignment {name!r}", assignment=name)
    _record(transaction, time_ms, origin, before, None)
    transaction.drop_assignment(name)
    return before


def _record(
    transaction: Transaction, time_ms: int, origin: Origin, before: Assignment | None, after: Assignment | None
) -> Event:
    about = after or before
    assert about is not None
    change = AssignmentChanged(about.id, about.model, about.alias, before, after)
    return record(transaction, time_ms, origin, change, model=find_model(transaction, about.model))
