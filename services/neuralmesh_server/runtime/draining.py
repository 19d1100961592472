"""The end of a server: accepted calls finish, all others are refused with UNAVAILABLE, which says that nothing ran.

grpc's own stop answers calls that it has read and not yet handed out with CANCELLED (grpc issue 41785), which callers
must not repeat. So before it is used, calls are refused here for as long as accepted ones run; then no more is read
from the connections, what was read is refused, and only then grpc closes them. It knows connections by the port alone.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from neuralmesh_server.errors import UnavailableError
from neuralmesh_server.runtime.status import to_status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUIET_SECONDS = 0.02
"""When no call was handed out for this long, none that was read is left."""

LONGEST_WAIT_SECONDS = 1.0
"""Calls that come over Unix sockets, or by new connections, are not waited for longer than this."""

_UNREADABLE = 2**31 - 1
_CALL_COROUTINE = "_schedule_rpc_coro"


class Refusal(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Stands before all other handlers: lets every call pass until `begin`, then refuses every call."""

    def __init__(self) -> None:
        self._refusing = False
        self._refused = 0
        self._handler = grpc.stream_stream_rpc_method_handler(_refuse)

    def begin(self) -> None:
        """Refuse from now on."""
        self._refusing = True

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        """Return the handler of a call: none of ours, or the one that refuses."""
        del handler_call_details
        if not self._refusing:
            return None
        self._refused += 1
        return self._handler

    async def quiet(self) -> None:
        """Return when no further call is handed out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                before = -1
                while before != self._refused:
                    before = self._refused
                    await asyncio.sleep(QUIET_SECONDS)  # there is no event that says that nothing happens


async def accepted_calls_done(seconds: float) -> None:
    """Return when the calls that run now are done, or when the time is over."""
    calls = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == _CALL_COROUTINE]
    if calls:
        await asyncio.wait(calls, timeout=seconds)


def stop_reading(port: int) -> None:
    """Let the system wake nobody for what arrives on this process's TCP connections of a port.

    Bytes stay in the system's buffers, so that whoever sent them sees a connection that closed before they were read.
    """
    if sys.platform != "linux":
        return
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # a descriptor that another thread has closed by now
            _stop_reading_from(int(entry.name), port)


def _stop_reading_from(descriptor: int, port: int) -> None:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return
    with socket.socket(fileno=os.dup(descriptor)) as found:
        if found.family in {socket.AF_INET, socket.AF_INET6} and found.getsockname()[1] == port:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _UNREADABLE)


async def _refuse(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
    del requests
    await context.abort_with_status(to_status(UnavailableError("NOT_SERVING", "this server is stopping")))
    yield b""  # never reached; it makes this a stream
