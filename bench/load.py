"""One run of h2load against one method, and what came of it.

h2load does not read grpc-status, so that replies are verified apart, and gives percentiles only through its log.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PATH = "/inference.GRPCInferenceService/ModelInfer"
RUN_SECONDS = 120
_FINISHED = re.compile(r"finished in ([0-9.]+)(us|ms|s), ([0-9.]+) req/s")
_SUCCEEDED = re.compile(r"([0-9]+) succeeded")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class LoadError(RuntimeError):
    """h2load is absent, or a request failed."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured: requests a second, latency in microseconds."""

    requests: int
    rate: float
    p50_us: float
    p99_us: float


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


def run(address: str, body: Path, *, requests: int, clients: int) -> Run:
    """Send a request over and over, each client one at a time on its own connection.

    Args:
        address: host:port.
        body: File with the framed request.
        requests: Requests of all clients together.
        clients: Connections.

    Raises:
        LoadError: A request had no answer of HTTP status 200.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [find_h2load(), f"-n{requests}", f"-c{clients}", "-m1", "-t1", f"--data={body}", f"--log-file={log}"]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"http://{address}{PATH}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
        finished, succeeded = _FINISHED.search(done.stdout), _SUCCEEDED.search(done.stdout)
        if done.returncode != 0 or finished is None or succeeded is None or int(succeeded[1]) != requests:
            raise LoadError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        # Columns: start in microseconds since 1970, HTTP status, microseconds until the answer was whole.
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    bad = sorted({row[1] for row in rows if row[1] != "200"})
    if len(rows) != requests or bad:
        raise LoadError(f"{len(rows)} of {requests} answers in the log, statuses other than 200: {bad}")
    percentiles = statistics.quantiles([int(row[2]) for row in rows], n=100, method="inclusive")
    return Run(requests, requests / (float(finished[1]) * _UNITS[finished[2]]), percentiles[49], percentiles[98])
