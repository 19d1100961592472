"""One run of h2load against one method, and what came of it.

h2load does not read grpc-status. So a target's answer is verified before the load, and after it the bytes of all
answers are counted: a request that fails brings a status and no message, so that the sum would be short.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.answers import Answers

if TYPE_CHECKING:
    from typing import Self

    from bench.processes import ServerProcess

PATH = "/inference.GRPCInferenceService/ModelInfer"
RUN_SECONDS = 180
FRAME_BYTES = 5
UNIX = "unix:"
_SUCCEEDED = re.compile(r"([0-9]+) succeeded")
_DATA = re.compile(r"\(([0-9]+)\) data")


class LoadError(RuntimeError):
    """h2load is absent, or a request failed."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send requests to.

    Attributes:
        side: What it is called in the table.
        process: The server, whose processor time is counted.
        address: host:port.
        body: File with the framed request.
        answer_bytes: Size of a whole answer, without its frame.
    """

    side: str
    process: ServerProcess
    address: str
    body: Path
    answer_bytes: int


def frame(message: bytes) -> bytes:
    """Return a message as gRPC carries it: not compressed, length, bytes."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def find_h2load() -> str:
    """Return the path of h2load.

    Raises:
        LoadError: It is not installed.
    """
    found = shutil.which("h2load")
    if found is None:
        raise LoadError("h2load is absent: `make tools` installs it")
    return found


def version() -> str:
    """Return what h2load calls itself."""
    return subprocess.run([find_h2load(), "--version"], capture_output=True, text=True, check=True).stdout.strip()


class Run:
    """h2load on its way: each client sends one request at a time on its own connection.

    Args:
        target: What to send to.
        clients: Connections.
        requests: Requests of all clients together, the same number for each; or else
        seconds: how long to send. A number for each lets those of a quick process end early where several share a port.
        rate: Requests a second of all clients together, at equal distances; None sends the next one at once.
    """

    def __init__(
        self, target: Target, *, clients: int, requests: int = 0, seconds: int = 0, rate: float | None = None
    ) -> None:
        self._target, self._requests, self._clients = target, requests, clients
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name, "log")
        length = f"-D{seconds}" if seconds else f"-n{requests}"
        self._command = [find_h2load(), length, f"-c{clients}", "-m1", "-t1", f"--data={target.body}"]
        self._command += [f"--log-file={self._log}", "-H", "content-type: application/grpc", "-H", "te: trailers"]
        if rate is not None:
            self._command.append(f"--rps={rate / clients:.3f}")
        if target.address.startswith(UNIX):
            self._command += [f"--base-uri={target.address}", f"http://localhost{PATH}"]
        else:
            self._command.append(f"http://{target.address}{PATH}")
        self._cpu = target.process.cpu_seconds()
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self) -> Self:
        """Go on."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it where it still runs, and remove its log."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()

    def finish(self) -> Answers:
        """Wait for the end and return what was measured.

        Raises:
            LoadError: A request had no answer, or answers are missing bytes.
        """
        return self._finish()[0]

    def latencies(self) -> list[int]:
        """Wait for the end and return the microseconds of every answer; raises what `finish` raises."""
        return self._finish()[1]

    def _finish(self) -> tuple[Answers, list[int]]:
        said, _ = self._process.communicate(timeout=RUN_SECONDS)
        cpu = self._target.process.cpu_seconds() - self._cpu
        succeeded, data = _SUCCEEDED.search(said), _DATA.search(said)
        if self._process.returncode != 0 or succeeded is None or data is None:
            raise LoadError(f"{' '.join(self._command)}\n{said}")
        answers = int(succeeded[1])
        if not answers or answers != (self._requests or answers):
            raise LoadError(f"{answers} of {self._requests} requests succeeded\n{said}")
        # Columns: start in microseconds since 1970, HTTP status, microseconds until the answer was whole.
        rows = [[int(cell) for cell in line.split("\t")[:3]] for line in self._log.read_text().splitlines()]
        bad = sorted({row[1] for row in rows if row[1] != 200})
        if len(rows) != answers or bad:
            raise LoadError(f"{len(rows)} of {answers} answers in the log, statuses other than 200: {bad}")
        whole = answers * (self._target.answer_bytes + FRAME_BYTES)
        # When the time is over, an answer of each client may be on its way.
        if int(data[1]) < whole or int(data[1]) > whole * (1 + self._clients / answers if not self._requests else 1):
            raise LoadError(f"{self._target.side}: the answers have {data[1]} bytes and not {whole}: some failed")
        latencies = [row[2] for row in rows]
        # From the first request to the last answer: connecting is no part of it.
        seconds = (max(row[0] + row[2] for row in rows) - min(row[0] for row in rows)) / 1e6
        percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
        found = Answers(
            side=self._target.side,
            clients=self._clients,
            rate=answers / seconds,
            p50_us=percentiles[49],
            p99_us=percentiles[98],
            cpu_us=cpu / answers * 1e6,
        )
        return found, latencies


def run(target: Target, *, clients: int, requests: int = 0, seconds: int = 0, rate: float | None = None) -> Answers:
    """Send requests and wait; see `Run`.

    Raises:
        LoadError: A request had no answer, or answers are missing bytes.
    """
    with Run(target, clients=clients, requests=requests, seconds=seconds, rate=rate) as going:
        return going.finish()


def latencies(target: Target, *, clients: int, requests: int, rate: float | None = None) -> list[int]:
    """Send requests and return the microseconds of every answer; see `Run`.

    Raises:
        LoadError: A request had no answer, or answers are missing bytes.
    """
    with Run(target, clients=clients, requests=requests, rate=rate) as going:
        return going.latencies()


def idle(seconds: float = 0.2) -> None:
    """Let servers finish what a run has left over, so that the next side does not pay for it."""
    time.sleep(seconds)
