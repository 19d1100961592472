"""Runs of plain requests in threads: those that are foreseen, too long for the loop, and too short to need an end.

Only what may run at once runs here, in the place that `lanes` would give it; everything else waits where all wait.
Belongs to the loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from neuralmesh_server.inference.serving import LoadedModel, Route
    from neuralmesh_server.inference.traffic.lanes import Lanes

T = TypeVar("T")


class Aside:
    """Runs one piece of work in a thread and hands its result back to the loop.

    Args:
        threads: What runs it.
        lanes: What says whether one is free.
    """

    def __init__(self, threads: Executor, lanes: Lanes) -> None:
        self._threads = threads
        self._lanes = lanes

    def run(
        self,
        route: Route,
        loaded: LoadedModel,
        size: tuple[int, int],
        work: Callable[[], T],
        done: Callable[[T | None], bytes | None],
    ) -> asyncio.Future[bytes | None] | None:
        """Return what `done` will make of the work's result, on the loop; None where the request has to wait.

        Args:
            route: What the request asked for.
            loaded: What answers.
            size: Rows and bytes of the request.
            work: What runs in the thread.
            done: Called with its result; with None where it failed, or nobody waits any more.
        """
        place = self._lanes.place(route.policy, loaded, *size, shared=route.shared)
        if place is None:
            return None
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes | None] = loop.create_future()

        def finish(result: T | None) -> None:
            place.release()
            made = done(None if answer.done() else result)
            if not answer.done():
                answer.set_result(made)

        def run() -> None:
            result: Any = None
            try:
                result = work()
            finally:  # what failed is told by the ordinary way, which fails alike
                if not loop.is_closed():
                    loop.call_soon_threadsafe(finish, result)

        self._threads.submit(run)
        return answer
