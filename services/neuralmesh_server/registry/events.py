"""Events: the canonical bytes of a change, their leaf hash, and the way back.

The bytes are the log; everything that an event says is read from them. A Merkle log is built over the leaf hashes
later, so the form is never changed, only added to.

    {"actor": {"authenticated", "id", "on_behalf_of"}, "change": {"type": ..., ...}, "reason", "revision", "time_ms"}

where the change is one of

    model_created      description model uid
    version_created    description digest files kind metadata model signature version
    alias_moved        after alias before kind model, and proof and waves where there are any
    node_registered    key_fingerprint node
    model_policy_changed  after before model
    alias_protected    after alias before model
    assignment_changed  after alias assignment before model
    wave_reached       alias model move_revision share_ppm
    check_recorded     figures kind model output_digest plan_digest version
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical
from neuralmesh_server.registry import documents, documents_checks, documents_mesh, documents_policy
from neuralmesh_server.registry.records import (
    Actor,
    AliasMoved,
    AliasProtected,
    Change,
    Event,
    ModelCreated,
    ModelPolicyChanged,
    MoveKind,
    NodeRegistered,
    VersionCreated,
)
from neuralmesh_server.registry.records_checks import CheckRecorded
from neuralmesh_server.registry.records_mesh import AssignmentChanged, WaveReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.canonical import Fact


def make(revision: int, time_ms: int, actor: Actor, reason: str, change: Change) -> Event:
    """Return the event of a change, with its canonical bytes and leaf hash."""
    data = canonical.encode(
        {
            "revision": revision,
            "time_ms": time_ms,
            "actor": documents.actor_fact(actor),
            "reason": reason,
            "change": _change(change),
        }
    )
    return Event(revision, time_ms, actor, reason, change, data, canonical.leaf_hash(data))


def read(data: bytes, leaf_hash: bytes) -> Event:
    """Return the event of canonical bytes that `make` made."""
    form = json.loads(data)
    return Event(
        revision=form["revision"],
        time_ms=form["time_ms"],
        actor=documents.read_actor(form["actor"]),
        reason=form["reason"],
        change=_read_change(form["change"]),
        canonical=data,
        leaf_hash=leaf_hash,
    )


def _change(change: Change) -> dict[str, Fact]:
    kind = type(change)
    return {"type": NAMES[kind], **_FORMS[kind](change)}


def _read_change(form: dict[str, Any]) -> Change:
    read = _READERS.get(form["type"])
    if read is None:
        kind = form["type"]
        raise ValueError(f"the log holds an event of unknown type {kind!r}: a newer registry wrote this data folder")
    return read(form)


def _version_created(change: VersionCreated) -> dict[str, Fact]:
    return {
        "model": change.model,
        "version": change.number,
        "digest": change.digest,
        **documents.manifest_fact(change.manifest),
    }


def _alias_moved(change: AliasMoved) -> dict[str, Fact]:
    form: dict[str, Fact] = {
        "model": change.model,
        "alias": change.alias,
        "kind": change.kind.value,
        "before": None if change.before is None else documents.state_fact(change.before),
        "after": documents.state_fact(change.after),
    }
    if change.proof is not None:
        form["proof"] = documents.proof_fact(change.proof)
    if change.waves is not None:
        form["waves"] = documents_mesh.waves_fact(change.waves)
    return form


def _read_alias_moved(form: dict[str, Any]) -> AliasMoved:
    before = form["before"]
    return AliasMoved(
        model=form["model"],
        alias=form["alias"],
        kind=MoveKind(form["kind"]),
        before=None if before is None else documents.read_state(before),
        after=documents.read_state(form["after"]),
        proof=documents.read_proof(form.get("proof")),
        waves=documents_mesh.read_waves(form.get("waves")),
    )


def _model_policy_changed(change: ModelPolicyChanged) -> dict[str, Fact]:
    return {
        "model": change.model,
        "before": None if change.before is None else documents_policy.policy_fact(change.before),
        "after": documents_policy.policy_fact(change.after),
    }


def _read_model_policy_changed(form: dict[str, Any]) -> ModelPolicyChanged:
    after = documents_policy.read_policy(form["after"])
    assert after is not None
    return ModelPolicyChanged(form["model"], documents_policy.read_policy(form["before"]), after)


def _alias_protected(change: AliasProtected) -> dict[str, Fact]:
    return {
        "model": change.model,
        "alias": change.alias,
        "before": documents_policy.protection_fact(change.before),
        "after": documents_policy.protection_fact(change.after),
    }


def _read_alias_protected(form: dict[str, Any]) -> AliasProtected:
    return AliasProtected(
        model=form["model"],
        alias=form["alias"],
        before=documents_policy.read_protection(form["before"]),
        after=documents_policy.read_protection(form["after"]),
    )


def _assignment_changed(change: AssignmentChanged) -> dict[str, Fact]:
    return {
        "assignment": change.assignment,
        "model": change.model,
        "alias": change.alias,
        "before": documents_mesh.assignment_fact(change.before),
        "after": documents_mesh.assignment_fact(change.after),
    }


def _read_assignment_changed(form: dict[str, Any]) -> AssignmentChanged:
    return AssignmentChanged(
        assignment=form["assignment"],
        model=form["model"],
        alias=form["alias"],
        before=documents_mesh.read_assignment(form["before"]),
        after=documents_mesh.read_assignment(form["after"]),
    )


NAMES: dict[type, str] = {
    ModelCreated: "model_created",
    VersionCreated: "version_created",
    AliasMoved: "alias_moved",
    NodeRegistered: "node_registered",
    ModelPolicyChanged: "model_policy_changed",
    AliasProtected: "alias_protected",
    AssignmentChanged: "assignment_changed",
    WaveReached: "wave_reached",
    CheckRecorded: "check_recorded",
}
"""The canonical name of each kind of change."""

_FORMS: dict[type, Callable[[Any], dict[str, Fact]]] = {
    ModelCreated: lambda change: {"model": change.model, "uid": change.uid, "description": change.description},
    VersionCreated: _version_created,
    AliasMoved: _alias_moved,
    NodeRegistered: lambda change: {"node": change.node, "key_fingerprint": change.key_fingerprint},
    ModelPolicyChanged: _model_policy_changed,
    AliasProtected: _alias_protected,
    AssignmentChanged: _assignment_changed,
    WaveReached: lambda change: {
        "model": change.model,
        "alias": change.alias,
        "move_revision": change.move_revision,
        "share_ppm": change.share_ppm,
    },
    CheckRecorded: documents_checks.recorded_fact,
}

_READERS: dict[str, Callable[[dict[str, Any]], Change]] = {
    "model_created": lambda form: ModelCreated(form["model"], form["uid"], form["description"]),
    "version_created": lambda form: VersionCreated(
        form["model"], form["version"], form["digest"], documents.read_manifest(form)
    ),
    "alias_moved": _read_alias_moved,
    "node_registered": lambda form: NodeRegistered(form["node"], form["key_fingerprint"]),
    "model_policy_changed": _read_model_policy_changed,
    "alias_protected": _read_alias_protected,
    "assignment_changed": _read_assignment_changed,
    "wave_reached": lambda form: WaveReached(form["model"], form["alias"], form["move_revision"], form["share_ppm"]),
    "check_recorded": documents_checks.read_recorded,
}
