"""ModelStreamInfer: order, failures in band, bounds, ends; first by itself, then over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

import grpc
import numpy as np
import pytest

from neuralmesh import oip
from neuralmesh_server.errors import UnavailableError
from neuralmesh_server.inference import stream
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.stream import MAX_REQUESTS, Stream
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when_ready

ROWS = np.random.default_rng(3).random((2, 64), dtype=np.float32)
METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"


async def each(items: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield requests as fast as they are taken."""
    for item in items:
        yield item


def never(data: bytes) -> None:
    """Answer nothing at once."""
    del data


async def answers(streamed: Stream) -> list[bytes]:
    """Return all answers of a stream."""
    return [answer async for answer in streamed.answers()]


async def until_it_fails(streamed: Stream) -> tuple[list[bytes], str]:
    """Return the answers before the failure of a stream, and the failure."""
    found: list[bytes] = []
    try:
        async for answer in streamed.answers():
            found += [answer]
    except ValueError as error:
        return found, str(error)
    raise AssertionError("the stream did not fail")


class Held:
    """Answers requests when it is told to."""

    def __init__(self) -> None:
        self.gates: dict[bytes, asyncio.Event] = {}
        self.begun: asyncio.Queue[bytes] = asyncio.Queue()
        self.cancelled: list[bytes] = []

    async def __call__(self, data: bytes) -> bytes:
        """Answer when the request's gate opens."""
        self.gates[data] = asyncio.Event()
        self.begun.put_nowait(data)
        try:
            await self.gates[data].wait()
        except asyncio.CancelledError:
            self.cancelled.append(data)
            raise
        return data.upper()


@pytest.mark.parametrize(
    "quick", [lambda data: data.upper(), never, lambda data: data.upper() if data != b"b" else None]
)
async def test_every_request_gets_its_answer_in_order(quick: Callable[[bytes], bytes | None]) -> None:
    """Whether requests are answered at once, later, or in turns, the answers come in their order."""

    async def slow(data: bytes) -> bytes:
        await asyncio.sleep(0)
        return data.upper()

    assert await answers(Stream(each([b"a", b"b", b"c", b"d"]), quick, slow)) == [b"A", b"B", b"C", b"D"]
    assert await answers(Stream(each([]), quick, slow)) == []


async def test_a_later_request_waits_for_an_earlier_one() -> None:
    """Requests run beside one another, and what is ready early is held until its turn."""
    held = Held()
    running = asyncio.create_task(answers(Stream(each([b"a", b"b"]), never, held)))
    assert [await held.begun.get(), await held.begun.get()] == [b"a", b"b"]
    held.gates[b"b"].set()
    await asyncio.sleep(0)
    assert not running.done()
    held.gates[b"a"].set()
    assert await running == [b"A", b"B"]


async def test_no_more_requests_are_read_than_are_worked_on() -> None:
    """With as many requests in hand as are permitted, the next is read but not begun until one is answered."""
    held, read = Held(), []

    async def requests() -> AsyncIterator[bytes]:
        for number in range(MAX_REQUESTS + 5):
            read.append(number)
            yield b"%03d" % number

    running = asyncio.create_task(answers(Stream(requests(), never, held)))
    for _ in range(MAX_REQUESTS):
        await held.begun.get()
    for _ in range(10):
        await asyncio.sleep(0)
    assert held.begun.empty()
    assert len(read) == MAX_REQUESTS + 1
    held.gates[b"000"].set()
    assert await held.begun.get() == b"%03d" % MAX_REQUESTS
    running.cancel()


async def test_the_bytes_in_hand_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large request waits until the one before is answered, and is then worked on however large it is."""
    monkeypatch.setattr(stream, "MAX_BYTES", 10)
    held = Held()
    running = asyncio.create_task(answers(Stream(each([b"a", b"b" * 20]), never, held)))
    assert await held.begun.get() == b"a"
    for _ in range(5):
        await asyncio.sleep(0)
    assert held.begun.empty()
    held.gates[b"a"].set()
    large = await held.begun.get()
    held.gates[large].set()
    assert await running == [b"A", b"B" * 20]


async def test_what_a_request_raises_comes_at_its_turn_and_ends_the_rest() -> None:
    """Answers before the failing request are given, the requests after it are dropped."""
    held = Held()

    async def slow(data: bytes) -> bytes:
        if data == b"b":
            raise ValueError("b")
        return await held(data)

    running = asyncio.create_task(until_it_fails(Stream(each([b"a", b"b", b"c"]), never, slow)))
    await held.begun.get()
    await held.begun.get()
    held.gates[b"a"].set()
    assert await running == ([b"A"], "b")
    await asyncio.sleep(0)
    assert held.cancelled == [b"c"]


async def test_what_reading_raises_comes_after_what_was_read() -> None:
    """A request that cannot be read ends the stream once those before it are answered."""

    async def requests() -> AsyncIterator[bytes]:
        yield b"a"
        raise ValueError("broken")

    async def slow(data: bytes) -> bytes:
        return data

    assert await until_it_fails(Stream(requests(), never, slow)) == ([b"a"], "broken")


async def test_a_closed_stream_works_on_nothing() -> None:
    """Closing cancels what runs and what waits."""
    held = Held()
    streamed = Stream(each([b"a", b"b"]), never, held)
    running = asyncio.create_task(answers(streamed))
    await held.begun.get()
    await held.begun.get()
    streamed.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(held.cancelled) == [b"a", b"b"]


async def test_an_ended_stream_answers_what_it_took() -> None:
    """Ending answers the requests in hand, reads no more, and says that the rest did not run."""
    held, more = Held(), asyncio.Event()

    async def requests() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        await more.wait()
        yield b"c"

    streamed, found = Stream(requests(), never, held), []

    async def consume() -> None:
        async for answer in streamed.answers():
            found.extend([answer])

    running = asyncio.create_task(consume())
    await held.begun.get()
    await held.begun.get()
    streamed.end()
    more.set()
    for gate in held.gates.values():
        gate.set()
    with pytest.raises(UnavailableError) as failure:
        await running
    assert (found, failure.value.reason) == ([b"A", b"B"], "NOT_SERVING")


async def test_an_ended_stream_that_waits_for_a_request_ends_at_once() -> None:
    """A stream of plain requests that waits for the next one is ended where it waits."""
    forever: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def requests() -> AsyncIterator[bytes]:
        yield b"a"
        yield await forever

    streamed = Stream(requests(), lambda data: data, Held())
    iterator = streamed.answers()
    assert await anext(iterator) == b"a"
    waiting = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    streamed.end()
    with pytest.raises(UnavailableError):
        await waiting


# ---- Over the wire -------------------------------------------------------------------------------------------------


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node that serves the packed network as version 1 and the ONNX model as version 2 of `digits`."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await push_digits(client, models.digits_onnx(hidden=512))
    await when_ready(node, "digits", 1, 2)
    return node


def request_of(version: str, request_id: str, *, model: str = "digits", **fields: object) -> bytes:
    """Return the bytes of a request."""
    request = oip.ModelInferRequest(model_name=model, model_version=version, id=request_id, **fields)
    request.inputs.add(name="input", datatype="FP32", shape=ROWS.shape)
    request.raw_input_contents.append(ROWS.tobytes())
    data: bytes = request.SerializeToString()
    return data


async def exchange(
    node: InferenceApp, requests: Iterable[bytes], metadata: tuple[tuple[str, str], ...] = ()
) -> tuple[list[object], grpc.StatusCode, str]:
    """Return the answers, the code and the details of a stream whose caller sends everything and then ends it."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.stream_stream(METHOD)(each(requests), timeout=PATIENCE, metadata=metadata)
        found = []
        try:
            async for data in call:
                found.append(oip.ModelStreamInferResponse.FromString(data))  # noqa: PERF401 - those before a failure count
        except grpc.aio.AioRpcError as error:
            return found, error.code(), error.details() or ""
        return found, await call.code(), ""


@pytest.mark.parametrize("version", ["1", "2", ""])
async def test_a_stream_answers_as_single_requests_do(node: InferenceApp, version: str) -> None:
    """Each answer of a stream is that of ModelInfer, in order, for packed and ONNX versions."""
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        single = oip.ModelInferResponse.FromString(
            await channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(request_of(version, "0"))
        )
    found, code, _ = await exchange(node, [request_of(version, str(number)) for number in range(100)])
    assert code is grpc.StatusCode.OK
    assert [one.infer_response.id for one in found] == [str(number) for number in range(100)]
    assert len({one.infer_response.parameters["prediction_id"].string_param for one in found}) == 100
    for one in found:
        assert one.error_message == ""
        assert list(one.infer_response.raw_output_contents) == list(single.raw_output_contents)
        assert one.infer_response.model_version == single.model_version
        assert one.infer_response.parameters["triton_final_response"].bool_param is True


async def test_failures_come_in_band_with_their_id(node: InferenceApp) -> None:
    """A request that fails has an error message and its id, nothing else, and the stream goes on, and ends OK."""
    wrong = oip.ModelInferRequest.FromString(request_of("1", "wrong"))
    wrong.inputs[0].shape[1] = 63
    requests = [
        request_of("1", "first"),
        request_of("1", "unknown", model="nope"),
        wrong.SerializeToString(),
        request_of("9", "missing"),
        b"\xff\xff",
        request_of("2", "last"),
    ]
    found, code, _ = await exchange(node, requests)
    assert code is grpc.StatusCode.OK
    assert [one.infer_response.id for one in found] == ["first", "unknown", "wrong", "missing", "", "last"]
    failed = [bool(one.error_message) for one in found]
    assert failed == [False, True, True, True, True, False]
    for one in (one for one in found if one.error_message):
        assert [field.name for field, _ in one.infer_response.ListFields()] in ([], ["id"])
    assert "'nope'" in found[1].error_message
    assert "63" in found[2].error_message


async def test_a_stream_may_ask_for_failures_as_its_status(node: InferenceApp) -> None:
    """With the metadata `triton_grpc_error: true` the first failure ends the stream, after the answers before it."""
    requests = [request_of("2", "first"), request_of("1", "x", model="nope"), request_of("1", "never")]
    found, code, details = await exchange(node, requests, (("triton_grpc_error", "true"),))
    assert [one.infer_response.id for one in found] == ["first"]
    assert code is grpc.StatusCode.NOT_FOUND
    assert "'nope'" in details
    found, code, _ = await exchange(node, requests, (("triton_grpc_error", "false"),))
    assert (len(found), code) == (3, grpc.StatusCode.OK)


async def test_the_parameter_for_an_empty_final_response_is_permitted(node: InferenceApp) -> None:
    """A request that asks for a final response gets its one answer, which says that it is final."""
    data = request_of("1", "a", parameters={"triton_enable_empty_final_response": {"bool_param": True}})
    (only,), code, _ = await exchange(node, [data])
    assert code is grpc.StatusCode.OK
    assert only.infer_response.parameters["triton_final_response"].bool_param is True


async def test_models_alternate_on_one_stream(node: InferenceApp, suite: Suite) -> None:
    """Case 4.23: interleaved models and versions on one connection each get their own answer."""
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(5), model="other")
    await when_ready(node, "other", 1)
    plan = [("digits", "1"), ("other", "1"), ("digits", "2")] * 20
    found, code, _ = await exchange(node, [request_of(version, model, model=model) for model, version in plan])
    assert code is grpc.StatusCode.OK
    said = [(one.infer_response.model_name, one.infer_response.model_version, one.infer_response.id) for one in found]
    assert said == [(model, version, model) for model, version in plan]


async def test_a_caller_who_leaves_stops_the_work(suite: Suite) -> None:
    """Cancelling a stream ends its runs, queued ones too."""
    node = await suite.start_node()
    client = suite.client(node)
    await client.push("looping", kind="onnx", files={"model.onnx": models.looping_onnx(0)})
    await when_ready(node, "looping", 1)
    endless = oip.ModelInferRequest(model_name="looping", raw_input_contents=[np.array([[2**40]], np.int64).tobytes()])
    endless.inputs.add(name="x", datatype="INT64", shape=[1, 1])
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.stream_stream(METHOD)()
        for _ in range(8):
            await call.write(endless.SerializeToString())
        await _until(lambda: len(node._execution._ended._waiting) > 1)
        call.cancel()
        await _until(lambda: not node._execution._ended._waiting)
    answer = await client.infer("looping", {"x": np.array([[3]], np.int64)})
    assert answer.outputs["y"].tolist() == [[3]]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.001)


async def test_a_thousand_streams_are_answered(node: InferenceApp) -> None:
    """A thousand open streams on a few connections all get their answers."""
    channels = [grpc.aio.insecure_channel(str(node.endpoint), options=[("n", n)]) for n in range(4)]

    async def one(number: int) -> str:
        call = channels[number % 4].stream_stream(METHOD)(timeout=60)
        await call.write(request_of("1", str(number)))
        data = await call.read()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        found: str = oip.ModelStreamInferResponse.FromString(data).infer_response.id
        return found

    work: list[Coroutine[None, None, str]] = [one(number) for number in range(1000)]
    assert await asyncio.gather(*work) == [str(number) for number in range(1000)]
    for channel in channels:
        await channel.close()


async def test_a_stopping_node_ends_its_streams(suite: Suite) -> None:
    """Streams that are open when the node stops end with UNAVAILABLE at once: idle ones, and busy ones after an answer."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await push_digits(client, models.digits_onnx(hidden=512))
    await when_ready(node, "digits", 1, 2)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        calls = [channel.stream_stream(METHOD)(timeout=PATIENCE) for _ in range(3)]
        for call, version in zip(calls, ("1", "2", None), strict=True):
            if version:
                await call.write(request_of(version, "a"))
                assert oip.ModelStreamInferResponse.FromString(await call.read()).infer_response.id == "a"
        await _until(lambda: len(node._service._streams) == 3)
        node._service.end_streams()  # what `stop` does first, before the time that accepted calls have
        for call in calls:
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
        await _until(lambda: not node._service._streams)
        late = channel.stream_stream(METHOD)(timeout=PATIENCE)  # its handler begins when all others were told
        assert await late.code() is grpc.StatusCode.UNAVAILABLE
