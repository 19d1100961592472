"""Several processes of one service on one port: starts them, replaces those that die, ends them together.

The supervisor answers no call and never imports grpc. It holds the port without listening on it, so that nobody else
takes it while workers come and go; the system deals connections out to the workers that listen. Each worker reads the
standard input that it is given: it ends when the supervisor is gone, however that ended, and the worker then drains.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.settings import Endpoint, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = structlog.get_logger()

START_SECONDS = 60.0
EXIT_SECONDS = 10.0
"""What a worker may take to end beyond the time for accepted calls: its last report, its files."""

STEADY_SECONDS = 10.0
"""A worker that lived this long is replaced at once when it dies."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


class Port:
    """A TCP port that this process keeps for others, without listening on it.

    Args:
        listen: Host and port; port 0 lets the system choose.

    Attributes:
        endpoint: Host and port that were bound.

    Raises:
        SettingsError: The port is taken or not permitted, or the host is unknown.
    """

    def __init__(self, listen: Endpoint) -> None:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:  # a port that others share would be shared with them
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.bind(address)
        except OSError as error:
            raise SettingsError(f"cannot listen on {listen}: {error.strerror}") from error
        self.endpoint = Endpoint(listen.host, self._socket.getsockname()[1])

    def close(self) -> None:
        """Give the port up."""
        self._socket.close()


@dataclass(slots=True)
class _Worker:
    number: int
    process: asyncio.subprocess.Process | None = None
    started: float = 0.0
    pause: float = 0.0
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs the workers of a service until a signal.

    Args:
        name: Name of the service, as its processes announce it.
        command: Command line of a worker.
        environments: Environment of each worker; their number is the number of workers.
        endpoint: Where all of them listen.
        drain_seconds: How long accepted calls may go on after the signal to stop.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        environments: Sequence[Mapping[str, str]],
        endpoint: Endpoint,
        drain_seconds: float,
    ) -> None:
        self._name = name
        self._command = list(command)
        self._environments = list(environments)
        self._endpoint = endpoint
        self._drain_seconds = drain_seconds
        self._workers = [_Worker(number) for number in range(1, len(environments) + 1)]
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Start all workers, announce them, keep them running, and stop them at SIGTERM or SIGINT.

        Returns the exit code: 0, or 1 when a worker did not start at first or had to be killed at the end.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        keepers = [asyncio.create_task(self._keep(worker)) for worker in self._workers]
        stopping = asyncio.create_task(self._stopping.wait())
        failed = not await self._started(keepers, stopping)
        if not failed and not self._stopping.is_set():
            sys.stdout.write(f"listening {self._name} {self._endpoint}\n")
            sys.stdout.flush()
            log.info("workers_started", service=self._name, address=str(self._endpoint), workers=len(self._workers))
            await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        killed = await self._stop()
        await asyncio.gather(stopping, *keepers)
        log.info("workers_stopped", service=self._name)
        return int(failed or killed)

    async def _started(self, keepers: list[asyncio.Task[None]], stopping: asyncio.Task[bool]) -> bool:
        """Wait until every worker listens; False when one ended before it did, or it takes too long."""
        ready = asyncio.create_task(self._all_ready())
        waiting = [ready, stopping, *keepers]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=START_SECONDS)
        started = ready.done() or stopping.done()
        ready.cancel()
        if not started:
            log.error("workers_not_started", service=self._name)
        return started

    async def _all_ready(self) -> None:
        for worker in self._workers:
            await worker.ready.wait()

    async def _keep(self, worker: _Worker) -> None:
        """Run a worker, and another in its place whenever it dies; returns when the first one did not start."""
        while not self._stopping.is_set():
            announced = await self._run(worker)
            if self._stopping.is_set():
                return
            if not announced and not worker.ready.is_set():
                return
            self._ended(worker)
            try:
                async with asyncio.timeout(worker.pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def _ended(self, worker: _Worker) -> None:
        """Decide how long to wait before a dead worker is replaced: longer each time that it dies young."""
        lived = time.monotonic() - worker.started
        longer = min(max(worker.pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        worker.pause = 0.0 if lived >= STEADY_SECONDS else longer
        code = None if worker.process is None else worker.process.returncode
        log.warning("worker_ended", worker=worker.number, code=code, lived_seconds=round(lived, 1), pause=worker.pause)

    async def _run(self, worker: _Worker) -> bool:
        """Run one process to its end; returns whether it came to listen."""
        worker.started = time.monotonic()
        process = worker.process = await asyncio.create_subprocess_exec(
            *self._command,
            env=dict(self._environments[worker.number - 1]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C must reach only the supervisor, which then stops the workers
        )
        if self._stopping.is_set():  # the signal came while the process was made
            _terminate(process)
        assert process.stdout is not None
        announced = False
        while line := await process.stdout.readline():
            if line.decode(errors="replace").split()[:2] == ["listening", self._name]:
                announced = True
                worker.ready.set()
                log.info("worker_started", worker=worker.number, pid=process.pid)
        await process.wait()
        return announced

    async def _stop(self) -> bool:
        """Ask all workers to drain and wait; returns whether one had to be killed."""
        processes = [worker.process for worker in self._workers if worker.process is not None]
        for process in processes:
            _terminate(process)
        waits = [asyncio.create_task(process.wait()) for process in processes]
        if not waits:
            return False
        _, pending = await asyncio.wait(waits, timeout=self._drain_seconds + EXIT_SECONDS)
        if not pending:
            return False
        late = [process for process in processes if process.returncode is None]
        log.error("workers_killed", pids=[process.pid for process in late])
        for process in late:
            process.kill()
        await asyncio.gather(*pending)
        return True


def _terminate(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
