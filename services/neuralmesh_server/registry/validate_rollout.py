"""What is checked of promotions, policies, protections and proofs by themselves.

What needs the registry's state is the domain's.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import names
from neuralmesh_server.registry.validate import invalid, required_line

MILLION = 1_000_000
LARGEST = 2**53 - 1
"""Largest number that is exact in every reader of a canonical form."""

STICKY_KEY_BYTES = 128
LEAST_ROWS, MOST_ROWS = 2, 65_536
MOST_DELAY_US = 1_000_000
MOST_WAVES = 16

_METADATA_KEY = re.compile(r"[0-9a-z_.-]+", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,320}(\.[0-9]{1,32})?(e[+-]?[0-9]{1,3})?", re.ASCII)
_NUMBERS = (
    *("requests", "rows", "agreeing_rows", "identical_requests", "baseline_errors", "candidate_errors", "new_errors"),
    *("baseline_p50_ns", "baseline_p99_ns", "candidate_p50_ns", "candidate_p99_ns", "time_ms"),
)


def alias_state(request: Any) -> None:
    """Check the state of a promotion."""
    if not request.HasField("state"):
        raise invalid("state", "is missing")
    state = request.state
    names.check_version(state.version)
    for name in ("canary", "shadow"):
        if state.HasField(name):
            _arm(f"state.{name}", getattr(state, name), state.version)
    if state.HasField("sticky_key"):
        _sticky_key(state.sticky_key)


def waves(message: Any) -> None:
    """Check a wave plan."""
    shares = message.shares_ppm
    if not 1 <= len(shares) <= MOST_WAVES:
        raise invalid("waves.shares_ppm", f"has {len(shares)} shares; a plan has 1 to {MOST_WAVES}", size=len(shares))
    for before, share in zip((0, *shares), shares, strict=False):
        if share <= before:
            raise invalid("waves.shares_ppm", f"has {share} after {before}; shares ascend from 1", value=share)
    if shares[-1] != MILLION:
        raise invalid("waves.shares_ppm", f"ends with {shares[-1]}, not with {MILLION}: all nodes", value=shares[-1])


def policy(request: Any) -> None:
    """Check the policy of a SetModelPolicyRequest."""
    if not request.HasField("policy"):
        raise invalid("policy", "is missing; an empty one stands for the defaults")
    said = request.policy
    if said.HasField("receipts"):
        _receipts(said.receipts)
    if said.HasField("batching"):
        _within("policy.batching.max_rows", said.batching.max_rows, LEAST_ROWS, MOST_ROWS)
        _within("policy.batching.max_delay_us", said.batching.max_delay_us, 0, MOST_DELAY_US)


def protection(message: Any) -> None:
    """Check a protection."""
    if not message.require_proof:
        raise invalid("protection.require_proof", "is false; a protection is lifted by leaving it absent")
    _within("protection.min_agreement_ppm", message.min_agreement_ppm, 0, MILLION)
    if message.max_output_difference:
        _decimal("protection.max_output_difference", message.max_output_difference)
    if message.required_source not in resources.Proof.Source.values():
        value = message.required_source
        raise invalid("protection.required_source", f"is {value}, which is no source", value=value)


def proof(message: Any) -> None:
    """Check the form of a proof; whether it holds is the domain's."""
    names.check_model(message.model)
    names.check_node(message.node)
    for side in ("baseline", "candidate"):
        names.check_version(getattr(message, f"{side}_version"))
        names.check_digest(getattr(message, f"{side}_digest"))
    names.check_digest(message.requests_digest)
    if message.source not in {resources.Proof.SOURCE_GOLDEN, resources.Proof.SOURCE_RECORDED}:
        raise invalid("proof.source", f"is {message.source}, which is no source", value=message.source)
    for field in _NUMBERS:
        _within(f"proof.{field}", getattr(message, field), 0, LARGEST)
    if message.max_output_difference != "inf":
        _decimal("proof.max_output_difference", message.max_output_difference)


def _arm(field: str, arm: Any, stable: int) -> None:
    names.check_version(arm.version)
    if arm.version == stable:
        raise invalid(f"{field}.version", f"is {stable}, the version of the alias itself", value=stable)
    _within(f"{field}.share_ppm", arm.share_ppm, 0, MILLION)


def _sticky_key(sticky: Any) -> None:
    field, key = "state.sticky_key.key", sticky.key
    if sticky.source in {resources.StickyKey.SOURCE_UNSPECIFIED, resources.StickyKey.SOURCE_REQUEST_ID}:
        if key:
            raise invalid(field, "must be empty: the request's id has no key")
    elif sticky.source == resources.StickyKey.SOURCE_PARAMETER:
        required_line(field, key, STICKY_KEY_BYTES)
    elif sticky.source == resources.StickyKey.SOURCE_METADATA:
        required_line(field, key, STICKY_KEY_BYTES)
        if not _METADATA_KEY.fullmatch(key) or key.startswith("grpc-") or key.endswith("-bin"):
            raise invalid(
                field,
                f"{key!a} is no metadata key of [0-9a-z_.-] without the prefix grpc- and the suffix -bin",
                key=ascii(key),
            )
    else:
        raise invalid("state.sticky_key.source", f"is {sticky.source}, which is no source", value=sticky.source)


def _receipts(receipts: Any) -> None:
    kinds = resources.ReceiptPolicy
    if receipts.mode not in kinds.Mode.values():
        raise invalid("policy.receipts.mode", f"is {receipts.mode}, which is no mode", value=receipts.mode)
    if receipts.content not in kinds.Content.values():
        raise invalid("policy.receipts.content", f"is {receipts.content}, which is no content", value=receipts.content)
    sampled = receipts.mode == kinds.MODE_SAMPLED
    _within("policy.receipts.sample_ppm", receipts.sample_ppm, *((1, MILLION) if sampled else (0, 0)))
    _within("policy.receipts.max_bytes", receipts.max_bytes, 0, LARGEST)


def _within(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid(field, f"is {value}; it goes from {least} to {most}", value=value, least=least, most=most)


def _decimal(field: str, text: str) -> None:
    if not _DECIMAL.fullmatch(text) or not Decimal(text).is_finite():
        shown = ascii(text[:80])
        raise invalid(field, f"{shown} is no decimal number from 0", value=shown)
