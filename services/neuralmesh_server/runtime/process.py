"""The life of a server process: logs, loop, start, announcement, signals, drain.

A service's `app.py` offers an object with `start` and `stop`; `run` does the rest.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any, Protocol

import structlog
import uvloop

from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.settings import Endpoint

log = structlog.get_logger()


class App(Protocol):
    """A service, wired and ready to start."""

    name: str

    async def start(self) -> Endpoint:
        """Start serving; returns where."""

    async def stop(self) -> None:
        """Drain and close everything."""


def run(make_app: Callable[[], App], *, supervised: bool = False) -> None:
    """Run an app until SIGTERM or SIGINT, then drain it.

    Prints one line `listening {name} {host}:{port}` on standard output as soon as calls are answered; logs go to
    standard error. A supervised process also stops when its standard input ends, which its supervisor holds open.
    """
    uvloop.run(_run(make_app, supervised=supervised))


async def _run(make_app: Callable[[], App], *, supervised: bool = False) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if supervised:
        loop.add_reader(sys.stdin.fileno(), stop.set)
    app = make_app()
    try:
        endpoint = await app.start()
        log.info("service_started", service=app.name, address=str(endpoint))
        sys.stdout.write(f"listening {app.name} {endpoint}\n")
        sys.stdout.flush()
        await _stopped_or_failed(stop, getattr(app, "failure", None))
        log.info("service_stopping", service=app.name)
    except SettingsError:
        raise  # says everything there is to say
    except Exception:
        # The command line prints one line for whoever typed it; where it happened belongs in the log.
        log.exception("service_failed", service=app.name)
        raise
    finally:
        if supervised:
            loop.remove_reader(sys.stdin.fileno())
        await app.stop()
    log.info("service_stopped", service=app.name)


async def _stopped_or_failed(stop: asyncio.Event, failure: asyncio.Future[None] | None) -> None:
    """Return at the signal to stop; raise when the app says, by its optional `failure`, that it cannot go on."""
    stopping = asyncio.ensure_future(stop.wait())
    waiting: list[asyncio.Future[Any]] = [stopping] if failure is None else [stopping, failure]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if failure is not None and failure.done():
            failure.result()
    finally:
        stopping.cancel()
