"""Between the contract's messages and the registry's records: alias states, policies, protections and proofs.

It checks nothing and decides nothing; `convert` has the other messages.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server.proof_seal import Proof, ProofSource
from neuralmesh_server.registry.records import AliasState, Arm, StickyKey, StickySource
from neuralmesh_server.registry.records_policy import (
    AliasProtection,
    BatchingPolicy,
    LimitPolicy,
    ModelPolicy,
    ReceiptContent,
    ReceiptMode,
    ReceiptPolicy,
)

_MODES = {
    ReceiptMode.OFF: resources.ReceiptPolicy.MODE_OFF,
    ReceiptMode.SAMPLED: resources.ReceiptPolicy.MODE_SAMPLED,
    ReceiptMode.ALL: resources.ReceiptPolicy.MODE_ALL,
}
_CONTENTS = {
    ReceiptContent.DIGESTS: resources.ReceiptPolicy.CONTENT_DIGESTS,
    ReceiptContent.PAYLOADS: resources.ReceiptPolicy.CONTENT_PAYLOADS,
}
_STICKY = {
    StickySource.PARAMETER: resources.StickyKey.SOURCE_PARAMETER,
    StickySource.METADATA: resources.StickyKey.SOURCE_METADATA,
    StickySource.REQUEST_ID: resources.StickyKey.SOURCE_REQUEST_ID,
}
_SOURCES = {
    ProofSource.GOLDEN: resources.Proof.SOURCE_GOLDEN,
    ProofSource.RECORDED: resources.Proof.SOURCE_RECORDED,
}
_MODE_OF = {number: mode for mode, number in _MODES.items()} | {
    resources.ReceiptPolicy.MODE_UNSPECIFIED: ReceiptMode.OFF
}
_CONTENT_OF = {number: content for content, number in _CONTENTS.items()} | {
    resources.ReceiptPolicy.CONTENT_UNSPECIFIED: ReceiptContent.DIGESTS
}
_SOURCE_OF = {number: source for source, number in _SOURCES.items()}
_REQUIRED_OF = _SOURCE_OF | {resources.Proof.SOURCE_UNSPECIFIED: None}


def state(message: Any) -> AliasState:
    """Return the state of an AliasState."""
    sticky = message.sticky_key
    return AliasState(
        version=message.version,
        canary=_arm(message.canary) if message.HasField("canary") else None,
        shadow=_arm(message.shadow) if message.HasField("shadow") else None,
        sticky_key=StickyKey(StickySource(sticky.source or StickySource.REQUEST_ID), sticky.key)
        if message.HasField("sticky_key")
        else None,
    )


def state_message(state: AliasState | None) -> Any:
    """Return the AliasState of a state; None stays None."""
    if state is None:
        return None
    sticky = state.sticky_key
    return resources.AliasState(
        version=state.version,
        canary=None if state.canary is None else resources.Canary(**dataclasses.asdict(state.canary)),
        shadow=None if state.shadow is None else resources.Shadow(**dataclasses.asdict(state.shadow)),
        sticky_key=None if sticky is None else resources.StickyKey(source=_STICKY[sticky.source], key=sticky.key),
    )


def policy(message: Any) -> ModelPolicy:
    """Return the policy of a ModelPolicy."""
    receipts, batching, limits = message.receipts, message.batching, message.limits
    return ModelPolicy(
        receipts=ReceiptPolicy(
            mode=_MODE_OF[receipts.mode],
            sample_ppm=receipts.sample_ppm,
            content=_CONTENT_OF[receipts.content],
            max_age_seconds=receipts.max_age_seconds,
            max_bytes=receipts.max_bytes,
        )
        if message.HasField("receipts")
        else None,
        batching=BatchingPolicy(batching.max_rows, batching.max_delay_us) if message.HasField("batching") else None,
        limits=LimitPolicy(limits.max_running, limits.max_queued, limits.max_wait_ms)
        if message.HasField("limits")
        else None,
    )


def policy_message(policy: ModelPolicy | None) -> Any:
    """Return the ModelPolicy of a policy; None stays None."""
    if policy is None:
        return None
    receipts, batching, limits = policy.receipts, policy.batching, policy.limits
    return resources.ModelPolicy(
        receipts=None
        if receipts is None
        else resources.ReceiptPolicy(
            mode=_MODES[receipts.mode],
            sample_ppm=receipts.sample_ppm,
            content=_CONTENTS[receipts.content],
            max_age_seconds=receipts.max_age_seconds,
            max_bytes=receipts.max_bytes,
        ),
        batching=None if batching is None else resources.BatchingPolicy(**dataclasses.asdict(batching)),
        limits=None if limits is None else resources.LimitPolicy(**dataclasses.asdict(limits)),
    )


def protection(message: Any) -> AliasProtection:
    """Return the protection of an AliasProtection."""
    names = (field.name for field in dataclasses.fields(AliasProtection) if field.name != "required_source")
    return AliasProtection(
        required_source=_REQUIRED_OF[message.required_source], **{name: getattr(message, name) for name in names}
    )


def protection_message(protection: AliasProtection | None) -> Any:
    """Return the AliasProtection of a protection; None stays None."""
    if protection is None:
        return None
    source = protection.required_source
    fields = dataclasses.asdict(protection) | {"required_source": None if source is None else _SOURCES[source]}
    return resources.AliasProtection(require_proof=True, **fields)


def proof(message: Any) -> Proof:
    """Return the proof of a Proof."""
    names = (field.name for field in dataclasses.fields(Proof) if field.name != "source")
    return Proof(source=_SOURCE_OF[message.source], **{name: getattr(message, name) for name in names})


def proof_message(proof: Proof | None) -> Any:
    """Return the Proof of a proof; None stays None."""
    if proof is None:
        return None
    return resources.Proof(**(dataclasses.asdict(proof) | {"source": _SOURCES[proof.source]}))


def _arm(message: Any) -> Arm:
    return Arm(message.version, message.share_ppm)
