"""The digest by which a follower proves that it holds exactly the registry's state.

The state is a set of entries, one for each model, version, alias and policy, and for what an edge node does when it is
stale; see the functions whose names end in `_entry`. The digest is a homomorphic hash (LtHash with 1024 lanes of 16
bits: Lewi, Kim, Maykov, Weis, "Securing Update Propagation with Homomorphic Hashing", 2019): an entry is added or taken
away without touching the others, in any order, so that both sides keep it current for the price of one hash a change.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANES = 1024
BYTES = LANES * 2


class StateDigest:
    """A mutable sum over entries.

    Args:
        accumulator: The 2048 bytes of `accumulator()`, to go on from; empty starts with the empty set.
    """

    __slots__ = ("_lanes",)

    def __init__(self, accumulator: bytes = b"") -> None:
        if accumulator and len(accumulator) != BYTES:
            raise ValueError(f"the accumulator has {len(accumulator)} bytes instead of {BYTES}")
        self._lanes = np.frombuffer(accumulator or bytes(BYTES), dtype="<u2").copy()

    def add(self, entry: canonical.Fact) -> None:
        """Add an entry that is not in the set."""
        self._lanes += _lanes(entry)

    def remove(self, entry: canonical.Fact) -> None:
        """Take away an entry that is in the set."""
        self._lanes -= _lanes(entry)

    def join(self, accumulator: bytes) -> None:
        """Add all entries of another set, given by its sum."""
        self._lanes += np.frombuffer(accumulator, dtype="<u2")

    def accumulator(self) -> bytes:
        """Return the sum itself, 2048 bytes, to be stored."""
        return self._lanes.tobytes()

    def value(self) -> bytes:
        """Return the digest: SHA-256 of the sum, 32 bytes."""
        return hashlib.sha256(self._lanes.tobytes()).digest()


def _lanes(entry: canonical.Fact) -> NDArray[np.uint16]:
    return np.frombuffer(hashlib.shake_128(canonical.encode(entry)).digest(BYTES), dtype="<u2")


def model_entry(model: str, uid: int) -> canonical.Fact:
    """Return the entry of a model."""
    return {"entry": "model", "model": model, "uid": uid}


def version_entry(model: str, version: int, digest: str) -> canonical.Fact:
    """Return the entry of a version."""
    return {"entry": "version", "model": model, "version": version, "digest": digest}


def alias_entry(model: str, alias: str, revision: int, state: canonical.Fact, previous: int) -> canonical.Fact:
    """Return the entry of an alias.

    Args:
        model: Name of the model.
        alias: Name of the alias.
        revision: Revision of the last move.
        state: What the alias says, `{"version": n}`, and where they are set `"canary": {"version", "share_ppm"}`, the
            same for `"shadow"`, and `"sticky_key": {"source", "key"}` with the contract's number of the source.
        previous: The version that one rollback would bring back, `rollback_versions[0]`; 0 for none.
    """
    return {
        "entry": "alias",
        "model": model,
        "alias": alias,
        "revision": revision,
        "state": state,
        "previous": previous,
    }


def policy_entry(model: str, policy: canonical.Fact) -> canonical.Fact:
    """Return the entry of a model's policy.

    Args:
        model: Name of the model.
        policy: What it says, as it was given; only the parts that are set have a key, and all their fields have one:
            `"receipts": {"mode": "off" | "sampled" | "all", "sample_ppm", "content": "digests" | "payloads",
            "max_age_seconds", "max_bytes"}`, `"batching": {"max_rows", "max_delay_us"}`, `"limits": {"max_running",
            "max_queued", "max_wait_ms"}`.
    """
    return {"entry": "policy", "model": model, "policy": policy}


def staleness_entry(model: str, action: int, after_seconds: int) -> canonical.Fact:
    """Return the entry of what an edge node does with a model when it has not heard of the registry for long.

    Args:
        model: Name of the model.
        action: The contract's number of StalenessPolicy.Action.
        after_seconds: As it was given; 0 for the default.
    """
    return {"entry": "staleness", "model": model, "action": action, "after_seconds": after_seconds}
