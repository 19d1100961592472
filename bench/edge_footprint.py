"""What an edge node takes with two small models, and how soon it answers: `python -m bench.edge_footprint [ROUNDS]`.

A registry assigns a packed network and an ONNX model, of digits both. The node converges, is measured, is killed, and
starts again with the registry gone; the time runs from the start of the process to its first answer.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bench.processes import ServerProcess
from neuralmesh import Client
from neuralmesh.exceptions import NeuralMeshError
from tests.inference import models

PATIENCE = 30.0
ROWS = np.random.default_rng(3).random((1, 64), dtype=np.float32)
LIMIT_BYTES = 200 * 1024 * 1024
LIMIT_SECONDS = 2.0


def main(rounds: int) -> int:
    """Measure and print; returns 1 when a limit is missed."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        environment = {"NEURALMESH_REGISTRY_LISTEN": "127.0.0.1:0", "NEURALMESH_REGISTRY_DATA": str(folder / "data")}
        registry = ServerProcess(["-m", "neuralmesh_server", "registry"], environment, folder / "registry.log")
        stack.callback(registry.kill)
        address = registry.listening("registry")
        prepare(address, folder)
        memory, online = {}, []
        for kinds in (("packed",), ("packed", "digits")):
            with Client(registry=address) as client:
                for model in kinds:
                    client.mesh.set_assignment("*", model)
            node, seconds, _ = start(folder, address, kinds)
            memory[kinds] = node.memory().rss
            online.append(seconds)
            node.kill()
        registry.stop()
        offline = []
        for _ in range(rounds):
            node, seconds, _ = start(folder, address, ("packed", "digits"))
            offline.append(seconds)
            node.kill()
    for kinds, size in memory.items():
        print(f"resident with {' and '.join(kinds)}: {size / 2**20:.0f} MiB (at most {LIMIT_BYTES / 2**20:.0f})")
    print(f"first start, from nothing to the first answer: {', '.join(f'{one:.2f}' for one in online)} s")
    shown = ", ".join(f"{one:.2f}" for one in offline)
    print(f"first answer with the line down: median {statistics.median(offline):.2f} s of {shown} (at most 2 s)")
    return int(max(memory.values()) > LIMIT_BYTES or statistics.median(offline) > LIMIT_SECONDS)


def prepare(address: str, folder: Path) -> None:
    """Push and promote both models."""
    with Client(registry=address) as client:
        for model, kind, file, content in (
            ("packed", "liam.binary_network", "model.safetensors", models.digits_liam(folder)),
            ("digits", "onnx", "model.onnx", models.digits_onnx(1)),
        ):
            version = client.push(model, kind=kind, files={file: content}, signature=models.DIGITS)
            client.promote(model, version.version)


def start(folder: Path, registry: str, kinds: tuple[str, ...]) -> tuple[ServerProcess, float, str]:
    """Return a node that has answered for every model, the seconds that took, and its address."""
    began = time.monotonic()
    arguments = ["--registry", registry, "--store", str(folder / "edge"), "--node", "edge-1", "--listen", "127.0.0.1:0"]
    node = ServerProcess(["-m", "neuralmesh_server", "edge", *arguments], {}, folder / "edge.log")
    address = node.listening("edge")
    with Client(inference=address) as client:
        for model in kinds:
            while True:
                try:
                    client.infer(model, {"input": ROWS})
                    break
                except NeuralMeshError:
                    if time.monotonic() > began + PATIENCE:
                        node.kill()
                        raise
                    time.sleep(0.005)
    return node, time.monotonic() - began, address


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
