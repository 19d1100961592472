# Generated from _async/registry.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""The registry's methods, one for each RPC, with resource names put together and answers unwrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh._artifact import Artifact, read_artifact
from neuralmesh._offload import offload_sync
from neuralmesh._resource import alias_name, checks_parent, events_parent, model_name, version_name
from neuralmesh._sync.pages import pages
from neuralmesh._sync.transfer import upload
from neuralmesh.registry.v1 import registry_service_pb2 as pb
from neuralmesh.registry.v1 import resources_pb2 as resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from neuralmesh._sync.connection import Connection


class Registry:
    """Models, versions, artifacts, aliases, events and prediction ids.

    Changes carry `actor` (who asks, unless TLS proves it), `reason` (why) and `request_id` (the same id makes a repeat
    return the first result). Every method raises `neuralmesh.exceptions`.
    """

    def __init__(self, connection: Connection, actor: str) -> None:
        self._connection = connection
        self._actor = actor

    @property
    def address(self) -> str:
        """Where the calls go, `host:port`."""
        return self._connection.address

    def create_model(
        self, model: str, *, description: str = "", reason: str = "", request_id: str = ""
    ) -> resources.Model:
        """Create a model; AlreadyExistsError when the name is taken."""
        request = pb.CreateModelRequest(
            model_id=model, description=description, actor=self._actor, reason=reason, request_id=request_id
        )
        return (self._connection.unary("CreateModel", pb.CreateModelResponse, request)).model

    def get_model(self, model: str) -> resources.Model:
        """Return a model."""
        return (
            self._connection.unary("GetModel", pb.GetModelResponse, pb.GetModelRequest(name=model_name(model)))
        ).model

    def list_models(self) -> Iterator[resources.Model]:
        """Yield all models in order of their names."""
        return pages(self._connection, "ListModels", pb.ListModelsResponse, pb.ListModelsRequest(), "models")

    def set_model_policy(
        self, model: str, policy: resources.ModelPolicy, *, etag: str = "", reason: str = "", request_id: str = ""
    ) -> pb.SetModelPolicyResponse:
        """Replace how inference nodes treat a model's requests.

        Raises AbortedError when an etag is given, the model's `policy_etag`, and the policy has changed since.
        """
        request = pb.SetModelPolicyRequest(
            name=model_name(model), policy=policy, etag=etag, actor=self._actor, reason=reason, request_id=request_id
        )
        return self._connection.unary("SetModelPolicy", pb.SetModelPolicyResponse, request)

    def create_version(
        self,
        model: str,
        *,
        kind: str,
        files: Sequence[resources.File],
        signature: resources.Signature | None = None,
        description: str = "",
        metadata: Mapping[str, str] | None = None,
        reason: str = "",
        request_id: str = "",
    ) -> resources.Version:
        """Create the next version from files whose artifacts are all stored."""
        request = pb.CreateVersionRequest(
            parent=model_name(model),
            kind=kind,
            files=files,
            signature=signature,
            description=description,
            metadata=dict(metadata or {}),
            actor=self._actor,
            reason=reason,
            request_id=request_id,
        )
        return (self._connection.unary("CreateVersion", pb.CreateVersionResponse, request)).version

    def get_version(self, model: str, version: int | str) -> resources.Version:
        """Return a version."""
        request = pb.GetVersionRequest(name=version_name(model, version))
        return (self._connection.unary("GetVersion", pb.GetVersionResponse, request)).version

    def list_versions(self, model: str) -> Iterator[resources.Version]:
        """Yield a model's versions, newest first."""
        request = pb.ListVersionsRequest(parent=model_name(model))
        return pages(self._connection, "ListVersions", pb.ListVersionsResponse, request, "versions")

    def record_check(
        self,
        model: str,
        version: int | str,
        *,
        kind: str,
        plan_digest: str,
        output_digest: str,
        figures: Mapping[str, str],
        reason: str = "",
        request_id: str = "",
    ) -> resources.Check:
        """Record what was found about a version; one of the same kind and output digest is recorded once."""
        request = pb.RecordCheckRequest(
            name=version_name(model, version),
            kind=kind,
            plan_digest=plan_digest,
            output_digest=output_digest,
            figures=dict(figures),
            actor=self._actor,
            reason=reason,
            request_id=request_id,
        )
        return (self._connection.unary("RecordCheck", pb.RecordCheckResponse, request)).check

    def list_checks(self, model: str, version: int | str = "") -> Iterator[resources.Check]:
        """Yield the checks of a version, or of all versions of a model, newest first."""
        request = pb.ListChecksRequest(parent=checks_parent(model, version))
        return pages(self._connection, "ListChecks", pb.ListChecksResponse, request, "checks")

    def list_missing_artifacts(self, digests: Iterable[str]) -> list[str]:
        """Return those of at most 1000 digests that are not stored completely, in the order given."""
        request = pb.ListMissingArtifactsRequest(digests=digests)
        return list(
            (self._connection.unary("ListMissingArtifacts", pb.ListMissingArtifactsResponse, request)).missing_digests
        )

    def get_artifact(self, digest: str) -> pb.GetArtifactResponse:
        """Return what is stored of an artifact."""
        return self._connection.unary("GetArtifact", pb.GetArtifactResponse, pb.GetArtifactRequest(digest=digest))

    def upload_artifact(
        self, source: Path | str | bytes | Artifact, *, progress: Callable[[int, int], None] | None = None
    ) -> pb.GetArtifactResponse:
        """Store a file or bytes, going on where an earlier upload was cut; what is stored already is not sent.

        Args:
            source: A path or the bytes.
            progress: Called with the bytes handed over so far and the size.
        """
        artifact = source if isinstance(source, Artifact) else offload_sync(read_artifact, source)
        return upload(self._connection, artifact, progress)

    def download_artifact(
        self, digest: str, *, offset: int = 0, length: int = 0
    ) -> Iterator[pb.DownloadArtifactResponse]:
        """Yield a range of an artifact in chunks; a length of 0 stands for all that follows."""
        request = pb.DownloadArtifactRequest(digest=digest, offset=offset, length=length)
        return self._connection.stream("DownloadArtifact", pb.DownloadArtifactResponse, request)

    def get_alias(self, model: str, alias: str) -> resources.Alias:
        """Return an alias."""
        request = pb.GetAliasRequest(name=alias_name(model, alias))
        return (self._connection.unary("GetAlias", pb.GetAliasResponse, request)).alias

    def list_aliases(self, model: str) -> Iterator[resources.Alias]:
        """Yield a model's aliases in order of their names."""
        request = pb.ListAliasesRequest(parent=model_name(model))
        return pages(self._connection, "ListAliases", pb.ListAliasesResponse, request, "aliases")

    def promote_alias(
        self,
        model: str,
        alias: str,
        version: int,
        *,
        canary: resources.Canary | None = None,
        shadow: resources.Shadow | None = None,
        sticky_key: resources.StickyKey | None = None,
        proof: resources.Proof | None = None,
        waves: resources.WavePlan | None = None,
        etag: str = "",
        reason: str = "",
        request_id: str = "",
    ) -> pb.PromoteAliasResponse:
        """Point an alias at a version, with the arms given and no others; edge nodes get it all at once, or in waves.

        Raises AbortedError when an etag is given and the alias has moved since, and FailedPreconditionError when the
        alias is protected and the proof is absent, not of this move, or beyond the limits.
        """
        request = pb.PromoteAliasRequest(
            name=alias_name(model, alias),
            state=resources.AliasState(version=version, canary=canary, shadow=shadow, sticky_key=sticky_key),
            proof=proof,
            waves=waves,
            etag=etag,
            actor=self._actor,
            reason=reason,
            request_id=request_id,
        )
        return self._connection.unary("PromoteAlias", pb.PromoteAliasResponse, request)

    def protect_alias(
        self,
        model: str,
        alias: str,
        protection: resources.AliasProtection | None,
        *,
        etag: str = "",
        reason: str = "",
        request_id: str = "",
    ) -> pb.ProtectAliasResponse:
        """Set what a promotion of an alias must bring along; None lifts it. The alias need not exist.

        Raises AbortedError when an etag is given, the alias's `protection_etag`, and the protection has changed since.
        """
        request = pb.ProtectAliasRequest(
            name=alias_name(model, alias),
            protection=protection,
            etag=etag,
            actor=self._actor,
            reason=reason,
            request_id=request_id,
        )
        return self._connection.unary("ProtectAlias", pb.ProtectAliasResponse, request)

    def rollback_alias(
        self,
        model: str,
        alias: str,
        *,
        to_version: int = 0,
        etag: str = "",
        reason: str = "",
        request_id: str = "",
    ) -> pb.RollbackAliasResponse:
        """Undo the last promotion, or all after the one that set `to_version`."""
        request = pb.RollbackAliasRequest(
            name=alias_name(model, alias),
            to_version=to_version,
            etag=etag,
            actor=self._actor,
            reason=reason,
            request_id=request_id,
        )
        return self._connection.unary("RollbackAlias", pb.RollbackAliasResponse, request)

    def list_events(self, model: str = "", alias: str = "") -> Iterator[resources.Event]:
        """Yield events, newest first: of everything, of a model, or of an alias."""
        request = pb.ListEventsRequest(parent=events_parent(model, alias))
        return pages(self._connection, "ListEvents", pb.ListEventsResponse, request, "events")

    def watch(self, *, from_revision: int = 0, state_digest: bytes = b"", node: str = "") -> Iterator[pb.WatchResponse]:
        """Follow the registry without gaps; ends only with an error or when the iterator is closed."""
        request = pb.WatchRequest(from_revision=from_revision, state_digest=state_digest, node=node)
        return self._connection.stream("Watch", pb.WatchResponse, request)

    def register_node(self, node: str, id_key: bytes) -> pb.RegisterNodeResponse:
        """Make a node's 32-byte key for prediction ids known."""
        return self._connection.unary(
            "RegisterNode", pb.RegisterNodeResponse, pb.RegisterNodeRequest(node=node, id_key=id_key)
        )

    def trace_prediction(self, prediction_id: str) -> pb.TracePredictionResponse:
        """Return what made a prediction."""
        request = pb.TracePredictionRequest(prediction_id=prediction_id)
        return self._connection.unary("TracePrediction", pb.TracePredictionResponse, request)
