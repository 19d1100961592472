"""Edge nodes on port 0 behind a registry that a test scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuralmesh import AsyncClient
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.settings import EdgeSettings, Endpoint, InferenceSettings, ServerSettings
from tests.inference import models
from tests.inference.conftest import ANY_PORT
from tests.inference.edge.fakes import FakeRegistry

ROWS = np.random.default_rng(3).random((2, 64), dtype=np.float32)


class Site:
    """A registry and edge nodes, each with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = FakeRegistry()
        self._apps: list[InferenceApp] = []
        self._clients: list[AsyncClient] = []

    async def start(self, name: str = "edge-1", *, edge: EdgeSettings | None = None, **settings: Any) -> InferenceApp:
        """Start a node."""
        app = InferenceApp(
            InferenceSettings(
                server=ServerSettings(ANY_PORT, drain_seconds=0.2),
                data=self.folder / name,
                node=name,
                edge=edge or EdgeSettings(labels={"tier": "edge"}),
                **{
                    "registry": Endpoint.parse(self.registry.address, name="registry"),
                    "metrics": None,
                    "keep_newest": 0,
                    "reconnect_seconds": 0.1,
                    **settings,
                },
            )
        )
        await app.start()
        self._apps.append(app)
        return app

    async def stop_node(self, app: InferenceApp) -> None:
        """Stop a node in order."""
        self._apps.remove(app)
        await app.stop()

    def client(self, app: InferenceApp) -> AsyncClient:
        """Return a client of a node."""
        client = AsyncClient(inference=str(app.endpoint), timeout=10, actor="tester")
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Stop everything."""
        for client in self._clients:
            await client.close()
        for app in self._apps:
            await app.stop()
        await self.registry.stop()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose registry listens and has one model, digits, with version 1 in production."""
    site = Site(tmp_path)
    await site.registry.start()
    site.registry.push("digits", models.digits_onnx(1))
    await site.registry.promote("digits", 1)
    yield site
    await site.close()


async def answer(client: AsyncClient, model: str = "digits", version: int | str = "") -> Any:
    """Return the prediction of two rows."""
    return await client.infer(model, {"input": ROWS}, version=version)


__all__ = ["ROWS", "Site", "answer", "site"]
