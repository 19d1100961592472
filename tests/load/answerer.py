"""A small real server of the Open Inference Protocol whose mistakes a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np

from neuralmesh import oip
from neuralmesh_server.load.workload import Workload

MODEL = "doubler"


@dataclass
class Answerer:
    """Answers with the input times a factor that belongs to the version.

    Attributes:
        address: Where it listens.
        path: The Unix socket where it listens too, when the test names one.
        tokens: What requests sent as `authorization`.
        version: Which version answers a request that names none.
        factors: Factor of each version.
        platform: What ModelMetadata says.
        spoil: Changes the outputs of a request that names no version, given their number.
        status: Code that such requests fail with, by their number.
        gate: Such requests wait until it is set.
    """

    address: str = ""
    path: Path | None = None
    tokens: set[str] = field(default_factory=set)
    version: str = "1"
    factors: dict[str, float] = field(default_factory=lambda: {"1": 2.0, "2": 3.0})
    platform: str = "liam.binary_network"
    spoil: Callable[[int, np.ndarray], np.ndarray] = lambda _number, outputs: outputs
    status: Callable[[int], grpc.StatusCode | None] = lambda _number: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def model_infer(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        request = oip.ModelInferRequest.FromString(data)
        version = request.model_version or self.version
        if version not in self.factors:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no version {version}")
        rows = np.frombuffer(request.raw_input_contents[0], "<f4") * np.float32(self.factors[version])
        if not request.model_version:
            self.asked += 1
            self.tokens.update(str(value) for key, value in context.invocation_metadata() if key == "authorization")
            number = self.asked
            await self.gate.wait()
            code = self.status(number)
            if code is not None:
                await context.abort(code, "as the test chose")
            rows = self.spoil(number, rows)
        answer = oip.ModelInferResponse(model_name=request.model_name, model_version=version)
        answer.outputs.add(name="output", datatype="FP32", shape=[1, rows.size])
        answer.raw_output_contents.append(rows.astype("<f4").tobytes())
        return answer.SerializeToString()

    async def model_metadata(self, data: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        request = oip.ModelMetadataRequest.FromString(data)
        answer = oip.ModelMetadataResponse(name=request.name, platform=self.platform)
        answer.inputs.add(name="input", datatype="FP32", shape=[-1, 4])
        return answer.SerializeToString()

    async def server_live(self, _data: bytes, _context: grpc.aio.ServicerContext) -> bytes:
        return oip.ServerLiveResponse(live=True).SerializeToString()


@asynccontextmanager
async def answerer(path: Path | None = None) -> AsyncIterator[Answerer]:
    """Run a server whose gate is open, on a port and where a path is given on a Unix socket too."""
    made = Answerer(path=path)
    made.gate.set()
    server = grpc.aio.server()
    methods = {"ModelInfer": made.model_infer, "ModelMetadata": made.model_metadata, "ServerLive": made.server_live}
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)])
    made.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    if path is not None:
        server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield made
    finally:
        await server.stop(0)


def workload(rows: int = 8) -> Workload:
    """Return requests of one row each, all different."""
    data = np.arange(rows * 4, dtype=np.float32).reshape(rows, 1, 4)
    return Workload.of(MODEL, "", [{"input": row} for row in data])
