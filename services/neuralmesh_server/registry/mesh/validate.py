"""What a request of the mesh may say by itself; what needs the registry's state is the domain's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import names
from neuralmesh_server.registry import validate
from neuralmesh_server.registry.validate import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINT_BYTES = 256
REASON_BYTES = 1024
OVERRIDES = 1000
FAILURES = 16
DIGEST_BYTES = 32
LARGEST = 2**63 - 1


def assignment(request: Any) -> None:
    """Check the assignment of a SetAssignmentRequest, but for its selector, which `selectors.parse` reads."""
    if not request.HasField("assignment"):
        raise invalid("assignment", "is missing")
    said = request.assignment
    if not said.selector:
        raise invalid("assignment.selector", "is missing; `*` matches every node")
    names.check_model(said.model)
    names.check_alias(said.alias)
    if said.pinned_version:
        names.check_version(said.pinned_version)
    if said.staleness.action not in resources.StalenessPolicy.Action.values():
        value = said.staleness.action
        raise invalid("assignment.staleness.action", f"is {value}, which is no action", value=value)


def labels(pairs: Mapping[str, str]) -> None:
    """Check the labels of a node."""
    if len(pairs) > names.MAX_LABELS:
        raise invalid("labels", f"holds more than {names.MAX_LABELS} labels", limit=names.MAX_LABELS)
    for key, value in pairs.items():
        if not names.LABEL_KEY.fullmatch(key):
            raise invalid("labels", f"has the key {key[:80]!a}, which does not match {names.LABEL_KEY.pattern}")
        if not names.LABEL_VALUE.fullmatch(value):
            raise invalid(
                f"labels[{key}]", f"is {value[:80]!a}, which does not match {names.LABEL_VALUE.pattern}", key=key
            )


def hello(request: Any) -> None:
    """Check the first message of a stream."""
    if request.WhichOneof("message") != "hello":
        raise invalid("hello", "is missing; it is the first message of a stream")
    said = request.hello
    names.check_node(said.node)
    labels(said.labels)
    _revision("hello.applied_revision", said.applied_revision)
    _digest("hello.state_digest", said.state_digest)
    _digest("hello.event_hash", said.event_hash)
    validate.id_key(said.id_key)
    validate.line("hello.endpoint", said.endpoint, ENDPOINT_BYTES)


def report(request: Any) -> None:
    """Check a further message of a stream."""
    if request.WhichOneof("message") != "report":
        raise invalid("report", "is missing; after the hello a node reports")
    said = request.report
    if said.outcome not in api.Report.Outcome.values():
        raise invalid("report.outcome", f"is {said.outcome}, which is no outcome", value=said.outcome)
    _revision("report.revision", said.revision)
    _digest("report.state_digest", said.state_digest)
    validate.text("report.reason", said.reason, REASON_BYTES)
    figures = said.figures
    if len(figures.overrides) > OVERRIDES:
        raise invalid("report.figures.overrides", f"holds more than {OVERRIDES} overrides", limit=OVERRIDES)
    for override in figures.overrides:
        names.check_model(override.model)
        names.check_alias(override.alias)
        validate.line("report.figures.overrides.actor", override.actor, validate.ACTOR_BYTES)
        validate.text("report.figures.overrides.reason", override.reason, REASON_BYTES)
    if len(figures.failures) > FAILURES:
        raise invalid("report.figures.failures", f"holds more than {FAILURES} failures", limit=FAILURES)
    for failure in figures.failures:
        validate.text("report.figures.failures", failure, REASON_BYTES)


def _revision(field: str, value: int) -> None:
    if value > LARGEST:
        raise invalid(field, f"is {value}; no registry has that many revisions", value=value)


def _digest(field: str, value: bytes) -> None:
    if len(value) not in {0, DIGEST_BYTES}:
        raise invalid(field, f"has {len(value)} bytes instead of {DIGEST_BYTES}", size=len(value))
