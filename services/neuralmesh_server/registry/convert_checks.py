"""Between the contract's messages and the registry's records: checks.

It checks nothing and decides nothing; `convert` has the other messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import names
from neuralmesh_server.registry.convert_origin import actor_message, timestamp
from neuralmesh_server.registry.records_checks import Finding

if TYPE_CHECKING:
    from neuralmesh_server.registry.records_checks import Check


def finding(request: Any) -> Finding:
    """Return the finding of a RecordCheckRequest; figures in order of their names."""
    return Finding(request.kind, request.plan_digest, request.output_digest, tuple(sorted(request.figures.items())))


def check_message(check: Check) -> Any:
    """Return the Check of a check."""
    found = check.finding
    return resources.Check(
        version=names.version_name(check.model, check.number),
        kind=found.kind,
        plan_digest=found.plan_digest,
        output_digest=found.output_digest,
        figures=dict(found.figures),
        actor=actor_message(check.actor),
        reason=check.reason,
        create_time=timestamp(check.time_ms),
        revision=check.revision,
    )
