"""Checks of versions, as frozen values. `records` has everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralmesh_server.registry.records import Actor


@dataclass(frozen=True, slots=True)
class Finding:
    """What somebody found about a version; figures are in order of their names.

    Attributes:
        kind: What was done, such as `evaluation`.
        plan_digest: What says on what it was done and how.
        output_digest: What came of it; of one kind and version it is recorded once.
    """

    kind: str
    plan_digest: str
    output_digest: str
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CheckRecorded:
    """A check of a version was recorded."""

    model: str
    number: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Check:
    """A finding, and who recorded it when and why."""

    model: str
    number: int
    finding: Finding
    actor: Actor
    reason: str
    time_ms: int
    revision: int
