"""The node's own copy of the registry's state on disk, so that it serves again when the registry is gone.

One JSON file, replaced whole: written beside, made durable, renamed. A file that cannot be read or that does not have
its digest is reported and ignored, since the registry can always give it again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import structlog

from neuralmesh_server import durable_file
from neuralmesh_server.inference.holding.records import (
    AliasRecord,
    DivergedError,
    FileRecord,
    ModelRecord,
    PolicyRecord,
    StalenessRecord,
    VersionRecord,
    alias_record,
)
from neuralmesh_server.inference.holding.replica import Replica, SnapshotPart, Step
from neuralmesh_server.inference.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = structlog.get_logger()

FORMAT = 2
READABLE = (1, FORMAT)
"""Format 1 has no policies and does not say which versions must never be batched."""


class ReplicaFile:
    """The file at `path`; its folder exists."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[Replica, dict[tuple[str, str], int]]:
        """Return the stored state and the versions that answered for aliases; both empty when there is none."""
        replica = Replica()
        try:
            stored = json.loads(self._path.read_bytes())
            replica.apply(_read_step(stored))
            replica.carry([_read_version(item) for item in stored.get("carried", ())])
            replica.outdated = stored["format"] != FORMAT
            return replica, {(item["model"], item["alias"]): item["version"] for item in stored["effective"]}
        except FileNotFoundError:
            return Replica(), {}
        except (ValueError, KeyError, TypeError, DivergedError) as error:
            log.warning("replica_file_ignored", path=str(self._path), why=str(error))
            return Replica(), {}

    def encode(self, replica: Replica, effective: Mapping[tuple[str, str], int]) -> bytes:
        """Return the file's content; quick, and consistent when called on the loop that changes the replica."""
        return _encode(replica, effective)

    def save(self, content: bytes) -> None:
        """Replace the file by what `encode` returned; durable when this returns."""
        durable_file.replace(self._path, content)


def _encode(replica: Replica, effective: Mapping[tuple[str, str], int]) -> bytes:
    return json.dumps(
        {
            "format": FORMAT,
            "revision": replica.revision,
            "digest": replica.digest().hex(),
            "models": [{"name": record.name, "uid": record.uid} for record in replica.models.values()],
            "versions": [_version(record) for key, record in replica.versions.items() if key not in replica.carried],
            "carried": [_version(replica.versions[key]) for key in sorted(replica.carried)],
            "aliases": [_alias(record) for record in replica.alias_records.values()],
            "policies": [
                {"model": record.model, "policy": dict(record.policy)} for record in replica.policy_records.values()
            ],
            "staleness": [
                {"model": record.model, "action": record.action, "after_seconds": record.after_seconds}
                for record in replica.staleness.values()
            ],
            "effective": [
                {"model": model, "alias": alias, "version": version} for (model, alias), version in effective.items()
            ],
        },
        separators=(",", ":"),
    ).encode()


def _version(record: VersionRecord) -> dict[str, Any]:
    signature = record.signature
    return {
        "model": record.model,
        "version": record.version,
        "digest": record.digest,
        "kind": record.kind,
        "size": record.size_bytes,
        "batching_exact": record.batching_exact,
        "files": [{"path": file.path, "size": file.size, "digest": file.digest} for file in record.files],
        "signature": None
        if signature is None
        else {
            "inputs": [_spec(spec) for spec in signature.inputs],
            "outputs": [_spec(spec) for spec in signature.outputs],
            "label_output": signature.label_output,
        },
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _alias(record: AliasRecord) -> dict[str, Any]:
    return {
        "model": record.model,
        "alias": record.alias,
        "revision": record.revision,
        "state": record.state,
        "below": list(record.below),
    }


def _read_step(stored: dict[str, Any]) -> Step:
    if stored["format"] not in READABLE:
        raise ValueError(f"format {stored['format']!r} is not among {READABLE}")
    part = SnapshotPart(
        models=tuple(ModelRecord(item["name"], item["uid"]) for item in stored["models"]),
        versions=tuple(_read_version(item) for item in stored["versions"]),
        aliases=tuple(_read_alias(item) for item in stored["aliases"]),
        first=True,
        last=True,
        policies=tuple(PolicyRecord(item["model"], item["policy"]) for item in stored.get("policies", ())),
        staleness=tuple(
            StalenessRecord(item["model"], item["action"], item["after_seconds"])
            for item in stored.get("staleness", ())
        ),
    )
    return Step(stored["revision"], bytes.fromhex(stored["digest"]), part)


def _read_alias(item: dict[str, Any]) -> AliasRecord:
    return alias_record(item["model"], item["alias"], item["state"], item["revision"], tuple(item["below"]))


def _read_version(item: dict[str, Any]) -> VersionRecord:
    said = item["signature"]
    return VersionRecord(
        model=item["model"],
        version=item["version"],
        digest=item["digest"],
        kind=item["kind"],
        files=tuple(FileRecord(file["path"], file["size"], file["digest"]) for file in item["files"]),
        signature=None
        if said is None
        else Signature(_read_specs(said["inputs"]), _read_specs(said["outputs"]), said["label_output"]),
        size_bytes=item["size"],
        batching_exact=item.get("batching_exact", False),
    )


def _read_specs(items: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(item["name"], item["datatype"], tuple(item["shape"])) for item in items)
