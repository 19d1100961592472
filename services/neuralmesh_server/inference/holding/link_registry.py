"""The registry over gRPC: the client's methods, with the node's records and one error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh import exceptions
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference.holding import convert_registry
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh import AsyncClient
    from neuralmesh_server.inference.holding.replica import Step

_PASSING = (
    exceptions.UnavailableError,
    exceptions.DeadlineExceededError,
    exceptions.ResourceExhaustedError,
    exceptions.AbortedError,
    exceptions.CancelledError,
    exceptions.InternalError,
)


def link_error(error: exceptions.NeuralMeshError) -> LinkError:
    """Return the node's error for a client's."""
    return LinkError(error.reason, error.message, unreachable=isinstance(error, _PASSING))


class GrpcRegistry:
    """See neuralmesh_server.inference.links.RegistryLink."""

    def __init__(self, client: AsyncClient, node: str) -> None:
        self._registry = client.registry
        self._node = node

    async def watch(self, from_revision: int, state_digest: bytes) -> AsyncIterator[Step]:
        """Yield steps; records that break the contract's rules raise LinkError too."""
        try:
            async for response in self._registry.watch(
                from_revision=from_revision, state_digest=state_digest, node=self._node
            ):
                yield convert_registry.step(response)
        except exceptions.NeuralMeshError as error:
            raise link_error(error) from error
        except InvalidArgumentError as error:
            raise LinkError(error.reason, f"the registry sent {error.message}", unreachable=False) from error

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield an artifact's bytes from an offset on."""
        try:
            async for response in self._registry.download_artifact(digest, offset=offset):
                yield response.data
        except exceptions.NeuralMeshError as error:
            raise link_error(error) from error

    async def register_node(self, key: bytes) -> None:
        """Make this node's key known."""
        try:
            await self._registry.register_node(self._node, key)
        except exceptions.NeuralMeshError as error:
            raise link_error(error) from error
