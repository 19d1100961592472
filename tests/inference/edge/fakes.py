"""A registry that serves the mesh as a test wants it, on a real port: honest by default, hostile on request."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from neuralmesh.mesh.v1 import mesh_service_pb2 as pb
from neuralmesh.registry.v1 import registry_service_pb2
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import state_digest
from neuralmesh_server.errors import FailedPreconditionError, NeuralMeshError, NotFoundError
from neuralmesh_server.runtime.handlers import abort, service_handler
from tests.inference import models
from tests.inference.conftest import PATIENCE

MESH = pb.DESCRIPTOR.services_by_name["MeshService"]
REGISTRY = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
CHUNK = 64 * 1024
Outcome = pb.Report.Outcome


class FakeRegistry:
    """Holds desired states in memory and says them to every node alike.

    Attributes:
        hellos: Every hello, in order.
        reports: Every report, in order.
        content: Artifacts by digest.
        gates: Events that the download of an artifact waits for, by digest.
        served: Bytes that were given out, by digest.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.models: dict[str, Any] = {}
        self.content: dict[str, bytes] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.served: dict[str, int] = {}
        self.cut_after: dict[str, int] = {}
        self.hellos: list[Any] = []
        self.reports: list[Any] = []
        self.refusal: NeuralMeshError | None = None
        self.address = ""
        self._port = 0
        self._changed = asyncio.Condition()
        self._streams: list[asyncio.Queue[Any]] = []
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    MESH.full_name,
                    {
                        "Sync": grpc.stream_stream_rpc_method_handler(
                            self._sync, pb.SyncRequest.FromString, pb.SyncResponse.SerializeToString
                        )
                    },
                ),
                service_handler(REGISTRY, _Downloads(self), GetMessageClass),
            )
        )
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        self.address = f"127.0.0.1:{self._port}"
        await self._server.start()

    async def stop(self) -> None:
        """Cut every line."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(0)

    def push(self, model: str, content: bytes, *, kind: str = "onnx") -> int:
        """Add a version; nobody is told until an alias names it."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.content[digest] = content
        state = self.models.get(model)
        if state is None:
            uid = len(self.models) + 1
            state = self.models[model] = pb.ModelState(model=resources.Model(name=f"models/{model}", uid=uid))
        number = max((int(one.name.rpartition("/")[2]) for one in state.versions), default=0) + 1
        name = "model.onnx" if kind == "onnx" else "model.safetensors"
        state.versions.add(
            name=f"models/{model}/versions/{number}",
            version=number,
            digest=f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}",
            kind=kind,
            size_bytes=len(content),
            files=[resources.File(path=name, size_bytes=len(content), digest=digest)],
            signature=models.DIGITS,
        )
        return number

    def digest_of(self, model: str, version: int) -> str:
        """Return the digest of a version's one file."""
        return str(self._version(model, version).files[0].digest)

    async def promote(self, model: str, version: int, alias: str = "production") -> int:
        """Point an alias at a version and tell everybody; returns the revision."""
        state = self.models[model]
        name = f"models/{model}/aliases/{alias}"
        found = next((one for one in state.aliases if one.name == name), None)
        self.revision += 1
        if found is None:
            found = state.aliases.add(name=name)
        else:
            del found.rollback_versions[:]
            found.rollback_versions.append(found.state.version)
        found.state.version, found.revision = version, self.revision
        await self.tell(model)
        return self.revision

    async def stale(self, model: str, action: int, after_seconds: int) -> None:
        """Set what holds of a model when the registry is silent, and tell everybody."""
        self.revision += 1
        self.models[model].staleness.CopyFrom(resources.StalenessPolicy(action=action, after_seconds=after_seconds))
        await self.tell(model)

    async def tell(self, *changed: str) -> None:
        """Say the changes, or without any only that the registry is there."""
        await self.say(self.response(*(self._told(name) for name in changed)))

    async def say(self, response: Any) -> None:
        """Send a message to every node that is connected, whatever it says."""
        for stream in self._streams:
            stream.put_nowait(response)

    def response(self, *states: Any, whole: bool = False, revision: int = 0, digest: bytes = b"") -> Any:
        """Return a message; revision and digest are the true ones unless given."""
        return pb.SyncResponse(
            whole=whole,
            models=states,
            revision=revision or self.revision,
            state_digest=digest or self.digest(),
        )

    def whole(self) -> Any:
        """Return everything."""
        return self.response(*(self._told(name) for name in sorted(self.models)), whole=True)

    def digest(self) -> bytes:
        """Return the digest of what a node is to hold."""
        return digest_of([self._told(name) for name in sorted(self.models)])

    async def reported(self, condition: Callable[[Any], bool]) -> Any:
        """Return the first report, of those before too, that fulfils a condition."""

        def found() -> Any:
            return next((one for one in self.reports if condition(one)), None)

        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: found() is not None)
        return found()

    async def applied(self, revision: int = 0) -> Any:
        """Return the report by which a node has applied a revision."""
        wanted = revision or self.revision
        return await self.reported(lambda one: one.outcome == Outcome.OUTCOME_APPLIED and one.revision == wanted)

    async def greeted(self, times: int) -> Any:
        """Return the last hello when there were so many."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.hellos) >= times)
        return self.hellos[times - 1]

    def _told(self, name: str) -> Any:
        """Return a model's state as nodes get it: only the versions that aliases need, and the one below each."""
        state = self.models[name]
        needed = {alias.state.version for alias in state.aliases}
        needed |= {version for alias in state.aliases for version in alias.rollback_versions[:1]}
        told = pb.ModelState(model=state.model, aliases=state.aliases)
        told.versions.extend(one for one in state.versions if one.version in needed)
        if state.HasField("staleness"):
            told.staleness.CopyFrom(state.staleness)
        return told

    def _version(self, model: str, version: int) -> Any:
        return next(one for one in self.models[model].versions if one.version == version)

    async def _sync(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        first = (await anext(requests)).hello
        self.hellos.append(first)
        async with self._changed:
            self._changed.notify_all()
        if self.refusal is not None:
            await abort(context, self.refusal)
            return
        if first.applied_revision > self.revision:
            await abort(context, FailedPreconditionError("REVISION_AHEAD", "the node is ahead of this registry"))
            return
        stream: asyncio.Queue[Any] = asyncio.Queue()
        stream.put_nowait(self.response() if first.state_digest == self.digest() else self.whole())
        self._streams.append(stream)
        reading = asyncio.create_task(self._read(requests, stream))
        try:
            while (response := await stream.get()) is not None:
                yield response
        finally:
            self._streams.remove(stream)
            reading.cancel()

    async def _read(self, requests: AsyncIterator[Any], stream: asyncio.Queue[Any]) -> None:
        async for request in requests:
            self.reports.append(request.report)
            async with self._changed:
                self._changed.notify_all()
        stream.put_nowait(None)


class _Downloads:
    """RegistryService, of which a node calls one method."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        async def absent(request: Any, call: Any) -> Any:
            raise AssertionError(f"an edge node called {name}")

        return absent

    async def download_artifact(self, request: Any, call: Any) -> AsyncIterator[Any]:
        """Give an artifact out, as far as the test lets it."""
        registry, offset = self._registry, request.offset
        content = registry.content.get(request.digest)
        if content is None:
            raise NotFoundError("ARTIFACT_NOT_FOUND", "it is not here", digest=request.digest)
        while offset < len(content):
            if registry.cut_after.get(request.digest, len(content)) <= offset:
                registry.cut_after.pop(request.digest)
                raise FailedPreconditionError("DIGEST_MISMATCH", "cut")
            gate = registry.gates.get(request.digest)
            if gate is not None:
                await gate.wait()
            data = content[offset : offset + CHUNK]
            registry.served[request.digest] = registry.served.get(request.digest, 0) + len(data)
            yield registry_service_pb2.DownloadArtifactResponse(offset=offset, data=data, size_bytes=len(content))
            offset += len(data)


def digest_of(states: list[Any]) -> bytes:
    """Return the digest of desired states, computed from the messages."""
    total = state_digest.StateDigest()
    for state in states:
        name = state.model.name.removeprefix("models/")
        total.add(state_digest.model_entry(name, state.model.uid))
        for version in state.versions:
            total.add(state_digest.version_entry(name, version.version, version.digest))
        for alias in state.aliases:
            below = alias.rollback_versions[0] if alias.rollback_versions else 0
            said = {"version": alias.state.version}
            total.add(state_digest.alias_entry(name, alias.name.rpartition("/")[2], alias.revision, said, below))
        if state.HasField("staleness"):
            total.add(state_digest.staleness_entry(name, state.staleness.action, state.staleness.after_seconds))
    return total.value()
