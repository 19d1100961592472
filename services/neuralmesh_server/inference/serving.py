"""What the node serves at one moment: an immutable snapshot, replaced whole by one assignment.

A request reads the snapshot once and keeps what it found, so that it meets one version from beginning to end whatever
happens beside it. `publish` is the only way from registry state and loaded versions to a snapshot; it loads nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server import names, prediction_id
from neuralmesh_server.errors import FailedPreconditionError, NotFoundError, UnavailableError
from neuralmesh_server.inference.policy import DEFAULT
from neuralmesh_server.inference.traffic.rollout import Rollout, unit_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.inference.holding.replica import AliasRecord, Replica
    from neuralmesh_server.inference.policy import ModelPolicy
    from neuralmesh_server.inference.reporting.activity import VersionActivity
    from neuralmesh_server.inference.tensors import Signature

READY = "READY"
LOADING = "LOADING"
UNAVAILABLE = "UNAVAILABLE"
UNLOADING = "UNLOADING"


@dataclass(frozen=True, slots=True)
class VersionState:
    """State of a known version on this node: READY, LOADING or UNAVAILABLE, and why."""

    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class LoadedModel:
    """A version that is ready to run.

    Attributes:
        base_ns: Time of a run whatever its rows, measured at the warm-up; negative where rows cost more the more there
            are.
        row_ns: Time that each row adds.
        run_raw: The runner's raw way, if its outputs are the signature's in order.
        label_index: Position of the label output among the signature's outputs; -1 for none.
        batching_exact: True for a version that must never run together with other requests.
    """

    model: str
    version: int
    uid: int
    digest: str
    kind: str
    signature: Signature
    runner: Model
    size_bytes: int
    base_ns: int
    row_ns: int
    label_index: int
    activity: VersionActivity
    run_raw: Callable[[bytes | memoryview, int], tuple[bytes, ...]] | None
    batching_exact: bool = False

    def cost_ns(self, rows: int) -> int:
        """Return the expected time of a run in nanoseconds."""
        return max(self.base_ns + rows * self.row_ns, 0)


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded version under one applied revision; `subject` goes into its prediction ids."""

    loaded: LoadedModel
    revision: int
    subject: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """What answers for one (model, version text).

    Attributes:
        served: What answers, or the stable arm of the rollout.
        rollout: The rollout of the alias, None for none.
        policy: How requests of the model are treated.
        shared: True when an alias of the model has a canary, so that no version may take all that the model has.
    """

    served: Served
    rollout: Rollout | None = None
    policy: ModelPolicy = DEFAULT
    shared: bool = False

    @property
    def plain(self) -> bool:
        """True when every quick request of this route may go straight to the version: no arms, limits or kept payloads.

        Batches need not be none: what is quick is never joined, unless several inputs may differ in their rows.
        """
        joins = self.policy.batching is not None and len(self.served.loaded.signature.inputs) > 1
        return self.rollout is None and self.policy.plain and not joins


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that answers requests.

    Attributes:
        revision: Registry revision that is applied.
        served: Ready versions.
        aliases: The version that answers for each alias: the one it names, or, until that is ready, the last one that
            was.
        states: Every known version.
        targets: The version that each alias names.
        routes: Every (model, version text) that resolves, so that a request costs one look-up.
    """

    revision: int
    models: frozenset[str]
    served: Mapping[tuple[str, int], Served]
    aliases: Mapping[tuple[str, str], int]
    states: Mapping[tuple[str, int], VersionState]
    targets: Mapping[tuple[str, str], int]
    routes: Mapping[tuple[str, str], Route]

    def resolve(self, model: str, version: str) -> Served:
        """Return the version that answers, or the stable one of a rollout; see `route`."""
        return self.route(model, version).served

    def route(self, model: str, version: str) -> Route:
        """Return the route of a version number, an alias name, or nothing (see `names.DEFAULT_ALIAS`).

        Raises:
            neuralmesh_server.errors.InvalidArgumentError: NAME_INVALID, VERSION_INVALID.
            NotFoundError: MODEL_NOT_FOUND, VERSION_NOT_FOUND, ALIAS_NOT_FOUND.
            UnavailableError: VERSION_NOT_READY, with the version's state.
        """
        found = self.routes.get((model, version))
        if found is None:
            raise self._unresolved(model, version)
        return found

    def pinned(self, model: str, version: str, digest: str) -> Route:
        """Return the route of exactly a digest: of the version that is named, or, for an alias, of any of the model.

        An alias may stand elsewhere where the digest was resolved, so that it does not decide; no rollout does either.

        Raises:
            FailedPreconditionError: DIGEST_MISMATCH: what the request names is ready here under another digest.
            neuralmesh_server.errors.NeuralMeshError: DIGEST_INVALID, and what `route` raises.
        """
        names.check_digest(digest)
        numbered = bool(version) and is_number_like(version)
        for (name, number), served in self.served.items():
            if name == model and served.loaded.digest == digest and (not numbered or version == str(number)):
                return self.routes[model, str(number)]
        found = self.route(model, version).served.loaded
        raise FailedPreconditionError(
            "DIGEST_MISMATCH",
            f"version {found.version} of model {model!r} is {found.digest} here, the caller wants {digest}",
            model=model,
            version=found.version,
            expected=digest,
            actual=found.digest,
        )

    def named(self, model: str, version: str) -> int:
        """Return the number of the version that a text names, ready or not; 0 where it names none."""
        found = self.routes.get((model, version))
        if found is not None:
            return found.served.loaded.version
        if version and is_number_like(version):
            return int(version) if version.isdecimal() and (model, int(version)) in self.states else 0
        return self.targets.get((model, version or names.DEFAULT_ALIAS), 0)

    def ready_versions(self, model: str) -> list[int]:
        """Return the versions of a model that are ready, ascending."""
        return sorted(version for name, version in self.served if name == model)

    def aliases_by_version(self) -> dict[tuple[str, int], list[str]]:
        """Return the aliases that resolve to each version that has any, sorted."""
        found: dict[tuple[str, int], list[str]] = {}
        for (model, alias), version in sorted(self.aliases.items()):
            found.setdefault((model, version), []).append(alias)
        return found

    def _unresolved(self, model: str, version: str) -> Exception:
        names.check_model(model)
        if model not in self.models:
            return NotFoundError("MODEL_NOT_FOUND", f"model {model!r} is not known here", model=model)
        if not version:
            return self._no_default(model)
        if not is_number_like(version):
            names.check_alias(version)
            target = self.targets.get((model, version))
            if target is None:
                return NotFoundError(
                    "ALIAS_NOT_FOUND", f"model {model!r} has no alias {version!r}", model=model, alias=version
                )
            return self._not_ready(model, target)
        number = names.parse_version(version)
        if (model, number) not in self.states:
            return NotFoundError(
                "VERSION_NOT_FOUND", f"model {model!r} has no version {number}", model=model, version=number
            )
        return self._not_ready(model, number)

    def _no_default(self, model: str) -> Exception:
        target = self.targets.get((model, names.DEFAULT_ALIAS))
        if target is not None:
            return self._not_ready(model, target)
        newest = max((version for name, version in self.states if name == model), default=None)
        if newest is not None:
            return self._not_ready(model, newest)
        return NotFoundError("VERSION_NOT_FOUND", f"model {model!r} has no version yet", model=model, version="")

    def _not_ready(self, model: str, version: int) -> UnavailableError:
        state = self.states.get((model, version), VersionState(UNAVAILABLE, "not known yet"))
        why = f": {state.reason}" if state.reason else ""
        return UnavailableError(
            "VERSION_NOT_READY",
            f"version {version} of model {model!r} is {state.state}{why}",
            model=model,
            version=version,
            state=state.state,
            stateReason=state.reason,
        )


class Serving:
    """Holds the current snapshot, None until the first one is published, and whether the node is ready to serve it."""

    def __init__(self) -> None:
        self.current: Snapshot | None = None
        self.ready = False
        self._waiting: list[tuple[Callable[[Snapshot], bool], asyncio.Future[Snapshot]]] = []

    def replace(self, snapshot: Snapshot) -> None:
        """Serve a snapshot from now on."""
        self.current = snapshot
        for condition, future in self._waiting:
            if not future.done() and condition(snapshot):
                future.set_result(snapshot)
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]

    async def when(self, condition: Callable[[Snapshot], bool]) -> Snapshot:
        """Return the first snapshot, from the current one on, that fulfils a condition."""
        if self.current is not None and condition(self.current):
            return self.current
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiting.append(entry)
        try:
            return await future
        finally:
            self._waiting = [other for other in self._waiting if other is not entry]

    def snapshot(self) -> Snapshot:
        """Return the current snapshot, or raise NOT_SERVING."""
        if self.current is None:
            raise UnavailableError("NOT_SERVING", "this node does not know yet what to serve")
        return self.current


def publish(
    replica: Replica,
    loaded: Mapping[tuple[str, int], LoadedModel],
    states: Mapping[tuple[str, int], VersionState],
    effective: Mapping[tuple[str, str], int],
    before: Snapshot | None,
) -> Snapshot:
    """Return the snapshot that follows from the registry's state and what is loaded.

    Args:
        replica: What the registry says.
        loaded: Versions that are ready.
        states: States of versions that the loader works on or gave up.
        effective: The version that last answered for each alias, for aliases whose new version is not ready.
        before: The snapshot that is replaced.
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
        routes=_routes(replica, served, aliases, targets),
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
) -> dict[tuple[str, str], Route]:
    shared = {key[0] for key, record in replica.aliases.items() if record.canary is not None}
    newest: dict[str, int] = {}
    for model, version in served:
        newest[model] = max(version, newest.get(model, 0))

    def route(one: Served, rollout: Rollout | None = None) -> Route:
        model = one.loaded.model
        return Route(one, rollout, replica.policies.get(model, DEFAULT), model in shared)

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


def check_names(model: str, version: str) -> None:
    """Raise NAME_INVALID or VERSION_INVALID for what names no model, version or alias on any node."""
    names.check_model(model)
    if version and is_number_like(version):
        names.parse_version(version)
    elif version:
        names.check_alias(version)


def is_number_like(text: str) -> bool:
    """Say whether a version text was meant as a number: it begins with a digit, a sign or a space."""
    first = text[0]
    return first.isnumeric() or first.isspace() or first in "+-"
