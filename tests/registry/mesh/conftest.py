"""A real registry with its mesh, over each of the listeners."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh.mesh.v1 import mesh_service_pb2_grpc as api_grpc
from neuralmesh.registry.v1 import registry_service_pb2_grpc as registry_grpc
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.settings import GRPC, NATIVE, Endpoint, RegistrySettings, ServerSettings
from tests.channels import OWN
from tests.registry.conftest import Registry
from tests.registry.mesh.nodes import SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Mesh(Registry):
    """A registry with a stub of its mesh and the steps that most tests need."""

    def __init__(self, channel: grpc.aio.Channel, app: RegistryApp) -> None:
        super().__init__(registry_grpc.RegistryServiceStub(channel), app)
        self.mesh: Any = api_grpc.MeshServiceStub(channel)

    async def assign(
        self, selector: str, model: str = "digits", alias: str = "production", *, request: Any = None, **fields: Any
    ) -> Any:
        assignment = resources.Assignment(selector=selector, model=model, alias=alias, **fields)
        return await self.mesh.SetAssignment(api.SetAssignmentRequest(assignment=assignment, **(request or {})))

    async def desired(self, node: str = "", **labels: str) -> Any:
        return await self.mesh.GetDesiredState(api.GetDesiredStateRequest(node=node, labels=labels))

    async def nodes(self, selector: str = "") -> dict[str, Any]:
        answer = await self.mesh.ListNodes(api.ListNodesRequest(page_size=1000, selector=selector))
        return {node.node: node for node in answer.nodes}

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the nodes as soon as a condition holds for them."""
        end = time.monotonic() + SECONDS
        while not condition(found := await self.nodes()):
            assert time.monotonic() < end, f"the fleet is still {found}"
            await asyncio.sleep(0.01)
        return found


@contextlib.asynccontextmanager
async def serve(data: Path, *, heartbeat: float = 10.0, transport: str = NATIVE) -> AsyncIterator[Mesh]:
    server = ServerSettings(Endpoint("127.0.0.1", 0), drain_seconds=5.0, transport=transport)
    app = RegistryApp(RegistrySettings(server=server, data=data, heartbeat_seconds=heartbeat))
    try:
        endpoint = await app.start()
        async with grpc.aio.insecure_channel(str(endpoint), OWN) as channel:
            yield Mesh(channel, app)
    finally:
        await app.stop()


@pytest.fixture(params=[NATIVE, GRPC])
async def mesh(request: Any, tmp_path: Path) -> AsyncIterator[Mesh]:
    async with serve(tmp_path / "data", transport=request.param) as running:
        yield running


@pytest.fixture
def serving():
    """Return `serve`, for tests with a registry of their own making."""
    return serve
