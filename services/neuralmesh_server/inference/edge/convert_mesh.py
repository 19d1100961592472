"""Between the mesh's messages and what the node works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration

from neuralmesh.mesh.v1 import edge_service_pb2, mesh_service_pb2
from neuralmesh_server import names
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference.edge.desired import MeshStep, ModelPart
from neuralmesh_server.inference.edge.mesh import RefusedError
from neuralmesh_server.inference.holding import convert_registry
from neuralmesh_server.inference.holding.records import DivergedError, StalenessRecord

if TYPE_CHECKING:
    from neuralmesh_server.inference.edge.mesh import Figures, Hello, LocalMove, Verdict
    from neuralmesh_server.inference.edge.status import EdgeStatus


def step(response: Any) -> MeshStep:
    """Return the step of a SyncResponse; raises RefusedError where it breaks the contract's rules."""
    try:
        return MeshStep(
            revision=response.revision,
            digest=response.state_digest,
            whole=response.whole,
            models=tuple(_part(model) for model in response.models),
            removed=tuple(names.check_model(name) for name in response.removed_models),
            event_hash=response.event_hash,
        )
    except (InvalidArgumentError, DivergedError) as error:
        raise RefusedError(response.revision, f"the registry sent {error}") from error


def _part(state: Any) -> ModelPart:
    model = convert_registry.model_record(state.model)
    return ModelPart(
        model=model,
        versions=tuple(convert_registry.version_record(version) for version in state.versions),
        aliases=tuple(convert_registry.read_alias(alias) for alias in state.aliases),
        policy=convert_registry.policy_record(state.model.name, state.model.policy)
        if state.model.HasField("policy")
        else None,
        staleness=StalenessRecord(model.name, state.staleness.action, state.staleness.after_seconds)
        if state.HasField("staleness")
        else None,
    )


def hello(said: Hello) -> Any:
    """Return the SyncRequest that opens a stream."""
    return mesh_service_pb2.SyncRequest(
        hello=mesh_service_pb2.Hello(
            node=said.node,
            labels=said.labels,
            applied_revision=said.applied_revision,
            state_digest=said.digest,
            id_key=said.key,
            epoch_ms=said.epoch_ms,
            endpoint=said.endpoint,
            event_hash=said.event_hash,
        )
    )


def report(verdict: Verdict, shown: Figures) -> Any:
    """Return the SyncRequest of a report."""
    return mesh_service_pb2.SyncRequest(
        report=mesh_service_pb2.Report(
            outcome=mesh_service_pb2.Report.Outcome.Name(int(verdict.outcome)),
            revision=verdict.revision,
            state_digest=verdict.digest,
            reason=verdict.reason,
            figures=figures(shown),
        )
    )


def figures(shown: Figures) -> Any:
    """Return the NodeFigures."""
    return mesh_service_pb2.NodeFigures(
        cache_bytes=shown.cache_bytes,
        cache_limit_bytes=shown.cache_limit_bytes,
        fetched_upstream_bytes=shown.fetched_upstream_bytes,
        fetched_registry_bytes=shown.fetched_registry_bytes,
        forwarded=shown.forwarded,
        forward_failures=shown.forward_failures,
        hedged=shown.hedged,
        hedges_won=shown.hedges_won,
        hedges_compared=shown.hedges_compared,
        hedges_different=shown.hedges_different,
        overrides=[override(move) for move in shown.overrides],
        failures=shown.failures,
        lost_reports=shown.lost_reports,
    )


def override(move: LocalMove) -> Any:
    """Return the LocalOverride of a move."""
    return mesh_service_pb2.LocalOverride(
        model=move.model,
        alias=move.alias,
        version=move.version,
        alias_revision=move.alias_revision,
        actor=move.actor,
        reason=move.reason,
    )


def status(found: EdgeStatus) -> Any:
    """Return the GetEdgeStatusResponse."""
    answer = edge_service_pb2.GetEdgeStatusResponse(
        node=found.node,
        labels=found.labels,
        applied_revision=found.applied_revision,
        state_digest=found.digest,
        connected=found.connected,
        figures=figures(found.figures),
        disconnected_reason=found.trouble,
    )
    if found.staleness is not None:
        milliseconds = Duration()
        milliseconds.FromMilliseconds(int(found.staleness * 1000))
        answer.staleness.CopyFrom(milliseconds)
    return answer
