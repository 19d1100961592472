"""The registry's states and events in a few words, for tables and answers. Knows messages only through their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh_server.cli import rendering
from neuralmesh_server.cli.quantities import MILLION, duration_text, share_text

if TYPE_CHECKING:
    from collections.abc import Callable


def short(name: str) -> str:
    """Return the last part of a resource name."""
    return name.rpartition("/")[2]


def state_text(state: Any) -> str:
    """Return what an alias says: its version, then its arms."""
    arms = [
        f"{name} {arm.version} at {share_text(arm.share_ppm)}"
        for name, arm in (("canary", state.canary), ("shadow", state.shadow))
        if state.HasField(name)
    ]
    if state.HasField("sticky_key"):
        from neuralmesh.rollout import sticky_text  # noqa: PLC0415 - commands import messages when they run

        arms.append(f"by {sticky_text(state.sticky_key)}")
    return f"{state.version} ({', '.join(arms)})" if arms else str(state.version)


def event_text(event: Any) -> str:
    """Return what an event changed."""
    change = event.WhichOneof("change")
    return _EVENTS[change](getattr(event, change)) if change in _EVENTS else "unknown change"


def policy_text(policy: Any) -> str:
    """Return what a policy says."""
    parts = []
    if policy.HasField("receipts"):
        parts.append(receipts_text(policy.receipts))
    if policy.HasField("batching"):
        parts.append(batching_text(policy.batching))
    if policy.HasField("limits"):
        parts.append(limits_text(policy.limits))
    return "; ".join(part for part in parts if part) or "none"


def receipts_text(receipts: Any) -> str:
    """Return what a receipt policy says."""
    shares = {receipts.MODE_ALL: "all", receipts.MODE_SAMPLED: share_text(receipts.sample_ppm)}
    if receipts.mode not in shares:
        return "receipts off"
    content = "payloads" if receipts.content == receipts.CONTENT_PAYLOADS else "digests"
    age = duration_text(receipts.max_age_seconds or 7 * 24 * 3600, "s")
    size = rendering.size_text(receipts.max_bytes or 256 * 1024 * 1024)
    return f"receipts {shares[receipts.mode]}, {content}, at most {age} and {size}"


def batching_text(batching: Any) -> str:
    """Return what a batching policy says."""
    return f"batches of {batching.max_rows} rows within {duration_text(batching.max_delay_us, 'us')}"


def limits_text(limits: Any) -> str:
    """Return what a limit policy says."""
    parts = []
    if limits.max_running:
        parts.append(f"{limits.max_running} running")
    if limits.max_queued:
        parts.append(f"{limits.max_queued} queued")
    if limits.max_wait_ms:
        parts.append(f"{duration_text(limits.max_wait_ms, 'ms')} waiting")
    return f"at most {', '.join(parts)}" if parts else ""


def protection_text(protection: Any) -> str:
    """Return what a protection demands."""
    sources = {1: " of a golden set", 2: " that were recorded"}
    requests = rendering.count_text(protection.min_requests or 1, "request")
    limits = [f"at least {requests}{sources.get(protection.required_source, '')}"]
    if protection.min_agreement_ppm:
        limits.append(f"agreement from {share_text(protection.min_agreement_ppm)}")
    if protection.max_output_difference:
        limits.append(f"difference to {protection.max_output_difference}")
    limits.append(f"at most {rendering.count_text(protection.max_new_errors, 'new error')}")
    if protection.max_latency_ratio_ppm:
        limits.append(f"latency to {protection.max_latency_ratio_ppm / MILLION:g} times")
    if protection.allow_unverified:
        limits.append("unverified answers permitted")
    limits.append(f"made within {duration_text(protection.max_proof_age_seconds or 24 * 3600, 's')}")
    return f"promotions need a proof: {', '.join(limits)}"


def proof_text(proof: Any) -> str:
    """Return what a proof found."""
    agreement = (
        f"{100 * proof.agreeing_rows / proof.rows:.6g}% of {proof.rows:,} rows agree" if proof.rows else "no rows"
    )
    facts = [
        f"{proof.baseline_version} and {proof.candidate_version} on {rendering.count_text(proof.requests, 'request')}",
        agreement,
        f"largest difference {proof.max_output_difference}",
        rendering.count_text(proof.new_errors, "new error"),
    ]
    if proof.baseline_p50_ns:
        facts.append(f"{proof.candidate_p50_ns / proof.baseline_p50_ns:.3g} times the latency")
    if proof.unverified:
        facts.append("unverified")
    return f"{', '.join(facts)}, by {proof.node}"


def waves_text(waves: Any) -> str:
    """Return what a wave plan says."""
    shares = ", ".join(share_text(share) for share in waves.shares_ppm)
    held = f", each healthy for {duration_text(waves.hold_seconds, 's')}" if waves.hold_seconds else ""
    return f"edge nodes in waves of {shares}{held}"


def staleness_text(staleness: Any) -> str:
    """Return what a staleness policy says."""
    actions = {staleness.ACTION_FLAG: "flag", staleness.ACTION_REFUSE: "refuse"}
    return f"{actions.get(staleness.action, 'serve')} after {duration_text(staleness.after_seconds or 60, 's')}"


def assignment_text(assignment: Any) -> str:
    """Return what the nodes of an assignment hold."""
    pin = f" pinned to {assignment.pinned_version}" if assignment.pinned_version else ""
    parts = [f"{assignment.model}@{assignment.alias}{pin}"]
    if assignment.HasField("limits"):
        parts.append(limits_text(assignment.limits) or "no limits")
    if assignment.HasField("staleness"):
        parts.append(f"stale: {staleness_text(assignment.staleness)}")
    return ", ".join(parts)


def check_text(check: Any) -> str:
    """Return what a check found."""
    shown = {name: value for name, value in check.figures.items() if not value.startswith("sha256:")}
    return ", ".join(f"{name.replace('_', ' ')} {shown[name]}" for name in sorted(shown))


def _assigned_text(change: Any) -> str:
    if change.HasField("after"):
        return f"{change.after.selector} holds {assignment_text(change.after)}"
    return f"{change.before.selector} no longer holds {assignment_text(change.before)}"


def _moved_text(move: Any) -> str:
    kind = "rolled back" if move.kind == move.KIND_ROLLBACK else "promoted"
    before = state_text(move.before) if move.HasField("before") else "none"
    text = f"{short(move.alias)} {kind}: {before} -> {state_text(move.after)}"
    if move.HasField("waves"):
        text = f"{text}; {waves_text(move.waves)}"
    return f"{text}; proof: {proof_text(move.proof)}" if move.HasField("proof") else text


def _protected_text(change: Any) -> str:
    name = short(change.alias)
    if not change.HasField("after"):
        return f"{name} no longer protected"
    return f"{name} protected: {protection_text(change.after)}"


def _checked_text(change: Any) -> str:
    check = change.check
    return f"{check.kind} of version {short(check.version)}: {check_text(check)}"


_EVENTS: dict[str, Callable[[Any], str]] = {
    "model_created": lambda change: f"model {short(change.model.name)} created",
    "version_created": lambda change: f"version {change.version.version} created",
    "node_registered": lambda change: f"node {change.node} registered",
    "alias_moved": _moved_text,
    "model_policy_changed": lambda change: f"policy: {policy_text(change.after)}",
    "alias_protected": _protected_text,
    "assignment_changed": _assigned_text,
    "wave_reached": lambda change: (
        f"{short(change.alias)}: the move of revision {change.move_revision} reached {share_text(change.share_ppm)} of"
        " the edge nodes"
    ),
    "check_recorded": _checked_text,
}
