"""The services as real processes, for benchmarks and interoperability tests, and what the kernel knows of them.

Every process runs `python -m neuralmesh_server ...`, the command that `neuralmesh up` and docker-compose.yml run, on a
port that the system chooses. Linux only: processor time and memory are read from /proc.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 20.0
SERVICES = ("registry", "metrics", "inference")


class ProcessError(RuntimeError):
    """A process did not do what was asked of it; the message holds the end of its log."""


class ServerProcess:
    """One server process, started; it announces itself by a line `listening {name} {host}:{port}`.

    Args:
        command: Arguments after the interpreter.
        env: Variables on top of this process's.
        log: Where its standard error goes.
        program: What is started, when it is not this interpreter.
    """

    def __init__(self, command: Sequence[str], env: dict[str, str], log: Path, program: str = sys.executable) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [program, *command],
                env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.pid = self._process.pid

    def listening(self, name: str) -> str:
        """Wait for the announcement of a service; returns its address."""
        while True:
            try:
                line = self._lines.get(timeout=START_SECONDS)
            except queue.Empty:
                raise ProcessError(f"no `listening {name}` in {START_SECONDS:.0f} s\n{self._tail()}") from None
            if line is None:
                raise ProcessError(f"ended before it was listening as {name}\n{self._tail()}")
            words = line.split()
            if words[:2] == ["listening", name]:
                return words[2]

    def stop(self) -> None:
        """Ask it to stop and wait; a process that does not drain in time is killed, and that is an error."""
        self._process.terminate()
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ProcessError(f"did not stop in {STOP_SECONDS:.0f} s\n{self._tail()}") from None
        finally:
            self._reader.join()
        if status != 0:
            raise ProcessError(f"ended with status {status}\n{self._tail()}")

    def end(self) -> None:
        """Ask it to stop, kill it where it does not, and take no interest in how it ended: for others' servers."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def kill(self) -> None:
        """End it without mercy, for cleaning up after another failure."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    @property
    def running(self) -> bool:
        """Say whether it has not ended."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for the signal that ended it; None while it runs."""
        return self._process.poll()

    def cpu_seconds(self) -> float:
        """Processor time of the process and of all below it so far, user and system, to the nanosecond."""
        return sum(_cpu_seconds(pid) for pid in family(self.pid))

    def memory(self) -> Memory:
        """Memory that it holds now."""
        values = {}
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in {"Rss", "Pss"}:
                values[name] = int(rest.split()[0]) * 1024
        return Memory(rss=values["Rss"], pss=values["Pss"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._process.stdout.close()
        self._lines.put(None)

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def family(pid: int) -> list[int]:
    """Return a process and all that it started and they started, as far as they still run."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(FileNotFoundError, ProcessLookupError):
            # The name in brackets may hold spaces; the parent is the second field behind it.
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _cpu_seconds(pid: int) -> float:
    # The kernel's clock of another process (clock_getcpuclockid); /proc counts in hundredths of a second.
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0  # it ended in the meantime


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes resident, and bytes with shared pages split among those who share them."""

    rss: int
    pss: int


@dataclass(slots=True)
class Suite:
    """The three services of one folder, as processes; a context manager.

    Attributes:
        folder: Data and logs.
        addresses: Address of each service, by its name.
    """

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    processes: dict[str, ServerProcess] = field(default_factory=dict)

    def __enter__(self) -> Self:
        try:
            for name in SERVICES:
                self._start(name)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._kill()
            return
        failures = []
        for name in reversed(self.processes):
            try:
                self.processes[name].stop()
            except ProcessError as error:  # the others are to be stopped all the same
                failures.append(f"{name} {error}")
        if failures:
            raise ProcessError("\n".join(failures))

    def node(self, name: str, env: dict[str, str], arguments: Sequence[str] = ()) -> tuple[ServerProcess, str]:
        """Start one more inference node of these services; returns it and its address. It stops with the others."""
        variables = {
            "NEURALMESH_INFERENCE_LISTEN": "127.0.0.1:0",
            "NEURALMESH_INFERENCE_DATA": str(self.folder / name),
            "NEURALMESH_REGISTRY": self.addresses["registry"],
            "NEURALMESH_METRICS": self.addresses["metrics"],
            "NEURALMESH_NODE": name,
            **env,
        }
        command = ["-m", "neuralmesh_server", "inference", *arguments]
        process = ServerProcess(command, variables, self.folder / f"{name}.log")
        self.processes[name] = process
        return process, process.listening("inference")

    def _start(self, name: str) -> None:
        upper = name.upper()
        env = {
            f"NEURALMESH_{upper}_LISTEN": "127.0.0.1:0",
            f"NEURALMESH_{upper}_DATA": str(self.folder / name),
            "NEURALMESH_METRICS_HTTP": "127.0.0.1:0",
            **self.env,
        }
        for peer, address in self.addresses.items():
            env[f"NEURALMESH_{peer.upper()}"] = address
        process = ServerProcess(["-m", "neuralmesh_server", name], env, self.folder / f"{name}.log")
        self.processes[name] = process
        self.addresses[name] = process.listening(name)

    def _kill(self) -> None:
        for process in self.processes.values():
            process.kill()
