"""Service processes for tests that kill them: each is started, found by its `listening` line, and stopped by its id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Service:
    """One process of `python -m neuralmesh_server NAME`, restartable on the same port and data.

    Attributes:
        address: `host:port`, known from the first start on.
    """

    def __init__(self, name: str, data: Path, **environment: str) -> None:
        self.name = name
        self.address = ""
        self._data = data
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "Service":
        """Start and wait for the line that says where it listens."""
        prefix = f"NEURALMESH_{self.name.upper()}"
        environment = {
            **os.environ,
            f"{prefix}_LISTEN": self.address or "127.0.0.1:0",
            f"{prefix}_DATA": str(self._data / self.name),
            "NEURALMESH_METRICS_HTTP": "",
            **self._environment,
        }
        with (self._data / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "neuralmesh_server", self.name],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().split()
        assert line[:2] == ["listening", self.name], (self._data / f"{self.name}.log").read_text()
        self.address = line[2]
        return self

    def kill(self) -> None:
        """Kill with -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop in order; returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        self._process.communicate(timeout=30)
        code = self._process.returncode
        self._process = None
        return code


@contextmanager
def running_services(data: Path) -> Iterator[dict[str, Service]]:
    """Run registry, metrics and inference; what still runs at the end is killed."""
    registry = Service("registry", data).start()
    metrics = Service("metrics", data).start()
    inference = Service("inference", data, NEURALMESH_REGISTRY=registry.address, NEURALMESH_METRICS=metrics.address)
    services = {"registry": registry, "metrics": metrics, "inference": inference}
    try:
        inference.start()
        yield services
    finally:
        for service in services.values():
            service.kill()


def until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Ask again until a condition holds; fails with `what` when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{seconds} seconds passed and it is still not so that {what}"
        time.sleep(0.02)
