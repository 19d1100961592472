"""Real servers for the client's tests: a registry, and a scripted server that answers what a test tells it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.message_factory import GetMessageClass

from neuralmesh._service import REGISTRY
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.runtime.handlers import service_handler, snake_case
from neuralmesh_server.runtime.server import Server
from neuralmesh_server.settings import Endpoint, RegistrySettings, ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LOOPBACK = ServerSettings(listen=Endpoint("127.0.0.1", 0), drain_seconds=1.0)


@pytest.fixture
async def registry(tmp_path) -> AsyncIterator[str]:
    """Return the address of a registry of its own."""
    app = RegistryApp(RegistrySettings(server=LOOPBACK, data=tmp_path / "registry"))
    endpoint = await app.start()
    yield str(endpoint)
    await app.stop()


class ScriptedRegistry:
    """A registry that answers with what the test put in its way, and remembers what it was asked.

    Every RPC goes to `behaviour(name, request, call)`, which returns an answer or raises a domain error.
    """

    def __init__(self, behaviour: Callable[..., Any]) -> None:
        self.calls: list[str] = []
        for method in REGISTRY.methods:
            kind = self._stream if method.server_streaming else self._unary
            setattr(self, snake_case(method.name), kind(method, behaviour))

    def _unary(self, method: Any, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def answer(request: Any, call: Any) -> Any:
            self.calls.append(method.name)
            await asyncio.sleep(0)
            return behaviour(method.name, request, call) or GetMessageClass(method.output_type)()

        return answer

    def _stream(self, method: Any, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        async def answers(request: Any, call: Any) -> Any:
            self.calls.append(method.name)
            for item in behaviour(method.name, request, call):
                yield item

        return answers


@pytest.fixture
async def scripted() -> AsyncIterator[Callable[..., Any]]:
    """Return a function that starts a ScriptedRegistry and returns it with its address."""
    servers = []

    async def start(behaviour: Callable[..., Any]) -> tuple[ScriptedRegistry, str]:
        servicer = ScriptedRegistry(behaviour)
        server = Server(LOOPBACK, [(REGISTRY, service_handler(REGISTRY, servicer, GetMessageClass))])
        endpoint = await server.start()
        servers.append(server)
        return servicer, str(endpoint)

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
def unused_tcp_port_text() -> str:
    """Return an address on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
