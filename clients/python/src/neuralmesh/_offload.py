"""What differs between the two colours beyond await, so that one client can be generated from the other."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

P = ParamSpec("P")
R = TypeVar("R")


async def offload_async(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run blocking work in a thread, so that the loop goes on."""
    return await asyncio.to_thread(function, *args, **kwargs)


def offload_sync(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run blocking work."""
    return function(*args, **kwargs)


async def pause_async(seconds: float) -> None:
    """Wait before a further attempt."""
    await asyncio.sleep(seconds)


def pause_sync(seconds: float) -> None:
    """Wait before a further attempt."""
    time.sleep(seconds)


class BrokenOffError(Exception):
    """A call ended while its requests were sent, and nobody had cancelled it."""


async def answered_async(call: Awaitable[R]) -> R:
    """Return the answer of a call with a stream of requests.

    Where such a call breaks off between two requests, grpc cancels it by itself, which looks to whoever waits as if the
    task were cancelled. A task that nobody cancels tells the two apart.

    Raises:
        BrokenOffError: See the class.
    """
    try:
        return await call
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokenOffError from None


def answered_sync(call: R) -> R:
    """Return the answer of a call with a stream of requests, which is there already."""
    return call


def noting(requests: Iterable[R], failures: list[Exception]) -> Iterator[R]:
    """Yield the requests; what fails in making one is put into a list, since grpc swallows it."""
    try:
        yield from requests
    except Exception as error:
        failures.append(error)
        raise
