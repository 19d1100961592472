"""From the registry's messages to the node's records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.registry.v1 import resources_pb2 as pb
from neuralmesh_server import names
from neuralmesh_server.inference.holding.records import (
    AliasRecord,
    FileRecord,
    ModelRecord,
    PolicyRecord,
    VersionRecord,
    alias_record,
)
from neuralmesh_server.inference.holding.replica import AliasMove, Change, SnapshotPart, Step
from neuralmesh_server.inference.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from neuralmesh_server import canonical

_MODES = {pb.ReceiptPolicy.MODE_SAMPLED: "sampled", pb.ReceiptPolicy.MODE_ALL: "all"}


def step(response: Any) -> Step:
    """Return the step of a WatchResponse; a heartbeat has neither part nor changes."""
    kind = response.WhichOneof("change")
    if kind == "snapshot":
        return Step(response.revision, response.state_digest, part=_part(response.snapshot))
    changes: tuple[tuple[int, Change], ...] = ()
    if kind == "events":
        changes = tuple((event.revision, _change(event)) for event in response.events.events)
    return Step(response.revision, response.state_digest, changes=changes)


def _part(snapshot: Any) -> SnapshotPart:
    return SnapshotPart(
        models=tuple(model_record(model) for model in snapshot.models),
        versions=tuple(version_record(version) for version in snapshot.versions),
        aliases=tuple(read_alias(alias) for alias in snapshot.aliases),
        first=snapshot.first,
        last=snapshot.last,
        policies=tuple(policy_record(one.name, one.policy) for one in snapshot.models if one.HasField("policy")),
    )


def _change(event: Any) -> Change:
    kind = event.WhichOneof("change")
    if kind == "model_created":
        return model_record(event.model_created.model)
    if kind == "version_created":
        return version_record(event.version_created.version)
    if kind == "alias_moved":
        return _move(event.alias_moved, event.revision)
    if kind == "model_policy_changed":
        return policy_record(event.model_policy_changed.model, event.model_policy_changed.after)
    # Nodes, protections, and whatever a newer registry adds: if it changes the state, the digest will say so.
    return None


def model_record(model: Any) -> ModelRecord:
    """Return a Model's record."""
    return ModelRecord(names.parse_model_name(model.name), model.uid)


def version_record(version: Any) -> VersionRecord:
    """Return a Version's record."""
    model, number = names.parse_version_name(version.name)
    return VersionRecord(
        model=model,
        version=number,
        digest=names.check_digest(version.digest),
        kind=version.kind,
        files=tuple(FileRecord(file.path, file.size_bytes, file.digest) for file in version.files),
        signature=_signature(version.signature) if version.HasField("signature") else None,
        size_bytes=version.size_bytes,
        batching_exact=version.metadata.get("batching") == "exact",
    )


def _signature(signature: Any) -> Signature:
    return Signature(_specs(signature.inputs), _specs(signature.outputs), signature.label_output)


def _specs(specs: Any) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(spec.name, spec.datatype, tuple(spec.shape)) for spec in specs)


def read_alias(alias: Any) -> AliasRecord:
    """Return an Alias's record."""
    model, name = names.parse_alias_name(alias.name)
    return alias_record(model, name, _state(alias.state), alias.revision, tuple(alias.rollback_versions))


def _move(moved: Any, revision: int) -> AliasMove:
    model, alias = names.parse_alias_name(moved.alias)
    return AliasMove(
        model=model,
        alias=alias,
        rollback=moved.kind == pb.AliasMoved.KIND_ROLLBACK,
        before=moved.before.version,
        version=moved.after.version,
        state=_state(moved.after),
        revision=revision,
    )


def policy_record(name: str, policy: Any) -> PolicyRecord:
    """Return the policy as it stands in the digest: only the parts that are set have a key."""
    fact: dict[str, canonical.Fact] = {}
    if policy.HasField("receipts"):
        receipts = policy.receipts
        fact["receipts"] = {
            "mode": _MODES.get(receipts.mode, "off"),
            "sample_ppm": receipts.sample_ppm,
            "content": "payloads" if receipts.content == pb.ReceiptPolicy.CONTENT_PAYLOADS else "digests",
            "max_age_seconds": receipts.max_age_seconds,
            "max_bytes": receipts.max_bytes,
        }
    if policy.HasField("batching"):
        batching = policy.batching
        fact["batching"] = {"max_rows": batching.max_rows, "max_delay_us": batching.max_delay_us}
    if policy.HasField("limits"):
        limits = policy.limits
        fact["limits"] = {
            "max_running": limits.max_running,
            "max_queued": limits.max_queued,
            "max_wait_ms": limits.max_wait_ms,
        }
    return PolicyRecord(names.parse_model_name(name), fact)


def _state(state: Any) -> dict[str, canonical.Fact]:
    """Return the state as it stands in the digest: only what is set has a key."""
    fact: dict[str, canonical.Fact] = {"version": state.version}
    for arm in ("canary", "shadow"):
        if state.HasField(arm):
            value = getattr(state, arm)
            fact[arm] = {"version": value.version, "share_ppm": value.share_ppm}
    if state.HasField("sticky_key"):
        fact["sticky_key"] = {"source": state.sticky_key.source, "key": state.sticky_key.key}
    return fact
