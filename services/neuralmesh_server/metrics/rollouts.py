"""Steps of rollouts as nodes report them and as they are kept: totals of each step, and a log for a sequential judge.

A judge needs what totals cannot give: the share of each interval beside what its arms did, and the first failures of
units in their order. So every report of a step is kept as it came, under the delta that brought it. Nothing here
decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What a step of a rollout is: an alias's state between two moves.

    All of it is the key of what is counted: a registry that was restored may give a revision a second time, and figures
    of two states must not add up to one.

    Attributes:
        revision: The alias's revision.
        canary_version: 0 for none.
        share_ppm: The canary's share in parts per million of the units.
        shadow_version: 0 for none.
    """

    model: str
    alias: str
    revision: int
    stable_version: int
    canary_version: int
    share_ppm: int
    shadow_version: int


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """What an arm did; see ArmDelta in the contract."""

    requests: int = 0
    units: int = 0
    failures: int = 0
    failed_units: int = 0


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """What a shadow did; see ShadowDelta in the contract."""

    compared: int = 0
    agreed: int = 0
    failed: int = 0
    dropped: int = 0
    max_difference: float = 0.0


@dataclass(frozen=True, slots=True)
class UnitFailure:
    """The first failure of a unit within a window; `offset_ms` counts from the start of the node's epoch."""

    unit: int
    canary: bool
    code: str
    offset_ms: int


@dataclass(frozen=True, slots=True)
class StepDelta:
    """What a step did on a node since the delta before.

    Attributes:
        unassigned: Requests that no arm was given.
        forgotten_units: Requests of units that were not remembered.
        dropped_failures: First failures that are not among `first_failures`.
    """

    step: Step
    stable: ArmCounts
    canary: ArmCounts
    shadow: ShadowCounts
    unassigned: int
    forgotten_units: int
    first_failures: tuple[UnitFailure, ...]
    dropped_failures: int


@dataclass(frozen=True, slots=True)
class StepTotals:
    """What a step did over all nodes.

    Attributes:
        number: Place in the order in which steps became known here.
    """

    number: int
    step: Step
    stable: ArmCounts
    canary: ArmCounts
    shadow: ShadowCounts
    unassigned: int
    forgotten_units: int
    dropped_failures: int


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One report of a step, as it came.

    Attributes:
        number: Place in the log, ascending in the order of arrival.
        arrived_ms: When it came, ms since 1970 on this service's clock.
    """

    number: int
    node: str
    epoch: int
    sequence: int
    arrived_ms: int
    delta: StepDelta


@dataclass(frozen=True, slots=True)
class AliasTotals:
    """What all steps of one alias did: counters that only grow, and the share and difference of its newest step."""

    model: str
    alias: str
    share_ppm: int
    stable: ArmCounts
    canary: ArmCounts
    shadow: ShadowCounts
    unassigned: int
    dropped_failures: int
