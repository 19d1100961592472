"""Shadows: copies of answered requests, run on another version and compared with the answer.

A caller never notices: its answer is ready before the copy is taken, taking one does not wait, and a copy fails alone.
Copies wait in a short queue for each alias and run one after the other in threads of their own, so that a shadow that
is slow, or never ends, costs copies (which are counted as dropped) and nothing else. Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference import inputs as reading
from neuralmesh_server.inference.backends.execution import Execution
from neuralmesh_server.inference.policy import DEFAULT
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.traffic import agreement
from neuralmesh_server.inference.traffic.lanes import Lanes
from neuralmesh_server.inference.traffic.rollout import unit_hash, within

if TYPE_CHECKING:
    from neuralmesh_server.inference.answering import Answer
    from neuralmesh_server.inference.reporting.rollout_activity import RolloutActivity
    from neuralmesh_server.inference.request import Request
    from neuralmesh_server.inference.traffic.rollout import Rollout

log = structlog.get_logger()

MAX_COPIES = 64
"""Most copies of one alias that wait."""
MAX_BYTES = 64 * 1024 * 1024
"""Most bytes of all copies that wait."""
MAX_SECONDS = 10.0
"""The longest that a copy may run."""
THREADS = 2
"""How many copies run at once in threads."""
INLINE_BYTES = 64 * 1024
"""Answers of fewer bytes are compared on the loop."""


@dataclass(frozen=True, slots=True)
class _Copy:
    rollout: Rollout
    request: Request
    answer: Answer
    hops: int
    size: int


@dataclass(slots=True)
class _Queue:
    waiting: deque[_Copy] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Shadows:
    """Runs copies.

    Args:
        activity: What counts.
        max_seconds: The longest that a copy may run.
    """

    def __init__(self, activity: RolloutActivity, max_seconds: float = MAX_SECONDS) -> None:
        self._activity = activity
        self._max_seconds = max_seconds
        self._threads = ThreadPoolExecutor(THREADS, "shadow", initializer=_step_back)
        self._execution = Execution(self._threads, max_seconds)
        self._lanes = Lanes(self._execution, THREADS)
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._bytes = 0
        self._closed = False

    def copy(self, rollout: Rollout, request: Request, answer: Answer, caller: Caller) -> None:
        """Take a copy of a request that the stable arm answered, if it falls into the shadow's share.

        Which requests do follows from the prediction id, so that it can be told afterwards.
        """
        key = (rollout.model, rollout.alias)
        if self._closed or not rollout.shadow_version:
            return
        if not within(unit_hash(b"shadow", answer.prediction_id.encode()), rollout.shadow_ppm):
            return
        size = len(request.data) + len(answer.data) + sum(len(output.raw) for output in answer.outputs)
        queue = self._queues.get(key, _Queue())
        if rollout.shadow is None or len(queue.waiting) >= MAX_COPIES or self._bytes + size > MAX_BYTES:
            self._activity.shadow(rollout).dropped += 1
        else:
            queue.waiting.append(_Copy(rollout, request, answer, caller.hops, size))
            self._bytes += size
        if queue.task is None and queue.waiting:
            self._queues[key] = queue
            queue.task = asyncio.create_task(self._work(queue))
            queue.task.add_done_callback(lambda task: self._done(key, task))

    async def settle(self) -> None:
        """Return when no copy waits or runs."""
        while tasks := [queue.task for queue in self._queues.values() if queue.task is not None]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Take no copies any more; those that wait or run count as dropped."""
        self._closed = True
        for queue in self._queues.values():
            if queue.task is not None:
                queue.task.cancel()
        await self.settle()
        self._lanes.close()
        self._execution.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _work(self, queue: _Queue) -> None:
        """Run the copies of one alias, one after the other, behind whatever else the loop has to do."""
        while queue.waiting:
            await asyncio.sleep(0)
            copy = queue.waiting[0]
            await self._one(copy)
            queue.waiting.popleft()
            self._bytes -= copy.size

    def _done(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        """Forget a queue whose worker ended; what it leaves was not run."""
        queue = self._queues.pop(key)
        for copy in queue.waiting:
            self._bytes -= copy.size
            self._activity.shadow(copy.rollout).dropped += 1
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("shadow_failed", model=key[0], alias=key[1], exc_info=error)

    async def _one(self, copy: _Copy) -> None:
        shadow, answer = copy.rollout.shadow, copy.answer
        assert shadow is not None  # copies are only taken for a shadow that is ready
        caller = Caller(deadline=time.monotonic() + self._max_seconds, hops=copy.hops)
        try:
            inputs = reading.read(shadow.loaded, copy.request)
            result = await self._lanes.run(DEFAULT, shadow.loaded, copy.request, inputs, caller)
        except NeuralMeshError:
            self._activity.shadow(copy.rollout).failed += 1
            return
        given = agreement.Side(answer.outputs, answer.loaded.label_index)
        found = agreement.Side(result.outputs, shadow.loaded.label_index)
        if copy.size < INLINE_BYTES:
            compared = agreement.compare(given, found, 1)
        else:
            loop = asyncio.get_running_loop()
            compared = await loop.run_in_executor(self._threads, agreement.compare, given, found, 1)
        counts = self._activity.shadow(copy.rollout)
        counts.compared += 1
        counts.agreed += compared.agrees
        counts.max_difference = max(counts.max_difference, compared.max_difference)


def _step_back() -> None:
    """Let this thread run when others do not want to; threads have priorities of their own on Linux alone."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
