"""The yardstick: a handler that does nothing, on the transport of docs/adr/0001-transport.md.

`python -m bench.empty_handler ANSWER` answers every ModelInfer with the bytes of the file ANSWER; with `--echo` in
place of the file, with the request's own bytes. What our server costs above this one is ours.
"""

from __future__ import annotations

import sys
from pathlib import Path

from neuralmesh_server.runtime import transport

transport.configure()

import grpc  # noqa: E402 - the transport is configured before grpc is imported

from neuralmesh_server.runtime import process  # noqa: E402
from neuralmesh_server.settings import Endpoint  # noqa: E402


class EmptyHandlerApp:
    """Serves one constant answer, or where that is None, the request itself."""

    name = "empty"

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._server: grpc.aio.Server | None = None

    async def start(self) -> Endpoint:
        """Listen on a port of loopback."""
        constant = self._answer

        async def answer(_request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
            return constant

        async def echo(request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
            return request

        server = grpc.aio.server(options=transport.SERVER_OPTIONS)
        handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(echo if constant is None else answer)}
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._server = server
        return Endpoint("127.0.0.1", port)

    async def stop(self) -> None:
        """Stop."""
        if self._server is not None:
            await self._server.stop(1.0)


if __name__ == "__main__":
    process.run(lambda: EmptyHandlerApp(None if sys.argv[1] == "--echo" else Path(sys.argv[1]).read_bytes()))
