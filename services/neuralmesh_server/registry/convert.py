"""Between the contract's messages and the registry's records. It checks nothing and decides nothing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import names
from neuralmesh_server.registry.convert_assignment import assignment_message, waves_message
from neuralmesh_server.registry.convert_checks import check_message
from neuralmesh_server.registry.convert_origin import actor_message, timestamp
from neuralmesh_server.registry.convert_rollout import policy_message, proof_message, protection_message, state_message
from neuralmesh_server.registry.etags import etag
from neuralmesh_server.registry.following import SnapshotPart, Step
from neuralmesh_server.registry.records import (
    Alias,
    AliasMoved,
    AliasProtected,
    Event,
    FileEntry,
    Manifest,
    Model,
    ModelCreated,
    ModelPolicyChanged,
    MoveKind,
    Signature,
    TensorSpec,
    Version,
    VersionCreated,
)
from neuralmesh_server.registry.records_checks import CheckRecorded
from neuralmesh_server.registry.records_mesh import AssignmentChanged, WaveReached
from neuralmesh_server.registry.transfers import Chunk

if TYPE_CHECKING:
    from neuralmesh_server.registry.tracing import Trace
    from neuralmesh_server.registry.transfers import Stored

_KINDS = {
    MoveKind.PROMOTE: resources.AliasMoved.KIND_PROMOTE,
    MoveKind.ROLLBACK: resources.AliasMoved.KIND_ROLLBACK,
}


def manifest(request: Any) -> Manifest:
    """Return the manifest of a CreateVersionRequest; files and metadata in their canonical order."""
    files = (FileEntry(file.path, file.size_bytes, file.digest) for file in request.files)
    return Manifest(
        kind=request.kind,
        files=tuple(sorted(files, key=lambda file: file.path)),  # ASCII, so text order is byte order
        signature=_signature(request.signature) if request.HasField("signature") else None,
        description=request.description,
        metadata=tuple(sorted(request.metadata.items())),
    )


def chunk(message: Any) -> Chunk:
    """Return the chunk of an UploadArtifactRequest."""
    return Chunk(message.digest, message.size_bytes, message.offset, message.data)


def model_message(model: Model) -> Any:
    """Return the Model of a model."""
    return resources.Model(
        name=names.model_name(model.name),
        uid=model.uid,
        description=model.description,
        create_time=timestamp(model.time_ms),
        latest_version=model.latest_version,
        revision=model.revision,
        policy=policy_message(model.policy),
        policy_etag=etag(model.policy_revision),
    )


def version_message(version: Version) -> Any:
    """Return the Version of a version."""
    manifest = version.manifest
    return resources.Version(
        name=names.version_name(version.model, version.number),
        version=version.number,
        digest=version.digest,
        kind=manifest.kind,
        files=[resources.File(path=file.path, size_bytes=file.size, digest=file.digest) for file in manifest.files],
        signature=None if manifest.signature is None else _signature_message(manifest.signature),
        description=manifest.description,
        metadata=dict(manifest.metadata),
        actor=actor_message(version.actor),
        create_time=timestamp(version.time_ms),
        size_bytes=version.size,
        revision=version.revision,
    )


def alias_message(alias: Alias) -> Any:
    """Return the Alias of an alias."""
    return resources.Alias(
        name=names.alias_name(alias.model, alias.name),
        state=state_message(alias.state),
        etag=alias.etag,
        rollback_versions=alias.rollback_versions,
        revision=alias.revision,
        update_time=timestamp(alias.time_ms),
        actor=actor_message(alias.actor),
        reason=alias.reason,
        protection=protection_message(alias.protection),
        proof=proof_message(alias.proof),
        protection_etag=etag(alias.protection_revision),
    )


def event_message(event: Event) -> Any:
    """Return the Event of an event."""
    message = resources.Event(
        revision=event.revision,
        create_time=timestamp(event.time_ms),
        actor=actor_message(event.actor),
        reason=event.reason,
        canonical=event.canonical,
        leaf_hash=event.leaf_hash,
    )
    change = event.change
    if isinstance(change, ModelCreated):
        message.model_created.model.CopyFrom(model_message(event.model))
    elif isinstance(change, VersionCreated):
        message.version_created.version.CopyFrom(version_message(event.version))
    elif isinstance(change, AliasMoved):
        message.alias_moved.CopyFrom(
            resources.AliasMoved(
                alias=names.alias_name(change.model, change.alias),
                kind=_KINDS[change.kind],
                before=state_message(change.before),
                after=state_message(change.after),
                proof=proof_message(change.proof),
                waves=waves_message(change.waves),
            )
        )
    elif isinstance(change, ModelPolicyChanged):
        message.model_policy_changed.CopyFrom(
            resources.ModelPolicyChanged(
                model=names.model_name(change.model),
                before=policy_message(change.before),
                after=policy_message(change.after),
            )
        )
    elif isinstance(change, AliasProtected):
        message.alias_protected.CopyFrom(
            resources.AliasProtected(
                alias=names.alias_name(change.model, change.alias),
                before=protection_message(change.before),
                after=protection_message(change.after),
            )
        )
    elif isinstance(change, AssignmentChanged):
        after = change.after
        message.assignment_changed.CopyFrom(
            resources.AssignmentChanged(
                assignment=names.assignment_name(change.assignment),
                before=assignment_message(change.before),
                after=assignment_message(after and dataclasses.replace(after, revision=event.revision)),
            )
        )
    elif isinstance(change, WaveReached):
        message.wave_reached.alias = names.alias_name(change.model, change.alias)
        message.wave_reached.move_revision = change.move_revision
        message.wave_reached.share_ppm = change.share_ppm
    elif isinstance(change, CheckRecorded):
        message.check_recorded.check.CopyFrom(check_message(event.check))
    else:
        message.node_registered.node = change.node
        message.node_registered.key_fingerprint = change.key_fingerprint
    return message


def step_message(step: Step) -> Any:
    """Return the WatchResponse of a step."""
    message = api.WatchResponse(revision=step.revision, state_digest=step.state_digest)
    if isinstance(step.change, SnapshotPart):
        part = step.change
        message.snapshot.CopyFrom(
            api.Snapshot(
                models=[model_message(model) for model in part.models],
                versions=[version_message(version) for version in part.versions],
                aliases=[alias_message(alias) for alias in part.aliases],
                first=part.first,
                last=part.last,
            )
        )
    elif step.change is not None:
        message.events.events.extend(event_message(event) for event in step.change)
    return message


def stored_message(response: type[Any], stored: Stored) -> Any:
    """Return the response of an upload or of GetArtifact."""
    return response(digest=stored.digest, committed_bytes=stored.committed, complete=stored.complete)


def trace_message(text: str, trace: Trace) -> Any:
    """Return the TracePredictionResponse of a trace."""
    parts = trace.id
    return api.TracePredictionResponse(
        prediction_id=text,
        node=parts.node,
        node_start_time=timestamp(parts.epoch_ms),
        predict_time=timestamp(parts.epoch_ms + parts.offset_ms),
        sequence=parts.sequence,
        applied_revision=parts.revision,
        version=version_message(trace.version),
        promotions=[event_message(event) for event in trace.promotions],
    )


def _signature(message: Any) -> Signature:
    inputs, outputs = (
        tuple(TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in side)
        for side in (message.inputs, message.outputs)
    )
    return Signature(inputs, outputs, message.label_output)


def _signature_message(signature: Signature) -> Any:
    def tensors(specs: tuple[TensorSpec, ...]) -> list[Any]:
        return [resources.TensorSpec(name=spec.name, datatype=spec.datatype, shape=spec.shape) for spec in specs]

    return resources.Signature(
        inputs=tensors(signature.inputs),
        outputs=tensors(signature.outputs),
        label_output=signature.label_output,
    )
