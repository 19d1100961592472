"""Between the contract's messages and the registry's records: assignments and wave plans.

It checks nothing and decides nothing; `convert` has the other messages.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import names
from neuralmesh_server.registry.records_mesh import Assignment, StaleAction, StalenessPolicy, WavePlan
from neuralmesh_server.registry.records_policy import LimitPolicy

_ACTIONS = {
    StaleAction.SERVE: resources.StalenessPolicy.ACTION_SERVE,
    StaleAction.FLAG: resources.StalenessPolicy.ACTION_FLAG,
    StaleAction.REFUSE: resources.StalenessPolicy.ACTION_REFUSE,
}


def assignment(message: Any, selector: str) -> Assignment:
    """Return the assignment of an Assignment whose selector has this canonical text."""
    limits, staleness = message.limits, message.staleness
    return Assignment(
        selector=selector,
        model=message.model,
        alias=message.alias,
        pinned_version=message.pinned_version,
        limits=LimitPolicy(limits.max_running, limits.max_queued, limits.max_wait_ms)
        if message.HasField("limits")
        else None,
        staleness=StalenessPolicy(StaleAction(staleness.action or StaleAction.SERVE), staleness.after_seconds)
        if message.HasField("staleness")
        else None,
    )


def assignment_message(assignment: Assignment | None) -> Any:
    """Return the Assignment of an assignment; None stays None."""
    if assignment is None:
        return None
    limits = assignment.limits
    return resources.Assignment(
        name=names.assignment_name(assignment.id),
        selector=assignment.selector,
        model=assignment.model,
        alias=assignment.alias,
        pinned_version=assignment.pinned_version,
        limits=None if limits is None else resources.LimitPolicy(**dataclasses.asdict(limits)),
        staleness=staleness_message(assignment.staleness),
        revision=assignment.revision,
    )


def staleness_message(staleness: StalenessPolicy | None) -> Any:
    """Return the StalenessPolicy of a policy; None stays None."""
    if staleness is None:
        return None
    return resources.StalenessPolicy(action=_ACTIONS[staleness.action], after_seconds=staleness.after_seconds)


def waves(message: Any) -> WavePlan:
    """Return the plan of a WavePlan."""
    return WavePlan(tuple(message.shares_ppm), message.hold_seconds)


def waves_message(waves: WavePlan | None) -> Any:
    """Return the WavePlan of a plan; None stays None."""
    if waves is None:
        return None
    return resources.WavePlan(shares_ppm=waves.shares_ppm, hold_seconds=waves.hold_seconds)
