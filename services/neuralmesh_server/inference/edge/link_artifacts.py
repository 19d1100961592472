"""The artifacts of the node further up the line, over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh import exceptions
from neuralmesh_server.inference.holding.link_registry import link_error
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh import AsyncClient


class UpstreamArtifacts:
    """See neuralmesh_server.inference.holding.artifacts.Source."""

    def __init__(self, client: AsyncClient) -> None:
        self._edge = client.edge

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes from an offset on; raises LinkError, also where they end too early."""
        size = offset
        try:
            async for response in self._edge.fetch_artifact(digest, offset=offset):
                size = response.size_bytes
                if response.offset != offset:
                    raise _broken(f"{digest} goes on at byte {response.offset} instead of {offset}")
                offset += len(response.data)
                yield response.data
        except exceptions.NeuralMeshError as error:
            raise link_error(error) from error
        if offset < size:
            raise _broken(f"{digest} ended at byte {offset} of {size}")


def _broken(why: str) -> LinkError:
    return LinkError("PEER_UNREACHABLE", why, unreachable=False)
