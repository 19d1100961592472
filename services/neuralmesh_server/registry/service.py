"""The edge of the registry: every RPC checks, calls the domain, translates and returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh_server import names
from neuralmesh_server.registry import (
    convert,
    convert_assignment,
    convert_checks,
    convert_rollout,
    validate,
    validate_rollout,
)
from neuralmesh_server.registry.convert_request import actor, origin, page
from neuralmesh_server.registry.records import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.registry.catalog import Catalog
    from neuralmesh_server.registry.checks import Checks
    from neuralmesh_server.registry.following import Feed
    from neuralmesh_server.registry.policies import Policies
    from neuralmesh_server.registry.promotion import Promotions
    from neuralmesh_server.registry.protection import Protections
    from neuralmesh_server.registry.tracing import Tracer
    from neuralmesh_server.registry.transfers import Chunk, Transfers
    from neuralmesh_server.runtime.handlers import Call

log = structlog.get_logger()

_NEWEST = 2**53 - 1
"""Beyond every revision and version."""


class RegistryServicer:
    """One method for each RPC of neuralmesh.registry.v1.RegistryService; the contract describes them."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        checks: Checks,
        policies: Policies,
        promotions: Promotions,
        protections: Protections,
        transfers: Transfers,
        feed: Feed,
        tracer: Tracer,
    ) -> None:
        self._catalog = catalog
        self._checks = checks
        self._policies = policies
        self._promotions = promotions
        self._protections = protections
        self._transfers = transfers
        self._feed = feed
        self._tracer = tracer

    async def create_model(self, request: Any, call: Call) -> Any:
        """Create a model."""
        name = names.check_model(request.model_id)
        description = validate.text("description", request.description, validate.DESCRIPTION_BYTES)
        model = await self._catalog.create_model(name, description, origin(request, call))
        return api.CreateModelResponse(model=convert.model_message(model))

    async def get_model(self, request: Any, call: Call) -> Any:
        """Return a model."""
        del call
        model = await self._catalog.model(names.parse_model_name(request.name))
        return api.GetModelResponse(model=convert.model_message(model))

    async def list_models(self, request: Any, call: Call) -> Any:
        """Return a page of models."""
        del call
        found, token = await page(
            request,
            "ListModels",
            [],
            first="",
            fetch=self._catalog.models,
            position=lambda model: model.name,
        )
        return api.ListModelsResponse(models=map(convert.model_message, found), next_page_token=token)

    async def create_version(self, request: Any, call: Call) -> Any:
        """Create the next version of a model."""
        model = names.parse_model_name(request.parent)
        names.check_kind(request.kind)
        validate.files(request.files)
        validate.signature(request.signature)
        validate.text("description", request.description, validate.DESCRIPTION_BYTES)
        validate.metadata(request.metadata)
        version = await self._catalog.create_version(model, convert.manifest(request), origin(request, call))
        return api.CreateVersionResponse(version=convert.version_message(version))

    async def get_version(self, request: Any, call: Call) -> Any:
        """Return a version."""
        del call
        version = await self._catalog.version(*names.parse_version_name(request.name))
        return api.GetVersionResponse(version=convert.version_message(version))

    async def list_versions(self, request: Any, call: Call) -> Any:
        """Return a page of a model's versions."""
        del call
        model = names.parse_model_name(request.parent)
        found, token = await page(
            request,
            "ListVersions",
            [model],
            first=_NEWEST,
            fetch=lambda before, limit: self._catalog.versions(model, before, limit),
            position=lambda version: version.number,
        )
        return api.ListVersionsResponse(versions=map(convert.version_message, found), next_page_token=token)

    async def record_check(self, request: Any, call: Call) -> Any:
        """Record a check of a version."""
        model, number = names.parse_version_name(request.name)
        names.check_kind(request.kind)
        names.check_digest(request.plan_digest)
        names.check_digest(request.output_digest)
        validate.pairs("figures", request.figures)
        check = await self._checks.record(model, number, convert_checks.finding(request), origin(request, call))
        return api.RecordCheckResponse(check=convert_checks.check_message(check))

    async def list_checks(self, request: Any, call: Call) -> Any:
        """Return a page of the checks of a version or model."""
        del call
        model, number = _check_parent(request.parent)
        found, token = await page(
            request,
            "ListChecks",
            [model, number],
            first=_NEWEST,
            fetch=lambda before, limit: self._checks.listed(model, number, before, limit),
            position=lambda check: check.revision,
        )
        return api.ListChecksResponse(checks=map(convert_checks.check_message, found), next_page_token=token)

    async def list_missing_artifacts(self, request: Any, call: Call) -> Any:
        """Return the artifacts that are not stored."""
        del call
        missing = await self._transfers.missing(validate.digests(request.digests))
        return api.ListMissingArtifactsResponse(missing_digests=missing)

    async def get_artifact(self, request: Any, call: Call) -> Any:
        """Return what is stored of an artifact."""
        del call
        stored = await self._transfers.stored(names.check_digest(request.digest))
        return convert.stored_message(api.GetArtifactResponse, stored)

    async def upload_artifact(self, requests: AsyncIterator[Any], call: Call) -> Any:
        """Take an artifact in."""
        del call
        stored = await self._transfers.upload(_chunks(requests))
        return convert.stored_message(api.UploadArtifactResponse, stored)

    async def download_artifact(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Give an artifact out."""
        del call
        digest = names.check_digest(request.digest)
        validate.byte_range(request.offset, request.length)
        async for piece in self._transfers.download(digest, request.offset, request.length):
            yield api.DownloadArtifactResponse(offset=piece.offset, data=piece.data, size_bytes=piece.size)

    async def get_alias(self, request: Any, call: Call) -> Any:
        """Return an alias."""
        del call
        alias = await self._promotions.alias(*names.parse_alias_name(request.name))
        return api.GetAliasResponse(alias=convert.alias_message(alias))

    async def list_aliases(self, request: Any, call: Call) -> Any:
        """Return a page of a model's aliases."""
        del call
        model = names.parse_model_name(request.parent)
        found, token = await page(
            request,
            "ListAliases",
            [model],
            first="",
            fetch=lambda after, limit: self._promotions.aliases(model, after, limit),
            position=lambda alias: alias.name,
        )
        return api.ListAliasesResponse(aliases=map(convert.alias_message, found), next_page_token=token)

    async def promote_alias(self, request: Any, call: Call) -> Any:
        """Point an alias at a version."""
        model, alias = names.parse_alias_name(request.name)
        validate_rollout.alias_state(request)
        proof = None
        if request.HasField("proof"):
            validate_rollout.proof(request.proof)
            proof = convert_rollout.proof(request.proof)
        waves = None
        if request.HasField("waves"):
            validate_rollout.waves(request.waves)
            waves = convert_assignment.waves(request.waves)
        state = convert_rollout.state(request.state)
        move = await self._promotions.promote(
            model, alias, state, request.etag, origin(request, call), proof=proof, waves=waves
        )
        return api.PromoteAliasResponse(
            alias=convert.alias_message(move.alias), previous_state=convert_rollout.state_message(move.before)
        )

    async def set_model_policy(self, request: Any, call: Call) -> Any:
        """Set a model's policy."""
        name = names.parse_model_name(request.name)
        validate_rollout.policy(request)
        policy = convert_rollout.policy(request.policy)
        change = await self._policies.set(name, policy, origin(request, call), etag=request.etag)
        return api.SetModelPolicyResponse(
            model=convert.model_message(change.model), previous_policy=convert_rollout.policy_message(change.before)
        )

    async def protect_alias(self, request: Any, call: Call) -> Any:
        """Set an alias's protection."""
        model, alias = names.parse_alias_name(request.name)
        protection = None
        if request.HasField("protection"):
            validate_rollout.protection(request.protection)
            protection = convert_rollout.protection(request.protection)
        asked = origin(request, call)
        change = await self._protections.protect(model, alias, protection, asked, etag=request.etag)
        return api.ProtectAliasResponse(
            protection=convert_rollout.protection_message(change.protection),
            previous_protection=convert_rollout.protection_message(change.before),
        )

    async def rollback_alias(self, request: Any, call: Call) -> Any:
        """Undo promotions of an alias."""
        model, alias = names.parse_alias_name(request.name)
        version = validate.target_version(request.to_version)
        move = await self._promotions.rollback(model, alias, version, request.etag, origin(request, call))
        return api.RollbackAliasResponse(
            alias=convert.alias_message(move.alias), previous_state=convert_rollout.state_message(move.before)
        )

    async def list_events(self, request: Any, call: Call) -> Any:
        """Return a page of the log."""
        del call
        model, alias = _event_parent(request.parent)
        found, token = await page(
            request,
            "ListEvents",
            [model, alias],
            first=_NEWEST,
            fetch=lambda before, limit: self._promotions.history(model, alias, before, limit),
            position=lambda event: event.revision,
        )
        return api.ListEventsResponse(events=map(convert.event_message, found), next_page_token=token)

    async def watch(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Follow the registry."""
        del call
        node = names.check_node(request.node) if request.node else ""
        log.info("watch_started", node=node, from_revision=request.from_revision)
        async for step in self._feed.follow(request.from_revision, request.state_digest):
            yield convert.step_message(step)

    async def register_node(self, request: Any, call: Call) -> Any:
        """Make a node's key known; what an unproved caller claims to be is the node."""
        node = names.check_node(request.node)
        asked = Origin(actor(node, call))
        revision = await self._tracer.register(node, validate.id_key(request.id_key), asked)
        return api.RegisterNodeResponse(revision=revision)

    async def trace_prediction(self, request: Any, call: Call) -> Any:
        """Say what made a prediction."""
        del call
        trace = await self._tracer.trace(request.prediction_id)
        return convert.trace_message(request.prediction_id, trace)


async def _chunks(requests: AsyncIterator[Any]) -> AsyncIterator[Chunk]:
    first = True
    async for request in requests:
        validate.chunk(request, first=first)
        first = False
        yield convert.chunk(request)


def _check_parent(parent: str) -> tuple[str, int | None]:
    if parent.count("/") > 1:
        return names.parse_version_name(parent)
    return names.parse_model_name(parent), None


def _event_parent(parent: str) -> tuple[str, str]:
    if not parent:
        return "", ""
    if parent.count("/") > 1:
        return names.parse_alias_name(parent)
    return names.parse_model_name(parent), ""
