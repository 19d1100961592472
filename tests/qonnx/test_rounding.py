"""Sums that round: what is bounded for every order of additions, and what `inexact` makes of the rest."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from liam_core import BinaryNetwork
from neuralmesh_server.qonnx.importer import import_network
from neuralmesh_server.qonnx.products import product_of
from tests.qonnx.builder import Builder
from tests.qonnx.oracle import execute, rows_for


@pytest.mark.parametrize("seed", range(40))
def test_sums_in_any_order_lie_within_the_bounds(seed):
    """float32 sums of shuffled terms, bias anywhere among them, are within the bounds, or one value where exact."""
    random = np.random.default_rng(seed)
    nbits = int(random.integers(1, 200))
    step = random.choice([0.1, 1.0, 0.375, 1 / 3, 1e-40, 3e30]).astype(np.float32)
    signs = random.choice(np.array([-1, 1], np.float32), nbits)
    bias = random.choice([0.0, 0.5, 0.1, -7.3, 1e-42]).astype(np.float32)
    node = SimpleNamespace(name="node", op_type="Gemm", input=("rows", "weights", "bias"), output=("sums",))
    constants = {1: (signs * step)[:, None], 2: bias[None]}
    operation = SimpleNamespace(
        node=node, kind="Gemm", data=0, constants=constants, attribute=lambda _name, value: value
    )
    on = np.ones(nbits, np.float32)
    product = product_of(operation, -on, on)
    low, high = product.bounds(slice(None))
    for _ in range(20):
        bits = random.choice(np.array([-1, 1], np.float32), nbits)
        terms = np.append(bits * signs * step, bias)
        random.shuffle(terms)
        total = np.add.accumulate(terms, dtype=np.float32)[-1]
        column = (int(bits @ signs) + nbits) // 2
        assert low[column, 0] <= total <= high[column, 0]
        if product.exact[0]:
            assert low[column, 0] == high[column, 0]


@pytest.mark.parametrize("batch", [1, 100])
def test_a_bias_that_is_added_last_is_the_executor_s(batch, tmp_path):
    """With `inexact`, a Gemm's bias is added to the product; for transposed weights the executor does so as well."""
    made = Builder(batch, (300,), 3).bipolar()
    made.gemm(10, made.random.standard_normal(10))
    imported = import_network(made.save(tmp_path), inexact=True)
    x = rows_for(imported.definition, 100, 1)
    _, scores = BinaryNetwork(imported.definition).run(x)
    assert scores.tobytes() == execute(made.model(), x).tobytes()


def test_sums_that_round_are_taken_in_float64_when_asked(tmp_path):
    """With `inexact`, what depends on the order of additions is taken at its float64 value: near, and the same labels."""
    made = Builder(2, (6,), seed=3).bipolar().matmul(65, 0.1).pair("Sub", 0.25).bipolar().gemm(3, [0.1, 0.2, 0.3])
    imported = import_network(made.save(tmp_path), inexact=True)
    x = rows_for(imported.definition, 200, 1)
    label, scores = BinaryNetwork(imported.definition).run(x)
    expected = execute(made.model(), x)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert label.tolist() == expected.argmax(axis=1).tolist()
