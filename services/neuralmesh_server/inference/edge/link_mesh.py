"""The line to the registry over gRPC: one stream, dialled by the node; what it says is sent in order."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from neuralmesh import exceptions
from neuralmesh_server.inference.edge import convert_mesh
from neuralmesh_server.inference.holding.link_registry import link_error
from neuralmesh_server.inference.links import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from neuralmesh.mesh.v1 import mesh_service_pb2 as pb
    from neuralmesh_server.inference.edge.desired import MeshStep
    from neuralmesh_server.inference.edge.mesh import Figures, Hello, Verdict

    Sync = Callable[[AsyncIterator[Any]], AsyncIterator[Any]]
    """Sends requests and yields answers."""

SILENT_SECONDS = 30.0
"""A stream without a message for so long is dead: the registry says something every 10 seconds."""
FINISH_SECONDS = 1.0


class GrpcMesh:
    """See neuralmesh_server.inference.edge.mesh.MeshLink.

    Args:
        sync: MeshService's Sync.
    """

    def __init__(self, sync: Sync) -> None:
        self._sync = sync

    @asynccontextmanager
    async def open(self, hello: Hello) -> AsyncIterator[GrpcSession]:
        """Open a stream and say hello."""
        session = GrpcSession(self._sync, hello)
        try:
            yield session
        finally:
            await session.close()


class GrpcSession:
    """See neuralmesh_server.inference.edge.mesh.MeshSession."""

    def __init__(self, sync: Sync, hello: Hello) -> None:
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        self._said.put_nowait(convert_mesh.hello(hello))
        self._answers = sync(self._requests())

    async def read(self) -> MeshStep:
        """Return the next step; raises RefusedError and LinkError."""
        return convert_mesh.step(await self._next(SILENT_SECONDS))

    async def report(self, verdict: Verdict, figures: Figures) -> None:
        """Say what became of a state, and how the node is."""
        self._said.put_nowait(convert_mesh.report(verdict, figures))

    async def finish(self) -> None:
        """Say that nothing more comes, and wait until the registry ends the stream, but not for long."""
        self._said.put_nowait(None)
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                while True:
                    await self._next(FINISH_SECONDS)
        except (TimeoutError, LinkError):
            return

    async def close(self) -> None:
        """End the stream at once."""
        self._said.put_nowait(None)
        closing: Any = self._answers
        await closing.aclose()

    async def _requests(self) -> AsyncIterator[Any]:
        while (said := await self._said.get()) is not None:
            yield said

    async def _next(self, seconds: float) -> pb.SyncResponse:
        try:
            async with asyncio.timeout(seconds):
                response: pb.SyncResponse | None = await anext(self._answers, None)
        except exceptions.NeuralMeshError as error:
            raise link_error(error) from error
        except TimeoutError as error:
            why = f"the registry said nothing for {seconds:g} seconds"
            raise LinkError("PEER_UNREACHABLE", why, unreachable=True) from error
        if response is None:
            raise LinkError("PEER_UNREACHABLE", "the registry ended the stream", unreachable=True)
        return response
