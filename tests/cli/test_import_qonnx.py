"""A trained network from QONNX to a served version, and what the command says of models that it does not take."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.cli.conftest import Commands
from tests.qonnx.builder import Builder
from tests.qonnx.oracle import execute, rows_for
from tests.qonnx.training import digits, train

HELD_OUT = 1000


@pytest.fixture(scope="module")
def trained():
    """Return a network that was trained on part of the digits, as a model, and the rows that it has not seen."""
    images, labels = digits()
    network = train(images[HELD_OUT:], labels[HELD_OUT:])
    return network.export(batch=HELD_OUT), images[:HELD_OUT], labels[:HELD_OUT]


def test_a_trained_network_is_imported_pushed_and_served(suite, trained, tmp_path):
    """QONNX -> import -> push -> serve: labels and scores of 1,000 images are, bit for bit, those of qonnx's executor."""
    made, images, labels = trained
    model, network = made.save(tmp_path), tmp_path / "bits.safetensors"
    printed = suite.run("import-qonnx", model, "-o", network).stdout
    assert re.search(r"input +64 +64 ", printed)
    assert re.search(r"hidden 0 +64 +256 ", printed)
    assert re.search(r"head +129 +10 .*MatMul", printed)
    assert f"neuralmesh push MODEL {network}" in printed
    suite.run("push", "qonnx", network, "--reason", "trained elsewhere")
    suite.run("promote", "qonnx", 1)
    suite.wait_ready("qonnx", 1)
    expected = execute(made.model(), images)
    rows = np.ascontiguousarray(images.reshape(HELD_OUT, -1))
    with suite.client() as client:
        whole = client.infer("qonnx", {"input": rows}).outputs
        single = [client.infer("qonnx", {"input": row[None]}).outputs for row in rows[:50]]
    assert whole["scores"].tobytes() == expected.tobytes()
    assert whole["label"].tolist() == expected.argmax(axis=1).tolist()
    assert b"".join(one["scores"].tobytes() for one in single) == expected[:50].tobytes()
    assert (whole["label"] == labels).mean() > 0.8, "the network was not trained"


def test_a_network_with_a_table_is_served(suite, tmp_path):
    """Scores that no scale and bias give go through the file's version 2, and come back bit for bit."""
    made = Builder(100, (20,), 3).bipolar().matmul(65).bipolar().matmul(10)
    made.pair("Sub", 0.3).pair("Div", 1.7).pair("Mul", 0.9).pair("Add", -0.2)
    found = suite.json("import-qonnx", made.save(tmp_path))
    assert (found["head"], found["features"], found["classes"]) == ("table", 20, 10)
    assert [layer["operator"] for layer in found["layers"]] == ["BipolarQuant", "BipolarQuant", "MatMul"]
    assert found["file"] == str(tmp_path / "model.safetensors")
    suite.run("push", "tabled", found["file"])
    suite.wait_ready("tabled", 1)
    from liam_core import read_binary_network

    x = rows_for(read_binary_network(found["file"]), 100, 1)
    with suite.client() as client:
        outputs = client.infer("tabled", {"input": x}, version=1).outputs
    assert outputs["scores"].tobytes() == execute(made.model(), x).tobytes()


def test_what_is_refused_is_named(commands, tmp_path):
    """One line names the node, its operator and why; nothing is written."""
    made = Builder(1, (6,), 3).bipolar().matmul(4).extend("Relu").bipolar().matmul(3)
    error = commands.error("import-qonnx", made.save(tmp_path), code=2)
    assert "node 'Relu_3' (Relu): Relu is no operator between the input and the scores" in error
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_push_of_qonnx_says_how_to_import_it(suite, tmp_path):
    """A model that no backend runs because its operators are QONNX's is not just called invalid."""
    path = Builder(1, (6,), 3).bipolar().matmul(3).save(tmp_path)
    error = suite.error("push", "raw", path, code=2)
    assert f"it is a QONNX model (BipolarQuant): `neuralmesh import-qonnx {path}` makes a network of it" in error


def test_without_onnx_the_command_says_what_to_install(commands, tmp_path):
    """The converter's dependency is an extra; the message names it."""
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError('no onnx', name='onnx')\n")
    path = Builder(1, (6,), 3).bipolar().matmul(3).save(tmp_path)
    without = Commands({**commands.env, "PYTHONPATH": f"{tmp_path}:{commands.env.get('PYTHONPATH', '')}"})
    error = without.error("import-qonnx", path, code=1)
    assert "this command needs onnx: pip install 'neuralmesh[qonnx]'" in error
