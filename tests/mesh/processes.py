"""A registry and edge nodes as real processes, and what is asked of them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import liam_core
from bench.processes import ROOT, ServerProcess
from neuralmesh import Client
from tests.processes import Service, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MODEL, ALIAS, KIND = "signs", "production", "liam.binary_network"
FEATURES, CLASSES = 256, 10
ROWS = np.random.default_rng(0).standard_normal((16, FEATURES)).astype(np.float32)
PATIENCE = 30.0


def network(path: Path, seed: int) -> NDArray[np.int64]:
    """Write a packed network; returns its labels for `ROWS`, by the formula and not by the kernel."""
    signs = np.where(np.random.default_rng(seed).random((CLASSES, FEATURES)) < 0.5, 1, -1)
    liam_core.write_binary_network(
        path, features=FEATURES, encoding_thresholds=np.zeros(FEATURES), hidden=[], head_weights=signs
    )
    return np.where(ROWS >= 0, 1, -1).astype(np.int64).dot(signs.T).argmax(axis=1)


@dataclass
class Site:
    """A registry with two versions, and one edge node.

    Attributes:
        folder: Where everything is.
        registry: Its process.
        expected: Labels of `ROWS` by version.
    """

    folder: Path
    registry: Service
    expected: dict[int, NDArray[np.int64]]
    _edge: ServerProcess | None = None
    _address: str = "127.0.0.1:0"

    @classmethod
    def build(cls, folder: Path) -> Site:
        """Start a registry, push two versions and assign the alias, which names the first."""
        registry = Service("registry", folder).start()
        expected = {}
        with Client(registry=registry.address) as client:
            for number in (1, 2):
                path = folder / f"{number}.safetensors"
                expected[number] = network(path, number)
                client.push(MODEL, path, kind=KIND)
            client.promote(MODEL, 1, alias=ALIAS)
            client.mesh.set_assignment("tier=edge", MODEL, ALIAS)
        return cls(folder, registry, expected)

    def promote(self, version: int) -> int:
        """Move the alias; returns the revision."""
        with Client(registry=self.registry.address) as client:
            return int(client.promote(MODEL, version, alias=ALIAS).alias.revision)

    def start(self, *, through: str = "", failpoint: Sequence[str] = ()) -> None:
        """Start the edge node on its folder, where it listened before; `through` is the line that it dials."""
        command = ["-m", "tests.mesh.failpoint", *failpoint] if failpoint else ["-m", "neuralmesh_server"]
        command += ["edge", "--registry", through or self.registry.address, "--node", "oslo", "--labels", "tier=edge"]
        command += ["--store", str(self.folder / "oslo"), "--max-bytes", "64M", "--listen", self._address]
        command += ["--metrics", ""]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._edge = ServerProcess(command, {"PYTHONPATH": path}, self.folder / "oslo.log")
        if not failpoint:
            self._address = self._edge.listening("edge")

    def stop(self) -> None:
        """Stop the edge node in order."""
        assert self._edge is not None
        self._edge.stop()
        self._edge = None

    def await_kill(self) -> None:
        """Return when the edge node has killed itself."""
        assert self._edge is not None
        edge = self._edge
        until(lambda: not edge.running, "the failpoint is reached", PATIENCE)
        assert edge.returncode == -signal.SIGKILL
        edge.kill()
        self._edge = None

    def end(self) -> None:
        """Kill what still runs."""
        if self._edge is not None:
            self._edge.kill()
        self.registry.kill()

    def client(self) -> Client:
        """Return a client of the edge node and of the registry."""
        return Client(inference=self._address, registry=self.registry.address, timeout=10)

    def answers(self) -> int:
        """Return the version that answers, 0 for none yet; what it answers is what it is."""
        with self.client() as client:
            if not client.inference.model_ready(MODEL, ALIAS):
                return 0
            found = client.infer(MODEL, {"input": ROWS}, version=ALIAS)
        assert np.array_equal(found.outputs["label"], self.expected[found.version])
        return int(found.version)

    def await_version(self, version: int) -> None:
        """Return when a version answers."""
        until(lambda: self.answers() == version, f"version {version} answers", PATIENCE)

    def await_converged(self) -> None:
        """Return when the registry says that the node has converged."""
        with self.client() as client:
            until(lambda: all(node.converged for node in client.mesh.list_nodes()), "the node has converged", PATIENCE)
