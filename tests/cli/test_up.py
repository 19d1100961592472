"""`up` starts three processes, answers soon, and ends with them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from neuralmesh import Client
from neuralmesh.exceptions import UnavailableError
from neuralmesh_server.cli.up import service_commands
from tests.cli.processes import PROGRAM, clean_environment, read_announcement
from tests.processes import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that runs `up`; what a failed test leaves behind is stopped."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*PROGRAM, "up", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_it_answers_and_stops_its_services(start, tmp_path):
    """Requests are answered; SIGINT ends all three processes with exit code 0. `make bench` says how fast."""
    process = start("--ephemeral", "--data", str(tmp_path))
    addresses = read_announcement(process.stdout)
    with Client(**addresses) as client:
        until(client.inference.server_ready, "the node has followed the registry")
        assert list(client.registry.list_models()) == []
    children = _children(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert len(children) == 3
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _services(pid: int) -> dict[str, int]:
    """Return the services of `up` by name."""
    return {Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[3].decode(): child for child in _children(pid)}


def test_a_killed_registry_comes_back(start, tmp_path, liam_model):
    """While the registry is gone the node answers, and another one takes over its port and its state."""
    process = start("--ephemeral", "--data", str(tmp_path))
    with Client(**read_announcement(process.stdout)) as client:
        client.promote("m", client.push("m", liam_model, kind="liam.binary_network").version)
        until(lambda: client.inference.model_ready("m"), "the model is ready")
        before = _services(process.pid)
        os.kill(before["registry"], signal.SIGKILL)

        def is_back() -> bool:
            client.infer("m", {"input": np.ones((1, 4), np.float32)})
            try:
                return [model.name for model in client.registry.list_models()] == ["models/m"]
            except UnavailableError:
                return False

        until(is_back, "the registry is back")
        after = _services(process.pid)
        assert {name for name in before if before[name] != after[name]} == {"registry"}
        client.promote("m", 1, alias="again")
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "registry ended with exit code -9 and is started again\n")


def test_a_service_that_does_not_stay_ends_the_suite(start, tmp_path):
    """When a service cannot be started again, `up` stops the others, says which one ended, and exits with 1."""
    process = start("--ephemeral", "--data", str(tmp_path))
    read_announcement(process.stdout)
    victims = _services(process.pid)
    (tmp_path / "metrics").rename(tmp_path / "moved")
    (tmp_path / "metrics").write_text("no folder")
    os.kill(victims["metrics"], signal.SIGKILL)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "error: metrics died 5 times; metrics ended with exit code 2" in errors
    assert errors.count("is started again") == 4
    assert not [pid for pid in victims.values() if Path(f"/proc/{pid}").exists()]


def test_services_do_not_outlive_a_killed_suite(start, tmp_path):
    """When `up` itself is killed, its services stop."""
    process = start("--ephemeral", "--data", str(tmp_path))
    read_announcement(process.stdout)
    services = _services(process.pid)
    process.kill()
    process.wait()
    until(lambda: not any(_runs(pid, name) for name, pid in services.items()), "the services are gone")
    process.communicate()


def _runs(pid: int, name: str) -> bool:
    """Return whether a process runs a service; one that ended and is not waited for does not."""
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False


def test_a_taken_port_is_named(start, tmp_path):
    """A port that is taken makes `up` exit with 1 and name the service and the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start("--port-base", str(port - 2), "--data", str(tmp_path))
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "registry ended with exit code 2" in errors
    assert f"127.0.0.1:{port}" in errors


def test_state_outlives_a_restart(start, tmp_path, liam_model):
    """What was pushed and promoted is served again by the next `up` on the same folder."""
    prediction_ids = []
    for attempt in range(2):
        process = start("--ephemeral", "--data", str(tmp_path))
        with Client(**read_announcement(process.stdout)) as client:
            if attempt == 0:
                version = client.push("m", liam_model, kind="liam.binary_network")
                client.promote("m", version.version)
            until(lambda: client.inference.model_ready("m"), "the model is ready")
            prediction_ids.append(client.infer("m", {"input": np.ones((1, 4), np.float32)}).prediction_id)
            assert [client.trace(found).version.version for found in prediction_ids] == [1] * (attempt + 1)
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
        process.communicate()


def test_the_commands_are_those_of_the_documentation():
    """Each service is started by `python -m neuralmesh_server NAME`, in the order in which they depend on each other."""
    assert service_commands() == {
        name: ["python", "-m", "neuralmesh_server", name] for name in ("registry", "metrics", "inference")
    }


def test_docker_compose_runs_the_same_commands():
    """docker-compose.yml starts each service with the command that `up` spawns."""
    compose = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
    for command in service_commands().values():
        assert f"command: {json.dumps(command)}\n" in compose
