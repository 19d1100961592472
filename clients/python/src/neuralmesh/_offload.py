"""Blocking work and pauses in both colours, so that one client can be generated from the other."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

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
