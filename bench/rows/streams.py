"""ModelStreamInfer beside ModelInfer, both from a Python program on asyncio, with as many requests under way."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import uvloop

from bench import models
from bench.answers import Answers, rate
from bench.figures import least, ratio, turned
from bench.setting import AnswerError
from neuralmesh import AsyncClient
from neuralmesh_server.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.figures import Check, Rounds
    from bench.setting import Setting

UNARY, STREAM = "unary", "streams"
MESSAGES = 10_000
STREAMS = {1: 1, 16: 4}
"""Streams that stand against so many unary callers; each has so many messages under way that the sum is the same."""

SCALE = 7


class Streams:
    """1.5 times unary with four streams at 16, 1.1 times with one stream at one."""

    name = "streams"
    measure = "four streams x 10,000 messages, and one stream, against unary"
    rounds = 5
    seconds = 30.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def prepare(self) -> list[str]:
        """Serve the packed network and warm both ways up."""
        setting = self._setting
        setting.served_packed()
        self._address = setting.suite.addresses["inference"]
        self._process = setting.suite.processes["inference"]
        images = setting.models.data.held_out_images
        self._requests = [models.request("packed", images[place : place + 1]) for place in range(256)]
        for clients in STREAMS:
            uvloop.run(self._unary(clients, 300))
            uvloop.run(self._stream(clients, 300))
        return ["AsyncClient on both sides; one stream has 1 message under way, each of four has 4"]

    def pair(self, number: int) -> list[Answers]:
        """Run unary and streams at one and at 16 requests under way, with as many requests."""
        samples = []
        for clients, streams in STREAMS.items():
            messages = self._setting.some(MESSAGES) * streams
            samples += [uvloop.run(way(clients, messages)) for way in turned((self._unary, self._stream), number)]
        return samples

    def verdict(self, rounds: Rounds) -> list[Check]:
        """Compare answers a second."""
        return [
            least("four streams, of unary at c = 16", ratio(rounds, STREAM, UNARY, rate, 16), 1.5),
            least("one stream, of unary at c = 1", ratio(rounds, STREAM, UNARY, rate, 1), 1.1),
        ]

    async def _unary(self, clients: int, messages: int) -> Answers:
        latencies = Histogram(SCALE)
        async with AsyncClient(inference=self._address) as client:

            async def caller(number: int) -> None:
                for place in range(number, messages, clients):
                    sent = time.perf_counter()
                    answer = await client.inference.model_infer(self._requests[place % len(self._requests)])
                    latencies.record(time.perf_counter() - sent)
                    _check(answer)

            await client.inference.server_live()
            return await self._timed(UNARY, clients, messages, latencies, [caller(n) for n in range(clients)])

    async def _stream(self, clients: int, messages: int) -> Answers:
        latencies, streams = Histogram(SCALE), STREAMS[clients]
        depth = clients // streams
        async with AsyncClient(inference=self._address) as client:

            async def stream(number: int) -> None:
                free, sent = asyncio.Semaphore(depth), []

                async def requests() -> AsyncIterator[bytes]:
                    for place in range(number, messages, streams):
                        await free.acquire()
                        sent.append(time.perf_counter())
                        yield self._requests[place % len(self._requests)]

                count = 0
                async for answer in client.inference.model_stream_infer(requests()):
                    latencies.record(time.perf_counter() - sent[count])
                    count += 1
                    free.release()
                    if answer.error_message:
                        raise AnswerError(f"in the stream: {answer.error_message}")
                    _check(answer.infer_response)
                if count != len(sent):
                    raise AnswerError(f"{count} answers to {len(sent)} messages")

            await client.inference.server_live()
            return await self._timed(STREAM, clients, messages, latencies, [stream(n) for n in range(streams)])

    async def _timed(self, side: str, clients: int, messages: int, latencies: Histogram, work: list[Any]) -> Answers:
        worked, started = self._process.cpu_seconds(), time.perf_counter()
        await asyncio.gather(*work)
        seconds, worked = time.perf_counter() - started, self._process.cpu_seconds() - worked
        return Answers(
            side,
            clients,
            messages / seconds,
            latencies.quantile(0.5) * 1e6,
            latencies.quantile(0.99) * 1e6,
            worked / messages * 1e6,
        )


def _check(answer: Any) -> None:
    if len(answer.raw_output_contents) != 2:
        raise AnswerError(f"an answer has {len(answer.raw_output_contents)} outputs and not 2")
