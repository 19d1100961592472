"""Policies of models and protections of aliases, as frozen values. `records` has everything else.

Parts per million count to 1,000,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralmesh_server.proof_seal import ProofSource


class ReceiptMode(Enum):
    """Which predictions of a model are recorded, by their canonical names."""

    OFF = "off"
    SAMPLED = "sampled"
    ALL = "all"


class ReceiptContent(Enum):
    """What is kept of a recorded prediction, by their canonical names."""

    DIGESTS = "digests"
    PAYLOADS = "payloads"


@dataclass(frozen=True, slots=True)
class ReceiptPolicy:
    """Which predictions are recorded; a 0 stands for the contract's default and is kept as it was given."""

    mode: ReceiptMode
    sample_ppm: int
    content: ReceiptContent
    max_age_seconds: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class BatchingPolicy:
    """How waiting requests are joined."""

    max_rows: int
    max_delay_us: int


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """What one node takes on; a 0 stands for the contract's default and is kept as it was given."""

    max_running: int
    max_queued: int
    max_wait_ms: int


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """How nodes treat the requests of a model; a change replaces it whole."""

    receipts: ReceiptPolicy | None = None
    batching: BatchingPolicy | None = None
    limits: LimitPolicy | None = None


@dataclass(frozen=True, slots=True)
class AliasProtection:
    """What a promotion of an alias must bring along; the contract describes each field.

    `required_source` is None for either.
    """

    min_agreement_ppm: int = 0
    max_output_difference: str = ""
    max_new_errors: int = 0
    max_latency_ratio_ppm: int = 0
    min_requests: int = 0
    max_proof_age_seconds: int = 0
    required_source: ProofSource | None = None
    allow_unverified: bool = False


@dataclass(frozen=True, slots=True)
class ProtectionChange:
    """The result of ProtectAlias: the protection as committed and before; None for none."""

    protection: AliasProtection | None
    before: AliasProtection | None
