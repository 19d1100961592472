"""What the node serves at one moment: an immutable snapshot, replaced whole by one assignment.

A request reads the snapshot once and keeps what it found, so that it meets one version from beginning to end whatever
happens beside it. `publishing` makes the next one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server import names
from neuralmesh_server.errors import FailedPreconditionError, NotFoundError, UnavailableError
from neuralmesh_server.inference.policy import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.inference.policy import ModelPolicy
    from neuralmesh_server.inference.reporting.activity import VersionActivity
    from neuralmesh_server.inference.tensors import Signature
    from neuralmesh_server.inference.traffic.rollout import Rollout

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
class Stale:
    """The node has not heard of the registry for longer than a model's policy allows without a word.

    Attributes:
        seconds: At least so long, coarsely.
        refuses: True where requests are refused; else every answer says it.
    """

    seconds: int
    refuses: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """What answers for one (model, version text).

    Attributes:
        served: What answers, or the stable arm of the rollout.
        rollout: The rollout of the alias, None for none.
        policy: How requests of the model are treated.
        shared: True when an alias of the model has a canary, so that no version may take all that the model has.
        stale: Set where the node's state may be too old for the model.
    """

    served: Served
    rollout: Rollout | None = None
    policy: ModelPolicy = DEFAULT
    shared: bool = False
    stale: Stale | None = None

    @property
    def plain(self) -> bool:
        """True when every quick request of this route may go straight to the version: no arms, limits or kept payloads.

        Nor is it refused.

        Batches need not be none: what is quick is never joined, unless several inputs may differ in their rows.
        """
        joins = self.policy.batching is not None and len(self.served.loaded.signature.inputs) > 1
        refused = self.stale is not None and self.stale.refuses
        return self.rollout is None and self.policy.plain and not joins and not refused

    def check(self) -> None:
        """Raise STATE_STALE where the node's state is too old to answer with."""
        if self.stale is not None and self.stale.refuses:
            raise UnavailableError(
                "STATE_STALE",
                f"the registry has not been heard for {self.stale.seconds} seconds or more; "
                f"model {self.served.loaded.model!r} is not answered so long after",
                model=self.served.loaded.model,
                staleSeconds=self.stale.seconds,
            )


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
