"""A labor array as its commands start it: the service, and workers that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuralmesh import Client
from neuralmesh_server.demo.stage import DemoError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

LEASE_SECONDS = "2"
"""How long a worker that is gone is waited for."""


@dataclass(slots=True)
class Array:
    """A service in a folder of its own; a context manager, which ends everything.

    Attributes:
        folder: What it keeps.
        registry: Where versions are.
        dask: How many workers of Dask run shards within the service; 0 for none.
        client: A client of it.
    """

    folder: Path
    registry: str
    dask: int = 0
    client: Client = field(init=False)
    _address: str = ""
    _service: subprocess.Popen[str] = field(init=False)
    _workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder.mkdir()
        arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            str(self.folder / "service"),
            "--registry",
            self.registry,
        ]
        if self.dask:
            arguments += ["--dask", "local", "--workers", str(self.dask)]
        self._service = subprocess.Popen(  # noqa: S603 - our own command
            _command(*arguments),
            stdout=subprocess.PIPE,
            stderr=self._log("service"),
            text=True,
            env={**os.environ, "NEURALMESH_LABOR_LEASE_SECONDS": LEASE_SECONDS},
        )
        assert self._service.stdout is not None
        for line in self._service.stdout:
            words = line.split()
            if words[:1] == ["listening"]:
                self._address = words[2]
                self.client = Client(labor=self._address, registry=self.registry)
                return self
        raise DemoError("the labor service did not start")

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.terminate()
        for worker in self._workers.values():
            worker.wait()
        if self._address:
            self.client.close()
        self._service.terminate()
        self._service.communicate()

    def employ(self, name: str) -> None:
        """Start a worker that runs one shard at a time."""
        arguments = ["worker", "--name", name, "--slots", "1", "--store", str(self.folder / name)]
        arguments += ["--labor", self._address, "--registry", self.registry]
        self._workers[name] = subprocess.Popen(  # noqa: S603 - our own command
            _command(*arguments), stdout=subprocess.DEVNULL, stderr=self._log(name)
        )

    def kill(self, name: str) -> None:
        """Kill a worker with -9."""
        worker = self._workers.pop(name)
        worker.kill()
        worker.wait()

    def present(self) -> set[str]:
        """Return the names of the workers that are there."""
        return {worker.name for worker in self.client.labor.list_workers() if worker.live}

    def _log(self, name: str) -> int:
        descriptor = os.open(self.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.set_inheritable(descriptor, True)
        return descriptor


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "neuralmesh_server", "labor", *arguments]
