"""Rollouts: which arm of an alias answers a request.

The arm follows from a hash of the request's unit alone, so that every node sends a unit to the same version, and a
unit that met the canary goes on meeting it while the canary's share grows: the hash is keyed with model, alias and the
canary's version, and with nothing that changes from step to step. What the arms did is counted in `rollout_activity`.

    key  = BLAKE2s-256("{model}/{alias}/{version of the canary}")
    unit = BLAKE2s-64(key, value of the sticky key as text)        a request without one is a unit of its own
    the canary answers if and only if unit * 1,000,000 < share_ppm * 2^64, unit as a big-endian number
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from neuralmesh_server.inference.holding.records import StickySource
from neuralmesh_server.inference.policy import MILLION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh_server.inference.holding.records import StickyKey
    from neuralmesh_server.inference.request import Caller, Parameter, Request
    from neuralmesh_server.inference.serving import Served

STABLE = "stable"
CANARY = "canary"

UNIT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Rollout:
    """One step of a rollout on this node: an alias's arms between two moves.

    Attributes:
        revision: The alias's revision, which names the step.
        stable_version: Version of the stable arm.
        canary_version: Version of the canary arm; 0 for none.
        share_ppm: The canary's share in parts per million of the units.
        shadow_version: Version that gets copies; 0 for none.
        shadow_ppm: Share of the answered requests that is copied, in parts per million.
        sticky: What decides the arm; None for the request's id.
        complete: False while an arm is not ready here: then no request is assigned, and the version that answers the
            alias by the ordinary rule answers them all, so that arms are only compared on the same traffic.
        canary: What answers the canary's share; None where there is none, or none yet.
        shadow: What gets copies; None where there is none, or none yet.
        key: Key of the units' hash.
    """

    model: str
    alias: str
    revision: int
    stable_version: int
    canary_version: int = 0
    share_ppm: int = 0
    shadow_version: int = 0
    shadow_ppm: int = 0
    sticky: StickyKey | None = None
    complete: bool = True
    canary: Served | None = None
    shadow: Served | None = None
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What answers one request.

    Attributes:
        served: The version.
        rollout: The rollout that is in force for the request, None for none.
        arm: STABLE or CANARY; empty where nothing was assigned.
        unit: Keyed hash of the unit; 0 where nothing was assigned.
        drawn: True when the request is a unit of its own.
    """

    served: Served
    rollout: Rollout | None = None
    arm: str = ""
    unit: int = 0
    drawn: bool = False


def unit_key(model: str, alias: str, canary_version: int) -> bytes:
    """Return the key of the hash of the units of a rollout."""
    return hashlib.blake2s(f"{model}/{alias}/{canary_version}".encode()).digest()


def unit_hash(key: bytes, value: bytes) -> int:
    """Return the keyed hash of a unit, from 0 to 2^64 - 1."""
    return int.from_bytes(hashlib.blake2s(value, key=key, digest_size=UNIT_BYTES).digest(), "big")


def within(hashed: int, share_ppm: int) -> bool:
    """Say whether a hash from 0 to 2^64 - 1 falls into a share in parts per million."""
    return hashed * MILLION < share_ppm << (8 * UNIT_BYTES)


class Assigner:
    """Assigns requests to arms.

    Args:
        node: Name of the node.
        epoch_ms: Start of the process, ms since 1970. With the node's name it makes the units of requests that have no
            sticky key different from all others.
    """

    def __init__(self, node: str, epoch_ms: int) -> None:
        self._own = b"\0" + node.encode() + b"\0" + epoch_ms.to_bytes(8, "big")
        self._numbers: Iterator[int] = count(1)

    def assign(self, served: Served, rollout: Rollout | None, request: Request, caller: Caller) -> Assignment:
        """Return what answers a request.

        Args:
            served: What answers the alias by the ordinary rule.
            rollout: The rollout of the alias, None for none.
            request: The request.
            caller: Who sent it.
        """
        if rollout is None:
            return Assignment(served)
        if not rollout.complete:
            return Assignment(served, rollout)
        value = unit_of(rollout.sticky, request, caller)
        drawn = value is None
        hashed = unit_hash(
            rollout.key, value if value is not None else self._own + next(self._numbers).to_bytes(8, "big")
        )
        if rollout.canary is not None and within(hashed, rollout.share_ppm):
            return Assignment(rollout.canary, rollout, CANARY, hashed, drawn)
        return Assignment(served, rollout, STABLE, hashed, drawn)


def unit_of(sticky: StickyKey | None, request: Request, caller: Caller) -> bytes | None:
    """Return the value that decides a request's arm, None for a request that has none or an empty one."""
    value: Parameter | None
    if sticky is None or sticky.source is StickySource.REQUEST_ID:
        value = request.id
    elif sticky.source is StickySource.PARAMETER:
        value = request.parameters.get(sticky.key)
    else:
        value = caller.metadata(sticky.key)
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return str(value).encode("utf-8", "surrogatepass")
