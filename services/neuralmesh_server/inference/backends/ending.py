"""Ends work in threads from outside: a run whose length depends on values cannot be foreseen, only ended.

A thread cannot be killed. What runs in it is asked to end, and its caller stops waiting whether or not it obeys.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

T = TypeVar("T")


class EndedError(Exception):
    """The work was ended before it was done."""


class Ending:
    """Asks the work of one thread to end, from any other thread.

    Attributes:
        ended: True as soon as the work is to end.
    """

    __slots__ = ("_action", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._action: Callable[[], None] | None = None

    def by(self, action: Callable[[], None]) -> None:
        """Say how to end what the thread does next.

        Raises:
            EndedError: It is to end already.
        """
        # Either this sees `ended`, or `end` sees the action: each writes before it looks.
        self._action = action
        if self.ended:
            raise EndedError

    def end(self) -> None:
        """Ask the work to end; asking again does no harm."""
        self.ended = True
        if self._action is not None:
            self._action()


class Place(Protocol):
    """What a thread occupies; see `admission.Admitted`."""

    def hold(self) -> None:
        """Occupy it once more."""

    def release(self) -> None:
        """Occupy it once less; on the loop."""


class Ended:
    """Runs work in threads and waits for each piece no longer than it may take; belongs to the loop."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._waiting: dict[asyncio.Future[None], Ending] = {}

    async def run(self, work: Callable[[Ending], T], seconds: float, place: Place | None = None) -> T:
        """Return what the work returns; the time counts from now, with the wait for a thread.

        Args:
            work: What to run.
            seconds: How long it may take.
            place: What is held until the thread is free again, which may be long after its caller gave up.

        Raises:
            EndedError: The time is over, or `close` was called.
        """
        loop = asyncio.get_running_loop()
        ending = Ending()
        waiter: asyncio.Future[None] = loop.create_future()
        running = self._threads.submit(work, ending)
        running.add_done_callback(lambda done: _wake(loop, waiter, done))
        if place is not None:
            place.hold()
            running.add_done_callback(lambda _: _release(loop, place))
        timer = loop.call_later(max(seconds, 0.0), _give_up, waiter)
        self._waiting[waiter] = ending
        try:
            await waiter
        except BaseException:  # the time is over, or nobody waits for the answer any more
            running.cancel()
            ending.end()
            raise
        finally:
            timer.cancel()
            del self._waiting[waiter]
        return running.result()

    def close(self) -> None:
        """End everything that runs."""
        for waiter in self._waiting:
            _give_up(waiter)


def _release(loop: asyncio.AbstractEventLoop, place: Place) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(place.release)


def _wake(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None], done: Future[T]) -> None:
    if not done.cancelled() and not loop.is_closed():
        loop.call_soon_threadsafe(_done, waiter)


def _done(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(EndedError())
