"""A small server of the Open Inference Protocol that is none of ours: it speaks like KServe, or as a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import numpy as np

from neuralmesh import oip

Answer = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]


def doubled(request: Any) -> Any:
    """Return twice the input `x` as `y`, in typed contents as KServe does."""
    (tensor,) = request.inputs
    if request.raw_input_contents:
        values = np.frombuffer(request.raw_input_contents[0], np.float32)
    else:
        values = np.array(tensor.contents.fp32_contents, np.float32)
    response = oip.ModelInferResponse(model_name=request.model_name, id=request.id)
    contents = {"fp32_contents": (values * 2).tolist()}
    response.outputs.add(name="y", datatype="FP32", shape=tensor.shape, contents=contents)
    return response


async def kserve(request: Any, context: grpc.aio.ServicerContext) -> Any:
    """Answer a request as KServe does."""
    return doubled(request)


class FakeUpstream:
    """Serves one model, `double`.

    Attributes:
        answer: What answers ModelInfer.
        metadata: What answers ModelMetadata; it may be bytes.
        requests: Every ModelInferRequest that came, with its metadata.
        reached: Set when one came.
        cancelled: Set when one was cancelled.
    """

    def __init__(self, answer: Answer = kserve) -> None:
        self.answer = answer
        self.metadata: Any = oip.ModelMetadataResponse(name="double")
        self.requests: list[tuple[Any, Mapping[str, str]]] = []
        self.reached = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.server: grpc.aio.Server
        self.port = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Listen, on the port that it had if it ran before; with TLS if there are credentials."""
        methods = {
            "ServerLive": self._live,
            "ModelReady": self._ready,
            "ModelMetadata": self._metadata,
            "ModelInfer": self._infer,
        }
        handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)]
        )
        if credentials is None:
            self.port = self.server.add_insecure_port(self.address)
        else:
            self.port = self.server.add_secure_port(self.address, credentials)
        await self.server.start()

    async def stop(self) -> None:
        """Cut all connections."""
        await self.server.stop(None)

    async def _live(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return bytes(oip.ServerLiveResponse(live=True).SerializeToString())

    async def _ready(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        name = oip.ModelReadyRequest.FromString(data).name
        if name != "double":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Model with name {name} does not exist.")
        return bytes(oip.ModelReadyResponse(ready=True).SerializeToString())

    async def _metadata(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return self.metadata if isinstance(self.metadata, bytes) else bytes(self.metadata.SerializeToString())

    async def _infer(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        request = oip.ModelInferRequest.FromString(data)
        self.requests.append((request, {key: str(value) for key, value in context.invocation_metadata() or ()}))
        self.reached.set()
        try:
            answer = await self.answer(request, context)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return answer if isinstance(answer, bytes) else bytes(answer.SerializeToString())
