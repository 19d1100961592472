"""Service processes for tests that kill them: each is started, found by its `listening` line, and stopped by its id."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import ServerProcess

PATIENCE = 90.0
"""Seconds to wait for what comes in a moment, on a machine that does ten other things; then it will never come."""


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
        self._process: ServerProcess | None = None

    def start(self) -> "Service":
        """Start and wait for the line that says where it listens."""
        prefix = f"NEURALMESH_{self.name.upper()}"
        environment = {
            f"{prefix}_LISTEN": self.address or "127.0.0.1:0",
            f"{prefix}_DATA": str(self._data / self.name),
            "NEURALMESH_METRICS_HTTP": "",
            **self._environment,
        }
        log = self._data / f"{self.name}.log"
        self._process = ServerProcess(["-m", "neuralmesh_server", self.name], environment, log)
        self.address = self._process.listening(self.name)
        return self

    def kill(self) -> None:
        """Kill with -9, unless it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def stop(self) -> None:
        """Stop in order; another exit code than 0 is an error."""
        assert self._process is not None
        self._process.stop()
        self._process = None


@contextmanager
def running_services(data: Path) -> Iterator[dict[str, Service]]:
    """Run registry, metrics and inference; what still runs at the end is killed."""
    registry, metrics = Service("registry", data), Service("metrics", data)
    services = {"registry": registry, "metrics": metrics}
    try:
        addresses = {f"NEURALMESH_{name.upper()}": service.start().address for name, service in services.items()}
        services["inference"] = Service("inference", data, **addresses)
        services["inference"].start()
        yield services
    finally:
        for service in services.values():
            service.kill()


def until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Ask again until a condition holds; fails with `what` when it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{seconds} seconds passed and it is still not so that {what}"
        time.sleep(0.02)
