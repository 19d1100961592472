"""A real registry and real nodes on port 0."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from neuralmesh import AsyncClient
from neuralmesh.registry.v1 import resources_pb2 as pb
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.serving import Serving, Snapshot
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.settings import Endpoint, InferenceSettings, RegistrySettings, ServerSettings
from tests.inference import models

ANY_PORT = Endpoint("127.0.0.1", 0)
PATIENCE = 20.0


class Suite:
    """A registry, and nodes that follow it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry_settings = RegistrySettings(ServerSettings(ANY_PORT, drain_seconds=0.2), folder / "registry")
        self.node_server = ServerSettings(ANY_PORT, drain_seconds=0.2)
        self._apps: list[RegistryApp | InferenceApp] = []
        self._clients: list[AsyncClient] = []
        self.registry: RegistryApp

    async def start_registry(self) -> None:
        """Start the registry, on the port that it had if it ran before."""
        self.registry = RegistryApp(self.registry_settings)
        endpoint = await self.registry.start()
        self.registry_settings = replace(
            self.registry_settings, server=replace(self.registry_settings.server, listen=endpoint)
        )
        self._apps.append(self.registry)

    async def stop_registry(self) -> None:
        """Stop the registry."""
        self._apps.remove(self.registry)
        await self.registry.stop()

    async def start_node(self, name: str = "local", folder: str = "", **settings: object) -> InferenceApp:
        """Start a node on its own folder."""
        app = InferenceApp(
            InferenceSettings(
                server=self.node_server,
                data=self.folder / (folder or name),
                node=name,
                **{
                    "registry": self.registry_settings.server.listen,
                    "metrics": None,
                    "reconnect_seconds": 0.1,
                    **settings,
                },
            )
        )
        await app.start()
        self._apps.append(app)
        return app

    def client(self, node: InferenceApp | None = None) -> AsyncClient:
        """Return a client of the registry and of a node."""
        client = AsyncClient(
            registry=str(self.registry_settings.server.listen),
            inference=str(node.endpoint) if node else "127.0.0.1:1",
            timeout=10,
        )
        self._clients.append(client)
        return client

    async def stop(self) -> None:
        """Stop everything, the newest first."""
        for client in self._clients:
            await client.close()
        for app in reversed(self._apps):
            await app.stop()


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    """A suite whose registry runs."""
    suite = Suite(tmp_path)
    await suite.start_registry()
    yield suite
    await suite.stop()


async def when(node: InferenceApp, condition: Callable[[Snapshot], bool]) -> Snapshot:
    """Return the first snapshot of a node that fulfils a condition."""
    serving: Serving = node._serving
    return await asyncio.wait_for(serving.when(condition), PATIENCE)


async def when_ready(node: InferenceApp, model: str, *versions: int) -> Snapshot:
    """Return the first snapshot in which versions are ready."""
    return await when(node, lambda snapshot: all((model, version) in snapshot.served for version in versions))


async def when_settled(node: InferenceApp) -> None:
    """Return when a node serves."""
    await asyncio.wait_for(node._loader.settled.wait(), PATIENCE)


async def push_digits(client: AsyncClient, content: bytes, kind: str = "onnx", model: str = "digits") -> int:
    """Push a version of the digits' signature; returns its number."""
    name = "model.onnx" if kind == "onnx" else "model.safetensors"
    version = await client.push(model, kind=kind, files={name: content}, signature=models.DIGITS)
    number: int = version.version
    return number


__all__ = ["Suite", "pb", "push_digits", "suite", "when", "when_ready", "when_settled"]
