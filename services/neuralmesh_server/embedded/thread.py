"""A thread with a loop that does what other threads hand to it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class ClosedError(Exception):
    """The thread has ended, and did not do the work or not all of it."""


class LoopThread:
    """Runs coroutines for any thread but its own, until `close`."""

    def __init__(self, name: str) -> None:
        self._loop = uvloop.new_event_loop()
        self._lock = threading.Lock()
        self._open = True
        self._waiting: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns, or raise what it raises; it is cancelled when nobody waits any more.

        Raises:
            ClosedError: `close` was called before it was done.
        """
        with self._lock:
            if not self._open:
                work.close()
                raise ClosedError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._waiting.add(future)
        try:
            return future.result()
        except CancelledError:
            raise ClosedError from None
        except BaseException:
            future.cancel()
            raise
        finally:
            self._waiting.discard(future)

    def close(self, last: Coroutine[Any, Any, None] | None = None, *, patience: float = 0.0) -> None:
        """Take nothing more, let what was taken end, do one thing more, and end the thread.

        Args:
            last: What is done when everything else is.
            patience: Seconds after which what was taken is cancelled.
        """
        with self._lock:
            self._open = False
            waiting = set(self._waiting)
        wait(waiting, timeout=patience)
        for future in waiting:
            future.cancel()
        try:
            if last is not None:
                asyncio.run_coroutine_threadsafe(last, self._loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(self._loop.shutdown_default_executor(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
