"""What the registry says of one model, version, alias or policy, as the node holds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server import canonical
    from neuralmesh_server.inference.tensors import Signature


class DivergedError(Exception):
    """The replica does not hold what the registry holds at its revision."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model and its number."""

    name: str
    uid: int


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of a version: path in the manifest, size in bytes, digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version; `signature` is None when the pusher did not say, `batching_exact` when it must never be batched."""

    model: str
    version: int
    digest: str
    kind: str
    files: tuple[FileRecord, ...]
    signature: Signature | None
    size_bytes: int
    batching_exact: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """Another version beside the stable one, and its share in parts per million."""

    version: int
    share_ppm: int


class StickySource(IntEnum):
    """Where the value that decides a request's arm is read, by the contract's numbers."""

    PARAMETER = 1
    METADATA = 2
    REQUEST_ID = 3


@dataclass(frozen=True, slots=True)
class StickyKey:
    """Which value of a request decides its arm; `key` is empty for the request's id."""

    source: StickySource
    key: str


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """An alias.

    Attributes:
        version: The version that answers, the stable arm.
        revision: Revision of the last move.
        state: All that it says, as it stands in the state digest.
        below: Versions that rollback would go through, nearest first.
        canary: The arm that gets a share of the units, None for none.
        shadow: The arm that gets copies, None for none.
        sticky: What decides the arm, None for the request's id.
    """

    model: str
    alias: str
    version: int
    revision: int
    state: canonical.Fact
    below: tuple[int, ...]
    canary: Arm | None = None
    shadow: Arm | None = None
    sticky: StickyKey | None = None

    def versions(self) -> tuple[int, ...]:
        """Return the versions that the alias needs: the stable one, then the canary's and the shadow's."""
        arms = (arm.version for arm in (self.canary, self.shadow) if arm is not None)
        return tuple(dict.fromkeys((self.version, *arms)))


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A model's policy as it stands in the state digest; see `policy.read`."""

    model: str
    policy: Mapping[str, canonical.Fact]


@dataclass(frozen=True, slots=True)
class StalenessRecord:
    """What an edge node does with a model when it has not heard of the registry for long.

    Attributes:
        action: The contract's number of StalenessPolicy.Action.
        after_seconds: As it was given; 0 for the default.
    """

    model: str
    action: int
    after_seconds: int


def alias_record(
    model: str, alias: str, state: Mapping[str, Any], revision: int, below: tuple[int, ...]
) -> AliasRecord:
    """Return the record of an alias from its state as it stands in the digest: only what is set has a key.

    Raises:
        DivergedError: A newer registry reads sticky keys where this node cannot.
    """
    return AliasRecord(
        model=model,
        alias=alias,
        version=state["version"],
        revision=revision,
        state=dict(state),
        below=below,
        canary=_arm(state.get("canary")),
        shadow=_arm(state.get("shadow")),
        sticky=_sticky(state.get("sticky_key")),
    )


def _sticky(state: Mapping[str, Any] | None) -> StickyKey | None:
    if state is None:
        return None
    try:
        return StickyKey(StickySource(state["source"]), state["key"])
    except ValueError:
        raise DivergedError(f"this node knows no source {state['source']} of sticky keys") from None


def _arm(state: Mapping[str, Any] | None) -> Arm | None:
    return None if state is None else Arm(state["version"], state["share_ppm"])
