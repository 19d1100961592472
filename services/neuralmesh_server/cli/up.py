"""`neuralmesh up`: the three services as three processes, until Ctrl-C.

It spawns the commands that docker-compose.yml runs and tells them their settings in the environment, as that file does.
Each service logs to a file under the data folder. One that ends is started again where it was, and the others go on
meanwhile; one that does not stay ends all of them, and the exit code says so. When this process is killed, its services
stop.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuralmesh_server.cli import exit_codes
from neuralmesh_server.cli.environment import overlay
from neuralmesh_server.settings import INFERENCE_PORT, Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICES = ("registry", "metrics", "inference")
"""In the order in which they start; they stop in reverse, so that a node can send its last telemetry."""

START_SECONDS = 60.0
STOP_SECONDS = 20.0

STEADY_SECONDS = 30.0
"""A service that lived this long has a clean record."""

MOST_DEATHS = 5
FIRST_PAUSE_SECONDS = 0.1
_LOG_TAIL = 5
_PR_SET_PDEATHSIG = 1


def service_commands(python: str = "python") -> dict[str, list[str]]:
    """Return the command line of each service, which docker-compose.yml uses too."""
    return {name: [python, "-m", "neuralmesh_server", name] for name in SERVICES}


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the services; 0 lets the system choose, and `http` None switches Prometheus off."""

    inference: int
    http: int | None
    registry: int
    metrics: int

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """Return the ports from a base in the order of the defaults: inference, HTTP, registry, metrics."""
        return cls(base, base + 1, base + 2, base + 3)

    @classmethod
    def ephemeral(cls) -> Ports:
        """Return ports that the system chooses."""
        return cls(0, None, 0, 0)


def up(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of everything that is kept.")] = Path("data"),
    port_base: Annotated[
        int, typer.Option(min=1024, max=65532, help="First of four ports: inference, HTTP, registry, metrics.")
    ] = INFERENCE_PORT,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Let the system choose the ports.")] = False,  # noqa: FBT002
    node: Annotated[str, typer.Option(metavar="NAME", help="Name of the inference node.")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of the inference node (NEURALMESH_INFERENCE_WORKERS).")
    ] = None,
) -> None:
    """Run the three services on loopback until Ctrl-C."""
    ports = Ports.ephemeral() if ephemeral else Ports.from_base(port_base)
    code = asyncio.run(Suite(data, ports, node, workers).run())
    raise typer.Exit(code)


class Suite:
    """The three service processes.

    Args:
        data: Folder of everything that is kept.
        ports: Where to listen on 127.0.0.1.
        node: Name of the inference node.
        workers: Its processes; None leaves that to the environment.
    """

    def __init__(self, data: Path, ports: Ports, node: str, workers: int | None = None) -> None:
        self._data = data
        self._ports = ports
        self._node = node
        self._workers = workers
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._endpoints: dict[str, Endpoint] = {}

    async def run(self) -> int:
        """Start, announce, keep running until a signal or a service that does not stay; returns the exit code."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        work = asyncio.create_task(self._start_and_watch())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return exit_codes.OK
            sys.stderr.write(f"error: {work.result()}\n")
            return exit_codes.FAILED
        finally:
            for task in (work, stopping):
                task.cancel()
            await asyncio.gather(work, stopping, return_exceptions=True)
            await self._stop()

    async def _start_and_watch(self) -> str:
        """Start the services, keep them running, and return a sentence about the first one that does not stay."""
        (self._data / "logs").mkdir(parents=True, exist_ok=True)
        failure = await self._start()
        if failure:
            return failure
        self._announce()
        keepers = [asyncio.create_task(self._keep(name)) for name in SERVICES]
        try:
            done, _ = await asyncio.wait(keepers, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, name: str) -> str:
        """Start a service again whenever it ends; returns a sentence when it has died too often without a rest."""
        deaths = 0
        started = time.monotonic()
        while True:
            await self._processes[name].wait()
            deaths = 1 if time.monotonic() - started >= STEADY_SECONDS else deaths + 1
            if deaths == MOST_DEATHS:
                return f"{name} died {deaths} times; {self._ended(name)}"
            code = self._processes[name].returncode
            sys.stderr.write(f"{name} ended with exit code {code} and is started again\n")
            await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (deaths - 1))
            started = time.monotonic()
            await self._spawn(name)
            failure = await self._listening(name)
            if failure and self._processes[name].returncode is None:
                return failure

    async def _start(self) -> str:
        """Start the services and read where they listen; returns a sentence about a failure, or nothing."""
        await asyncio.gather(self._spawn("registry"), self._spawn("metrics"))
        if 0 not in {self._ports.registry, self._ports.metrics}:
            await self._spawn("inference")
        for name in SERVICES:
            if name not in self._processes:
                await self._spawn(name)
            failure = await self._listening(name)
            if failure:
                return failure
        return ""

    async def _spawn(self, name: str) -> None:
        command = service_commands(sys.executable)[name]
        with (self._data / "logs" / f"{name}.log").open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *command,
                env=overlay(self._environment(name)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # Ctrl-C must reach only this process, which stops the services in order.
                start_new_session=True,
                preexec_fn=_ends_with(os.getpid()),
            )

    def _environment(self, name: str) -> dict[str, str | None]:
        ports = self._ports
        data = str(self._data / name)
        if name == "registry":
            return {
                "NEURALMESH_REGISTRY_LISTEN": self._address("registry", ports.registry),
                "NEURALMESH_REGISTRY_DATA": data,
            }
        if name == "metrics":
            return {
                "NEURALMESH_METRICS_LISTEN": self._address("metrics", ports.metrics),
                "NEURALMESH_METRICS_HTTP": "" if ports.http is None else f"127.0.0.1:{ports.http}",
                "NEURALMESH_METRICS_DATA": data,
                "NEURALMESH_REGISTRY": self._address("registry", ports.registry),
            }
        return {
            "NEURALMESH_INFERENCE_LISTEN": self._address("inference", ports.inference),
            "NEURALMESH_INFERENCE_DATA": data,
            "NEURALMESH_NODE": self._node,
            "NEURALMESH_INFERENCE_WORKERS": None if self._workers is None else str(self._workers),
            "NEURALMESH_REGISTRY": self._address("registry", ports.registry),
            "NEURALMESH_METRICS": self._address("metrics", ports.metrics),
        }

    def _address(self, name: str, port: int) -> str:
        """Return where a service listened before, so that it comes back there, or else where it shall."""
        return str(self._endpoints.get(name, Endpoint("127.0.0.1", port)))

    async def _listening(self, name: str) -> str:
        """Wait for the line `listening {name} {host}:{port}` of a service."""
        output = self._processes[name].stdout
        assert output is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                while line := (await output.readline()).decode():
                    words = line.split()
                    if words[:2] == ["listening", name]:
                        self._endpoints[name] = Endpoint.parse(words[2], name=name)
                        return ""
        except TimeoutError:
            return f"{name} does not listen after {START_SECONDS:.0f} s"
        await self._processes[name].wait()
        return self._ended(name)

    def _ended(self, name: str) -> str:
        log = self._data / "logs" / f"{name}.log"
        tail = log.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
        lines = "".join(f"\n  {line}" for line in tail)
        return f"{name} ended with exit code {self._processes[name].returncode}; the end of {log}:{lines}"

    def _announce(self) -> None:
        sys.stdout.write(announcement(self._endpoints, self._ports, self._data))
        sys.stdout.flush()

    async def _stop(self) -> None:
        for name in reversed(SERVICES):
            process = self._processes.get(name)
            if process is None or process.returncode is not None:
                continue
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                sys.stderr.write(f"{name} did not stop within {STOP_SECONDS:.0f} s and is killed\n")
                process.kill()
                await process.wait()


def _ends_with(parent: int) -> Callable[[], None]:
    """Return what a new process runs before its command, so that it gets SIGTERM when its parent is gone."""
    libc = ctypes.CDLL(None)  # found here: between fork and exec there is time for the one call only

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it was gone before the call
            os._exit(1)

    return prepare


def announcement(endpoints: dict[str, Endpoint], ports: Ports, data: Path) -> str:
    """Return what `up` prints: where the services listen and what to type next."""
    lines = ["Neural Mesh is up; Ctrl-C stops it.", ""]
    lines += [f"  {name:<10} {endpoints[name]}" for name in ("registry", "inference", "metrics")]
    if ports.http is not None:
        lines.append(f"  {'prometheus':<10} http://127.0.0.1:{ports.http}/metrics")
    lines += [f"  {'data':<10} {data}   (logs in {data / 'logs'})", "", "Next, in another terminal:", ""]
    if ports != Ports.from_base(INFERENCE_PORT):
        lines += [
            f"  export NEURALMESH_{name.upper()}={endpoints[name]}" for name in ("registry", "inference", "metrics")
        ]
    lines += [
        "  neuralmesh push digits model.onnx --reason 'first try'",
        "  neuralmesh promote digits 1 --reason 'checked'",
        "  neuralmesh predict digits --input input=@rows.npy",
        "  neuralmesh top",
        "",
    ]
    return "\n".join(lines) + "\n"
