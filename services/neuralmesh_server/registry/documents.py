"""The canonical form of the registry's records: records to facts and back, exactly.

Whatever is hashed, remembered or kept in the log goes through here. Readers accept only what writers made: the stored
bytes are the registry's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical, proof_seal
from neuralmesh_server.registry.documents_policy import (
    policy_fact,
    protection_fact,
    read_policy,
    read_protection,
)
from neuralmesh_server.registry.records import (
    Actor,
    Alias,
    AliasState,
    Arm,
    FileEntry,
    Manifest,
    Model,
    Move,
    PolicyChange,
    Signature,
    StickyKey,
    StickySource,
    TensorSpec,
    Version,
)

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.proof_seal import Proof


def version_digest(manifest: Manifest) -> str:
    """Return the digest of a version: SHA-256 over the canonical form of

        {"files": [{"digest", "path", "size_bytes"}, ... in byte order of the paths], "kind": "...",
         "signature": null | {"inputs": [{"datatype", "name", "shape"}, ...], "label_output": "...", "outputs": [...]}}

    Description and metadata do not count: two versions of one digest behave the same.
    """  # noqa: D415 - the summary ends with the formula
    return canonical.digest(
        {
            "kind": manifest.kind,
            "signature": _signature(manifest.signature),
            "files": [_file(file) for file in manifest.files],
        }
    )


def actor_fact(actor: Actor) -> Fact:
    """Return the form of an actor."""
    return {"id": actor.id, "authenticated": actor.authenticated, "on_behalf_of": actor.on_behalf_of}


def read_actor(data: dict[str, Any]) -> Actor:
    """Return the actor of a form."""
    return Actor(data["id"], data["authenticated"], data["on_behalf_of"])


def state_fact(state: AliasState) -> Fact:
    """Return the form of an alias's state, as it also stands in the state digest: only what is set has a key."""
    form: dict[str, Fact] = {"version": state.version}
    for key, arm in (("canary", state.canary), ("shadow", state.shadow)):
        if arm is not None:
            form[key] = {"version": arm.version, "share_ppm": arm.share_ppm}
    if state.sticky_key is not None:
        form["sticky_key"] = {"source": int(state.sticky_key.source), "key": state.sticky_key.key}
    return form


def read_state(data: dict[str, Any]) -> AliasState:
    """Return the alias state of a form."""
    sticky = data.get("sticky_key")
    return AliasState(
        version=data["version"],
        canary=_read_arm(data.get("canary")),
        shadow=_read_arm(data.get("shadow")),
        sticky_key=None if sticky is None else StickyKey(StickySource(sticky["source"]), sticky["key"]),
    )


def proof_fact(proof: Proof | None) -> Fact:
    """Return the form of a proof."""
    return None if proof is None else proof_seal.fact(proof)


def read_proof(data: dict[str, Any] | None) -> Proof | None:
    """Return the proof of a form."""
    return None if data is None else proof_seal.read(data)


def manifest_fact(manifest: Manifest) -> dict[str, Fact]:
    """Return the form of a manifest, description and metadata included."""
    return {
        "kind": manifest.kind,
        "files": [_file(file) for file in manifest.files],
        "signature": _signature(manifest.signature),
        "description": manifest.description,
        "metadata": [[key, value] for key, value in manifest.metadata],
    }


def read_manifest(data: dict[str, Any]) -> Manifest:
    """Return the manifest of a form."""
    return Manifest(
        kind=data["kind"],
        files=tuple(FileEntry(file["path"], file["size_bytes"], file["digest"]) for file in data["files"]),
        signature=_read_signature(data["signature"]),
        description=data["description"],
        metadata=tuple((key, value) for key, value in data["metadata"]),
    )


def model_fact(model: Model) -> Fact:
    """Return the form of a model."""
    form: dict[str, Fact] = {
        "name": model.name,
        "uid": model.uid,
        "description": model.description,
        "time_ms": model.time_ms,
        "latest_version": model.latest_version,
        "revision": model.revision,
    }
    if model.policy is not None:
        form["policy"] = policy_fact(model.policy)
        form["policy_revision"] = model.policy_revision
    return form


def read_model(data: dict[str, Any]) -> Model:
    """Return the model of a form."""
    return Model(**(data | {"policy": read_policy(data.get("policy"))}))


def policy_change_fact(change: PolicyChange) -> Fact:
    """Return the form of the result of SetModelPolicy."""
    return {
        "model": model_fact(change.model),
        "before": None if change.before is None else policy_fact(change.before),
    }


def read_policy_change(data: dict[str, Any]) -> PolicyChange:
    """Return the result of SetModelPolicy of a form."""
    return PolicyChange(read_model(data["model"]), read_policy(data["before"]))


def version_fact(version: Version) -> Fact:
    """Return the form of a version."""
    return {
        "model": version.model,
        "number": version.number,
        "digest": version.digest,
        "manifest": manifest_fact(version.manifest),
        "actor": actor_fact(version.actor),
        "time_ms": version.time_ms,
        "revision": version.revision,
    }


def read_version(data: dict[str, Any]) -> Version:
    """Return the version of a form."""
    return Version(**(data | {"manifest": read_manifest(data["manifest"]), "actor": read_actor(data["actor"])}))


def move_fact(move: Move) -> Fact:
    """Return the form of a move."""
    alias = move.alias
    return {
        "model": alias.model,
        "name": alias.name,
        "state": state_fact(alias.state),
        "rollback_versions": list(alias.rollback_versions),
        "revision": alias.revision,
        "time_ms": alias.time_ms,
        "actor": actor_fact(alias.actor),
        "reason": alias.reason,
        "before": None if move.before is None else state_fact(move.before),
        "protection": protection_fact(alias.protection),
        "protection_revision": alias.protection_revision,
        "proof": proof_fact(alias.proof),
    }


def read_move(data: dict[str, Any]) -> Move:
    """Return the move of a form."""
    before = data["before"]
    alias = Alias(
        model=data["model"],
        name=data["name"],
        state=read_state(data["state"]),
        rollback_versions=tuple(data["rollback_versions"]),
        revision=data["revision"],
        time_ms=data["time_ms"],
        actor=read_actor(data["actor"]),
        reason=data["reason"],
        protection=read_protection(data.get("protection")),
        protection_revision=data.get("protection_revision", 0),
        proof=read_proof(data.get("proof")),
    )
    return Move(alias, None if before is None else read_state(before))


def _read_arm(data: dict[str, Any] | None) -> Arm | None:
    return None if data is None else Arm(data["version"], data["share_ppm"])


def _file(file: FileEntry) -> Fact:
    return {"path": file.path, "size_bytes": file.size, "digest": file.digest}


def _signature(signature: Signature | None) -> Fact:
    if signature is None:
        return None
    return {
        "inputs": [_tensor(tensor) for tensor in signature.inputs],
        "outputs": [_tensor(tensor) for tensor in signature.outputs],
        "label_output": signature.label_output,
    }


def _tensor(tensor: TensorSpec) -> Fact:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _read_signature(data: dict[str, Any] | None) -> Signature | None:
    if data is None:
        return None
    inputs, outputs = (
        tuple(TensorSpec(item["name"], item["datatype"], tuple(item["shape"])) for item in data[side])
        for side in ("inputs", "outputs")
    )
    return Signature(inputs, outputs, data["label_output"])
