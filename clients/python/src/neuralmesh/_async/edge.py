"""The edge service's methods, one for each RPC: where a node stands in the mesh, moves on it alone, its artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh.mesh.v1 import edge_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh._async.connection import AsyncConnection


class AsyncEdge:
    """What an inference node offers to the mesh. Every method raises `neuralmesh.exceptions`.

    Args:
        connection: The node.
        actor: Who asks, where the connection does not prove it.
    """

    def __init__(self, connection: AsyncConnection, actor: str = "") -> None:
        self._connection = connection
        self._actor = actor

    async def get_edge_status(self) -> pb.GetEdgeStatusResponse:
        """Return what the node holds and how long ago it heard of the registry."""
        return await self._connection.unary("GetEdgeStatus", pb.GetEdgeStatusResponse, pb.GetEdgeStatusRequest())

    async def override_alias(
        self, model: str, alias: str = "", *, version: int = 0, reason: str = ""
    ) -> pb.OverrideAliasResponse:
        """Have another version answer for an alias on this node, until the registry moves the alias.

        Args:
            model: Name of the model.
            alias: Name of the alias; empty stands for `production`.
            version: What is to answer; 0 stands for what a rollback would bring back.
            reason: Why.
        """
        request = pb.OverrideAliasRequest(model=model, alias=alias, version=version, actor=self._actor, reason=reason)
        return await self._connection.unary("OverrideAlias", pb.OverrideAliasResponse, request)

    async def clear_override(self, model: str, alias: str = "") -> pb.ClearOverrideResponse:
        """End what `override_alias` did."""
        request = pb.ClearOverrideRequest(model=model, alias=alias)
        return await self._connection.unary("ClearOverride", pb.ClearOverrideResponse, request)

    def fetch_artifact(self, digest: str, *, offset: int = 0) -> AsyncIterator[pb.FetchArtifactResponse]:
        """Yield the chunks of an artifact that the node holds, from an offset on."""
        request = pb.FetchArtifactRequest(digest=digest, offset=offset)
        return self._connection.stream("FetchArtifact", pb.FetchArtifactResponse, request)
