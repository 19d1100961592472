"""docker-compose.yml: Debian's docker-compose accepts it, and its services are the ones that `neuralmesh up` starts.

There is no container engine here, so the services run natively from the same commands and variables, with the paths of
the volumes and the names of the hosts replaced: certificates are made once, and all connections use mutual TLS.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.processes import ROOT, ServerProcess
from neuralmesh import Client, TlsFiles, exceptions
from neuralmesh_server.cli import up

from .conftest import TOOLS, linear_onnx, signature, until

SERVICES = ("registry", "metrics", "inference")
ALL = (*SERVICES, "labor")
"""`neuralmesh up` runs no labor array: jobs of one machine need none."""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - as in a container


@pytest.fixture(scope="session")
def composed() -> dict[str, Any]:
    """The file as Debian's docker-compose understands it."""
    command = shutil.which("docker-compose")
    assert command is not None, "docker-compose is absent: `make tools` installs it"
    done = subprocess.run([command, "config"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower()
    # The interop environment has a YAML parser; the development one needs none.
    convert = [
        str(TOOLS / "interop" / "bin" / "python"),
        "-c",
        "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)",
    ]
    parsed = subprocess.run(convert, input=done.stdout, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(parsed.stdout)


def test_services(composed: dict[str, Any]) -> None:
    """There are the certificates' one-shot service, the three services and the labor array."""
    assert set(composed["services"]) == {"certs", *ALL}
    assert composed["services"]["certs"]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_commands_are_those_of_up(composed: dict[str, Any], name: str) -> None:
    """Each service has the command that `neuralmesh up` spawns, and the same settings beside those that a container needs."""
    service = composed["services"][name]
    assert service["command"] == up.service_commands()[name]
    suite = up.Suite(Path("data"), up.Ports.from_base(8001), "local")
    of_up = {key for key, value in suite._environment(name).items() if value is not None}
    of_the_container = {"NEURALMESH_TLS_CERT", "NEURALMESH_TLS_KEY", "NEURALMESH_TLS_CA", "NEURALMESH_INSECURE"}
    assert set(service["environment"]) - of_the_container == of_up


@pytest.mark.parametrize("name", ALL)
def test_waits_for_certificates(composed: dict[str, Any], name: str) -> None:
    """Each service starts after the certificates are made, uses all three files, and has a health check."""
    service = composed["services"][name]
    assert service["depends_on"]["certs"] == {"condition": "service_completed_successfully"}
    assert {"NEURALMESH_TLS_CERT", "NEURALMESH_TLS_KEY", "NEURALMESH_TLS_CA"} <= set(service["environment"])
    assert service["healthcheck"]["test"][:4] == ["CMD", "python", "-m", "neuralmesh_server.runtime.healthcheck"]


@pytest.mark.parametrize("name", ALL)
def test_publishes_on_loopback_only(composed: dict[str, Any], name: str) -> None:
    """Every published port is bound to the host's loopback, and data is in a named volume."""
    service = composed["services"][name]
    assert service["ports"]
    assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])
    volumes = {volume.partition(":")[0] for volume in service["volumes"]}
    folders = {volume for volume in volumes if "/" in volume}
    assert [Path(folder).name for folder in folders] == (["jobs"] if name == "labor" else [])
    assert volumes - folders == {"certs", f"{name}-data"}
    assert volumes - folders <= set(composed["volumes"])


def test_runs_with_mutual_tls(composed: dict[str, Any], tmp_path: Path) -> None:
    """From the file's commands and variables a suite comes up that serves over mutual TLS and refuses plain text."""
    services = composed["services"]
    certs = tmp_path / "certs"
    certs.mkdir()
    certificates(services["certs"]["command"], certs)
    addresses: dict[str, str] = {}
    with ExitStack() as stack:
        for name in ALL:
            env = native_environment(services[name]["environment"], tmp_path / name, certs, addresses)
            process = ServerProcess(services[name]["command"][1:], env, tmp_path / f"{name}.log")
            stack.callback(process.stop)
            addresses[name] = "localhost:" + process.listening(name).rpartition(":")[2]
            check = [*services[name]["healthcheck"]["test"][2:-1], addresses[name]]
            until(lambda env=env, check=check: healthy(check, env), f"{name} is healthy")
        tls = TlsFiles(ca=certs / "ca.crt", cert=certs / "client.crt", key=certs / "client.key")
        with Client(**addresses, tls=tls) as client:
            model = tmp_path / "linear.onnx"
            model.write_bytes(linear_onnx(np.eye(64, 10, dtype=np.float32)))
            version = client.push("linear", model, kind="onnx", signature=signature())
            assert version.actor.authenticated
            until(lambda: client.inference.model_ready("linear"), "the node serves the version")
            row = np.zeros((1, 64), np.float32)
            row[0, 3] = 1
            prediction = client.infer("linear", {"input": row})
            assert prediction.outputs["label"].tolist() == [3]
            assert client.trace(prediction.prediction_id).version.digest == version.digest
            until(lambda: figures(client) == 1, "the metrics service counted the prediction")
            np.save(tmp_path / "rows.npy", np.eye(10, 64, dtype=np.float32))
            job = client.labor.run("linear@1", data=tmp_path / "rows.npy", out=tmp_path / "results")
            assert job.progress.done_rows == 10
        with Client(**addresses, timeout=5.0) as stranger, pytest.raises(exceptions.UnavailableError):
            stranger.registry.get_model("linear")


def certificates(command: list[str], folder: Path) -> None:
    """Run the one-shot service twice: the second time it must leave everything as it is."""
    arguments = [argument.replace("/certs", str(folder)) for argument in command]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    contents = []
    for _ in range(2):
        done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert {"ca.crt", "client.crt", *(f"{name}.key" for name in ALL)} <= set(contents[0])
    assert contents[0] == contents[1]


def native_environment(declared: dict[str, str], data: Path, certs: Path, addresses: dict[str, str]) -> dict[str, str]:
    """Put this machine's paths and addresses in the place of the containers'."""
    env = {}
    for key, value in declared.items():
        host, _, port = value.rpartition(":")
        if value == "/data":
            env[key] = str(data)
        elif value.startswith("/certs/"):
            env[key] = str(certs / value.removeprefix("/certs/"))
        elif host == EVERYWHERE and port.isdecimal():
            env[key] = f"{EVERYWHERE}:0"
        elif host in SERVICES and port.isdecimal():
            env[key] = addresses.get(host, value)
        else:
            env[key] = value
    return env


def healthy(check: list[str], env: dict[str, str]) -> bool:
    done = subprocess.run(
        [sys.executable, *check], env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode == 0


def figures(client: Client) -> int:
    try:
        return client.metrics.get_version_metrics("linear", 1).requests
    except exceptions.NotFoundError:
        return 0
