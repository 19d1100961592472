"""A real registry on port 0 over a real folder, a stub that talks to it, and stores with the rules over them."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import registry_service_pb2_grpc as api_grpc
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server.registry.app import RegistryApp
from neuralmesh_server.registry.catalog import Catalog
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.settings import Endpoint, RegistrySettings, ServerSettings
from tests.channels import OWN
from tests.registry.stores import FACTORIES, Clock, EveryArtifact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Failure:
    """The code, reason, message and metadata of a failed call."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        status = rpc_status.from_call(error)
        assert status is not None, error
        (detail,) = status.details
        info = error_details_pb2.ErrorInfo()
        assert detail.Unpack(info)
        assert info.domain == "neuralmesh"
        self.reason = info.reason
        self.message = status.message
        self.metadata = dict(info.metadata)


class Registry:
    """A stub with the steps that most tests need."""

    def __init__(self, stub: Any, app: RegistryApp) -> None:
        self.stub = stub
        self.app = app

    async def failure(self, call: Any) -> Failure:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return Failure(caught.value)

    async def model(self, name: str = "digits", **fields: Any) -> Any:
        return (await self.stub.CreateModel(api.CreateModelRequest(model_id=name, **fields))).model

    async def upload(self, data: bytes, *, offset: int = 0, end: int | None = None, chunk: int = 65536) -> Any:
        name = digest(data)

        async def requests() -> AsyncIterator[Any]:
            stop = len(data) if end is None else end
            start = offset
            while True:
                piece = data[start : min(start + chunk, stop)]
                yield api.UploadArtifactRequest(digest=name, size_bytes=len(data), offset=start, data=piece)
                start += len(piece)
                if start >= stop:
                    return

        return await self.stub.UploadArtifact(requests())

    async def file(self, data: bytes, path: str = "model.onnx") -> Any:
        await self.upload(data)
        return resources.File(path=path, size_bytes=len(data), digest=digest(data))

    async def version(self, model: str = "digits", data: bytes = b"one", **fields: Any) -> Any:
        file = await self.file(data)
        request = api.CreateVersionRequest(parent=f"models/{model}", kind="onnx", files=[file], **fields)
        return (await self.stub.CreateVersion(request)).version

    async def versions(self, count: int, model: str = "digits") -> None:
        await self.model(model)
        for number in range(count):
            await self.version(model, b"version %d" % number)

    async def promote(self, version: int, alias: str = "production", model: str = "digits", **fields: Any) -> Any:
        return await self.stub.PromoteAlias(
            api.PromoteAliasRequest(
                name=f"models/{model}/aliases/{alias}", state=resources.AliasState(version=version), **fields
            )
        )

    async def rollback(self, to: int = 0, alias: str = "production", model: str = "digits", **fields: Any) -> Any:
        return await self.stub.RollbackAlias(
            api.RollbackAliasRequest(name=f"models/{model}/aliases/{alias}", to_version=to, **fields)
        )

    async def events(self, parent: str = "") -> list[Any]:
        """Return the whole log, oldest first."""
        found: list[Any] = []
        token = ""
        while True:
            page = await self.stub.ListEvents(api.ListEventsRequest(parent=parent, page_size=1000, page_token=token))
            found.extend(page.events)
            token = page.next_page_token
            if not token:
                return found[::-1]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def settings(data: Path, *, heartbeat: float = 10.0) -> RegistrySettings:
    return RegistrySettings(
        server=ServerSettings(Endpoint("127.0.0.1", 0), drain_seconds=5.0), data=data, heartbeat_seconds=heartbeat
    )


@contextlib.asynccontextmanager
async def serve(data: Path, *, heartbeat: float = 10.0) -> AsyncIterator[Registry]:
    app = RegistryApp(settings(data, heartbeat=heartbeat))
    try:
        endpoint = await app.start()
        async with grpc.aio.insecure_channel(str(endpoint), OWN) as channel:
            yield Registry(api_grpc.RegistryServiceStub(channel), app)
    finally:
        await app.stop()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with serve(tmp_path / "data") as running:
        yield running


@pytest.fixture
def serving():
    """Return `serve`, for tests that start a registry more than once."""
    return serve


@pytest.fixture
def digest_of():
    """Return `digest`."""
    return digest


@pytest.fixture(params=FACTORIES)
def open_store(request, tmp_path):
    return lambda: FACTORIES[request.param](tmp_path)


@pytest.fixture
def store(open_store):
    opened = open_store()
    yield opened
    opened.close()


@pytest.fixture
def catalog(store):
    return Catalog(store, EveryArtifact(), Clock())


@pytest.fixture
def promotions(store):
    return Promotions(store, Clock())
