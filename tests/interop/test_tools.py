"""grpc-health-probe and ghz, which are used unmodified beside the services."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import oip

from .conftest import ROOT, TOOLS, Served


def probe(served: Served, service: str, *, name: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(TOOLS / "bin" / "grpc-health-probe"), f"-addr={served.address(service)}"]
    if name:
        command.append(f"-service={name}")
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("service", ["inference", "registry", "metrics"])
def test_services_are_probed(served: Served, service: str) -> None:
    """The probe that Kubernetes uses finds every service healthy."""
    done = probe(served, service)
    assert (done.returncode, "SERVING" in done.stdout + done.stderr) == (0, True)


@pytest.mark.parametrize("name", ["inference/linear", "inference/linear/1", "inference/linear/production"])
def test_models_are_probed(served: Served, name: str) -> None:
    """A model, a version and an alias have a health of their own."""
    assert probe(served, "inference", name=name).returncode == 0


def test_an_unknown_model_is_unhealthy(served: Served) -> None:
    """The probe fails for a model that is not there, and says NotFound."""
    done = probe(served, "inference", name="inference/unknown")
    assert done.returncode != 0
    assert "NotFound" in done.stdout + done.stderr or "unknown" in (done.stdout + done.stderr).lower()


def test_an_unloaded_model_is_unhealthy(served: Served) -> None:
    """Unloading makes the model's health NOT_SERVING and leaves the server's."""
    served.client.inference.repository_model_unload("linear")
    try:
        assert probe(served, "inference", name="inference/linear").returncode != 0
        assert probe(served, "inference").returncode == 0
    finally:
        served.client.inference.repository_model_load("linear")
    assert probe(served, "inference", name="inference/linear").returncode == 0


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
def test_ghz_gets_every_answer(served: Served, model: str, rows: np.ndarray, method: str, tmp_path: Path) -> None:
    """A thousand calls by ghz, single or as streams of their own, all end OK."""
    request = oip.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.astype(np.float32).tobytes())
    path = tmp_path / "request.bin"
    path.write_bytes(request.SerializeToString())
    command = [str(TOOLS / "bin" / "ghz"), "--insecure", "--call", f"inference.GRPCInferenceService.{method}"]
    command += ["--proto", str(ROOT / "protos/inference/open_inference.proto"), "-B", str(path)]
    command += ["-n", "500", "-c", "8", "--connections", "2", "-O", "json", served.address("inference")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["statusCodeDistribution"] == {"OK": 500}
