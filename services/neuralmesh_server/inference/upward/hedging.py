"""A second run of what takes long here, at the node further up: whichever answers first answers the caller.

Both sides run the very same digest, so that it does not matter which one answers; a share of the pairs is awaited in
full to prove it. A run is hedged when it takes longer than nearly all others of its version did, and never more than
one call in twenty, so that a slow node does not double the load of the one above it. Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.upstreams.link import UpstreamError
from neuralmesh_server.inference.upward.recent import RecentBy

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from neuralmesh_server.inference.backends.execution import Output
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.traffic.lanes import Result
    from neuralmesh_server.inference.upstreams.link import Reply
    from neuralmesh_server.inference.upward.counts import Counts

log = structlog.get_logger()

SHORTEST_SECONDS = 0.002
"""No run is hedged sooner."""
CALLS_PER_HEDGE = 20
"""Calls for each hedge that they permit."""
MOST_SAVED = 10
"""Hedges that calls which needed none permit to those that follow."""
COMPARE_EVERY = 16
"""Of the hedges of versions that repeat bit for bit, one in so many is awaited on both sides and compared."""

BITS = "bits"


class Tokens:
    """Permits one hedge for every `CALLS_PER_HEDGE` calls, and saves up few."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls = 0

    def called(self) -> None:
        """Take note of a call."""
        self._calls = min(self._calls + 1, CALLS_PER_HEDGE * MOST_SAVED)

    def take(self) -> bool:
        """Take a hedge, if there is one."""
        if self._calls < CALLS_PER_HEDGE:
            return False
        self._calls -= CALLS_PER_HEDGE
        return True


class Above(Protocol):
    """The node further up; see `forwarding.Forwarding`."""

    def may_ask(self, request: Request, caller: Caller) -> bool:
        """Say whether hops and time permit to ask."""

    async def ask(self, request: Request, caller: Caller, digest: str) -> bytes:
        """Return its answer from a version of a digest; raises UpstreamError."""


class Hedging:
    """Hedges runs.

    Args:
        above: Who else may run them.
        counts: What is counted.
        read: Returns what stands in the bytes of an upstream's answer; raises UpstreamError.
    """

    def __init__(self, above: Above, counts: Counts, read: Callable[[bytes], Reply]) -> None:
        self._above = above
        self._counts = counts
        self._read = read
        self._tokens = Tokens()
        self._took = RecentBy()
        self._comparing: set[asyncio.Task[None]] = set()
        self._compared: set[asyncio.Task[Result]] = set()

    async def run(
        self, loaded: LoadedModel, request: Request, caller: Caller, local: Coroutine[None, None, Result]
    ) -> Result | bytes:
        """Return the result of a run here, or the bytes of the upstream's answer where that came first.

        Raises:
            NeuralMeshError: What the run here raises, where the upstream does not answer either.
        """
        started = time.monotonic()
        took = self._took.of(loaded.activity.owner)
        ran = False
        self._tokens.called()
        here = asyncio.create_task(local)
        try:
            done, _ = await asyncio.wait([here], timeout=max(took.p95(), SHORTEST_SECONDS))
            if done or not self._above.may_ask(request, caller) or not self._tokens.take():
                answer: Result | bytes = await here
            else:
                answer = await self._race(loaded, request, caller, here)
            ran = True
            return answer
        finally:
            seconds = time.monotonic() - started  # at least this long, where the upstream was first
            if ran or seconds > took.p95():  # what failed, or was given up, sooner than most says nothing of a run
                took.add(seconds)
            if here not in self._compared:
                here.cancel()

    async def close(self) -> None:
        """Compare nothing more."""
        for task in self._comparing:
            task.cancel()
        await asyncio.gather(*self._comparing, return_exceptions=True)

    async def _race(
        self, loaded: LoadedModel, request: Request, caller: Caller, here: asyncio.Task[Result]
    ) -> Result | bytes:
        compared = loaded.runner.exact == BITS and self._counts.hedged % COMPARE_EVERY == 0
        self._counts.hedged += 1
        there = asyncio.create_task(self._above.ask(request, caller, loaded.digest))
        try:
            first = await _first(here, there)
        except asyncio.CancelledError:
            there.cancel()
            raise
        if compared and first is not None:
            self._compare_later(loaded, here, there)
        else:
            there.cancel()
        if first is there:
            self._counts.hedges_won += 1
            return there.result()
        return await here

    def _compare_later(self, loaded: LoadedModel, here: asyncio.Task[Result], there: asyncio.Task[bytes]) -> None:
        self._compared.add(here)
        task = asyncio.create_task(self._compare(loaded, here, there))
        self._comparing.add(task)
        task.add_done_callback(self._comparing.discard)
        task.add_done_callback(lambda _: self._compared.discard(here))

    async def _compare(self, loaded: LoadedModel, here: asyncio.Task[Result], there: asyncio.Task[bytes]) -> None:
        """Await both sides and count whether they gave the same bits; a side that failed says nothing."""
        try:
            result, reply = await here, self._read(await there)
        except (NeuralMeshError, UpstreamError):
            return
        finally:
            here.cancel()
            there.cancel()
        self._counts.hedges_compared += 1
        if not same(result.outputs, reply):
            self._counts.hedges_different += 1
            log.error("hedge_differs", model=loaded.model, version=loaded.version, digest=loaded.digest)


async def _first(
    here: asyncio.Task[Result], there: asyncio.Task[bytes]
) -> asyncio.Task[Result] | asyncio.Task[bytes] | None:
    """Return who answered first, this side before the other one; None where neither did."""
    waiting: set[asyncio.Task[Result] | asyncio.Task[bytes]] = {here, there}
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answered = {task for task in done if not task.cancelled() and task.exception() is None}
        if here in answered:
            return here
        if there in answered:
            return there
    return None


def same(outputs: Sequence[Output], reply: Reply) -> bool:
    """Say whether the outputs of an answer, which may be some of all, have the bits of those that ran here."""
    known = {output.name: output for output in outputs}
    for one in reply.outputs:
        own = known.get(one.name)
        if own is None or one.raw is None or (own.datatype, own.shape) != (one.datatype, one.shape):
            return False
        if own.raw != one.raw:
            return False
    return bool(reply.outputs)
