"""Stopping under load: what was accepted is answered, everything else is UNAVAILABLE, nothing is CANCELLED."""

import asyncio
from collections import Counter

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.echo import INFER, STREAM, Waiting, make_server

MEBIBYTE = 1024 * 1024
REFUSED_SECONDS = 0.001
"""Pause of a caller that was refused."""


def connect(address: str) -> grpc.aio.Channel:
    """Open a channel with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    return grpc.aio.insecure_channel(address, options=options)


class Callers:
    """Callers that ask without a pause, each on its own connection, and what they were told."""

    def __init__(self, address: str, number: int) -> None:
        self.codes: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._enough = False
        self._tasks = [asyncio.create_task(self._ask(address)) for _ in range(number)]

    async def told(self, code: str, times: int) -> None:
        """Return when a code was given so many times."""
        while self.codes[code] < times:
            self._changed.clear()
            await self._changed.wait()

    async def stop(self) -> None:
        """Ask no more."""
        self._enough = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, address: str) -> None:
        async with connect(address) as channel:
            call = channel.unary_unary(INFER)
            while not self._enough:
                code = await code_of(call(b"x" * 100), b"x" * 100)
                self.codes[code] += 1
                self._changed.set()
                if code != "OK":  # as a client would; thousands of failures a second only fill the memory
                    await asyncio.sleep(REFUSED_SECONDS)


async def code_of(call: grpc.aio.UnaryUnaryCall, expected: bytes) -> str:
    """Return the name of a call's status; an answer must be the expected one."""
    try:
        assert await call == expected
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@pytest.mark.parametrize("attempt", range(3))
async def test_calls_under_load_are_answered_or_unavailable(transport: str, attempt: int) -> None:
    """Callers that never pause see answers, then UNAVAILABLE, and at no moment that they were cancelled."""
    server = make_server(transport=transport)
    address = str(await server.start())
    callers = Callers(address, 8)
    await callers.told("OK", 300)
    await server.stop()
    await callers.told("UNAVAILABLE", 50)
    await callers.stop()
    assert set(callers.codes) == {"OK", "UNAVAILABLE"}


async def test_refused_calls_say_that_the_server_stops(transport: str) -> None:
    """While an accepted call runs, a new one on the same connection is refused at once with NOT_SERVING."""
    waiting = Waiting()
    server = make_server(waiting.infer, transport=transport)
    async with connect(str(await server.start())) as channel:
        call = channel.unary_unary(INFER)
        accepted = asyncio.ensure_future(call(b"wait"))
        await waiting.entered.wait()
        stopping = asyncio.create_task(server.stop())
        while await code_of(call(b"more"), b"more") != "UNAVAILABLE":
            pass  # the stop has not begun
        with pytest.raises(grpc.aio.AioRpcError, match="this server is stopping"):
            await call(b"more")
        assert not stopping.done()
        waiting.release.set()
        assert await accepted == b"answer"
        await stopping


async def test_large_answers_arrive_whole_during_the_stop(transport: str) -> None:
    """An accepted call's answer that needs many round trips of flow control is delivered to its end."""
    waiting = Waiting(b"a" * 8 * MEBIBYTE)
    server = make_server(waiting.infer, transport=transport)
    async with connect(str(await server.start())) as channel:
        accepted = asyncio.ensure_future(channel.unary_unary(INFER)(b"wait"))
        await waiting.entered.wait()
        stopping = asyncio.create_task(server.stop())
        waiting.release.set()
        assert len(await accepted) == 8 * MEBIBYTE
        await stopping


async def test_an_accepted_stream_goes_on_during_the_stop(transport: str) -> None:
    """A stream that was open before the stop is served until its caller ends it."""
    server = make_server(transport=transport)
    async with connect(str(await server.start())) as channel:
        stream = channel.stream_stream(STREAM)()
        await stream.write(b"1")
        assert await stream.read() == b"1"
        stopping = asyncio.create_task(server.stop())
        await stream.write(b"2")
        assert await stream.read() == b"2"
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        await stopping


async def test_a_call_beyond_the_time_to_drain_is_ended(transport: str) -> None:
    """The stop ends after its time however long a call would go on; the native front tells its caller that it ran.

    grpcio closes the connection, which clients take for UNAVAILABLE.
    """
    waiting = Waiting()
    server = make_server(waiting.infer, drain_seconds=0.05, transport=transport)
    async with connect(str(await server.start())) as channel:
        accepted = asyncio.ensure_future(channel.unary_unary(INFER)(b"wait"))
        await waiting.entered.wait()
        await server.stop()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await accepted
        expected = grpc.StatusCode.CANCELLED if transport == "native" else grpc.StatusCode.UNAVAILABLE
        assert raised.value.code() is expected


async def test_watchers_of_health_do_not_hold_up_the_stop(transport: str) -> None:
    """A health Watch says NOT_SERVING and ends, so that the stop needs none of its time."""
    server = make_server(drain_seconds=60.0, transport=transport)
    await server.start()
    await server.set_serving(serving=True)
    async with connect(str(server.endpoint)) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        last = asyncio.ensure_future(watch.read())  # grpc gives no message to who asks for it after the stream's end
        await asyncio.sleep(0)
        await asyncio.wait_for(server.stop(), 30)
        assert (await last).status == health_pb2.HealthCheckResponse.NOT_SERVING
