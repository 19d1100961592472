"""The yardstick: a handler that does nothing, on the transport of docs/adr/0001-transport.md.

`python -m bench.empty_handler ANSWER` answers every ModelInfer with the bytes of the file ANSWER; with `--echo` in
place of the file, with the request's own bytes. With a second argument, an ONNX model, every call runs it on one row of
digits first. What our server costs above these is ours.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh_server.runtime import transport

transport.configure()

import grpc  # noqa: E402 - the transport is configured before grpc is imported

from bench import onnx_alone  # noqa: E402
from neuralmesh_server.runtime import process  # noqa: E402
from neuralmesh_server.settings import Endpoint  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable


class EmptyHandlerApp:
    """Serves one constant answer, or where that is None, the request itself; `work` is done in every call."""

    name = "empty"

    def __init__(self, answer: bytes | None, work: Callable[[], object] | None = None) -> None:
        self._answer = answer
        self._work = work
        self._server: grpc.aio.Server | None = None

    async def start(self) -> Endpoint:
        """Listen on a port of loopback."""
        constant, work = self._answer, self._work

        async def answer(_request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
            return constant

        async def working(_request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
            work()
            return constant

        async def echo(request: bytes, _context: grpc.aio.ServicerContext) -> bytes:
            return request

        server = grpc.aio.server(options=transport.SERVER_OPTIONS)
        behaviour = echo if constant is None else answer if work is None else working
        handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(behaviour)}
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


def app(answer: str, model: str = "") -> EmptyHandlerApp:
    """Return the handler that the command line asks for."""
    if answer == "--echo":
        return EmptyHandlerApp(None)
    return EmptyHandlerApp(Path(answer).read_bytes(), onnx_alone.run_of(model) if model else None)


if __name__ == "__main__":
    process.run(lambda: app(*sys.argv[1:]))
