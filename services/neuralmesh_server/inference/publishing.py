"""From the registry's state and what is loaded to the snapshot that follows: the only way there. It loads nothing."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from neuralmesh_server import names, prediction_id
from neuralmesh_server.inference.policy import DEFAULT
from neuralmesh_server.inference.serving import READY, UNAVAILABLE, Route, Served, Snapshot, VersionState
from neuralmesh_server.inference.traffic.rollout import Rollout, unit_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.inference.holding.records import AliasRecord
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.serving import LoadedModel, Stale


def publish(
    replica: Replica,
    loaded: Mapping[tuple[str, int], LoadedModel],
    states: Mapping[tuple[str, int], VersionState],
    effective: Mapping[tuple[str, str], int],
    before: Snapshot | None,
    *,
    stale: Mapping[str, Stale] = MappingProxyType({}),
) -> Snapshot:
    """Return the snapshot that follows from the registry's state and what is loaded.

    Args:
        replica: What the registry says.
        loaded: Versions that are ready.
        states: States of versions that the loader works on or gave up.
        effective: The version that last answered for each alias, for aliases whose new version is not ready.
        before: The snapshot that is replaced.
        stale: Models for which the state may be too old.
    """
    targets = {key: record.version for key, record in replica.aliases.items()}
    aliases: dict[tuple[str, str], int] = {}
    behind: set[tuple[str, int]] = set()
    for key, target in targets.items():
        if (key[0], target) in loaded:
            aliases[key] = target
        elif key in effective and (key[0], effective[key]) in loaded:
            aliases[key] = effective[key]
            behind.add((key[0], effective[key]))
    served = {
        key: _serve(model, _stamp(model, key in behind, replica.revision, before)) for key, model in loaded.items()
    }
    return Snapshot(
        revision=replica.revision,
        models=frozenset(replica.models),
        served=served,
        aliases=aliases,
        states={key: _state(key, loaded, states) for key in sorted(replica.versions)},
        targets=targets,
        routes=_routes(replica, served, aliases, targets, stale),
    )


def _stamp(model: LoadedModel, is_behind: bool, revision: int, before: Snapshot | None) -> int:  # noqa: FBT001
    # A version that still answers for an alias which has moved on keeps the revision at which the alias named it, so
    # that the trace of its predictions finds the promotion that was in force. A number alone does not say which version
    # it is: a restored registry may give it again.
    held = None if before is None else before.served.get((model.model, model.version))
    if is_behind and held is not None and (held.loaded.uid, held.loaded.digest) == (model.uid, model.digest):
        return held.revision
    return revision


def _serve(model: LoadedModel, revision: int) -> Served:
    return Served(model, revision, prediction_id.subject(revision, model.uid, model.version, model.digest))


def _state(
    key: tuple[str, int], loaded: Mapping[tuple[str, int], LoadedModel], states: Mapping[tuple[str, int], VersionState]
) -> VersionState:
    if key in loaded:
        return VersionState(READY)
    return states.get(key, VersionState(UNAVAILABLE, "not kept on this node: no alias names it and newer ones exist"))


def _routes(
    replica: Replica,
    served: Mapping[tuple[str, int], Served],
    aliases: Mapping[tuple[str, str], int],
    targets: Mapping[tuple[str, str], int],
    stale: Mapping[str, Stale],
) -> dict[tuple[str, str], Route]:
    shared = {key[0] for key, record in replica.aliases.items() if record.canary is not None}
    newest: dict[str, int] = {}
    for model, version in served:
        newest[model] = max(version, newest.get(model, 0))

    def route(one: Served, rollout: Rollout | None = None) -> Route:
        model = one.loaded.model
        return Route(one, rollout, replica.policies.get(model, DEFAULT), model in shared, stale.get(model))

    routes = {(model, str(version)): route(one) for (model, version), one in served.items()}
    for key, version in aliases.items():
        routes[key] = route(served[key[0], version], _rollout(replica.aliases[key], version, served))
    for model in replica.models:
        default = (model, names.DEFAULT_ALIAS)
        if default in targets:
            if default in aliases:
                routes[model, ""] = routes[default]
            continue
        if model in newest:
            routes[model, ""] = route(served[model, newest[model]])
    return routes


def _rollout(record: AliasRecord, answers: int, served: Mapping[tuple[str, int], Served]) -> Rollout | None:
    """Return the rollout of an alias for which version `answers` answers here; None without canary and shadow."""
    canary, shadow = record.canary, record.shadow
    if canary is None and shadow is None:
        return None
    canary_version = canary.version if canary else 0
    ready = None if canary is None else served.get((record.model, canary.version))
    return Rollout(
        model=record.model,
        alias=record.alias,
        revision=record.revision,
        stable_version=record.version,
        canary_version=canary_version,
        share_ppm=canary.share_ppm if canary else 0,
        shadow_version=shadow.version if shadow else 0,
        shadow_ppm=shadow.share_ppm if shadow else 0,
        sticky=record.sticky,
        complete=answers == record.version and (canary is None or ready is not None),
        canary=ready,
        shadow=served.get((record.model, shadow.version)) if shadow else None,
        key=unit_key(record.model, record.alias, canary_version),
    )
