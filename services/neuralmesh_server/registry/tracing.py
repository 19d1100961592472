"""Prediction ids, from the registry's side: whose keys there are, and what an id says once its checksum holds."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server import prediction_id
from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError
from neuralmesh_server.registry.ledger import record
from neuralmesh_server.registry.records import NodeRegistered

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.prediction_id import PredictionId
    from neuralmesh_server.registry.records import Event, Origin, Version
    from neuralmesh_server.registry.store import Store, Transaction, View

LATEST_MS = 253_402_300_799_999
"""Last millisecond of the year 9999; the contract's Timestamp ends there, and an id can say more."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What made a prediction: the parts of its id, the version, and the alias moves that had it in force."""

    id: PredictionId
    version: Version
    promotions: tuple[Event, ...]


class Tracer:
    """Keeps the nodes' keys and resolves ids.

    Args:
        store: Where keys and history are kept.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def register(self, node: str, key: bytes, origin: Origin) -> int:
        """Make a node's key known; returns the revision at which it first was.

        Raises:
            FailedPreconditionError: NODE_KEY_CONFLICT.
        """
        seen = await self._store.read(lambda view: view.node_key(node))
        if seen is not None:  # keys never change, so that nodes that come back need no transaction
            return _same_key(node, key, *seen)

        def rule(transaction: Transaction) -> int:
            known = transaction.node_key(node)
            if known is None:
                change = NodeRegistered(node, hashlib.sha256(key).hexdigest()[:16])
                revision = record(transaction, self._clock(), origin, change).revision
                transaction.insert_node_key(node, key, revision)
                return revision
            return _same_key(node, key, *known)

        return await self._store.change(rule)

    async def trace(self, text: str) -> Trace:
        """Say what made a prediction; raises PREDICTION_ID_INVALID."""
        parsed = prediction_id.parse(text)

        def rule(view: View) -> Trace:
            known = view.node_key(parsed.node)
            if known is None:
                raise prediction_id.invalid(text, "its node never registered")
            if not parsed.verify(known[0]):
                raise prediction_id.invalid(text, "its checksum does not hold")
            if parsed.epoch_ms + parsed.offset_ms > LATEST_MS:
                raise _unresolved(text, "carries a time beyond the year 9999: its node's clock was wrong")
            model = view.model_of(parsed.model_uid)
            version = None if model is None else view.version(model, parsed.version)
            if model is None or version is None or not parsed.matches_digest(version.digest):
                raise _unresolved(
                    text,
                    f"is genuine, but this registry has no such version (model number {parsed.model_uid}, "
                    f"version {parsed.version}); was it restored from another copy?",
                )
            moves = view.moves_in_force(model, parsed.version, parsed.revision)
            return Trace(parsed, version, tuple(moves))

        return await self._store.read(rule)


def _same_key(node: str, key: bytes, known: bytes, revision: int) -> int:
    """Return the revision of a node's key, or raise NODE_KEY_CONFLICT where it is another one."""
    if not hmac.compare_digest(known, key):
        raise FailedPreconditionError(
            "NODE_KEY_CONFLICT",
            f"node {node!r} registered another key at revision {revision}",
            node=node,
            revision=revision,
        )
    return revision


def _unresolved(text: str, why: str) -> InvalidArgumentError:
    """Return the error for an id that a node did issue, or that nothing tells from one."""
    return InvalidArgumentError("PREDICTION_ID_INVALID", f"prediction id {text!r} {why}", id=text)
