"""The metrics service over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh import exceptions
from neuralmesh_server.inference.holding.link_registry import link_error
from neuralmesh_server.inference.reporting import convert_metrics

if TYPE_CHECKING:
    from neuralmesh import AsyncClient
    from neuralmesh_server.inference.links import Delta


class GrpcMetrics:
    """See neuralmesh_server.inference.links.MetricsLink."""

    def __init__(self, client: AsyncClient, node: str) -> None:
        self._metrics = client.metrics
        self._node = node

    def encode(self, delta: Delta) -> bytes:
        """Return the delta as an IngestDeltaRequest."""
        data: bytes = convert_metrics.ingest_request(self._node, delta).SerializeToString()
        return data

    async def ingest(self, data: bytes) -> None:
        """Return when the delta is committed."""
        try:
            await self._metrics.ingest_delta(data)
        except exceptions.NeuralMeshError as error:
            raise link_error(error) from error
