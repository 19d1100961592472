# Generated from _async/client.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""The client: its connections, and the things that people do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh import _service, oip, receipts, rollout
from neuralmesh._request_id import new_request_id
from neuralmesh._sync import push
from neuralmesh._sync.connection import Connection
from neuralmesh._sync.edge import Edge
from neuralmesh._sync.inference import Inference
from neuralmesh._sync.labor import Labor
from neuralmesh._sync.labor_worker import LaborWorker
from neuralmesh._sync.mesh import Mesh
from neuralmesh._sync.metrics import Metrics
from neuralmesh._sync.node import Node
from neuralmesh._sync.registry import Registry
from neuralmesh.exceptions import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np

    from neuralmesh._channel import TlsFiles
    from neuralmesh.inference.v1 import receipt_pb2
    from neuralmesh.metrics.v1 import metrics_service_pb2
    from neuralmesh.prediction import Parameter, Prediction
    from neuralmesh.registry.v1 import registry_service_pb2, resources_pb2
    from neuralmesh.tensors import Tensor

REGISTRY = "127.0.0.1:8003"
INFERENCE = "127.0.0.1:8001"
METRICS = "127.0.0.1:8004"
LABOR = "127.0.0.1:8005"

ABSENT_ETAG = '"0"'
"""The etag that stands for an alias that does not exist."""


class Client:
    """A client of the services; use it as a context manager or close it. Channels open with their first call.

    Args:
        registry: `host:port` of the registry, or `unix:/path`.
        inference: `host:port` of an inference node, or `unix:/path`.
        metrics: `host:port` of the metrics service, or `unix:/path`.
        labor: `host:port` of the labor array, or `unix:/path`.
        tls: Files for mutual TLS, or None for plain text.
        timeout: Seconds that a call may take, sent to the server as its deadline; transfers and streams have none.
        actor: Who asks, for changes whose connection does not prove it.
        token: Proves who asks to servers that keep tokens; sent with every call, so give it only over TLS, loopback or
            a Unix socket.

    Attributes:
        registry: Every method of the registry.
        inference: Every method of the inference node.
        metrics: Every method of the metrics service.
        node: What the inference node offers beside predictions: receipts, replays and proofs.
        edge: What the inference node offers to the mesh: where it stands, moves on it alone, its artifacts.
        labor: Every method of the labor array, and whole jobs.
        labor_worker: How workers of the labor array get work and give results.
        mesh: What the registry offers of edge nodes: assignments, desired states and the fleet.
    """

    def __init__(
        self,
        *,
        registry: str = REGISTRY,
        inference: str = INFERENCE,
        metrics: str = METRICS,
        labor: str = LABOR,
        tls: TlsFiles | None = None,
        timeout: float = 30.0,
        actor: str = "",
        token: str = "",
    ) -> None:
        self._connections = (
            Connection(_service.REGISTRY, registry, tls, timeout, token),
            Connection(oip.SERVICE, inference, tls, timeout, token),
            Connection(_service.METRICS, metrics, tls, timeout, token),
            Connection(_service.NODE, inference, tls, timeout, token),
            Connection(_service.EDGE, inference, tls, timeout, token),
            Connection(_service.MESH, registry, tls, timeout, token),
            Connection(_service.LABOR, labor, tls, timeout, token),
            Connection(_service.LABOR_WORKER, labor, tls, timeout, token),
        )
        self.registry = Registry(self._connections[0], actor)
        self.inference = Inference(self._connections[1])
        self.metrics = Metrics(self._connections[2])
        self.node = Node(self._connections[3])
        self.edge = Edge(self._connections[4], actor)
        self.mesh = Mesh(self._connections[5], actor)
        self.labor = Labor(self._connections[6], actor, self.registry)
        self.labor_worker = LaborWorker(self._connections[7])

    def push(
        self,
        model: str,
        path: Path | str | None = None,
        *,
        kind: str,
        files: Mapping[str, Path | str | bytes] | None = None,
        signature: resources_pb2.Signature | None = None,
        description: str = "",
        metadata: Mapping[str, str] | None = None,
        reason: str = "",
        progress: Callable[[str, int, int], None] | None = None,
    ) -> resources_pb2.Version:
        """Make files the next version of a model, and return it.

        The model is created where it is missing. Only bytes that the registry lacks are sent, and an upload that was
        cut goes on where it stopped. Content that the model has already gives the version that holds it.

        Args:
            model: Name of the model.
            path: A file, or a folder with all its files; or else give `files`.
            kind: What executes the version, such as `onnx` or `liam.binary_network`.
            files: Contents by path within the version, as paths or bytes.
            signature: What the version takes and gives.
            description: Free text.
            metadata: The caller's own facts.
            reason: Why.
            progress: Called with a file's path, the bytes handed over so far and its size.
        """
        artifacts = push.gather(path, files)
        push.ensure_model(self.registry, model, reason)
        push.upload_missing(self.registry, artifacts, progress)
        return push.create_version(
            self.registry,
            model,
            artifacts,
            kind=kind,
            signature=signature,
            description=description,
            metadata=metadata,
            reason=reason,
        )

    def promote(
        self,
        model: str,
        version: int,
        *,
        alias: str = "production",
        canary: tuple[int, float] | None = None,
        shadow: tuple[int, float] | None = None,
        sticky: str = "",
        proof: resources_pb2.Proof | None = None,
        waves: resources_pb2.WavePlan | None = None,
        reason: str = "",
    ) -> registry_service_pb2.PromoteAliasResponse:
        """Point an alias at a version, unless somebody else moves it at the same moment (AbortedError).

        The state is replaced whole: arms that are not given end.

        Args:
            model: Name of the model.
            version: What answers.
            alias: The alias to move.
            canary: Another version and the share of the units, from 0 to 1, that it answers.
            shadow: Another version and the share of the requests, from 0 to 1, of which it gets copies.
            sticky: What decides the arm of a request: `parameter:NAME`, `metadata:NAME` or `id`; empty is as `id`.
            proof: Evidence, kept with the move; protected aliases demand it.
            waves: How the move reaches edge nodes, as `rollout.waves` makes it; None for all at once.
            reason: Why.

        Raises:
            ValueError: A share or the sticky key is none.
        """
        try:
            etag = (self.registry.get_alias(model, alias)).etag
        except NotFoundError as error:
            if error.reason != "ALIAS_NOT_FOUND":
                raise
            etag = ABSENT_ETAG
        return self.registry.promote_alias(
            model,
            alias,
            version,
            canary=rollout.canary(*canary) if canary else None,
            shadow=rollout.shadow(*shadow) if shadow else None,
            sticky_key=rollout.sticky_key(sticky) if sticky else None,
            proof=proof,
            waves=waves,
            etag=etag,
            reason=reason,
            request_id=new_request_id(),
        )

    def rollback(
        self, model: str, *, alias: str = "production", to_version: int | None = None, reason: str = ""
    ) -> registry_service_pb2.RollbackAliasResponse:
        """Undo the last promotion of an alias, or all after the one that set `to_version`.

        When somebody else moves the alias at the same moment, nothing is undone and AbortedError is raised.
        """
        etag = (self.registry.get_alias(model, alias)).etag
        return self.registry.rollback_alias(
            model, alias, to_version=to_version or 0, etag=etag, reason=reason, request_id=new_request_id()
        )

    def infer(
        self,
        model: str,
        inputs: Mapping[str, np.ndarray[Any, Any] | Tensor],
        *,
        version: int | str = "",
        outputs: Sequence[str] = (),
        request_id: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server as the deadline
    ) -> Prediction:
        """Run a version on arrays; see `inference.infer`."""
        return self.inference.infer(
            model,
            inputs,
            version=version,
            outputs=outputs,
            request_id=request_id,
            parameters=parameters,
            timeout=timeout,
        )

    def infer_with_receipt(self, request: Any) -> receipt_pb2.Receipt:
        """Run a ModelInferRequest and return the receipt of its answer, which holds both."""
        return receipts.build(request, self.inference.model_infer(request))

    def replay(self, receipt: receipt_pb2.Receipt) -> receipts.Replay:
        """Run a receipt's request again on the version that it names, and compare the outputs bit for bit."""
        response = self.inference.model_infer(receipts.request_to_replay(receipt))
        return receipts.compare(receipt, response)

    def record_outcome(self, prediction_id: str, labels: Iterable[Any]) -> metrics_service_pb2.RecordOutcomeResponse:
        """Record the true labels of a prediction; see `metrics.record_outcome`."""
        return self.metrics.record_outcome(prediction_id, labels)

    def trace(self, prediction_id: str) -> registry_service_pb2.TracePredictionResponse:
        """Return what made a prediction: version, digest, node, when, who promoted it and why."""
        return self.registry.trace_prediction(prediction_id)

    def close(self) -> None:
        """Close all channels; a further call raises RuntimeError."""
        for connection in self._connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
