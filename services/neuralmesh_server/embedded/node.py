"""A node within a program: the same store, versions, answers, receipts and counters as a served one, and no RPC.

The node itself lives on a loop in a thread of its own, where it follows the registry, loads, records and reports. Plain
requests are answered on the caller's thread and never meet that loop; what needs it, such as a queue, a rollout or the
node further up, is handed over and awaited.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog

from neuralmesh import exceptions, oip
from neuralmesh.prediction import build_request, read_response
from neuralmesh_server.embedded.quick import CallersFront
from neuralmesh_server.embedded.shortcuts import Shortcuts
from neuralmesh_server.embedded.thread import ClosedError, LoopThread
from neuralmesh_server.errors import DeadlineExceededError, NeuralMeshError
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.settings import GRPC, REGISTRY_PORT, Endpoint, InferenceSettings, ServerSettings
from neuralmesh_server.settings_edge import EdgeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import numpy as np

    from neuralmesh.prediction import Parameter, Prediction
    from neuralmesh.tensors import Tensor

READY_SECONDS = 30.0
KEEP_NEWEST = 8
DRAIN_SECONDS = 5.0


class Node:
    """An inference node in this process, for use from any thread; also a context manager, which closes it.

    Returns when what the store or the registry says is loaded, or has failed to load.

    Args:
        store: Folder of the node's key, state, artifacts and receipts; one process holds it at a time.
        registry: Address of the registry that it follows; None serves what the store holds.
        labels: What assignments select it by, as an edge node; None for a node that holds every model.
        name: Name of the node, `[a-z][a-z0-9-]{0,62}`; prediction ids begin with it.
        metrics: Address of the metrics service; None sends no telemetry.
        upstream: Address of the node that gets what this one cannot serve; None for none.
        hedge: Have the upstream run as well what takes longer here than it used to.
        token: What the node's own calls carry, where registry, metrics and upstream ask for it.
        ready_seconds: Longest wait until it is ready.

    Raises:
        neuralmesh_server.settings.SettingsError: The store is in use, or an argument is wrong.
        neuralmesh.exceptions.UnavailableError: NOT_SERVING: the store holds no state and there is no registry, or it
            was not ready in time.
    """

    def __init__(
        self,
        store: str | Path,
        registry: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        name: str = "local",
        metrics: str | None = None,
        upstream: str | None = None,
        hedge: bool = False,
        token: str = "",
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        settings = InferenceSettings(
            server=ServerSettings(Endpoint("127.0.0.1", 0), transport=GRPC),  # nothing listens there
            data=Path(store),
            node=name,
            registry=_peer(registry, "registry") or Endpoint("127.0.0.1", REGISTRY_PORT),
            metrics=_peer(metrics, "metrics"),
            upstream=_peer(upstream, "upstream"),
            hedge=hedge,
            keep_newest=KEEP_NEWEST if labels is None else 0,
            edge=None if labels is None else EdgeSettings(labels),
            token=token,
        )
        _keep_off_standard_output()
        self._closing = threading.Lock()
        self._closed = False
        self._front = CallersFront()
        self._shortcuts = Shortcuts()
        self._thread = LoopThread(f"neuralmesh-{name}")
        try:
            self._app = self._thread.run(_started(settings, self._front, follows=registry is not None))
        except BaseException:
            self._thread.close()
            raise
        try:
            self._thread.run(_settled(self._app, ready_seconds))
        except BaseException:
            self.close()
            raise

    def infer(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray[Any, Any] | Tensor],
        *,
        version: int | str = "",
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Run a version on arrays; arguments, result and errors are those of the client's `infer`."""
        named = str(version)
        key = None if outputs or request_id or parameters else self._shortcuts.key(model, named, inputs)
        if key is not None:
            data = self._shortcuts.write(key, model, named, inputs)
            return self._shortcuts.read(key, self.infer_bytes(data, timeout=timeout))
        request = build_request(
            model, inputs, version=named, outputs=outputs, request_id=request_id, parameters=parameters
        )
        answer = self.infer_bytes(request.SerializeToString(), timeout=timeout)
        return read_response(oip.ModelInferResponse.FromString(answer))

    def infer_bytes(self, request: bytes, *, timeout: float | None = None) -> bytes:
        """Run a version: bytes of a ModelInferRequest to bytes of a ModelInferResponse, as over gRPC.

        Args:
            request: The request.
            timeout: Seconds until the deadline; None for none.

        Raises:
            neuralmesh.exceptions.NeuralMeshError: What a call would have raised.
        """
        answer = self._front.answer(request)
        if answer is not None:
            return answer
        try:
            return self._thread.run(_in_time(self._app, request, timeout))
        except ClosedError:
            raised: exceptions.NeuralMeshError = exceptions.UnavailableError("NOT_SERVING", "this node is closed")
        except NeuralMeshError as error:
            raised = _raised(error)
        raise raised  # without the frames of the loop behind it

    def close(self) -> None:
        """Let accepted calls finish, keep receipts and state, and unlock the store. Repeating it changes nothing."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._front.close()
                self._thread.close(self._app.stop(), patience=DRAIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _peer(address: str | None, name: str) -> Endpoint | None:
    return None if address is None else Endpoint.parse_peer(address, name=name)


def _keep_off_standard_output() -> None:
    """Log warnings to standard error, unless the program has set structlog up: by itself it prints everything."""
    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.WriteLoggerFactory(sys.__stderr__),
        )


async def _started(settings: InferenceSettings, front: CallersFront, *, follows: bool) -> InferenceApp:
    app = InferenceApp(settings, front=front, follows=follows)
    await app.start()
    return app


async def _settled(app: InferenceApp, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            settled = await app.settled()
    except TimeoutError:
        why = f"the node was not ready within {seconds:g} seconds"
        raise exceptions.UnavailableError("NOT_SERVING", why) from None
    if not settled:
        why = "the store holds no state, and no registry is named that could give one"
        raise exceptions.UnavailableError("NOT_SERVING", why)


async def _in_time(app: InferenceApp, request: bytes, seconds: float | None) -> bytes:
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds):
            return await app.infer(request, Caller(deadline))
    except TimeoutError:
        raise DeadlineExceededError("DEADLINE_EXPIRED", f"no answer came within {seconds:g} seconds") from None


def _raised(error: NeuralMeshError) -> exceptions.NeuralMeshError:
    """Return the client's error for the server's: the classes have the same names."""
    kind: type[exceptions.NeuralMeshError] = getattr(exceptions, type(error).__name__)
    raised = kind(error.reason, error.message, error.metadata)
    raised.retry_seconds = error.retry_seconds
    return raised
