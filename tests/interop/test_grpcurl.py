"""grpcurl, which knows nothing but what reflection tells it, against all three services."""

import base64
import json
import subprocess
from typing import Any

import numpy as np
import pytest

from .conftest import TOOLS, Served

SERVICES = {
    "inference": "inference.GRPCInferenceService",
    "registry": "neuralmesh.registry.v1.RegistryService",
    "metrics": "neuralmesh.metrics.v1.MetricsService",
}


def grpcurl(address: str, *arguments: str, data: object = None) -> str:
    command = [str(TOOLS / "bin" / "grpcurl"), "-plaintext", "-max-time", "20"]
    if data is not None:
        command += ["-d", json.dumps(data)]
    done = subprocess.run([*command, address, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def call(address: str, method: str, data: object) -> Any:
    return json.loads(grpcurl(address, method, data=data))


@pytest.mark.parametrize("service", SERVICES)
def test_lists(served: Served, service: str) -> None:
    """Reflection lists the service and health."""
    listed = grpcurl(served.address(service), "list").split()
    assert SERVICES[service] in listed
    assert "grpc.health.v1.Health" in listed


@pytest.mark.parametrize("service", SERVICES)
def test_describes(served: Served, service: str) -> None:
    """Every method of the service and its messages can be described."""
    address = served.address(service)
    described = grpcurl(address, "describe", SERVICES[service])
    assert f"service {SERVICES[service].rpartition('.')[2]} {{" in described
    types = {word.strip("()") for word in described.split() if word.startswith((".", "(."))}
    methods = grpcurl(address, "list", SERVICES[service]).split()
    assert methods
    for name in sorted(kind for kind in types if kind.lstrip(".")):
        assert "message" in grpcurl(address, "describe", name.lstrip("."))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("named", [True, False])
def test_health(served: Served, service: str, named: bool) -> None:
    """Health says SERVING for the server as a whole and for its service by name."""
    data = {"service": SERVICES[service]} if named else {}
    assert call(served.address(service), "grpc.health.v1.Health/Check", data) == {"status": "SERVING"}


def test_calls_registry(served: Served) -> None:
    """Models, an alias and its history come back as JSON."""
    address, method = served.address("registry"), SERVICES["registry"]
    models = call(address, f"{method}/ListModels", {})["models"]
    assert [model["name"] for model in models] == ["models/bits", "models/linear"]
    alias = call(address, f"{method}/GetAlias", {"name": "models/bits/aliases/production"})["alias"]
    assert alias["state"] == {"version": 1}
    events = call(address, f"{method}/ListEvents", {"parent": "models/bits/aliases/production"})["events"]
    assert events[0]["alias_moved"]["kind"] == "KIND_PROMOTE"
    assert events[0]["reason"] == "interop"


def test_calls_inference(served: Served, rows: np.ndarray) -> None:
    """A prediction can be made by hand, with raw contents, and is numbered."""
    address, method = served.address("inference"), SERVICES["inference"]
    assert call(address, f"{method}/ServerReady", {}) == {"ready": True}
    request = {
        "model_name": "bits",
        "inputs": [{"name": "input", "datatype": "FP32", "shape": list(rows.shape)}],
        "raw_input_contents": [base64.b64encode(rows.tobytes()).decode()],
    }
    answer = call(address, f"{method}/ModelInfer", request)
    assert answer["modelVersion"] == "1"
    assert answer["parameters"]["prediction_id"]["stringParam"].startswith("nm1.")
    label = np.frombuffer(base64.b64decode(answer["rawOutputContents"][0]), "<i8")
    np.testing.assert_array_equal(label, served.expected["bits"](rows)[0])


def test_calls_metrics(served: Served) -> None:
    """The operations table and the figures of versions come back as JSON."""
    address, method = served.address("metrics"), SERVICES["metrics"]
    assert call(address, f"{method}/GetOperations", {})
    assert isinstance(call(address, f"{method}/ListVersionMetrics", {}), dict)


def test_error_details(served: Served) -> None:
    """A failure carries exactly one ErrorInfo, with the reason and its variables."""
    command = [str(TOOLS / "bin" / "grpcurl"), "-plaintext", "-format-error", "-d", '{"name": "models/unknown"}']
    command += [served.address("registry"), f"{SERVICES['registry']}/GetModel"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64 + 5  # grpcurl adds the status code, NOT_FOUND, to 64
    (detail,) = json.loads(done.stderr)["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (detail["reason"], detail["domain"]) == ("MODEL_NOT_FOUND", "neuralmesh")
    assert detail["metadata"]["model"].strip("'") == "unknown"


def test_streams_inference(served: Served, rows: np.ndarray) -> None:
    """A stream can be made by hand: answers in order, a failure in band."""
    address, method = served.address("inference"), SERVICES["inference"]
    requests = [
        {
            "model_name": model,
            "id": str(number),
            "inputs": [{"name": "input", "datatype": "FP32", "shape": list(rows.shape)}],
            "raw_input_contents": [base64.b64encode(rows.tobytes()).decode()],
        }
        for number, model in enumerate(("bits", "unknown", "linear"))
    ]
    command = [str(TOOLS / "bin" / "grpcurl"), "-plaintext", "-max-time", "20", "-d", "@", address]
    done = subprocess.run(
        [*command, f"{method}/ModelStreamInfer"],
        input="\n".join(map(json.dumps, requests)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    decoder, text, answers = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:].lstrip()
    assert [answer["inferResponse"]["id"] for answer in answers] == ["0", "1", "2"]
    assert ["errorMessage" in answer for answer in answers] == [False, True, False]


def test_loads_and_unloads(served: Served) -> None:
    """A model can be taken out of service and put back by hand, and its health follows."""
    address, method = served.address("inference"), SERVICES["inference"]
    health = {"service": "inference/bits"}
    assert call(address, f"{method}/RepositoryModelUnload", {"model_name": "bits"})["isUnloaded"]
    assert call(address, "grpc.health.v1.Health/Check", health) == {"status": "NOT_SERVING"}
    assert call(address, f"{method}/RepositoryModelLoad", {"model_name": "bits"})["isLoaded"]
    assert call(address, "grpc.health.v1.Health/Check", health) == {"status": "SERVING"}
