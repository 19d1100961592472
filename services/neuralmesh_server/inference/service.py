"""The edge of the inference service: the methods of the Open Inference Protocol.

`model_infer` takes and gives bytes, since it is the one method whose cost counts; the others are messages.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc

from neuralmesh import oip
from neuralmesh_server import names
from neuralmesh_server.errors import DeadlineExceededError, NeuralMeshError, NotSupportedError
from neuralmesh_server.inference import convert
from neuralmesh_server.inference.execution import label_record
from neuralmesh_server.inference.serving import is_number_like
from neuralmesh_server.runtime.handlers import abort, defect
from neuralmesh_server.runtime.status import code_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.inference.activity import Activity
    from neuralmesh_server.inference.execution import Execution
    from neuralmesh_server.inference.serving import LoadedModel, Serving
    from neuralmesh_server.prediction_id import Issuer
    from neuralmesh_server.runtime.handlers import Call

SERVER_NAME = "neuralmesh"
EXTENSIONS = ("binary_tensor_data", "parameters", "statistics", "model_repository(index)")
"""Extensions of the protocol that are really offered."""


class InferenceServicer:
    """Answers the protocol's methods.

    Args:
        serving: What is served.
        execution: What runs it.
        activity: What counts it.
        issuer: What names the answers.
        node: Name of this node.
        version: Version of the software.
    """

    def __init__(
        self,
        *,
        serving: Serving,
        execution: Execution,
        activity: Activity,
        issuer: Issuer,
        node: str,
        version: str,
    ) -> None:
        self._serving = serving
        self._execution = execution
        self._activity = activity
        self._issuer = issuer
        self._node = node
        self._version = version
        self._started_ns = time.monotonic_ns()

    async def model_infer(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Run a version: bytes of a ModelInferRequest to bytes of a ModelInferResponse."""
        started = time.perf_counter_ns()
        loaded: LoadedModel | None = None
        try:
            remaining = context.time_remaining()
            request = convert.parse_infer(data)
            served = self._serving.snapshot().resolve(request.model_name, request.model_version)
            loaded = served.loaded
            _check_deadline(remaining)
            return await self._infer(loaded, served.subject, request, started, remaining)
        except NeuralMeshError as error:
            failure = error
        except asyncio.CancelledError:
            self._count(loaded, grpc.StatusCode.CANCELLED.name, started)
            raise
        except Exception as error:  # noqa: BLE001 - the edge: a defect becomes INTERNAL and is logged
            failure = defect(error, "inference.GRPCInferenceServicer.ModelInfer")
        self._count(loaded, code_of(failure).name, started)
        await abort(context, failure)
        raise AssertionError("abort returned")

    async def _infer(
        self, loaded: LoadedModel, subject: bytes, request: Any, started: int, remaining: float | None
    ) -> bytes:
        inputs, chosen = convert.read_inputs(loaded, request)
        read = time.perf_counter_ns()
        outputs = await self._execution.run(loaded, inputs.rows, inputs.raw, inputs.arrays, remaining)
        ran = time.perf_counter_ns()
        prediction_id = self._issuer.issue(subject, (time.monotonic_ns() - self._started_ns) // 1_000_000)
        answer = convert.write_infer(loaded, request, [outputs[place] for place in chosen], prediction_id, self._node)
        labels = label_record(loaded, outputs, prediction_id)
        if labels is not None:
            self._activity.answered(labels)
        loaded.activity.succeeded(inputs.rows, started, read, ran)
        return answer

    def _count(self, loaded: LoadedModel | None, code: str, started: int) -> None:
        if loaded is None:
            self._activity.unresolved[code] += 1
        else:
            loaded.activity.failed(code, started)

    async def server_live(self, request: Any, call: Call) -> Any:
        """Say that the process runs."""
        del request, call
        return oip.ServerLiveResponse(live=True)

    async def server_ready(self, request: Any, call: Call) -> Any:
        """Say whether the first reconciliation is done and the node is not draining."""
        del request, call
        return oip.ServerReadyResponse(ready=self._serving.ready)

    async def model_ready(self, request: Any, call: Call) -> Any:
        """Say whether a version is ready; unknown and unloaded ones are not, which is no error."""
        del call
        _check_version(request.version)
        try:
            self._serving.snapshot().resolve(request.name, request.version)
        except NeuralMeshError:
            return oip.ModelReadyResponse(ready=False)
        return oip.ModelReadyResponse(ready=True)

    async def server_metadata(self, request: Any, call: Call) -> Any:
        """Return name, version and extensions."""
        del request, call
        return oip.ServerMetadataResponse(name=SERVER_NAME, version=self._version, extensions=EXTENSIONS)

    async def model_metadata(self, request: Any, call: Call) -> Any:
        """Return the signature of a version."""
        del call
        snapshot = self._serving.snapshot()
        served = snapshot.resolve(request.name, request.version)
        return convert.metadata(snapshot, served.loaded, self._node)

    async def model_statistics(self, request: Any, call: Call) -> Any:
        """Return what versions did since this process started."""
        del call
        snapshot = self._serving.snapshot()
        wanted = self._statistics_versions(request.name, request.version)
        for key, served in snapshot.served.items():
            self._activity.version(*key, served.loaded.digest)
        stats = [
            convert.statistics(one)
            for one in self._activity
            if wanted is None or (one.model == request.name and one.version in wanted)
        ]
        return oip.ModelStatisticsResponse(model_stats=stats)

    def _statistics_versions(self, model: str, version: str) -> set[int] | None:
        """Return the versions whose totals are asked for; None for those of every model."""
        if not model:
            return None
        snapshot = self._serving.snapshot()
        known = {number for name, number in snapshot.states if name == model}
        if not version:
            if model not in snapshot.models:
                snapshot.resolve(model, "")
            return known
        _check_version(version)
        if version.isdigit() and int(version) in known:
            return {int(version)}
        return {snapshot.resolve(model, version).loaded.version}

    async def repository_index(self, request: Any, call: Call) -> Any:
        """List the versions that this node knows."""
        del call
        if request.repository_name:
            raise _not_supported("repository_name must be empty: this server has one repository")
        return convert.index(self._serving.snapshot(), ready_only=request.ready)

    async def model_stream_infer(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        """Not offered yet."""
        del requests, call
        raise _not_supported("ModelStreamInfer is not offered; use ModelInfer")
        yield  # what makes this a stream

    async def model_config(self, request: Any, call: Call) -> Any:
        """Not offered yet."""
        del request, call
        raise _not_supported("ModelConfig is not offered; ModelMetadata gives the signature")

    async def repository_model_load(self, request: Any, call: Call) -> Any:
        """Not offered: the registry decides what is loaded."""
        del request, call
        raise _not_supported("models are loaded as the registry says; promote a version instead")

    async def repository_model_unload(self, request: Any, call: Call) -> Any:
        """Not offered: the registry decides what is loaded."""
        del request, call
        raise _not_supported("models are unloaded as the registry says")


def _check_deadline(remaining: float | None) -> None:
    if remaining is not None and remaining <= 0:
        raise DeadlineExceededError("DEADLINE_EXPIRED", "the deadline passed before the work began")


def _check_version(text: str) -> None:
    if not text:
        return
    if is_number_like(text):
        names.parse_version(text)
    else:
        names.check_alias(text)


def _not_supported(why: str) -> NotSupportedError:
    return NotSupportedError("NOT_SUPPORTED", why)
