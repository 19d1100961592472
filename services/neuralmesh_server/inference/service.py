"""The edge of the inference service: the methods of the Open Inference Protocol.

`model_infer` takes and gives bytes, since it is the one method whose cost counts; the others are messages.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from neuralmesh import oip
from neuralmesh_server import names
from neuralmesh_server.errors import NeuralMeshError, NotSupportedError
from neuralmesh_server.inference import convert, convert_config, convert_repository, convert_stream
from neuralmesh_server.inference.absent import Absent
from neuralmesh_server.inference.compat import Asked, plain
from neuralmesh_server.inference.reporting.totals import sums
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import is_number_like
from neuralmesh_server.inference.stream import Stream
from neuralmesh_server.runtime.handlers import abort, defect, forget_frames

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import grpc

    from neuralmesh_server.inference.answering import Answer, Answering, Passed
    from neuralmesh_server.inference.holding.repository import Repository
    from neuralmesh_server.inference.hot import Hot
    from neuralmesh_server.inference.reporting.activity import Activity
    from neuralmesh_server.inference.reporting.totals import Siblings
    from neuralmesh_server.inference.serving import Serving
    from neuralmesh_server.runtime.handlers import Call

SERVER_NAME = "neuralmesh"
_INFER = "inference.GRPCInferenceService/ModelInfer"
EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
)
"""Extensions of the protocol that are really offered."""


class InferenceServicer(Absent):
    """Answers the protocol's methods.

    Args:
        serving: What is served.
        hot: What answers plain requests.
        answering: What answers all others.
        activity: What counted them.
        siblings: Other processes that answer on the same port.
        repository: What loads and unloads by hand.
        node: Name of this node.
        version: Version of the software.
        name: Name of the server.
        say: Puts the errors of inferences into words; those of other methods are put so around this.
    """

    def __init__(
        self,
        *,
        serving: Serving,
        hot: Hot,
        answering: Answering,
        activity: Activity,
        siblings: Siblings,
        repository: Repository,
        node: str,
        version: str,
        name: str = SERVER_NAME,
        say: Callable[[NeuralMeshError, Asked], NeuralMeshError] = plain,
    ) -> None:
        self._serving = serving
        self._hot = hot
        self._answering = answering
        self._activity = activity
        self._siblings = siblings
        self._repository = repository
        self._node = node
        self._version = version
        self._name = name
        self._say = say
        self._streams: set[Stream] = set()
        self._ending = False

    async def model_infer(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Run a version: bytes of a ModelInferRequest to bytes of a ModelInferResponse."""
        try:
            answer = None if convert.is_pinned(context) else self._hot.begin(data)
            if isinstance(answer, asyncio.Future):
                answer = await answer
        except Exception as error:  # noqa: BLE001 - the edge: a defect becomes INTERNAL and is logged
            await abort(context, defect(error, _INFER))
            return b""  # nobody sees it
        return await self.model_infer_ordinarily(data, context) if answer is None else answer

    async def model_infer_ordinarily(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Run a version for a request that the short way passes, or that may take it only for one digest."""
        try:
            caller = convert.caller(context)
            if caller.digest:
                return await self.infer_bytes(data, caller)
            return (await self.infer(data, caller)).data
        except NeuralMeshError as error:
            failure = self._said(error, "ModelInfer", data)
        except Exception as error:  # noqa: BLE001 - the edge: a defect becomes INTERNAL and is logged
            failure = defect(error, _INFER)
        await abort(context, failure)
        return b""  # nobody sees it

    async def infer_bytes(self, data: bytes, caller: Caller) -> bytes:
        """Return the bytes of a ModelInferResponse by the shortest way that there is."""
        answer = self._pinned(data, caller.digest) if caller.digest else self._hot.begin(data)
        if isinstance(answer, asyncio.Future):
            answer = await answer
        return (await self.infer(data, caller)).data if answer is None else answer

    def _pinned(self, data: bytes, digest: str) -> bytes | asyncio.Future[bytes | None] | None:
        """Return what the short way says where what it would answer with has a digest; else None."""
        return self._hot.begin(data) if self._has(data, digest) else None

    def _has(self, data: bytes, digest: str) -> bool:
        key = (convert.text(data, "model_name"), convert.text(data, "model_version"))
        route = None if self._serving.current is None else self._serving.current.routes.get(key)
        return route is not None and route.plain and route.served.loaded.digest == digest

    async def infer(self, data: bytes, caller: Caller) -> Answer | Passed:
        """Return the answer to the bytes of a ModelInferRequest."""
        try:
            request = convert.read_request(data)
        except NeuralMeshError as error:
            self._answering.malformed(error)
            raise
        return await self._answering.answer(request, caller)

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
        return oip.ServerMetadataResponse(name=self._name, version=self._version, extensions=EXTENSIONS)

    async def model_metadata(self, request: Any, call: Call) -> Any:
        """Return the signature of a version."""
        del call
        snapshot = self._serving.snapshot()
        served = snapshot.resolve(request.name, request.version)
        return convert.metadata(snapshot, served.loaded, self._node)

    async def model_statistics(self, request: Any, call: Call) -> Any:
        """Return what versions did since this process and its siblings started."""
        del call
        snapshot = self._serving.snapshot()
        wanted = self._statistics_versions(request.name, request.version)
        for key, served in snapshot.served.items():
            self._activity.version(*key, served.loaded.digest, served.loaded.uid)
        others = await asyncio.to_thread(self._siblings.activities)
        stats = [
            convert.statistics(one)
            for one in sums([*self._activity.totals(), *others])
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
            raise NotSupportedError(
                "NOT_SUPPORTED",
                "repository_name must be empty: this server has one repository",
                feature="repository_name",
            )
        return convert.index(self._repository.states(), ready_only=request.ready)

    async def model_stream_infer(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        """Run a stream's requests: bytes of ModelInferRequests to bytes of ModelStreamInferResponses."""
        caller = convert.caller(context)
        strict = caller.metadata(convert_stream.STATUS_KEY) == "true"
        stream = Stream(
            requests, partial(self._quick, caller.digest), lambda data: self._slow(data, caller, strict=strict)
        )
        self._streams.add(stream)
        if self._ending:
            stream.end()
        context.add_done_callback(partial(self._closed, weakref.ref(stream)))
        try:
            async for answer in stream.answers():
                yield answer
        except NeuralMeshError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the edge: a defect becomes INTERNAL and is logged
            failure = defect(error, "inference.GRPCInferenceService.ModelStreamInfer")
        else:
            return
        await abort(context, failure)

    def end_streams(self) -> None:
        """Let streams answer what they took and end, also those whose handlers begin only after this.

        Nobody else tells them that the node stops.
        """
        self._ending = True
        for stream in self._streams:
            stream.end()

    def _closed(self, reference: weakref.ref[Stream], context: grpc.aio.ServicerContext) -> None:
        """Close the stream of a call that is over; grpc keeps what it calls here together with the call for good."""
        del context
        stream = reference()
        if stream is not None:
            self._streams.discard(stream)
            stream.close()

    def _quick(self, digest: str, data: bytes) -> bytes | None:
        answer = self._hot.answer(data) if not digest or self._has(data, digest) else None
        return None if answer is None else convert_stream.stream_answer(answer)

    async def _slow(self, data: bytes, caller: Caller, *, strict: bool) -> bytes:
        """Return the answer to one request of a stream; failures are answers too, unless the stream is strict."""
        try:
            return convert_stream.stream_answer((await self.infer(data, caller)).data)
        except NeuralMeshError as error:
            failure = self._said(error, "ModelStreamInfer", data)
            if strict:
                raise failure from None  # it may be the same one, which must not become its own cause
        except Exception as error:
            failure = defect(error, "inference.GRPCInferenceService.ModelStreamInfer")
            if strict:
                raise failure from error
        forget_frames(failure)
        return convert_stream.stream_failure(data, failure)

    def _said(self, error: NeuralMeshError, method: str, data: bytes) -> NeuralMeshError:
        return self._say(error, Asked(method, convert.text(data, "model_name"), convert.text(data, "model_version")))

    async def model_config(self, request: Any, call: Call) -> Any:
        """Return the configuration of a version in Triton's form."""
        del call
        snapshot = self._serving.snapshot()
        route = snapshot.route(request.name, request.version)
        return convert_config.config(snapshot, route)

    async def repository_model_load(self, request: Any, call: Call) -> Any:
        """Serve a model again; answers when it is ready."""
        model = convert_repository.loaded_model(request)
        await self._repository.load(model, Caller(_deadline(call)))
        return oip.RepositoryModelLoadResponse(model_name=model, isLoaded=True)

    async def repository_model_unload(self, request: Any, call: Call) -> Any:
        """Serve a model no more until it is loaded."""
        model = convert_repository.unloaded_model(request)
        await self._repository.unload(model, Caller(_deadline(call)))
        return oip.RepositoryModelUnloadResponse(model_name=model, isUnloaded=True)


def _deadline(call: Call) -> float | None:
    remaining = call.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def _check_version(text: str) -> None:
    if not text:
        return
    if is_number_like(text):
        names.parse_version(text)
    else:
        names.check_alias(text)
