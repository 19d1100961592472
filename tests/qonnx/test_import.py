"""Imported networks against qonnx's own executor, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from liam_core import BinaryNetwork, save_binary_network
from neuralmesh_server.qonnx import import_network
from tests.qonnx.builder import Builder
from tests.qonnx.networks import TAILS, random_network, tail
from tests.qonnx.oracle import execute, rows_for


def check(made: Builder, folder, rows: int = 1000, seed: int = 1):
    """Import a model and compare labels and scores with the executor's; returns what was imported."""
    imported = import_network(made.save(folder))
    x = rows_for(imported.definition, rows, seed)
    path = folder / "network.safetensors"
    save_binary_network(path, imported.definition)
    label, scores = BinaryNetwork.open(path).run(x)
    expected = execute(made.model(), x)
    assert scores.tobytes() == expected.tobytes()
    assert label.tolist() == expected.argmax(axis=1).tolist()
    return imported


@pytest.mark.parametrize("seed", range(60))
def test_networks_compute_what_the_executor_computes(seed, tmp_path):
    """A random network of the subset gives the executor's labels and scores on 1,000 rows, thresholds among them."""
    check(random_network(seed, batch=1000), tmp_path)


@pytest.mark.parametrize("seed", range(60, 70))
def test_a_batch_of_one_gives_the_same(seed, tmp_path):
    """The executor's kernels for a single row, which add in another order, give the same bits."""
    check(random_network(seed, batch=1), tmp_path, rows=20)
