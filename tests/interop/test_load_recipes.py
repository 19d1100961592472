"""The recipes of clients/load against the real services: they load what answers, and notice what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import load
from bench.processes import ROOT
from neuralmesh import oip

from .conftest import FEATURES, TOOLS, Served

RECIPES = ROOT / "clients" / "load"


def run(*command: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": f"{TOOLS / 'bin'}:{os.environ['PATH']}"},
    )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def written(served: Served, model: str, rows: np.ndarray, tmp_path: Path) -> Path:
    """Return the folder with a request of three rows."""
    np.save(tmp_path / "rows.npy", rows)
    address = served.address("inference")
    said = run(
        *(sys.executable, RECIPES / "request.py", address, f"{model}@production", tmp_path / "request"),
        *("--data", f"input={tmp_path / 'rows.npy'}", "--rows", len(rows)),
    ).stdout
    assert said.startswith(f"{model}@1 answered label, scores: ")
    return tmp_path / "request"


def spoil(folder: Path) -> None:
    """Make the request one that every server refuses: its input has another name."""
    request = oip.ModelInferRequest.FromString((folder / "request.bin").read_bytes())
    request.inputs[0].name = "absent"
    message = request.SerializeToString()
    (folder / "request.bin").write_bytes(message)
    (folder / "request.frame").write_bytes(b"\x00" + len(message).to_bytes(4, "big") + message)


def test_the_request_is_the_same_in_both_forms(written: Path, model: str, rows: np.ndarray) -> None:
    """For ghz the message, for h2load the message behind its frame; the message holds the rows of the file."""
    message, framed = (written / "request.bin").read_bytes(), (written / "request.frame").read_bytes()
    assert framed[0] == 0
    assert int.from_bytes(framed[1:5]) == len(message)
    assert framed[5:] == message
    request = oip.ModelInferRequest.FromString(message)
    assert (request.model_name, request.model_version) == (model, "production")
    assert request.raw_input_contents[0] == rows.astype("<f4").tobytes()


def test_without_data_the_signature_decides(served: Served, tmp_path: Path) -> None:
    """Values are drawn in the datatype and shape that the model asks for."""
    run(sys.executable, RECIPES / "request.py", served.address("inference"), "linear", tmp_path, "--rows", 2)
    request = oip.ModelInferRequest.FromString((tmp_path / "request.bin").read_bytes())
    assert list(request.inputs[0].shape) == [2, FEATURES]
    assert len(request.raw_input_contents[0]) == 2 * FEATURES * 4


def test_a_model_that_is_not_there_leaves_no_files(served: Served, tmp_path: Path) -> None:
    """The recipe ends with a line that says so."""
    done = run(sys.executable, RECIPES / "request.py", served.address("inference"), "absent", tmp_path / "x", code=1)
    assert done.stderr.startswith("error: ")
    assert "absent" in done.stderr
    assert not (tmp_path / "x").exists()


def test_h2load_counts_every_answer(served: Served, written: Path) -> None:
    """All requests are answered in full, and percentiles are printed."""
    said = run("bash", RECIPES / "h2load.sh", served.address("inference"), written, "-n", 300, "-c", 3).stdout
    assert "300 succeeded" in said
    assert "p99" in said
    assert "every answer has its" in said


def test_h2load_notices_refusals_that_http_calls_a_success(served: Served, written: Path) -> None:
    """A refused request has HTTP status 200 and no bytes."""
    spoil(written)
    done = run("bash", RECIPES / "h2load.sh", served.address("inference"), written, "-n", 30, "-c", 3, code=1)
    assert "30 succeeded" in done.stdout
    assert "some failed" in done.stderr


def test_ghz_counts_every_answer(served: Served, written: Path) -> None:
    """All requests end with OK."""
    said = run("bash", RECIPES / "ghz.sh", served.address("inference"), written, "-n", 300, "-c", 3).stdout
    assert "[OK]" in said
    assert "300 responses" in said


def test_ghz_notices_refusals(served: Served, written: Path) -> None:
    """Another status than OK ends the recipe with an error that names it."""
    spoil(written)
    done = run("bash", RECIPES / "ghz.sh", served.address("inference"), written, "-n", 30, "-c", 3, code=1)
    assert "InvalidArgument" in done.stderr


def target(served: Served, folder: Path) -> load.Target:
    """Return what the benchmark loads: the node, with the request of the folder."""
    answer_bytes = int((folder / "answer.bytes").read_text()) - load.FRAME_BYTES
    process, address = served.suite.processes["inference"], served.address("inference")
    return load.Target("node", process, address, folder / "request.frame", answer_bytes)


@pytest.mark.parametrize("length", [{"requests": 300}, {"seconds": 1}, {"requests": 60, "rate": 200.0}])
def test_the_benchmark_measures_what_is_answered(served: Served, written: Path, length: dict[str, Any]) -> None:
    """By number, by time and at a rate: percentiles and processor time are there and fit one another."""
    sample = load.run(target(served, written), clients=3, **length)
    assert 0 < sample.p50_us <= sample.p99_us
    assert sample.rate > 0
    assert sample.cpu_us > 0


@pytest.mark.parametrize("length", [{"requests": 30}, {"seconds": 1}])
def test_the_benchmark_does_not_count_refusals(served: Served, written: Path, length: dict[str, int]) -> None:
    """Refused requests have HTTP status 200 and no message; a run with them measures nothing."""
    spoil(written)
    with pytest.raises(load.LoadError, match="some failed"):
        load.run(target(served, written), clients=3, **length)
