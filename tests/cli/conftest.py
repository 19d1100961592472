"""The suite as a user starts it, and its commands as subprocesses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from liam_core import write_binary_network
from neuralmesh import Client
from neuralmesh_server.cli import main
from tests.cli.forking import Forking
from tests.cli.processes import PROGRAM, clean_environment, read_announcement
from tests.processes import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIGHTS = np.array([[1, -1, 1, -1], [-1, 1, -1, 1], [1, 1, -1, -1]], dtype=np.int8)
"""Weights of both test models, (classes, features)."""


@dataclass(frozen=True)
class Commands:
    """Runs commands in an environment."""

    env: dict[str, str]
    forking: Forking | None = None
    """What runs them; None starts the program for each."""

    def run(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and require its exit code."""
        words = [str(argument) for argument in arguments]
        if self.forking is not None:
            done = self.forking.run(words, self.env)
        else:
            command = [*PROGRAM, *words]
            done = subprocess.run(command, capture_output=True, text=True, env=self.env, timeout=PATIENCE, check=False)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: object) -> Any:
        """Run a command with --json and return its document."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def error(self, *arguments: object, code: int) -> str:
        """Run a command that fails with one line on standard error, and return the line."""
        done = self.run(*arguments, code=code)
        assert done.stdout == ""
        assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
        return done.stderr

    def client(self) -> Client:
        """Return a client of the same services."""
        return Client(**{name: self.env[f"NEURALMESH_{name.upper()}"] for name in ("registry", "inference", "metrics")})

    def wait_ready(self, model: str, version: object) -> None:
        """Return when the node serves a version."""
        with self.client() as client:
            until(lambda: client.inference.model_ready(model, str(version)), f"{model}@{version} is ready")


@pytest.fixture(scope="session")
def commands() -> Commands:
    """Return commands without services, each started as a user starts it."""
    return Commands(clean_environment())


@pytest.fixture(scope="session")
def forking() -> Iterator[Forking]:
    """Return what runs many commands."""
    forking = Forking(clean_environment())
    yield forking
    forking.close()


@pytest.fixture(scope="session")
def suite(tmp_path_factory, forking) -> Iterator[Commands]:
    """Return commands against the three services that `up --ephemeral` runs."""
    data = tmp_path_factory.mktemp("suite")
    process = subprocess.Popen(
        [*PROGRAM, "up", "--ephemeral", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout is not None
    addresses = read_announcement(process.stdout)
    assert addresses.keys() == {"registry", "inference", "metrics"}
    exports = {f"NEURALMESH_{name.upper()}": address for name, address in addresses.items()}
    yield Commands({**clean_environment(), **exports, "NEURALMESH_ACTOR": "tester"}, forking)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="session")
def liam_model(tmp_path_factory) -> Path:
    """Return a packed binary network of 4 features and 3 classes."""
    path = tmp_path_factory.mktemp("models") / "net.safetensors"
    write_binary_network(path, features=4, encoding_thresholds=np.zeros(4, np.float32), hidden=[], head_weights=WEIGHTS)
    return path


@pytest.fixture(scope="session")
def onnx_model(tmp_path_factory) -> Path:
    """Return a linear ONNX model of 4 features and 3 classes."""
    path = tmp_path_factory.mktemp("models") / "net.onnx"
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["input", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 4])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 3]),
        ],
        [numpy_helper.from_array(WEIGHTS.T.astype(np.float32).copy(), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def here(monkeypatch, capsys):
    """Return a function that runs a command in this process and returns its exit code, output and errors."""
    # grpc is imported already, so the transport must find its setting in place.
    monkeypatch.setenv("GRPC_EXPERIMENTS", "-event_engine_listener")
    for name in [name for name in os.environ if name.startswith("NEURALMESH_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run
