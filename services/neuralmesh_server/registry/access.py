"""What each call of the registry needs; `runtime.access` says what the entries mean, docs/operations.md why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.runtime.access import ADMIN, NODE, PROMOTER, PUBLISHER, READER, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES: Mapping[str, Rule] = {
    "CreateModel": Rule((PUBLISHER,), model="model_id"),
    "GetModel": Rule((READER,), model="name"),
    "ListModels": Rule((READER,), listed=("models", "name")),
    "SetModelPolicy": Rule((ADMIN,), model="name"),
    "CreateVersion": Rule((PUBLISHER,), model="parent"),
    "GetVersion": Rule((READER,), model="name"),
    "ListVersions": Rule((READER,), model="parent"),
    # Whoever may publish a version may say how good it is.
    "RecordCheck": Rule((PUBLISHER,), model="name"),
    "ListChecks": Rule((READER,), model="parent"),
    # Artifacts are named by their bytes and belong to no model until a version names them.
    "ListMissingArtifacts": Rule((PUBLISHER,), anywhere=True),
    "GetArtifact": Rule((PUBLISHER,), anywhere=True),
    "UploadArtifact": Rule((PUBLISHER,), anywhere=True),
    "DownloadArtifact": Rule((NODE, READER)),
    "GetAlias": Rule((READER,), model="name"),
    "ListAliases": Rule((READER,), model="parent"),
    "PromoteAlias": Rule((PROMOTER,), model="name"),
    "ProtectAlias": Rule((ADMIN,), model="name"),
    "RollbackAlias": Rule((PROMOTER,), model="name"),
    "ListEvents": Rule((READER,), model="parent"),
    "Watch": Rule((NODE, READER)),
    "RegisterNode": Rule((NODE,)),
    "TracePrediction": Rule((READER,), answer="version.name"),
}
"""Rule of every RPC of RegistryService."""

MESH_RULES: Mapping[str, Rule] = {
    # A pin brings a version to nodes past the alias and its protection, and limits stand over the policy's.
    "SetAssignment": Rule((ADMIN,), model="assignment.model"),
    "DeleteAssignment": Rule((ADMIN,)),
    "ListAssignments": Rule((READER,), listed=("assignments", "model")),
    "GetDesiredState": Rule((NODE, READER)),
    "Sync": Rule((NODE,)),
    "ListNodes": Rule((READER,)),
    "ForgetNode": Rule((ADMIN,)),
}
"""Rule of every RPC of MeshService."""

SCRAPE = Rule((READER,))
"""What Prometheus needs to read the figures of all nodes."""
