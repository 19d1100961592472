"""Between the contract's messages about rollouts and the domain's records; see `convert`."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server.metrics.convert import page_token_invalid
from neuralmesh_server.metrics.rollouts import ArmCounts, ShadowCounts, Step, StepDelta, UnitFailure

if TYPE_CHECKING:
    from neuralmesh_server.metrics.rollouts import StepTotals


def step_delta(entry: Any) -> StepDelta:
    """Return the record of a RolloutDelta."""
    shadow = entry.shadow
    return StepDelta(
        step=Step(
            model=entry.model,
            alias=entry.alias,
            revision=entry.revision,
            stable_version=entry.stable_version,
            canary_version=entry.canary_version,
            share_ppm=entry.share_ppm,
            shadow_version=shadow.version,
        ),
        stable=_arm_from(entry.stable),
        canary=_arm_from(entry.canary),
        shadow=ShadowCounts(
            shadow.compared, shadow.agreed, shadow.failed, shadow.dropped, shadow.max_output_difference
        ),
        unassigned=entry.unassigned,
        forgotten_units=entry.forgotten_units,
        first_failures=tuple(
            UnitFailure(failure.unit, failure.canary, failure.code, failure.offset_ms)
            for failure in entry.first_failures
        ),
        dropped_failures=entry.dropped_failures,
    )


def metrics_to(totals: StepTotals) -> Any:
    """Return RolloutMetrics."""
    step, shadow = totals.step, totals.shadow
    return pb.RolloutMetrics(
        model=step.model,
        alias=step.alias,
        revision=step.revision,
        stable_version=step.stable_version,
        canary_version=step.canary_version,
        share_ppm=step.share_ppm,
        stable=_arm_to(totals.stable),
        canary=_arm_to(totals.canary),
        shadow=pb.ShadowDelta(
            version=step.shadow_version,
            compared=shadow.compared,
            agreed=shadow.agreed,
            failed=shadow.failed,
            dropped=shadow.dropped,
            max_output_difference=shadow.max_difference,
        )
        if step.shadow_version
        else None,
        unassigned=totals.unassigned,
        dropped_failures=totals.dropped_failures,
        forgotten_units=totals.forgotten_units,
    )


def page_token(model: str, last: StepTotals) -> str:
    """Return the token of the page that begins behind a step, for a listing of `model`."""
    return base64.urlsafe_b64encode(json.dumps([model, last.step.revision, last.number]).encode()).decode()


def page_start(token: str, model: str) -> tuple[int, int] | None:
    """Return the (revision, number) behind which a page begins; None for the first page.

    Raises:
        InvalidArgumentError: PAGE_TOKEN_INVALID: the token was not given for a listing of `model`.
    """
    if not token:
        return None
    try:
        of_model, *place = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
        revision, number = place
        if of_model == model and all(type(part) is int and 0 <= part < 2**62 for part in place):
            return revision, number
    except (binascii.Error, ValueError, TypeError, RecursionError):
        pass  # not ours, whatever it is
    raise page_token_invalid(token)


def _arm_from(arm: Any) -> ArmCounts:
    return ArmCounts(arm.requests, arm.units, arm.failures, arm.failed_units)


def _arm_to(arm: ArmCounts) -> Any:
    return pb.ArmDelta(requests=arm.requests, units=arm.units, failures=arm.failures, failed_units=arm.failed_units)
