"""Wakes a coroutine at a point in time, to some tens of microseconds.

Event loops round their timers to whole milliseconds, which would bend a schedule of several thousand requests a second.
A timerfd of Linux has no such grain, and epoll reports it as it reports a socket. Elsewhere the loop's own timer does.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from typing import Protocol

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = 0o2004000
_ABSOLUTE = 1
_NANOSECONDS = 1_000_000_000


class Pacer(Protocol):
    """Waits until a point of time.monotonic()."""

    async def until(self, moment: float) -> None:
        """Return at the moment or as soon after it as the loop permits."""

    def close(self) -> None:
        """Release what it holds."""


class LoopPacer:
    """Waits on the event loop's timer."""

    async def until(self, moment: float) -> None:
        """Return at the moment, up to about a millisecond late."""
        await asyncio.sleep(max(0.0, moment - time.monotonic()))

    def close(self) -> None:
        """Hold nothing."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerPacer:
    """Waits on a timerfd in the running loop.

    Raises:
        OSError: The system has no timer for it.
    """

    def __init__(self) -> None:
        self._system = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._system.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._timer = _Timer()
        self._woken: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._wake)

    async def until(self, moment: float) -> None:
        """Return at the moment; one that has passed lets others run once."""
        if moment <= time.monotonic():
            await asyncio.sleep(0)
            return
        seconds, nanoseconds = divmod(int(moment * _NANOSECONDS), _NANOSECONDS)
        self._timer.value.seconds, self._timer.value.nanoseconds = seconds, nanoseconds
        self._woken = self._loop.create_future()
        self._system.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(self._timer), None)
        await self._woken

    def close(self) -> None:
        """Leave the loop and close the timer."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _wake(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


def make_pacer() -> Pacer:
    """Return the finest pacer that the system has; call it inside the loop that uses it."""
    return TimerPacer() if sys.platform == "linux" else LoopPacer()
