"""What a refused request leaves behind: nothing, even where the garbage collector never comes."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Iterator

import grpc
import pytest

from neuralmesh import oip
from neuralmesh_server.inference.app import InferenceApp
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when_ready

SERVICE = f"/{oip.SERVICE.full_name}/"
MIB = 1024 * 1024


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node with one version of `digits`."""
    node = await suite.start_node()
    await push_digits(suite.client(node), models.digits_onnx(1))
    await when_ready(node, "digits", 1)
    return node


@pytest.fixture
def no_collector() -> Iterator[None]:
    """No garbage collector, so that only what nothing refers to is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def refused(mebibytes: int = 0) -> bytes:
    """Return a request for digits, version 1, whose input has a wrong shape."""
    message = oip.ModelInferRequest(model_name="digits", model_version="1", id="mine")
    message.inputs.add(name="input", datatype="FP32", shape=[1, 63])
    message.raw_input_contents.append(bytes(mebibytes * MIB or 4))
    return message.SerializeToString()  # type: ignore[no-any-return]


async def send(node: InferenceApp, data: bytes, kind: str) -> None:
    """Have the node refuse a request: a single one, one of a stream, or one that ends its stream."""
    metadata = (("triton_grpc_error", "true"),) if kind == "strict" else ()
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        if kind == "single":
            single = channel.unary_unary(f"{SERVICE}ModelInfer")(data, timeout=PATIENCE)
            assert await single.code() is grpc.StatusCode.INVALID_ARGUMENT
            return
        streams = channel.stream_stream(f"{SERVICE}ModelStreamInfer")
        call = streams(iter([data]), metadata=metadata, timeout=PATIENCE)
        if kind == "strict":
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            return
        (answer,) = [oip.ModelStreamInferResponse.FromString(one) async for one in call]
        assert answer.error_message


async def calls_done() -> None:
    """Return when the handlers of inferences have returned."""
    calls = [task for task in asyncio.all_tasks() if oip.SERVICE.full_name in task.get_name()]
    if calls:
        await asyncio.wait(calls, timeout=PATIENCE)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("kind", ["single", "stream", "strict"])
async def test_a_refused_request_is_freed_at_once(node: InferenceApp, kind: str) -> None:
    """Eight refused requests of 8 MiB leave less than one of them behind."""
    data = refused(8)
    await send(node, data, kind)
    await calls_done()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(8):
        await send(node, data, kind)
    await calls_done()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 8 * MIB


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("kind", ["single", "stream", "strict"])
async def test_a_refused_request_holds_no_version(node: InferenceApp, kind: str) -> None:
    """A version that refused a request is gone as soon as it is unloaded."""
    held = weakref.ref(node._serving.snapshot().served["digits", 1].loaded)
    await send(node, refused(), kind)
    await calls_done()
    await node._repository.unload("digits")
    node._hot.refresh()
    await asyncio.sleep(0)
    assert held() is None
    assert node._repository.states()["digits", 1].state == "UNAVAILABLE"


@pytest.mark.usefixtures("no_collector")
async def test_a_defect_is_freed_as_well(node: InferenceApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that met a defect of the server leaves nothing behind either."""
    data = refused(8)

    def fail(_data: bytes, _caller: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(node._service, "infer", fail)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        for _ in range(4):
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await channel.unary_unary(f"{SERVICE}ModelInfer")(data, timeout=PATIENCE)
            assert failure.value.code() is grpc.StatusCode.INTERNAL
    await calls_done()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 8 * MIB
