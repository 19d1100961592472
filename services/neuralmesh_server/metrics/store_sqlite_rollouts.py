"""The tables of rollouts in the SQLite database: totals of each step, and the log of reports."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from neuralmesh_server.metrics.records import CODES
from neuralmesh_server.metrics.rollouts import (
    AliasTotals,
    ArmCounts,
    LoggedStep,
    ShadowCounts,
    Step,
    StepDelta,
    StepTotals,
    UnitFailure,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

_KEY = "model, alias, revision, stable_version, canary_version, share_ppm, shadow_version"
_ARMS = (
    "stable_requests, stable_units, stable_failures, stable_failed_units, canary_requests, canary_units,"
    " canary_failures, canary_failed_units"
)
_COUNTS = (
    f"{_ARMS}, shadow_compared, shadow_agreed, shadow_failed, shadow_dropped, unassigned, forgotten_units,"
    " dropped_failures"
)
_NAMES = tuple(name.strip() for name in _COUNTS.split(","))
_FAILURE = struct.Struct(">QQ?B")
"""Unit, ms since the epoch began, canary, number of the code."""


class SqliteRolloutView:
    """What a connection sees of rollouts."""

    _connection: apsw.Connection

    def rollouts(self, model: str, *, before: tuple[int, int] | None, limit: int) -> list[StepTotals]:
        """See View."""
        revision, number = before or (2**62, 2**62)
        rows = self._connection.execute(
            f"SELECT id, {_KEY}, {_COUNTS}, shadow_difference FROM rollout_steps"  # noqa: S608
            " WHERE (revision, id) < (?, ?) AND (? = '' OR model = ?) ORDER BY revision DESC, id DESC LIMIT ?",
            (revision, number, model, model, limit),
        )
        return [_totals(row) for row in rows]

    def rollout_sums(self) -> list[AliasTotals]:
        """See View."""
        sums = ", ".join(f"sum({name})" for name in _NAMES)
        # SQLite gives the column beside one max() the value of the row that it chose.
        newest = self._connection.execute(
            "SELECT model, alias, share_ppm, shadow_difference, max(revision) FROM rollout_steps GROUP BY model, alias"
        )
        gauges = {(model, alias): (share, difference) for model, alias, share, difference, _ in newest}
        rows = self._connection.execute(
            f"SELECT model, alias, {sums} FROM rollout_steps GROUP BY model, alias ORDER BY model, alias"  # noqa: S608
        )
        return [_alias_totals(row, *gauges[row[0], row[1]]) for row in rows]

    def rollout_log(self, step: Step, *, after: int, limit: int) -> list[LoggedStep]:
        """See View."""
        rows = self._connection.execute(
            f"SELECT number, node, epoch, sequence, arrived_ms, {', '.join('log.' + name for name in _NAMES)},"  # noqa: S608
            " log.shadow_difference, failures FROM rollout_log AS log JOIN rollout_steps ON rollout_steps.id = step_id"
            f" WHERE ({_KEY}) = (?, ?, ?, ?, ?, ?, ?) AND number > ? ORDER BY number LIMIT ?",
            (*_key(step), after, limit),
        )
        return [_logged(step, row) for row in rows]


class SqliteRolloutLedger(SqliteRolloutView):
    """What a transaction changes of rollouts."""

    def put_rollout(self, node: str, epoch: int, sequence: int, delta: StepDelta, now_ms: int) -> int:
        """Add a report to its step's totals and to the log; returns the bytes that the log grew by."""
        values, difference = _values(delta), delta.shadow.max_difference
        adding = ", ".join(f"{name} = {name} + excluded.{name}" for name in _NAMES)
        places = ", ".join("?" * (7 + len(_NAMES) + 1))
        row: Any = self._connection.execute(
            f"INSERT INTO rollout_steps ({_KEY}, {_COUNTS}, shadow_difference) VALUES ({places})"  # noqa: S608
            f" ON CONFLICT ({_KEY}) DO UPDATE SET {adding},"
            " shadow_difference = max(shadow_difference, excluded.shadow_difference) RETURNING id",
            (*_key(delta.step), *values, difference),
        ).fetchone()
        failures = encode_failures(delta.first_failures)
        places = ", ".join("?" * (5 + len(_NAMES) + 2))
        self._connection.execute(
            f"INSERT INTO rollout_log (step_id, node, epoch, sequence, arrived_ms, {_COUNTS}, shadow_difference,"  # noqa: S608
            f" failures) VALUES ({places})",
            (row[0], node, epoch, sequence, now_ms, *values, difference, failures),
        )
        return len(failures)


def encode_failures(failures: Iterable[UnitFailure]) -> bytes:
    """Return the stored form of failures, in order."""
    return b"".join(
        _FAILURE.pack(failure.unit, failure.offset_ms, failure.canary, CODES.index(failure.code))
        for failure in failures
    )


def decode_failures(data: bytes) -> tuple[UnitFailure, ...]:
    """Return what `encode_failures` stored."""
    return tuple(
        UnitFailure(unit, canary, CODES[code], offset) for unit, offset, canary, code in _FAILURE.iter_unpack(data)
    )


def _key(step: Step) -> tuple[Any, ...]:
    return (
        step.model,
        step.alias,
        step.revision,
        step.stable_version,
        step.canary_version,
        step.share_ppm,
        step.shadow_version,
    )


def _values(delta: StepDelta) -> tuple[int, ...]:
    """Return the counts in the order of _NAMES."""
    arms = (
        count
        for arm in (delta.stable, delta.canary)
        for count in (arm.requests, arm.units, arm.failures, arm.failed_units)
    )
    shadow = delta.shadow
    copies = (shadow.compared, shadow.agreed, shadow.failed, shadow.dropped)
    return (*arms, *copies, delta.unassigned, delta.forgotten_units, delta.dropped_failures)


def _counts(values: Sequence[Any], difference: float) -> dict[str, Any]:
    """Return the fields of the counts in the order of _NAMES."""
    return {
        "stable": ArmCounts(*values[0:4]),
        "canary": ArmCounts(*values[4:8]),
        "shadow": _shadow(values[8:12], difference),
        "unassigned": values[12],
        "forgotten_units": values[13],
        "dropped_failures": values[14],
    }


def _shadow(values: Sequence[int], difference: float) -> ShadowCounts:
    compared, agreed, failed, dropped = values
    return ShadowCounts(compared, agreed, failed, dropped, difference)


def _totals(row: Sequence[Any]) -> StepTotals:
    return StepTotals(row[0], Step(*row[1:8]), **_counts(row[8:-1], row[-1]))


def _alias_totals(row: Sequence[Any], share: int, difference: float) -> AliasTotals:
    model, alias, *values = row
    counts = _counts(values, difference)
    del counts["forgotten_units"]
    return AliasTotals(model, alias, share, **counts)


def _logged(step: Step, row: Sequence[Any]) -> LoggedStep:
    number, node, epoch, sequence, arrived, *values, difference, failures = row
    delta = StepDelta(step, first_failures=decode_failures(failures), **_counts(values, difference))
    return LoggedStep(number, node, epoch, sequence, arrived, delta)
