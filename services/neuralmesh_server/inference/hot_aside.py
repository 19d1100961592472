"""Runs of plain requests in threads: those that are foreseen, too long for the loop, and too short to need an end.

Only what may run at once runs here, in the place that `lanes` would give it; everything else waits where all wait. The
threads are its own: what an executor does around each piece of work costs as much as everything else on this way.
Belongs to the loop.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.inference.serving import LoadedModel, Route
    from neuralmesh_server.inference.traffic.lanes import Lanes

T = TypeVar("T")


class Aside:
    """Runs pieces of work in threads and hands their results back to the loop.

    Args:
        lanes: What says whether there is a place for one.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = 0

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
            self._running -= 1
            place.release()
            try:
                made = done(None if answer.done() else result)
            except Exception as error:  # noqa: BLE001 - the edge's to tell: nobody else waits for this callback
                if not answer.done():
                    answer.set_exception(error)
                return
            if not answer.done():
                answer.set_result(made)

        def run() -> None:
            result: Any = None
            with suppress(Exception):  # the ordinary way fails alike and says why
                result = work()
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, result)

        self._running += 1
        if self._running > len(self._threads):  # as many as there may be places at most
            thread = threading.Thread(target=_serve, args=(self._work,), name=f"aside_{len(self._threads)}")
            self._threads.append(thread)
            thread.start()
        self._work.put(run)
        return answer

    def close(self) -> None:
        """End the threads, when what they do is done; waits for them."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()


def _serve(work: SimpleQueue[Callable[[], None] | None]) -> None:
    while (piece := work.get()) is not None:
        piece()
        del piece  # it holds a request
