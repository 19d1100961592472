"""The canonical form of checks: records to facts and back, exactly.

`documents` has the other records. The forms stand in the log, so they are never changed, only added to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh_server.registry import documents
from neuralmesh_server.registry.records_checks import Check, CheckRecorded, Finding

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact


def recorded_fact(change: CheckRecorded) -> dict[str, Fact]:
    """Return the form of a recorded check."""
    finding = change.finding
    return {
        "model": change.model,
        "version": change.number,
        "kind": finding.kind,
        "plan_digest": finding.plan_digest,
        "output_digest": finding.output_digest,
        "figures": [[key, value] for key, value in finding.figures],
    }


def read_recorded(data: dict[str, Any]) -> CheckRecorded:
    """Return the recorded check of a form."""
    return CheckRecorded(
        data["model"],
        data["version"],
        Finding(
            data["kind"],
            data["plan_digest"],
            data["output_digest"],
            tuple((key, value) for key, value in data["figures"]),
        ),
    )


def check_fact(check: Check) -> Fact:
    """Return the form of a check."""
    return {
        "check": recorded_fact(CheckRecorded(check.model, check.number, check.finding)),
        "actor": documents.actor_fact(check.actor),
        "reason": check.reason,
        "time_ms": check.time_ms,
        "revision": check.revision,
    }


def read_check(data: dict[str, Any]) -> Check:
    """Return the check of a form."""
    recorded = read_recorded(data["check"])
    return Check(
        recorded.model,
        recorded.number,
        recorded.finding,
        documents.read_actor(data["actor"]),
        data["reason"],
        data["time_ms"],
        data["revision"],
    )
