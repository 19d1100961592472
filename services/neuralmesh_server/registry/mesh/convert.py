"""Between the messages of the mesh and the registry's records. It checks nothing and decides nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh_server.registry.convert import alias_message, model_message, version_message
from neuralmesh_server.registry.convert_assignment import staleness_message
from neuralmesh_server.registry.convert_origin import timestamp
from neuralmesh_server.registry.mesh.nodes import Figures, Hello, Outcome, Override, Report

if TYPE_CHECKING:
    from neuralmesh_server.registry.mesh.desired import DesiredState, ModelState
    from neuralmesh_server.registry.mesh.fleet import Sight
    from neuralmesh_server.registry.mesh.hub import Step

_OUTCOMES = {
    api.Report.OUTCOME_UNSPECIFIED: None,
    api.Report.OUTCOME_APPLIED: Outcome.APPLIED,
    api.Report.OUTCOME_REFUSED: Outcome.REFUSED,
    api.Report.OUTCOME_PENDING: Outcome.PENDING,
}
_COUNTS = tuple(field.name for field in dataclasses.fields(Figures) if field.name not in {"overrides", "failures"})
_OVERRIDE = tuple(field.name for field in dataclasses.fields(Override))


def hello(message: Any) -> Hello:
    """Return the hello of a Hello."""
    return Hello(
        node=message.node,
        labels=dict(message.labels),
        applied_revision=message.applied_revision,
        state_digest=message.state_digest,
        id_key=message.id_key,
        epoch_ms=message.epoch_ms,
        endpoint=message.endpoint,
        event_hash=message.event_hash,
    )


def report(message: Any) -> Report:
    """Return the report of a Report."""
    return Report(
        outcome=_OUTCOMES[message.outcome],
        revision=message.revision,
        state_digest=message.state_digest,
        reason=message.reason,
        figures=_figures(message.figures),
    )


def step_message(step: Step) -> Any:
    """Return the SyncResponse of a step."""
    return api.SyncResponse(
        whole=step.whole,
        models=map(model_state_message, step.models),
        removed_models=step.removed,
        revision=step.revision,
        state_digest=step.state_digest,
        event_hash=step.event_hash,
    )


def desired_message(revision: int, state: DesiredState) -> Any:
    """Return the GetDesiredStateResponse of a state."""
    models = map(model_state_message, state.models.values())
    return api.GetDesiredStateResponse(revision=revision, state_digest=state.digest, models=models)


def model_state_message(state: ModelState) -> Any:
    """Return the ModelState of a model's state."""
    return api.ModelState(
        model=model_message(state.model),
        versions=map(version_message, state.versions),
        aliases=map(alias_message, state.aliases),
        staleness=staleness_message(state.staleness),
    )


def node_message(sight: Sight) -> Any:
    """Return the Node of a node."""
    node = sight.node
    silence = Duration()
    silence.FromNanoseconds(max(round(sight.silence * 1e9), 0))
    return api.Node(
        node=node.name,
        labels=dict(node.labels),
        connected=sight.connected,
        silence=silence,
        applied_revision=node.applied_revision,
        state_digest=node.state_digest,
        desired_digest=node.desired_digest,
        desired_revision=node.desired_revision,
        converged=node.converged,
        reason=node.reason,
        figures=_figures_message(node.figures),
        endpoint=node.endpoint,
        hello_time=timestamp(node.hello_ms),
    )


def _figures(message: Any) -> Figures:
    return Figures(
        **{name: getattr(message, name) for name in _COUNTS},
        overrides=tuple(
            Override(**{name: getattr(override, name) for name in _OVERRIDE}) for override in message.overrides
        ),
        failures=tuple(message.failures),
    )


def _figures_message(figures: Figures) -> Any:
    return api.NodeFigures(
        **{name: getattr(figures, name) for name in _COUNTS},
        overrides=[api.LocalOverride(**dataclasses.asdict(override)) for override in figures.overrides],
        failures=figures.failures,
    )
