"""Checks of what a delta says of rollouts; see `validate`."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

from neuralmesh_server import names
from neuralmesh_server.metrics.fields import MAX_COUNT, at_most, field_invalid, within
from neuralmesh_server.metrics.records import CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ROLLOUTS = 1_000
MAX_FIRST_FAILURES = 10_000
"""Most first failures in one delta, over all its steps."""
MAX_VERSION = 2**31 - 1
MAX_REVISION = 2**48 - 1
MAX_OFFSET_MS = 2**40
MILLION = 1_000_000

_ARM = ("requests", "units", "failures", "failed_units")
_SHADOW = ("compared", "agreed", "failed", "dropped")


def check(rollouts: Sequence[Any]) -> None:
    """Check the RolloutDelta messages of one IngestDeltaRequest.

    Raises:
        InvalidArgumentError: FIELD_INVALID, NAME_INVALID or VERSION_INVALID.
    """
    at_most("rollouts", rollouts, MAX_ROLLOUTS)
    within("rollouts.first_failures", sum(len(entry.first_failures) for entry in rollouts), 0, MAX_FIRST_FAILURES)
    seen: set[tuple[Any, ...]] = set()
    for number, entry in enumerate(rollouts):
        field = f"rollouts[{number}]"
        _check_step(field, entry)
        shadow = entry.shadow.version
        key = (
            entry.model,
            entry.alias,
            entry.revision,
            entry.stable_version,
            entry.canary_version,
            entry.share_ppm,
            shadow,
        )
        if key in seen:
            raise field_invalid(field, f"it is the second entry of this step of {entry.model}/{entry.alias}")
        seen.add(key)


def _check_step(field: str, entry: Any) -> None:
    names.check_model(entry.model)
    names.check_alias(entry.alias)
    names.check_version(entry.stable_version)
    within(f"{field}.revision", entry.revision, 0, MAX_REVISION)
    within(f"{field}.canary_version", entry.canary_version, 0, MAX_VERSION)
    within(f"{field}.share_ppm", entry.share_ppm, 0, MILLION)
    for arm in ("stable", "canary"):
        _check_arm(f"{field}.{arm}", getattr(entry, arm))
    for count in ("unassigned", "forgotten_units", "dropped_failures"):
        within(f"{field}.{count}", getattr(entry, count), 0, MAX_COUNT)
    if entry.HasField("shadow"):
        _check_shadow(f"{field}.shadow", entry.shadow)
    failed = entry.stable.failed_units + entry.canary.failed_units
    if len(entry.first_failures) > failed:
        why = f"{len(entry.first_failures)} first failures are more than the {failed} failed units"
        raise field_invalid(f"{field}.first_failures", why)
    for failure in entry.first_failures:
        within(f"{field}.first_failures.offset_ms", failure.offset_ms, 0, MAX_OFFSET_MS)
        if failure.code not in CODES:
            why = f"{failure.code[:80]!a} is not the gRPC status name of a failure"
            raise field_invalid(f"{field}.first_failures.code", why)
    if not entry.canary_version and _counts(entry.canary):
        raise field_invalid(f"{field}.canary", "it has counts, and there is no canary")


def _check_arm(field: str, arm: Any) -> None:
    for count in _ARM:
        within(f"{field}.{count}", getattr(arm, count), 0, MAX_COUNT)
    # Failures may be of requests that an earlier delta told of; units are counted with their requests.
    if arm.units > arm.requests:
        raise field_invalid(f"{field}.units", f"{arm.units} units are more than {arm.requests} requests")
    if arm.failed_units > arm.failures:
        raise field_invalid(f"{field}.failed_units", f"{arm.failed_units} units are more than {arm.failures} failures")


def _check_shadow(field: str, shadow: Any) -> None:
    within(f"{field}.version", shadow.version, 1, MAX_VERSION)
    for count in _SHADOW:
        within(f"{field}.{count}", getattr(shadow, count), 0, MAX_COUNT)
    if shadow.agreed > shadow.compared:
        raise field_invalid(f"{field}.agreed", f"{shadow.agreed} copies are more than the {shadow.compared} compared")
    if isnan(shadow.max_output_difference) or shadow.max_output_difference < 0:
        raise field_invalid(f"{field}.max_output_difference", f"{shadow.max_output_difference} is no distance")


def _counts(arm: Any) -> bool:
    return any(getattr(arm, count) for count in _ARM)
