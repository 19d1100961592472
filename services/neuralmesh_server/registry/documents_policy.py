"""The canonical form of policies and protections: records to facts and back, exactly.

`documents` has the other records. A policy's form also stands in the state digest, where followers compute it too, so
it is never changed, only added to.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from neuralmesh_server.proof_seal import ProofSource
from neuralmesh_server.registry.records_policy import (
    AliasProtection,
    BatchingPolicy,
    LimitPolicy,
    ModelPolicy,
    ProtectionChange,
    ReceiptContent,
    ReceiptMode,
    ReceiptPolicy,
)

if TYPE_CHECKING:
    from neuralmesh_server.canonical import Fact


def policy_fact(policy: ModelPolicy) -> dict[str, Fact]:
    """Return the form of a policy: only the parts that are set have a key."""
    form: dict[str, Fact] = {}
    if policy.receipts is not None:
        receipts = policy.receipts
        form["receipts"] = {
            "mode": receipts.mode.value,
            "sample_ppm": receipts.sample_ppm,
            "content": receipts.content.value,
            "max_age_seconds": receipts.max_age_seconds,
            "max_bytes": receipts.max_bytes,
        }
    if policy.batching is not None:
        form["batching"] = {"max_rows": policy.batching.max_rows, "max_delay_us": policy.batching.max_delay_us}
    if policy.limits is not None:
        limits = policy.limits
        form["limits"] = {
            "max_running": limits.max_running,
            "max_queued": limits.max_queued,
            "max_wait_ms": limits.max_wait_ms,
        }
    return form


def read_policy(data: dict[str, Any] | None) -> ModelPolicy | None:
    """Return the policy of a form; None stays None."""
    if data is None:
        return None
    receipts, batching, limits = (data.get(part) for part in ("receipts", "batching", "limits"))
    return ModelPolicy(
        receipts=None if receipts is None else _read_receipts(receipts),
        batching=None if batching is None else BatchingPolicy(**batching),
        limits=None if limits is None else LimitPolicy(**limits),
    )


def protection_fact(protection: AliasProtection | None) -> Fact:
    """Return the form of a protection; None stays None. What was added later has a key only where it is set."""
    if protection is None:
        return None
    form: dict[str, Fact] = dict(dataclasses.asdict(protection))
    del form["required_source"], form["allow_unverified"]
    if protection.required_source is not None:
        form["required_source"] = protection.required_source.value
    if protection.allow_unverified:
        form["allow_unverified"] = True
    return form


def read_protection(data: dict[str, Any] | None) -> AliasProtection | None:
    """Return the protection of a form; None stays None."""
    if data is None:
        return None
    source = data.get("required_source")
    return AliasProtection(**(data | {"required_source": None if source is None else ProofSource(source)}))


def protection_change_fact(change: ProtectionChange) -> Fact:
    """Return the form of the result of ProtectAlias."""
    return {"protection": protection_fact(change.protection), "before": protection_fact(change.before)}


def read_protection_change(data: dict[str, Any]) -> ProtectionChange:
    """Return the result of ProtectAlias of a form."""
    return ProtectionChange(read_protection(data["protection"]), read_protection(data["before"]))


def _read_receipts(data: dict[str, Any]) -> ReceiptPolicy:
    return ReceiptPolicy(**(data | {"mode": ReceiptMode(data["mode"]), "content": ReceiptContent(data["content"])}))
