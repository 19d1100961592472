"""A server for tests of the transport: it answers ModelInfer with what the test says, and streams with an echo."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from neuralmesh import oip
from neuralmesh_server.runtime.handlers import Call, service_handler, snake_case
from neuralmesh_server.runtime.server import Server
from neuralmesh_server.settings import NATIVE, Endpoint, ServerSettings

INFER = f"/{oip.SERVICE.full_name}/ModelInfer"
STREAM = f"/{oip.SERVICE.full_name}/ModelStreamInfer"


async def echo(data: bytes, context: Any) -> bytes:
    """Return the request."""
    return data


class Waiting:
    """An answer that is given when the test says so."""

    def __init__(self, answer: bytes = b"answer") -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self._answer = answer

    async def infer(self, data: bytes, context: Any) -> bytes:
        if data != b"wait":
            return data
        self.entered.set()
        await self.release.wait()
        return self._answer


class Servicer:
    """Empty answers to everything that is not raw."""

    def __init__(self) -> None:
        for method in oip.SERVICE.methods:
            setattr(self, snake_case(method.name), self._answer(oip.message_class(method.output_type)))

    def _answer(self, answer: Any) -> Any:
        async def behaviour(request: Any, call: Call) -> Any:
            return answer()

        return behaviour


def make_server(
    infer: Callable[[bytes, Any], Awaitable[bytes]] = echo,
    stream: Callable[[AsyncIterator[bytes], Any], AsyncIterator[bytes]] | None = None,
    transport: str = NATIVE,
    **settings: Any,
) -> Server:
    """Return a server that is not started; its streams answer each request as `infer` does, or as they are told."""

    async def each(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for data in requests:
            yield await infer(data, context)

    raw = {"ModelInfer": infer, "ModelStreamInfer": stream or each}
    handler = service_handler(oip.SERVICE, Servicer(), oip.message_class, raw)
    chosen = {"listen": Endpoint("127.0.0.1", 0), "drain_seconds": 5.0, "transport": transport, **settings}
    return Server(ServerSettings(**chosen), [(oip.SERVICE, handler)])
