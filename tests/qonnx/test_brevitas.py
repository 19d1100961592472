"""What Brevitas itself exports, by both of PyTorch's exporters: `brevitas/export.py` trained and wrote the models."""

from pathlib import Path

import onnx
import pytest

from liam_core import BinaryNetwork, capabilities, set_level
from neuralmesh_server.qonnx.importer import import_network
from tests.qonnx.oracle import execute, rows_for, with_rows
from tests.qonnx.training import digits

FOLDER = Path(__file__).parent / "brevitas"
ROWS = 1000


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_models_of_brevitas_are_imported_bit_for_bit(exporter):
    """Labels and scores of 1,000 digits and 1,000 rows on thresholds are the executor's at every SIMD level."""
    path = FOLDER / f"{exporter}.onnx"
    imported = import_network(path)
    assert [layer.outputs for layer in imported.layers] == [64, 96, 33, 10]
    assert sum(layer.inverted for layer in imported.layers) > 20, "no gamma is negative"
    model = with_rows(onnx.load(path), ROWS)
    images, labels = digits()
    network = BinaryNetwork(imported.definition)
    drawn = rows_for(imported.definition, ROWS, 1)
    for x in (images[:ROWS].reshape(ROWS, 64), drawn):
        expected = execute(model, x)
        for level in capabilities().supported:
            with set_level(level):
                label, scores = network.run(x)
            assert scores.tobytes() == expected.tobytes()
            assert label.tolist() == expected.argmax(axis=1).tolist()
    label, _ = network.run(images[:ROWS].reshape(ROWS, 64))
    assert (label == labels[:ROWS]).mean() > 0.7, "the network was not trained"


def test_both_exporters_give_one_network():
    """The two files are one trained network, and so are the definitions that are made of them."""
    first, second = (import_network(FOLDER / f"{name}.onnx").definition for name in ("dynamo", "torchscript"))
    assert first.encoding.thresholds.tobytes() == second.encoding.thresholds.tobytes()
    for one, other in zip(first.hidden, second.hidden, strict=True):
        assert one.weights.tobytes() == other.weights.tobytes()
        assert one.thresholds.tobytes() == other.thresholds.tobytes()
    assert first.head.weights.tobytes() == second.head.weights.tobytes()
