"""A site of the demo: edge nodes as processes, behind one line to the registry."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuralmesh import Client
from neuralmesh_server.demo.mesh.line import Line
from neuralmesh_server.demo.stage import DemoError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Self

START_SECONDS = 20.0


class CutLine:
    """A line that can be cut, on a loop in a thread of its own; a context manager.

    Args:
        address: Where the registry listens.
    """

    def __init__(self, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line")
        self._line = Line.to(address)

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> str:
        """Where edges dial the registry."""
        return self._line.address

    def cut(self) -> None:
        """Reset every connection and take none."""
        self._call(self._line.down())

    def mend(self) -> None:
        """Take connections again."""
        self._call(self._line.up())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@dataclass(slots=True)
class EdgeProcess:
    """An edge node as the command starts it; it keeps its port and its folder over a restart.

    Attributes:
        name: Its name and its label `site`.
        registry: What it dials.
        folder: Its store.
        address: Where it listens.
        client: A client of it.
    """

    name: str
    registry: str
    folder: Path
    address: str = "127.0.0.1:0"
    client: Client = field(init=False)
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and return when it listens."""
        command = [sys.executable, "-m", "neuralmesh_server", "edge", "--registry", self.registry, "--node", self.name]
        command += ["--labels", f"tier=edge,site={self.name}", "--store", str(self.folder), "--max-bytes", "64M"]
        command += ["--listen", self.address, "--metrics", ""]
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=(self.folder.parent / f"{self.name}.log").open("a"), text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = line.split()
            if words[:1] == ["listening"]:
                self.address = words[2]
                self.client = Client(inference=self.address)
                return
        raise DemoError(f"edge {self.name} did not start")

    def kill(self) -> None:
        """End it without a warning."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self.client.close()

    def stop(self) -> None:
        """Ask it to end."""
        if self._process is not None and self._process.poll() is None:
            self.client.close()
            self._process.terminate()
            self._process.communicate()
