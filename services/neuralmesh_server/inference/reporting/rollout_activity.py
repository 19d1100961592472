"""What the steps of rollouts did on this node, kept in memory until telemetry takes it.

Failures are counted by unit and window as well as by request, since clients retry in bursts: a sequential judge counts
the first failure of a unit within a window. Windows follow one another and are WINDOW_MS long; the units of a window
are remembered up to a limit, and what goes beyond it is counted apart. A request that is a unit of its own needs no
memory. Belongs to the loop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from neuralmesh_server.inference.traffic.rollout import CANARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.traffic.rollout import Assignment, Rollout

WINDOW_MS = 10 * 60 * 1000
"""Length of a window."""
MAX_UNITS = 65_536
"""Most units of a window that one step remembers."""
MAX_FIRST_FAILURES = 10_000
"""Most first failures held for one delta, over all steps."""
MAX_STEPS = 1_000
"""Most steps in one delta; further ones wait for the next."""

CALLERS_FAULT = frozenset(
    {
        "CANCELLED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
    }
)
"""Failures by gRPC status name that say nothing about a version; all others count against the arm that answered."""


@dataclass(frozen=True, slots=True)
class UnitFailure:
    """The first failure of a unit within a window; `offset_ms` counts from the start of the node's process."""

    unit: int
    canary: bool
    code: str
    offset_ms: int


@dataclass(slots=True)
class ArmCounts:
    """What one arm did; see ArmDelta in the contract."""

    requests: int = 0
    units: int = 0
    failures: int = 0
    failed_units: int = 0


@dataclass(slots=True)
class ShadowCounts:
    """What the shadow did; see ShadowDelta in the contract."""

    compared: int = 0
    agreed: int = 0
    failed: int = 0
    dropped: int = 0
    max_difference: float = 0.0


@dataclass(slots=True)
class StepCounts:
    """What one step did since telemetry last took it; see RolloutDelta in the contract."""

    stable: ArmCounts = field(default_factory=ArmCounts)
    canary: ArmCounts = field(default_factory=ArmCounts)
    shadow: ShadowCounts = field(default_factory=ShadowCounts)
    unassigned: int = 0
    forgotten_units: int = 0
    first_failures: list[UnitFailure] = field(default_factory=list)
    dropped_failures: int = 0


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step and what it did since the report before."""

    rollout: Rollout
    counts: StepCounts


@dataclass(slots=True)
class _Step:
    rollout: Rollout
    counts: StepCounts = field(default_factory=StepCounts)
    active: bool = False
    window: int = -1
    seen: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)

    def enter(self, offset_ms: int) -> None:
        """Take note that something happens in the step at a moment."""
        self.active = True
        window = offset_ms // WINDOW_MS
        if window != self.window:
            self.window = window
            self.seen.clear()
            self.failed.clear()


class RolloutActivity:
    """Counts what the steps of all rollouts do.

    Args:
        clock: Returns a moment in seconds on a clock that never goes back; the node's epoch begins with this object.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._steps: dict[tuple[str | int, ...], _Step] = {}
        self._held_failures = 0

    def assigned(self, chosen: Assignment) -> None:
        """Count a request at its assignment."""
        if chosen.rollout is None:
            return
        step = self._step(chosen.rollout)
        if not chosen.arm:
            step.counts.unassigned += 1
            return
        arm = step.counts.canary if chosen.arm == CANARY else step.counts.stable
        arm.requests += 1
        if chosen.drawn:
            arm.units += 1
        elif chosen.unit not in step.seen:
            if len(step.seen) < MAX_UNITS:
                step.seen.add(chosen.unit)
                arm.units += 1
            else:
                step.counts.forgotten_units += 1

    def failed(self, chosen: Assignment, code: str) -> None:
        """Count a request that failed with a gRPC status name, unless it is its caller's fault."""
        if chosen.rollout is None or not chosen.arm or code in CALLERS_FAULT:
            return
        step = self._step(chosen.rollout)
        counts = step.counts
        arm = counts.canary if chosen.arm == CANARY else counts.stable
        arm.failures += 1
        if not chosen.drawn:
            if chosen.unit in step.failed:
                return
            if len(step.failed) >= MAX_UNITS:
                counts.dropped_failures += 1
                return
            step.failed.add(chosen.unit)
        arm.failed_units += 1
        if self._held_failures < MAX_FIRST_FAILURES:
            counts.first_failures.append(UnitFailure(chosen.unit, chosen.arm == CANARY, code, self._now_ms()))
            self._held_failures += 1
        else:
            counts.dropped_failures += 1

    def shadow(self, rollout: Rollout) -> ShadowCounts:
        """Return the counts of a step's shadow, to be added to at once."""
        return self._step(rollout).counts.shadow

    def reports(self) -> tuple[StepReport, ...]:
        """Return what happened since `forget`, the steps in the order in which they began."""
        return tuple(StepReport(step.rollout, step.counts) for step in self._reported())

    def forget(self) -> None:
        """Count everything in the last `reports` as reported, and drop steps that are over."""
        for step in self._reported():
            self._held_failures -= len(step.counts.first_failures)
            step.counts = StepCounts()
            step.active = False
        window = self._now_ms() // WINDOW_MS
        self._steps = {key: step for key, step in self._steps.items() if step.active or step.window >= window}

    def _reported(self) -> list[_Step]:
        return [step for step in self._steps.values() if step.active][:MAX_STEPS]

    def _now_ms(self) -> int:
        return int((self._clock() - self._began) * 1000)

    def _step(self, rollout: Rollout) -> _Step:
        # A registry that was restored may give a revision a second time, so that all of the state is the key.
        arms = (rollout.stable_version, rollout.canary_version, rollout.share_ppm, rollout.shadow_version)
        key = (rollout.model, rollout.alias, rollout.revision, *arms)
        step = self._steps.get(key)
        if step is None:
            bare = replace(rollout, canary=None, shadow=None)  # a step that is over must hold no version in memory
            step = self._steps[key] = _Step(bare)
        step.enter(self._now_ms())
        return step
