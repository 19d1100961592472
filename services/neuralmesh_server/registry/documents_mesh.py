"""The canonical form of assignments and wave plans: records to facts and back, exactly.

`documents` has the other records. The forms stand in the log, so they are never changed, only added to.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from neuralmesh_server.registry.records_mesh import (
    Assignment,
    AssignmentChange,
    StaleAction,
    StalenessPolicy,
    WavePlan,
)
from neuralmesh_server.registry.records_policy import LimitPolicy

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact


def assignment_fact(assignment: Assignment | None) -> Fact:
    """Return the form of an assignment, None for none: only what is set has a key.

    Who set it is the event's to say.
    """
    if assignment is None:
        return None
    form: dict[str, Fact] = {
        "selector": assignment.selector,
        "model": assignment.model,
        "alias": assignment.alias,
        "pinned_version": assignment.pinned_version,
    }
    if assignment.limits is not None:
        form["limits"] = dict(dataclasses.asdict(assignment.limits))
    if assignment.staleness is not None:
        form["staleness"] = {
            "action": int(assignment.staleness.action),
            "after_seconds": assignment.staleness.after_seconds,
        }
    if assignment.revision:
        form["revision"] = assignment.revision
    return form


def read_assignment(data: dict[str, Any] | None) -> Assignment | None:
    """Return the assignment of a form; None stays None."""
    if data is None:
        return None
    limits, staleness = data.get("limits"), data.get("staleness")
    return Assignment(
        selector=data["selector"],
        model=data["model"],
        alias=data["alias"],
        pinned_version=data["pinned_version"],
        limits=None if limits is None else LimitPolicy(**limits),
        staleness=None
        if staleness is None
        else StalenessPolicy(StaleAction(staleness["action"]), staleness["after_seconds"]),
        revision=data.get("revision", 0),
    )


def assignment_change_fact(change: AssignmentChange) -> Fact:
    """Return the form of the result of SetAssignment."""
    return {"assignment": assignment_fact(change.assignment), "before": assignment_fact(change.before)}


def read_assignment_change(data: dict[str, Any]) -> AssignmentChange:
    """Return the result of SetAssignment of a form."""
    after = read_assignment(data["assignment"])
    assert after is not None
    return AssignmentChange(after, read_assignment(data["before"]))


def waves_fact(waves: WavePlan | None) -> Fact:
    """Return the form of a wave plan; None stays None."""
    return None if waves is None else {"shares_ppm": list(waves.shares_ppm), "hold_seconds": waves.hold_seconds}


def read_waves(data: dict[str, Any] | None) -> WavePlan | None:
    """Return the wave plan of a form; None stays None."""
    return None if data is None else WavePlan(tuple(data["shares_ppm"]), data["hold_seconds"])
