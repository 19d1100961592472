"""What the rows of the mesh's table share: the suite, edge nodes as processes, and crowds of simulated ones."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.processes import ROOT, ProcessError, ServerProcess
from bench.setting import Setting, until
from neuralmesh import Client

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

MODEL = "packed"
ALIAS = "production"
WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class EdgeNode:
    """An edge node that runs.

    Attributes:
        process: Its process.
        address: Where it listens, `host:port`.
        socket: Its Unix socket.
        client: A client of it.
        log: What it says.
    """

    process: ServerProcess
    address: str
    socket: Path
    client: Client
    log: Path

    def swaps_us(self) -> list[tuple[float, float]]:
        """Return how long each state took that it was sent, and its processor time: until what was held answered."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [(line["microseconds"], line["cpu_microseconds"]) for line in lines if line["event"] == "state_taken"]


@dataclass
class MeshSetting(Setting):
    """See `Setting`; edges follow the suite's registry."""

    _edges: dict[str, EdgeNode] = field(default_factory=dict)

    def promoted(self) -> None:
        """Have two versions of the packed network, the alias on the first, and all nodes of `tier=edge` serve it."""
        if self.client.inference.model_ready(MODEL, ALIAS):
            return
        for path in (self.models.packed, self.models.packed_again):
            self.client.push(MODEL, path, kind="liam.binary_network")
        self.client.promote(MODEL, 1, alias=ALIAS)
        self.client.mesh.set_assignment("tier=edge", MODEL, ALIAS)
        until(lambda: self.client.inference.model_ready(MODEL, ALIAS), "the cloud node serves the alias")

    def edge(self, name: str, *arguments: str, registry: str = "", labels: str = "tier=edge") -> EdgeNode:
        """Return an edge node, started unless it runs; it serves the alias when this returns, if it is assigned."""
        if name in self._edges:
            return self._edges[name]
        socket = self.folder / f"{name}.s"
        command = ["-m", "neuralmesh_server", "edge", "--registry", registry or self.suite.addresses["registry"]]
        command += ["--labels", labels, "--store", str(self.folder / name), "--max-bytes", "1G", "--node", name]
        command += ["--listen", "127.0.0.1:0", "--socket", str(socket), *arguments]
        env = {"NEURALMESH_METRICS": self.suite.addresses["metrics"]}
        log = self.folder / f"{name}.log"
        process = ServerProcess(command, env, log)
        self.stack.callback(process.stop)
        address = process.listening("edge")
        client = self.stack.enter_context(Client(inference=address))
        self._edges[name] = EdgeNode(process, address, socket, client, log)
        if labels == "tier=edge":
            until(lambda: client.inference.model_ready(MODEL, ALIAS), f"edge {name} serves the alias")
        return self._edges[name]


class Crowd:
    """Simulated edges in a process of their own; a context manager. See `bench.mesh.edges`."""

    def __init__(self, registry: str, count: int, labels: Sequence[str], log: Path) -> None:
        command = [sys.executable, "-m", "bench.mesh.edges", registry, str(count), *labels]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        self._lines: queue.Queue[list[str]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def up(self) -> float:
        """Return in how many seconds all nodes had their state, once they do."""
        return float(self._next("up")[0])

    def at(self, revision: int) -> int:
        """Return when the last node had acknowledged a revision, in nanoseconds of the monotonic clock."""
        while True:
            found, nanoseconds = self._next("at")
            if int(found) == revision:
                return int(nanoseconds)

    def _next(self, word: str) -> list[str]:
        while True:
            try:
                line = self._lines.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                raise ProcessError(f"the simulated edges did not say `{word}` in {WAIT_SECONDS:.0f} s") from None
            if not line:
                raise ProcessError("the simulated edges ended")
            if line[0] == word:
                return line[1:]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.split())
        self._process.stdout.close()
        self._lines.put([])
