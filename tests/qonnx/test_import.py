"""Imported networks against qonnx's own executor, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from liam_core import BinaryNetwork, save_binary_network
from neuralmesh_server.qonnx.importer import import_network
from tests.qonnx.builder import Builder
from tests.qonnx.networks import random_network, tail
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


def small(seed: int = 3, width: int = 33, batch: int = 500) -> Builder:
    """Return a builder after an input and a hidden layer, whose last products are to become scores."""
    made = Builder(batch, (20,), seed).bipolar().matmul(width)
    return made.bipolar().matmul_of_transposed(10)


@pytest.mark.parametrize(
    ("form", "head"),
    [
        ("none", "affine"),
        ("scale", "affine"),
        ("bias", "affine"),
        ("scale and bias", "affine"),
        ("norm", "affine"),
        ("reversed", "affine"),
        ("tensor norm", "table"),
        ("two norms", "table"),
    ],
)
@pytest.mark.parametrize("width", [32, 33])
def test_heads_are_scale_and_bias_where_such_a_pair_exists(form, head, width, tmp_path):
    """One rounded product and one rounded sum are scale and bias; longer arithmetic is a table. Both are bit-exact."""
    made = small(width=width)
    tail(made, np.random.default_rng(5), form)
    assert check(made, tmp_path, rows=500).head == head


@pytest.mark.parametrize("scale", [2.0, -1.0])
@pytest.mark.parametrize("width", [32, 33])
def test_the_sign_of_zero_is_kept(scale, width, tmp_path):
    """A product with a negative factor of a sum of zero is -0.0, and stays so."""
    assert check(small(width=width).pair("Mul", scale), tmp_path, rows=500).head == "affine"


def test_infinite_inputs_are_the_executor_s(tmp_path):
    """Rows of infinities give what the executor gives, where the arithmetic makes no NaN of them."""
    made = Builder(500, (20,), 3).pair("Mul", -0.5).pair("Add", 3.0).bipolar().matmul(9).bipolar().matmul(3)
    imported = import_network(made.save(tmp_path))
    x = made.random.choice(np.array([-np.inf, np.inf, 0, 5.9, 6, 6.1], np.float32), (500, 20))
    _, scores = BinaryNetwork(imported.definition).run(x)
    assert scores.tobytes() == execute(made.model(), x).tobytes()


def test_constant_channels_are_counted(tmp_path):
    """A gamma of zero, and a bias beyond every sum, make channels whose bit never changes."""
    made = Builder(500, (20,), 3).bipolar().matmul(8)
    gamma = np.array([0, 0, 1, -1, 1, -1, 1, -1])
    made.norm(gamma, [1, -1, 1e6, 1e6, 0, 0, 0, 0], np.zeros(8), np.ones(8)).bipolar().matmul(3)
    hidden = check(made, tmp_path, rows=500).layers[1]
    assert (hidden.outputs, hidden.constant, hidden.inverted) == (8, 4, 2)


def test_constant_features_are_counted(tmp_path):
    """An input that is normalised by a gamma of zero gives a bit that never changes, on or off."""
    made = Builder(500, (5,), 3)
    made.norm([0, 0, 1, -1, 2], [1, -1, 0, 0, 0], np.zeros(5), np.ones(5)).bipolar().matmul(3)
    layer = check(made, tmp_path, rows=500).layers[0]
    assert (layer.outputs, layer.constant) == (5, 2)


@pytest.mark.parametrize("epsilon", [0.0, 1e-30, 1e30])
def test_epsilon_may_be_nothing_or_enormous(epsilon, tmp_path):
    """Variances are divided by as the model's own normalisation does, whatever is added to them."""
    made = Builder(500, (64,), 3).bipolar().matmul(70)
    values = made.random.standard_normal((3, 70))
    made.norm(*values, made.random.random(70) + 0.01, epsilon=epsilon).bipolar().matmul(10)
    check(made, tmp_path, rows=500)


@pytest.mark.parametrize("scale", [0.1, 0.3, 1 / 3])
def test_layers_whose_sums_round_are_proved_for_every_order(scale, tmp_path):
    """Weights of a scale that float32 does not add exactly are taken where no bit depends on the order of additions."""
    made = Builder(500, (100,), 3).bipolar().matmul(64, scale)
    made.norm(*made.random.standard_normal((3, 64)), made.random.random(64) + 0.5).bipolar().matmul(10)
    check(made, tmp_path, rows=500)
    made = Builder(500, (100,), 4).bipolar().gemm(64, made.random.standard_normal(64), scale).bipolar().matmul(10)
    check(made, tmp_path, rows=500)


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "onnx.brevitas"])
def test_domains_of_exporters_are_known(domain, tmp_path):
    """Brevitas and qonnx name the domain of the same operators differently."""
    made = Builder(500, (20,), 3, domain=domain).bipolar().gemm(9).bipolar().matmul(3)
    check(made, tmp_path, rows=500)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_opsets_are_those_of_the_model(opset, tmp_path):
    """Operators are run in the version that the model imports."""
    made = Builder(500, (20,), 3, opset=opset)
    made.norm(np.ones(20), np.zeros(20), np.zeros(20), np.ones(20)).bipolar().matmul(33).bipolar().matmul(3)
    check(made, tmp_path, rows=500)


def test_the_streamlined_dialect(tmp_path):
    """Thresholds to 0 and 1, and products that count equal bits, as FINN's streamlining leaves them."""
    made = Builder(1000, (49,), 3)
    made.threshold(made.random.standard_normal((49, 1)), 1.0, 0.0, "BINARY").xnor(65)
    made.threshold(made.random.integers(15, 35, (65, 1)), 1.0, 0.0, "BINARY").xnor(30)
    made.pair("Mul", 2.0).pair("Add", -65.0).threshold(np.zeros((30, 1)), 1.0, 0.0, "BINARY").xnor(10)
    made.pair("Mul", 2.0).pair("Add", -30.0).pair("Mul", 0.37)
    made.annotations = {
        name: "BINARY" if name.startswith("Multi") else "UINT32" if name.startswith("Xnor") else "INT32"
        for name in made.shapes
        if name.startswith(("Multi", "Xnor", "Mul_4", "Add_5"))
    }
    check(made, tmp_path)


def test_layouts_say_where_the_channels_are(tmp_path):
    """Thresholds of images follow the layout that the node names, or the one that the executor guesses."""
    for shape, layout, channels in (
        ((3, 4, 5), "", 3),
        ((3, 4, 5), "NHWC", 5),
        ((3, 4, 5), "NCHW", 3),
        ((4, 6), "", 6),
    ):
        made = Builder(100, shape, 3)
        limits = made.constant(made.random.standard_normal((channels, 1)))
        attributes = {"out_scale": 2.0, "out_bias": -1.0, "out_dtype": "BIPOLAR", "data_layout": layout}
        made.extend("MultiThreshold", limits, **attributes).flatten().matmul(10)
        check(made, tmp_path, rows=100)


@pytest.mark.parametrize("target", [(500, -1), (-1, 40), (0, -1), (500, 40)])
def test_rows_are_flattened_by_reshaping(target, tmp_path):
    """Every way to say that rows stay apart is understood."""
    made = Builder(500, (2, 4, 5), 3).pair("Mul", np.full((2, 1, 1), 2.0))
    made.extend("Reshape", made.constant(target, np.int64), shape=(500, 40)).bipolar().matmul(3)
    check(made, tmp_path, rows=500)


def test_constants_may_be_computed(tmp_path):
    """Scales that nodes compute of other constants, and constants that are nodes, are values like others."""
    made = Builder(500, (20,), 3).bipolar().matmul(10)
    deviation = made.node("Sqrt", [made.constant([2.7])], (1,))
    made.extend("Div", made.node("Add", [deviation, made.constant([0.1])], (1,)))
    check(made, tmp_path, rows=500)


def test_a_network_as_brevitas_exports_it(tmp_path):
    """TFC-1W1A of FINN: images, constants as nodes, turned weights, batch norms, and one norm over all scores."""
    made = Builder(1, (1, 28, 28), 3, domain="onnx.brevitas", opset=14)
    made.extend("Reshape", made.constant((1, -1), np.int64), shape=(1, 784))
    made.extend("Mul", made.literal(2.0)).extend("Sub", made.literal([1.0]))
    made.extend("BipolarQuant", made.literal(1.0)).extend("Identity")
    for width in (64, 64, 64):
        made.matmul_of_transposed(width)
        made.norm(*made.random.standard_normal((3, width)) * 3, made.random.random(width) * 90, epsilon=1e-4)
        made.extend("BipolarQuant", made.literal(1.0))
    made.matmul_of_transposed(10)
    variance = made.node("Add", [made.constant([61.7]), made.literal([1e-5])], (1,))
    deviation = made.node("Pow", [variance, made.literal(0.5)], (1,))
    made.pair("Sub", [-0.43]).extend("Div", deviation).pair("Mul", [1.31]).pair("Add", [0.77])
    imported = check(made, tmp_path, rows=40)
    assert imported.head == "table"
    assert [layer.outputs for layer in imported.layers] == [784, 64, 64, 64, 10]


def test_a_label_at_the_end_is_the_network_s_own(tmp_path):
    """An ArgMax over the scores is left out, since every network gives the label."""
    made = small().pair("Mul", 0.25)
    plain = import_network(made.save(tmp_path)).definition
    made.extend("ArgMax", shape=(made.batch,), axis=1, keepdims=0)
    imported = import_network(made.save(tmp_path))
    x = rows_for(imported.definition, made.batch, 1)
    label, scores = BinaryNetwork(imported.definition).run(x)
    assert label.tolist() == execute(made.model(), x).tolist()
    assert scores.tobytes() == BinaryNetwork(plain).run(x)[1].tobytes()


def test_a_wide_layer_is_evaluated_in_blocks(tmp_path, monkeypatch):
    """The blocks of channels that are evaluated at once change nothing."""
    from neuralmesh_server.qonnx import sums

    made = random_network(11, batch=200)
    whole = import_network(made.save(tmp_path)).definition
    monkeypatch.setattr(sums, "_BLOCK", 1)
    blocks = import_network(made.save(tmp_path)).definition
    for one, other in zip(whole.hidden, blocks.hidden, strict=True):
        assert one.thresholds.tolist() == other.thresholds.tolist()
