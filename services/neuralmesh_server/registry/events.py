"""Events: the canonical bytes of a change, their leaf hash, and the way back.

The bytes are the log; everything that an event says is read from them. A Merkle log is built over the leaf hashes
later, so the form is never changed, only added to.

    {"actor": {"authenticated", "id", "on_behalf_of"}, "change": {"type": ..., ...}, "reason", "revision", "time_ms"}

where the change is one of

    model_created      description model uid
    version_created    description digest files kind metadata model signature version
    alias_moved        after alias before kind model, and proof where there is one
    node_registered    key_fingerprint node
    model_policy_changed  after before model
    alias_protected    after alias before model
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical
from neuralmesh_server.registry import documents, documents_policy
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

if TYPE_CHECKING:
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
    if isinstance(change, ModelCreated):
        return {
            "type": "model_created",
            "model": change.model,
            "uid": change.uid,
            "description": change.description,
        }
    if isinstance(change, VersionCreated):
        return {
            "type": "version_created",
            "model": change.model,
            "version": change.number,
            "digest": change.digest,
            **documents.manifest_fact(change.manifest),
        }
    if isinstance(change, AliasMoved):
        form: dict[str, Fact] = {
            "type": "alias_moved",
            "model": change.model,
            "alias": change.alias,
            "kind": change.kind.value,
            "before": None if change.before is None else documents.state_fact(change.before),
            "after": documents.state_fact(change.after),
        }
        return form if change.proof is None else {**form, "proof": documents.proof_fact(change.proof)}
    if isinstance(change, ModelPolicyChanged):
        return {
            "type": "model_policy_changed",
            "model": change.model,
            "before": None if change.before is None else documents_policy.policy_fact(change.before),
            "after": documents_policy.policy_fact(change.after),
        }
    if isinstance(change, AliasProtected):
        return {
            "type": "alias_protected",
            "model": change.model,
            "alias": change.alias,
            "before": documents_policy.protection_fact(change.before),
            "after": documents_policy.protection_fact(change.after),
        }
    return {"type": "node_registered", "node": change.node, "key_fingerprint": change.key_fingerprint}


def _read_change(form: dict[str, Any]) -> Change:
    kind = form["type"]
    if kind == "model_created":
        return ModelCreated(form["model"], form["uid"], form["description"])
    if kind == "version_created":
        manifest = documents.read_manifest(form)
        return VersionCreated(form["model"], form["version"], form["digest"], manifest)
    if kind == "alias_moved":
        before = form["before"]
        return AliasMoved(
            model=form["model"],
            alias=form["alias"],
            kind=MoveKind(form["kind"]),
            before=None if before is None else documents.read_state(before),
            after=documents.read_state(form["after"]),
            proof=documents.read_proof(form.get("proof")),
        )
    if kind == "model_policy_changed":
        after = documents_policy.read_policy(form["after"])
        assert after is not None
        return ModelPolicyChanged(form["model"], documents_policy.read_policy(form["before"]), after)
    if kind == "alias_protected":
        return AliasProtected(
            model=form["model"],
            alias=form["alias"],
            before=documents_policy.read_protection(form["before"]),
            after=documents_policy.read_protection(form["after"]),
        )
    if kind == "node_registered":
        return NodeRegistered(form["node"], form["key_fingerprint"])
    raise ValueError(f"the log holds an event of unknown type {kind!r}: a newer registry wrote this data folder")
