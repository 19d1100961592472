"""The example for Node, which makes its stubs from the contract, against the inference service."""

import json
import subprocess

import numpy as np

from bench.processes import ROOT

from .conftest import Served

FOLDER = ROOT / "clients" / "node"


def test_predicts(served: Served, model: str) -> None:
    """Node gets the model's own numbers, singly and in a stream, and failures as statuses and in band."""
    command = ["node", "predict.mjs", served.address("inference"), model]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    rows = np.array(said["rows"], np.float32)
    label, scores = served.expected[model](rows)
    assert said["ready"] is True
    assert said["version"] == "1"
    assert said["digest"].startswith("sha256:")
    assert served.client.trace(said["prediction_id"]).version.name == f"models/{model}/versions/1"
    assert said["outputs"]["label"] == label.tolist()
    np.testing.assert_allclose(said["outputs"]["scores"], scores.ravel(), rtol=1e-4, atol=1e-4)
    assert [one["id"] for one in said["streamed"]] == ["row-0", "row-1", "row-2", "wrong"]
    assert [one["outputs"].get("label") for one in said["streamed"]] == [[number] for number in label.tolist()] + [None]
    assert "unknown" in said["streamed"][-1]["error"]
    assert said["failure"]["code"] == 5  # NOT_FOUND


def test_says_how_it_is_used() -> None:
    """Without arguments it prints its usage."""
    done = subprocess.run(["node", "predict.mjs"], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "usage" in done.stderr) == (2, True)
