"""What the rows of the table share: a folder, the models, the services in their usual setting, and the empty handler.

Everything is started when a row first asks for it, and stopped at the end.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from bench import foreign, load, models
from bench.processes import ROOT, ServerProcess, Suite
from neuralmesh import Client, oip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh.registry.v1 import resources_pb2

READY_SECONDS = 30.0
CONNECTIONS = 24
"""New connections that all must reach a process that is ready."""

INFER = "/inference.GRPCInferenceService/ModelInfer"
_LARGEST = 64 * 2**20


class AnswerError(RuntimeError):
    """A reply is not what it must be, found before the load."""


@dataclass
class Setting:
    """Where and with what the rows run.

    Attributes:
        folder: For data, logs and models; is removed by whoever made it.
        quick: Fewer requests; the figures are for seeing that a row works.
        say: Prints a line of the report.
        stack: Stops at the end what was started.
    """

    folder: Path
    quick: bool
    say: Callable[[str], None]
    stack: ExitStack = field(default_factory=ExitStack)
    _bodies: int = 0

    @cached_property
    def models(self) -> models.Models:
        """The model files."""
        return models.Models(self.fresh_folder("models"))

    @cached_property
    def suite(self) -> Suite:
        """The three services as `neuralmesh up` starts them."""
        return self.stack.enter_context(Suite(self.fresh_folder("suite")))

    @cached_property
    def client(self) -> Client:
        """A client of the suite."""
        return self.stack.enter_context(Client(**self.suite.addresses))

    def fresh_folder(self, name: str) -> Path:
        """Return a new folder; what failed to start is tried again by the next row, in another one."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def some(self, requests: int) -> int:
        """Return how many requests to send where a full run sends so many."""
        return max(64, requests // 10) if self.quick else requests

    def span(self, seconds: int) -> int:
        """Return how many seconds to send where a full run sends so many."""
        return 1 if self.quick else seconds

    def served(self, model: str, path: Path, kind: str, signature: resources_pb2.Signature) -> int:
        """Push a model, wait until the usual node serves it, and return the version."""
        version = self.client.push(model, path, kind=kind, signature=signature)
        ready(self.client.inference, model)
        return int(version.version)

    def served_packed(self, model: str = "packed") -> None:
        """Serve the packed network under a name, unless it is served already."""
        if not self.client.inference.model_ready(model):
            self.served(model, self.models.packed, models.LIAM, models.digits_signature())

    def packed_request(self, model: str = "packed") -> bytes:
        """Return a request of one row for the packed network or the demo's MLP."""
        return models.request(model, self.models.data.held_out_images[:1])

    def target(
        self,
        side: str,
        process: ServerProcess,
        address: str,
        request: bytes,
        expected: Mapping[str, tuple[str, list[int]]],
    ) -> load.Target:
        """Hold one answer against datatype and shape of each output, and return what load can be sent to.

        Raises:
            AnswerError: It is another one.
        """
        answer = ask(address, request)
        message = oip.ModelInferResponse.FromString(answer)
        found = {output.name: (output.datatype, list(output.shape)) for output in message.outputs}
        if found != dict(expected):
            raise AnswerError(f"{side} answered {found} and not {dict(expected)}")
        return load.Target(side, process, address, self.body(request), len(answer))

    def empty(self, answer: bytes, request: bytes, side: str = "empty handler") -> load.Target:
        """Start a handler that does nothing and answers with as many bytes."""
        path = self._path("answer")
        path.write_bytes(answer)
        return self._handler(side, request, len(answer), str(path))

    def bare_run(self, answer: bytes, request: bytes, model: Path, side: str) -> load.Target:
        """Start a handler that runs an ONNX model of the digits and does nothing else; answers with as many bytes."""
        path = self._path("answer")
        path.write_bytes(answer)
        return self._handler(side, request, len(answer), str(path), str(model))

    def echo(self, request: bytes) -> load.Target:
        """Start a handler that does nothing and answers with the request's bytes."""
        return self._handler("empty handler, echoing", request, len(request), "--echo")

    def body(self, request: bytes) -> Path:
        """Write a request as h2load sends it."""
        path = self._path("frame")
        path.write_bytes(load.frame(request))
        return path

    @cached_property
    def mlserver(self) -> foreign.Foreign:
        """MLServer with its identity model."""
        return foreign.start_mlserver(self.fresh_folder("mlserver"), self.stack)

    @cached_property
    def triton(self) -> foreign.Foreign:
        """Triton with an identity model in its Python backend."""
        return foreign.start_triton(self.fresh_folder("triton"), self.stack)

    def _handler(self, side: str, request: bytes, answer_bytes: int, *arguments: str) -> load.Target:
        log = self._path("log")
        process = ServerProcess(["-m", "bench.empty_handler", *arguments], {"PYTHONPATH": str(ROOT)}, log)
        self.stack.callback(process.stop)
        address = process.listening("empty")
        found = len(ask(address, request))
        if found != answer_bytes:
            raise AnswerError(f"{side} answered {found} bytes and not {answer_bytes}")
        return load.Target(side, process, address, self.body(request), answer_bytes)

    def _path(self, suffix: str) -> Path:
        self._bodies += 1
        return self.folder / f"{self._bodies}.{suffix}"


DIGITS_OUTPUTS: dict[str, tuple[str, list[int]]] = {"label": ("INT64", [1]), "scores": ("FP32", [1, 10])}
"""Outputs of one row of the demo's models."""


def ask(address: str, request: bytes) -> bytes:
    """Return a server's answer to a request.

    Raises:
        AnswerError: It has none.
    """
    options = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            answer: bytes = channel.unary_unary(INFER)(request, timeout=30.0, wait_for_ready=True)
        except grpc.RpcError as error:
            raise AnswerError(f"{address} answered {error.code().name}: {error.details()}") from error
    return answer


def ready(inference: Any, model: str, version: str = "") -> None:
    """Return when a node serves a version."""
    until(partial(inference.model_ready, model, version), f"{model}@{version or '-'} is ready")


def ready_everywhere(address: str, model: str) -> None:
    """Return when all processes that share a port serve a model: no new connection finds one that does not."""

    def holds() -> bool:
        for _ in range(CONNECTIONS):
            with Client(inference=address) as client:
                if not client.inference.model_ready(model):
                    return False
        return True

    until(holds, f"{model} is ready on every process behind {address}")


def until(holds: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Ask again until a condition holds.

    Raises:
        AnswerError: It does not come to hold.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AnswerError(f"{seconds:.0f} seconds passed and it is still not so that {what}")
        time.sleep(0.02)
