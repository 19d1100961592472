"""What each call of an inference node needs; `runtime.access` says what the entries mean, docs/operations.md why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh_server.runtime.access import ADMIN, NODE, OPEN, PROMOTER, READER, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES: Mapping[str, Rule] = {
    # Probes of orchestrators and of clients ask these before anything else, as they ask the health service.
    "ServerLive": OPEN,
    "ServerReady": OPEN,
    "ModelReady": Rule((READER,), model="name"),
    "ServerMetadata": Rule((READER,), anywhere=True),
    "ModelMetadata": Rule((READER,), model="name"),
    "ModelInfer": Rule((READER,), model="model_name"),
    "ModelStreamInfer": Rule((READER,), model="model_name"),
    "ModelConfig": Rule((READER,), model="name"),
    "ModelStatistics": Rule((READER,), model="name", listed=("model_stats", "name")),
    "RepositoryIndex": Rule((READER,), listed=("models", "name")),
    # These change what the node answers with, as a move of an alias does.
    "RepositoryModelLoad": Rule((PROMOTER,), model="model_name"),
    "RepositoryModelUnload": Rule((PROMOTER,), model="model_name"),
    # Not offered; what a server permits should not depend on that.
    **{
        f"{kind}SharedMemory{verb}": Rule((ADMIN,), anywhere=True)
        for kind in ("System", "Cuda")
        for verb in ("Status", "Register", "Unregister")
    },
    "TraceSetting": Rule((ADMIN,), model="model_name"),
    "LogSettings": Rule((ADMIN,), anywhere=True),
}
"""Rule of every RPC of GRPCInferenceService."""

NODE_RULES: Mapping[str, Rule] = {
    "GetReceipt": Rule((READER,), answer="receipt.model"),
    "ListReceipts": Rule((READER,), model="model"),
    # By its id a prediction is run again for whoever knows the id, which cannot be guessed.
    "ReplayPrediction": Rule((READER,), model="receipt.model", anywhere=True),
    "ProveCandidate": Rule((PROMOTER,), model="model"),
}
"""Rule of every RPC of NodeService."""

EDGE_RULES: Mapping[str, Rule] = {
    "GetEdgeStatus": Rule((READER,), anywhere=True),
    # These change what the node answers with, as a move of an alias does.
    "OverrideAlias": Rule((PROMOTER,), model="model"),
    "ClearOverride": Rule((PROMOTER,), model="model"),
    # As the registry gives artifacts: to whoever knows the digest.
    "FetchArtifact": Rule((NODE, READER), anywhere=True),
}
"""Rule of every RPC of EdgeService."""
