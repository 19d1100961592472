"""The report of a node that ran two versions on the same requests, and the seal that proves which node wrote it.

A node makes proofs, the registry checks them; both use this module, so that they hash the same bytes. It runs nothing,
and it does not judge whether a proof is good enough.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from neuralmesh_server import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

SEAL_BYTES = 32


class ProofSource(Enum):
    """Where the requests came from, by their canonical names."""

    GOLDEN = "golden"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a node found; the contract's message Proof describes each field.

    Numbers are at most 2^53 - 1. `max_output_difference` is the shortest decimal number that reads back the same, as
    `repr` gives it, or "inf". Times are milliseconds since 1970, latencies nanoseconds. `seal` is empty until
    `sealed`. `unverified` stands in the canonical form only where it is true, as proofs of before it existed say.
    """

    model: str
    baseline_version: int
    baseline_digest: str
    candidate_version: int
    candidate_digest: str
    source: ProofSource
    requests_digest: str
    requests: int
    rows: int
    agreeing_rows: int
    identical_requests: int
    max_output_difference: str
    baseline_errors: int
    candidate_errors: int
    new_errors: int
    baseline_p50_ns: int
    baseline_p99_ns: int
    candidate_p50_ns: int
    candidate_p99_ns: int
    node: str
    time_ms: int
    seal: bytes = b""
    unverified: bool = False


def fact(proof: Proof) -> dict[str, canonical.Fact]:
    """Return a proof with its seal as a fact of integers and strings."""
    return {**_unsealed(proof), "seal": proof.seal.hex()}


def read(data: Mapping[str, Any]) -> Proof:
    """Return the proof of a fact that `fact` made."""
    return Proof(**{**data, "source": ProofSource(data["source"]), "seal": bytes.fromhex(data["seal"])})


def seal(proof: Proof, key: bytes) -> bytes:
    """Return the seal of a proof: BLAKE2s-256, keyed, over the canonical bytes of all fields but the seal; 32 bytes.

    The checksums of prediction ids use the same key with another digest length, which BLAKE2 keeps apart.

    Args:
        proof: Its own seal does not matter.
        key: The node's id key, 32 bytes.

    Raises:
        ValueError: A number is beyond 2^53 - 1.
    """
    return hashlib.blake2s(canonical.encode(_unsealed(proof)), key=key, digest_size=SEAL_BYTES).digest()


def sealed(proof: Proof, key: bytes) -> Proof:
    """Return the proof with its seal."""
    return dataclasses.replace(proof, seal=seal(proof, key))


def is_sealed(proof: Proof, key: bytes) -> bool:
    """Return whether the holder of the key sealed exactly this proof."""
    return hmac.compare_digest(proof.seal, seal(proof, key))


def _unsealed(proof: Proof) -> dict[str, canonical.Fact]:
    form: dict[str, canonical.Fact] = {
        field.name: getattr(proof, field.name) for field in dataclasses.fields(proof) if field.name != "seal"
    }
    form["source"] = proof.source.value
    if not proof.unverified:
        del form["unverified"]
    return form
