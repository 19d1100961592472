"""The edge of the edge service: where a node stands, moves on it alone, artifacts for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.mesh.v1 import edge_service_pb2 as pb
from neuralmesh_server import names
from neuralmesh_server.errors import InvalidArgumentError, NotSupportedError
from neuralmesh_server.inference.edge import convert_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from google.protobuf.descriptor import ServiceDescriptor

    from neuralmesh_server.inference.edge.giving import Giving
    from neuralmesh_server.inference.edge.overrides import Overrides
    from neuralmesh_server.inference.edge.status import EdgeStatus
    from neuralmesh_server.runtime.handlers import Call

SERVICE: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["EdgeService"]

LONGEST_ACTOR = 256
LONGEST_REASON = 1024


class EdgeServicer:
    """Answers the service's methods.

    Args:
        status: Returns where the node stands.
        giving: Gives artifacts out.
        overrides: Moves aliases on this node; None on a node that follows everything.
    """

    def __init__(self, *, status: Callable[[], EdgeStatus], giving: Giving, overrides: Overrides | None) -> None:
        self._status = status
        self._giving = giving
        self._overrides = overrides

    async def get_edge_status(self, request: Any, call: Call) -> Any:
        """Return where the node stands."""
        del request, call
        return convert_mesh.status(self._status())

    async def override_alias(self, request: Any, call: Call) -> Any:
        """Set an alias aside on this node."""
        _limit("actor", request.actor, LONGEST_ACTOR)
        _limit("reason", request.reason, LONGEST_REASON)
        if request.version:
            names.check_version(request.version)
        move, previous = await self._here().override(
            request.model,
            request.alias or names.DEFAULT_ALIAS,
            request.version,
            call.identity or request.actor,
            request.reason,
        )
        return pb.OverrideAliasResponse(override=convert_mesh.override(move), previous_version=previous)

    async def clear_override(self, request: Any, call: Call) -> Any:
        """End a move on this node."""
        del call
        move = await self._here().clear(request.model, request.alias or names.DEFAULT_ALIAS)
        return pb.ClearOverrideResponse(override=convert_mesh.override(move))

    async def fetch_artifact(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Give an artifact out."""
        del call
        digest = names.check_digest(request.digest)
        if request.offset < 0:
            raise InvalidArgumentError(
                "FIELD_INVALID", f"offset {request.offset} is negative", field="offset", value=request.offset
            )
        async for piece in self._giving.pieces(digest, request.offset):
            yield pb.FetchArtifactResponse(offset=piece.offset, data=piece.data, size_bytes=piece.size)

    def _here(self) -> Overrides:
        if self._overrides is None:
            raise NotSupportedError("NOT_SUPPORTED", "this node follows the registry only; move the alias there")
        return self._overrides


def _limit(field: str, text: str, most: int) -> None:
    if len(text.encode()) > most:
        raise InvalidArgumentError("FIELD_INVALID", f"{field} has more than {most} bytes", field=field, limit=most)
