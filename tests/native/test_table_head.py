"""Networks whose scores are looked up: the kernel, the file profile's version 2, and what is refused."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from liam_core import BinaryNetwork, ModelFormatError, NetworkDefinition, from_signs, read_binary_network
from liam_core.definition import TableHead
from liam_core.profile import save_binary_network
from tests.native.oracle import Maker, Network
from tests.native.test_profile_refusals import File, put


def with_table(network: Network, seed: int = 5) -> NetworkDefinition:
    """Return the network with a random table in place of scale and bias; few values, so that there are ties."""
    definition = from_signs(**network.arguments())
    head = definition.head
    table = np.random.default_rng(seed).integers(-9, 9, (definition.classes, head.nbits + 1)).astype(np.float32) / 7
    return replace(definition, head=TableHead(head.nbits, head.weights, table))


def expected_scores(network: Network, table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the scores, from inner products of unpacked signs."""
    classes, nbits = network.head_weights.shape
    plain = replace(network, scale=np.ones(classes, np.float32), bias=np.zeros(classes, np.float32))
    columns = (plain.scores(x).astype(np.int64) + nbits) // 2
    return table[np.arange(classes), columns]


@pytest.mark.parametrize("widths", [(5,), (1, 1), (33, 64, 7), (70, 65, 100), (300, 129, 17)])
def test_scores_are_those_of_the_table(level, widths):
    """Labels and scores equal the oracle's at any width and number of rows."""
    network = Maker(sum(widths)).network(40, *widths, bits=90)
    definition = with_table(network)
    net = BinaryNetwork(definition)
    for rows in (0, 1, 2, 7, 64, 65, 200):
        x = Maker(rows).rows(network, rows) if rows else np.zeros((0, 40), np.float32)
        wanted = expected_scores(network, definition.head.table, x)
        label, scores = net.run(x)
        assert scores.tobytes() == wanted.tobytes()
        assert label.tolist() == wanted.argmax(axis=1).tolist()
        assert net.run_bytes(x.tobytes(), rows) == (label.tobytes(), scores.tobytes())


@pytest.fixture
def path(tmp_path):
    """Return the file of a network with a table."""
    target = tmp_path / "table.safetensors"
    save_binary_network(target, with_table(Maker(1).network(30, 70, 33, 5, bits=100)))
    return target


def test_tables_are_version_2_of_the_profile(path):
    """Only files with a table have the new version; the stock reader sees the table."""
    table = load_file(path)["head.table"]
    assert (table.dtype, table.shape) == (np.float32, (5, 34))
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format_version"] == "2"
    head = json.loads(metadata["network"])["head"]
    assert head == {"nbits": 33, "classes": 5, "weights": "head.weights", "table": "head.table"}
    definition = read_binary_network(path)
    assert definition.head.table.tobytes() == table.tobytes()
    assert BinaryNetwork(definition).describe()["format_version"] == "2"


def refused(path, file, message):
    """Check that a changed file is refused with this message."""
    path.write_bytes(file.content())
    with pytest.raises(ModelFormatError, match=re.escape(message)):
        BinaryNetwork.open(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("head", "scale", "head.table"), "network.head: want exactly the keys nbits, classes, weights, table"),
        (put("head", "table", "head.weights"), "tensor 'head.weights' has another use already"),
        (put("head", "nbits", 34), "tensor 'head.table': want float32 (5, 35), got float32 (5, 34)"),
        (put("head", "classes", 4), "tensor 'head.weights': want uint64 (4, 1)"),
    ],
)
def test_wrong_descriptions_of_tables_are_refused(path, change, message):
    """A table has one column for each inner product and one row for each class, and nothing beside it."""
    file = File(path.read_bytes())
    file.describe(change)
    refused(path, file, message)


def test_a_table_is_no_version_1(path):
    """A reader of version 1 would look for scale and bias."""
    file = File(path.read_bytes())
    file.metadata["format_version"] = "1"
    refused(path, file, "network.head: want exactly the keys nbits, classes, weights, scale, bias")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_tables_are_finite(path, value):
    """NaN and infinity are refused, since labels compare scores."""
    file = File(path.read_bytes())
    table = file.tensor("head.table", "<f4")
    table[-1] = value
    file.replace("head.table", table)
    refused(path, file, "head table: NaN or infinity")
