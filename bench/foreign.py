"""The servers that ours is compared with, as processes; bench/peers holds their models, `make peers` installs them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import ROOT, ServerProcess
from neuralmesh import Client
from neuralmesh.exceptions import NeuralMeshError

if TYPE_CHECKING:
    from contextlib import ExitStack

PEERS = Path(os.environ.get("PEERS", ROOT / ".tools" / "peers"))
HERE = ROOT / "bench" / "peers"
START_SECONDS = 60.0


class PeerError(RuntimeError):
    """A server is not installed or does not start."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another server that runs.

    Attributes:
        name: What it is, with its version.
        process: Its process.
        address: host:port.
    """

    name: str
    process: ServerProcess
    address: str


def start_mlserver(
    folder: Path, stack: ExitStack, models: Path = HERE / "mlserver", model: str = "identity"
) -> Foreign:
    """Start MLServer in one process on a folder with one model; see bench/peers/README.md."""
    venv = _environment("mlserver")
    home = folder / "mlserver"
    shutil.copytree(models, home)
    http, port, metrics = (_free_port() for _ in range(3))
    settings = {
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": port,
        "metrics_port": metrics,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    (home / "settings.json").write_text(json.dumps(settings))
    process = _start([str(venv / "bin" / "mlserver"), "start", str(home)], {}, folder / "mlserver.log", stack)
    return _running(f"MLServer {_package(venv, 'mlserver')}", process, port, folder / "mlserver.log", model)


def start_triton(folder: Path, stack: ExitStack, models: Path = HERE / "triton", model: str = "identity") -> Foreign:
    """Start tritonserver as the wheel of nvidia-pytriton holds it, on one model; see bench/peers/README.md."""
    venv = _environment("triton")
    said = _ask(
        venv, "import sysconfig; print(sysconfig.get_path('purelib')); print(sysconfig.get_config_var('LIBDIR'))"
    )
    packages, libraries = (Path(line) for line in said.splitlines())
    port = _free_port()
    command = [
        str(packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"),
        f"--model-repository={models}",
        f"--backend-directory={venv / 'backends'}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={port}",
        "--allow-http=false",
        "--allow-metrics=false",
    ]
    env = {
        "LD_LIBRARY_PATH": f"{libraries}:{packages / 'nvidia_pytriton.libs'}",
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
    }
    log = folder / "triton.log"
    process = _start(command, env, log, stack)
    found = _running("Triton", process, port, log, model)
    version = next(
        (line.split("|")[2].strip() for line in log.read_text().splitlines() if line.startswith("| server_version")),
        "?",
    )
    return Foreign(f"Triton {version} (nvidia-pytriton {_package(venv, 'nvidia-pytriton')})", process, found.address)


def _environment(name: str) -> Path:
    venv = PEERS / name
    if not (venv / "bin" / "python").exists():
        raise PeerError(f"{venv} is absent: `make peers` installs it")
    return venv


def _start(command: list[str], env: dict[str, str], log: Path, stack: ExitStack) -> ServerProcess:
    process = ServerProcess(command[1:], env, log, program=command[0])
    stack.callback(process.end)  # a Triton that is killed leaves its shared memory behind
    return process


def _running(name: str, process: ServerProcess, port: int, log: Path, model: str) -> Foreign:
    """Return when the model is ready, or raise with the end of the log."""
    deadline = time.monotonic() + START_SECONDS
    address = f"127.0.0.1:{port}"
    with Client(inference=address) as client:
        while time.monotonic() < deadline and process.running:
            try:
                if client.inference.model_ready(model):
                    return Foreign(name, process, address)
            except NeuralMeshError:  # it does not listen yet, or knows no such model yet
                pass
            time.sleep(0.1)
    raise PeerError(f"{name} does not listen\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    """Return a port that was free a moment ago; these servers cannot choose one and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _package(venv: Path, name: str) -> str:
    return _ask(venv, f"from importlib.metadata import version; print(version({name!r}))").strip()


def _ask(venv: Path, program: str) -> str:
    return subprocess.run(
        [str(venv / "bin" / "python"), "-c", program], capture_output=True, text=True, check=True
    ).stdout
