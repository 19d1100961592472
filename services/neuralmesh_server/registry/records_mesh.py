"""Assignments and waves, as frozen values: which edge nodes hold what, and how a move reaches them.

`records` has everything else. Parts per million count to 1,000,000.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from neuralmesh_server import canonical

if TYPE_CHECKING:
    from neuralmesh_server.registry.records import Actor
    from neuralmesh_server.registry.records_policy import LimitPolicy

EVERY_NODE_PPM = 1_000_000
"""The share of a move that has reached every node."""

_ID_DIGITS = 16


class StaleAction(IntEnum):
    """What a node does with a model when it has not heard of the registry for long, by the contract's numbers."""

    SERVE = 1
    FLAG = 2
    REFUSE = 3


@dataclass(frozen=True, slots=True)
class StalenessPolicy:
    """What a node does, and after how many seconds; 0 stands for the contract's default and is kept as it was given."""

    action: StaleAction
    after_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which edge nodes hold what an alias says.

    Attributes:
        selector: Canonical text of a selector.
        pinned_version: What the alias stands for on these nodes; 0 follows the alias.
        limits: In place of those of the model's policy; None for those.
        staleness: None for serving on.
        revision: That of the change that set it, 0 before; the following say who set it, when and why.
    """

    selector: str
    model: str
    alias: str
    pinned_version: int = 0
    limits: LimitPolicy | None = None
    staleness: StalenessPolicy | None = None
    revision: int = 0
    actor: Actor | None = None
    time_ms: int = 0
    reason: str = ""

    @property
    def id(self) -> str:
        """What names it: the first digits of the SHA-256 over selector, model and alias."""
        data = canonical.encode([self.selector, self.model, self.alias])
        return hashlib.sha256(data).hexdigest()[:_ID_DIGITS]

    def says(self, other: Assignment | None) -> bool:
        """Return whether another assignment of the same nodes and alias says the same, whoever set it and when."""
        return other is not None and (self.pinned_version, self.limits, self.staleness) == (
            other.pinned_version,
            other.limits,
            other.staleness,
        )


@dataclass(frozen=True, slots=True)
class AssignmentChange:
    """The result of SetAssignment: the assignment as committed and the one before (None: there was none)."""

    assignment: Assignment
    before: Assignment | None


@dataclass(frozen=True, slots=True)
class WavePlan:
    """Cumulative shares of the nodes, ascending to EVERY_NODE_PPM, and how long each must be healthy."""

    shares_ppm: tuple[int, ...]
    hold_seconds: int = 0

    def after(self, share_ppm: int) -> int:
        """Return the share that follows one that was reached."""
        return next((share for share in self.shares_ppm if share > share_ppm), EVERY_NODE_PPM)


@dataclass(frozen=True, slots=True)
class Wave:
    """A move that has not reached every node.

    Attributes:
        revision: That of the move.
        share_ppm: The share that it has reached.
    """

    model: str
    alias: str
    revision: int
    plan: WavePlan
    share_ppm: int


@dataclass(frozen=True, slots=True)
class AssignmentChanged:
    """An assignment was set or deleted; `before` has the revision that had set it."""

    assignment: str
    model: str
    alias: str
    before: Assignment | None
    after: Assignment | None


@dataclass(frozen=True, slots=True)
class WaveReached:
    """A move reached a further share of the edge nodes."""

    model: str
    alias: str
    move_revision: int
    share_ppm: int
