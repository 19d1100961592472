"""From the registry's records to the contract's messages: who and when, which most messages have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from neuralmesh.registry.v1 import resources_pb2 as resources

if TYPE_CHECKING:
    from neuralmesh_server.registry.records import Actor


def actor_message(actor: Actor) -> Any:
    """Return the Actor of an actor."""
    return resources.Actor(id=actor.id, authenticated=actor.authenticated, on_behalf_of=actor.on_behalf_of)


def timestamp(time_ms: int) -> Any:
    """Return the Timestamp of milliseconds since 1970."""
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)
