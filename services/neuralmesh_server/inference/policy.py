"""How a node treats the requests of a model: the registry's policy, with the contract's defaults filled in.

It decides nothing: receipts, lanes and batching read it. A model without a policy has `DEFAULT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MILLION = 1_000_000
"""A whole in parts per million."""

DEFAULT_AGE_SECONDS = 7 * 24 * 3600
DEFAULT_RECEIPT_BYTES = 256 * 1024 * 1024
DEFAULT_QUEUED = 1024


class ReceiptMode(Enum):
    """Which predictions are recorded, by their canonical names."""

    OFF = "off"
    SAMPLED = "sampled"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Receipts:
    """Which predictions are recorded and how long they are kept.

    Attributes:
        mode: Which ones.
        sample_ppm: Their share in parts per million; 0 for OFF and 1,000,000 for ALL.
        payloads: True to keep requests and answers, False to keep digests only.
        max_age_seconds: Oldest receipt that is kept.
        max_bytes: Most bytes of the model's receipts on this node.
    """

    mode: ReceiptMode = ReceiptMode.OFF
    sample_ppm: int = 0
    payloads: bool = False
    max_age_seconds: int = DEFAULT_AGE_SECONDS
    max_bytes: int = DEFAULT_RECEIPT_BYTES


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests that wait at the same time are joined: most rows, and longest wait for more in microseconds."""

    max_rows: int
    max_delay_us: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What this node takes on for a model.

    Attributes:
        max_running: Most requests that run at once; None for no limit of the model's own.
        max_queued: Most requests that wait.
        max_wait_ms: Longest wait in milliseconds; None for the request's own deadline only.
    """

    max_running: int | None = None
    max_queued: int = DEFAULT_QUEUED
    max_wait_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """The whole policy; `batching` is None where requests are never joined."""

    receipts: Receipts = Receipts()
    batching: Batching | None = None
    limits: Limits = Limits()

    @property
    def plain(self) -> bool:
        """True when a quick request may run as it comes: no limit holds it, and its payload is not kept."""
        keeps = self.receipts.payloads and self.receipts.mode is not ReceiptMode.OFF
        return self.limits.max_running is None and not keeps


DEFAULT = ModelPolicy()
"""The policy of a model that was given none."""


def read(fact: Mapping[str, Any]) -> ModelPolicy:
    """Return the policy that stands in the state digest as `fact`: only the parts that were given have a key."""
    batching = fact.get("batching")
    return ModelPolicy(
        receipts=_receipts(fact.get("receipts")),
        batching=None if batching is None else Batching(batching["max_rows"], batching["max_delay_us"]),
        limits=_limits(fact.get("limits")),
    )


def _receipts(fact: Mapping[str, Any] | None) -> Receipts:
    if fact is None:
        return Receipts()
    mode = ReceiptMode(fact["mode"])
    shares = {ReceiptMode.OFF: 0, ReceiptMode.SAMPLED: fact["sample_ppm"], ReceiptMode.ALL: MILLION}
    return Receipts(
        mode=mode,
        sample_ppm=shares[mode],
        payloads=fact["content"] == "payloads",
        max_age_seconds=fact["max_age_seconds"] or DEFAULT_AGE_SECONDS,
        max_bytes=fact["max_bytes"] or DEFAULT_RECEIPT_BYTES,
    )


def _limits(fact: Mapping[str, Any] | None) -> Limits:
    if fact is None:
        return Limits()
    return Limits(
        max_running=fact["max_running"] or None,
        max_queued=fact["max_queued"] or DEFAULT_QUEUED,
        max_wait_ms=fact["max_wait_ms"] or None,
    )
