"""Networks with layers of floats at either end: the kernel, the file profile's version 3, and what is refused."""

import hashlib
import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from liam_core import (
    BinaryNetwork,
    Linear,
    ModelFormatError,
    from_signs,
    pack,
    read_binary_network,
    set_level,
    unpack,
    write_binary_network,
)
from liam_core.definition import TableHead
from liam_core.profile import save_binary_network
from tests.native.broken import File, put
from tests.native.oracle import Maker, linear

at_every_level = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)


@dataclass
class Case:
    """Arguments of `from_signs`, some rows, and the scores that NumPy computes of them."""

    arguments: dict
    x: np.ndarray
    scores: np.ndarray


def floats(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def made(seed, features, widths, rows, *, encoded=None, float_head=False):
    """Return a network of hidden layers and a head with these widths, with an input layer of `encoded` outputs if given."""
    maker = Maker(seed)
    network = maker.network(features if encoded is None else encoded, *widths, bits=widths[0] + 3)
    arguments = network.arguments() | {"features": features}
    x = floats(maker.random, rows, features)
    x[maker.random.random(x.shape) < 0.3 / features] = np.nan
    given = x
    if encoded is not None:
        arguments["float_input"] = floats(maker.random, features, encoded), floats(maker.random, encoded)
        given = linear(x, *arguments["float_input"])
    scores = network.scores(given)
    if float_head:
        inputs = network.head_weights.shape[1]
        signs = np.where(given[:, network.source] >= network.encoding_thresholds, 1.0, -1.0)
        for weights, thresholds in network.hidden:
            signs = np.where(signs @ weights.T.astype(np.float64) >= thresholds, 1.0, -1.0)
        head = floats(maker.random, inputs, widths[-1]), floats(maker.random, widths[-1])
        arguments |= {"float_head": head, "head_weights": None, "scale": None, "bias": None}
        scores = linear(signs.astype(np.float32), *head)
    return Case(arguments, x, scores)


@at_every_level
@given(
    seed=st.integers(0, 2**32),
    features=st.integers(1, 60),
    widths=st.lists(st.integers(1, 90), min_size=1, max_size=3),
    encoded=st.none() | st.integers(1, 60),
    rows=st.integers(0, 80),
    float_head=st.booleans(),
)
def test_networks_compute_what_their_layers_do(level, seed, features, widths, encoded, rows, float_head):  # noqa: PLR0917 - as drawn
    """Scores are to the bit those of NumPy, layer by layer in the documented order, and labels their first greatest."""
    case = made(seed, features, widths, rows, encoded=encoded, float_head=float_head)
    net = BinaryNetwork(from_signs(**case.arguments))
    label, scores = net.run(case.x)
    assert scores.tobytes() == case.scores.tobytes()
    assert label.tolist() == case.scores.argmax(axis=1).tolist()
    assert net.run_bytes(case.x.tobytes(), rows) == (label.tobytes(), scores.tobytes())


def both(rows=200):
    """Return a network with both layers of floats, larger than a block of rows."""
    return made(3, 784, (256, 130, 10), rows, encoded=192, float_head=True)


def test_rows_do_not_depend_on_their_batch(level):
    """A row has the same results in every batch of 1 to 64 rows, and in another order."""
    case = both(64)
    net = BinaryNetwork(from_signs(**case.arguments))
    for size in range(1, 65):
        start = (64 - size) // 2
        assert net.run(case.x[start : start + size])[1].tobytes() == case.scores[start : start + size].tobytes()
    order = np.random.default_rng(1).permutation(64)
    assert net.run(case.x[order])[1].tobytes() == case.scores[order].tobytes()


def test_results_are_reproducible(level):
    """This network of both layers of floats gives these bytes at every level and on every machine."""
    grid = (np.arange(64 * 192) * 2654435761 % 2**32 - 2**31) / 2**31
    bits = grid.reshape(192, 64).T >= 0
    net = BinaryNetwork(
        from_signs(
            features=64,
            float_input=(grid.reshape(64, 192), grid[:192] / 3),
            encoding_thresholds=grid[192:384],
            hidden=[(bits, np.arange(64) % 9 - 4)],
            float_head=(grid[:640].reshape(64, 10) / 7, grid[:10]),
        )
    )
    label, scores = net.run((grid.reshape(192, 64) * 5).astype(np.float32))
    digest = hashlib.sha256(label.astype("<i8").tobytes() + scores.astype("<f4").tobytes())
    assert digest.hexdigest() == "8e4309e8dbf5cd6cb4fba4a8e0bc592f1a5f84ab0d0c15d62eda03a44819f16e"


def test_a_network_is_its_parts(level):
    """One call computes what the package's functions compute one after the other."""
    case = both()
    arguments = case.arguments
    given = Linear(*arguments["float_input"]).apply(case.x)
    bits = pack(given[:, arguments["source"]].copy(), arguments["encoding_thresholds"])
    for weights, thresholds in arguments["hidden"]:
        signs = unpack(bits, weights.shape[1]).astype(np.int32)
        bits = pack(signs @ weights.T.astype(np.int32) >= thresholds)
    scores = Linear(*arguments["float_head"]).apply(unpack(bits, 130, np.float32))
    assert BinaryNetwork(from_signs(**arguments)).run(case.x)[1].tobytes() == scores.tobytes()


def test_scores_of_the_greatest_weights_are_finite(level):
    """Weights at the limit add up to numbers, whatever the bits are."""
    greatest = np.full((300, 4), 2.0**64) * np.array([1, -1, 1, -1])
    network = from_signs(
        features=1,
        source=np.zeros(300, int),
        encoding_thresholds=np.where(np.arange(300) % 3, 0, 1),
        hidden=[],
        float_head=(greatest, np.full(4, 2.0**64)),
    )
    assert np.isfinite(BinaryNetwork(network).run(np.array([[0.5], [2.0], [np.nan]], np.float32))[1]).all()


# ---- Files -------------------------------------------------------------------------------------------------------

ENDS = [(None, False), (20, False), (None, True), (20, True)]


@pytest.fixture(params=ENDS[1:], ids=["input", "head", "both"])
def case(request):
    """Return a network with layers of floats at one end or both."""
    encoded, float_head = request.param
    return made(1, 30, (70, 33, 5), 65, encoded=encoded, float_head=float_head)


def test_layers_of_floats_are_version_3_of_the_profile(tmp_path, case):
    """Such files have version 3; the stock reader sees the floats; what is read runs as what was written."""
    path, again = tmp_path / "file", tmp_path / "again"
    write_binary_network(path, **case.arguments)
    tensors = load_file(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format_version"] == "3"
    described = json.loads(metadata["network"])
    if "float_input" in case.arguments:
        assert described["input"]["layer"] == {
            "outputs": 20,
            "weights": "input.layer.weights",
            "bias": "input.layer.bias",
        }
        assert tensors["input.layer.weights"].tobytes() == case.arguments["float_input"][0].tobytes()
    assert described["input"]["features"] == 30
    kind, names = ("float", ["weights", "bias"])
    if case.arguments.get("float_head") is None:
        kind, names = ("scale", ["weights", "scale", "bias"])
    named = {name: f"head.{name}" for name in names}
    assert described["head"] == {"kind": kind, "nbits": 33, "classes": 5, **named}

    definition = read_binary_network(path)
    save_binary_network(again, definition)
    assert again.read_bytes() == path.read_bytes()
    net = BinaryNetwork.open(path)
    assert net.run(case.x)[1].tobytes() == case.scores.tobytes()
    said = net.describe()
    assert said["format_version"] == "3"
    assert said["inputs"][0]["shape"] == [-1, 30]
    assert said.get("input_layer") == (20 if "float_input" in case.arguments else None)
    assert said.get("head") == ("float" if kind == "float" else None)


def test_an_input_layer_goes_with_a_table(tmp_path):
    """A head that is a table may stand behind an input layer."""
    case = made(1, 30, (70, 33, 5), 65, encoded=20)
    plain = from_signs(**case.arguments)
    products = np.arange(-33, 34, 2, dtype=np.float32)
    table = case.arguments["scale"][:, np.newaxis] * products + case.arguments["bias"][:, np.newaxis]
    network = replace(plain, head=TableHead(33, plain.head.weights, table))
    save_binary_network(tmp_path / "file", network)
    assert BinaryNetwork.open(tmp_path / "file").run(case.x)[1].tobytes() == case.scores.tobytes()


@pytest.mark.parametrize(
    ("table", "file_digest", "scores_digest"),
    [
        (
            False,
            "362360d701d9c9bad1b34bd5a993ab711f04b5dc4c90c22133d076e0aed74f7d",
            "33d6309d779a481d93312c667e7195bd8bb0ab703fd10ac1ddf51c79da95902d",
        ),
        (
            True,
            "34b3847c55992a2f62932955ef51e17f6b551edd33b54ab650dd2b02cc369f8d",
            "9ef9dc12d74be698b5d229c244f1910a79251fb7b2bae3ebfbc0b9c42f38ab9c",
        ),
    ],
)
def test_networks_without_them_are_what_they_were(tmp_path, level, table, file_digest, scores_digest):
    """Files of versions 1 and 2 have the bytes that they always had, and so have the scores of what they hold."""
    grid = (np.arange(64 * 192) * 2654435761 % 2**32 - 2**31) / 2**31
    definition = from_signs(
        features=192,
        encoding_thresholds=grid[:192],
        hidden=[(grid.reshape(64, 192) >= 0, np.arange(64) % 9 - 4)],
        head_weights=grid[:640].reshape(10, 64) >= 0,
        scale=grid[:10],
        bias=grid[10:20],
    )
    if table:
        columns = (grid[:650].reshape(10, 65)).astype(np.float32)
        definition = replace(definition, head=TableHead(64, definition.head.weights, columns))
    path = tmp_path / "file"
    save_binary_network(path, definition)
    label, scores = BinaryNetwork.open(path).run(grid.reshape(64, 192).astype(np.float32))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file_digest
    assert hashlib.sha256(label.tobytes() + scores.tobytes()).hexdigest() == scores_digest


# ---- Refusals ----------------------------------------------------------------------------------------------------


def refused(path, file, message):
    """Check that a changed file is refused with this message."""
    path.write_bytes(file.content())
    with pytest.raises(ModelFormatError, match=re.escape(message)):
        BinaryNetwork.open(path)


@pytest.fixture
def path(tmp_path):
    """Return the file of a network with both."""
    target = tmp_path / "file"
    write_binary_network(target, **made(1, 30, (70, 33, 5), 1, encoded=20, float_head=True).arguments)
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("head", "kind", "other"), "network.head.kind: 'other' is none of scale, table, float"),
        (put("head", "kind", "table"), "network.head: want exactly the keys kind, nbits, classes, weights, table"),
        (put("head", "scale", "head.bias"), "network.head: want exactly the keys kind, nbits, classes, weights, bias"),
        (put("head", "nbits", 34), "tensor 'head.weights': want float32 (34, 5), got float32 (33, 5)"),
        (put("head", "bias", "head.weights"), "tensor 'head.weights' has another use already"),
        (put("input", "layer", None), "network.input.layer: want a JSON object"),
        (put("input", "layer", "outputs", 0), "network.input.layer.outputs: want an integer from 1 to 2147483647"),
        (put("input", "layer", "outputs", 21), "tensor 'input.layer.weights': want float32 (30, 21)"),
        (put("input", "features", 31), "tensor 'input.layer.weights': want float32 (31, 20)"),
        (put("input", "layer", "more", 1), "network.input.layer: want exactly the keys outputs, weights, bias"),
    ],
)
def test_wrong_descriptions_are_refused(path, change, message):
    """Each part of a layer of floats has its shape, and nothing stands beside it."""
    file = File(path.read_bytes())
    file.describe(change)
    refused(path, file, message)


@pytest.mark.parametrize("version", ["1", "2"])
def test_they_are_no_earlier_version(path, version):
    """A reader of an earlier version has no place for them."""
    file = File(path.read_bytes())
    file.metadata["format_version"] = version
    refused(path, file, "network.input: want exactly the keys name, features, nbits, source, thresholds")


def test_a_network_without_them_is_no_version_3(tmp_path):
    """A network has one file: without a layer of floats it has version 1 or 2."""
    path = tmp_path / "file"
    write_binary_network(path, **made(1, 30, (70, 33, 5), 1).arguments)
    file = File(path.read_bytes())
    file.metadata["format_version"] = "3"
    file.describe(put("head", "kind", "scale"))
    refused(path, file, "__metadata__.format_version: '3' without a layer of floats")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("head.weights", np.nan, "head weights: NaN or infinity"),
        ("head.bias", np.inf, "head bias: NaN or infinity"),
        ("head.weights", -1.1 * 2.0**64, "head weights: want magnitudes up to 1.84467e+19"),
        ("head.bias", 1.1 * 2.0**64, "head bias: want magnitudes up to 1.84467e+19"),
        ("input.layer.weights", -np.inf, "input layer weights: NaN or infinity"),
        ("input.layer.bias", np.nan, "input layer bias: NaN or infinity"),
    ],
)
def test_values_that_could_give_no_score_are_refused(path, name, value, message):
    """NaN, infinity, and weights of a head whose sums could overflow are refused, since labels compare scores."""
    file = File(path.read_bytes())
    values = file.tensor(name, "<f4")
    values[-1] = value
    file.replace(name, values)
    refused(path, file, message)


LAYER = (np.ones((4, 3)), np.zeros(3))
HEAD = (np.ones((3, 2)), np.zeros(2))
SOUND = {"features": 4, "float_input": LAYER, "encoding_thresholds": np.zeros(3), "hidden": [], "float_head": HEAD}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": 5}, "float_input weights: 4 rows for 5 features"),
        ({"float_input": (LAYER[0],)}, "float_input: want (weights, bias), got tuple"),
        ({"float_input": 3}, "float_input: want (weights, bias), got int"),
        ({"float_input": (LAYER[1], LAYER[1])}, "float_input weights: want a matrix of numbers"),
        ({"float_input": (LAYER[0], LAYER[0])}, "float_input bias: want a vector of numbers"),
        ({"float_input": (LAYER[0], np.zeros(4))}, "encoding_thresholds: 3 for 4 features, and no source"),
        ({"float_input": (LAYER[0], np.zeros(4)), "source": [0, 1, 3]}, "input layer bias: want float32 (3,)"),
        ({"float_input": (np.zeros((0, 3)), np.zeros(3)), "features": 0}, "input layer inputs: want 1 to"),
        ({"source": [0, 1, 3]}, "encoding source: want values within [0, 2]"),
        ({"encoding_thresholds": np.zeros(4)}, "encoding_thresholds: 4 for 3 features, and no source"),
        ({"float_head": (np.ones((4, 2)), np.zeros(2))}, "head: takes 4 bits, but gets 3 from before it"),
        ({"float_head": (HEAD[0], np.zeros(3))}, "head bias: want float32 (2,), got float32 (3,)"),
        ({"float_head": (HEAD[0] * 1e20, HEAD[1])}, "head weights: want magnitudes up to"),
        ({"float_head": (HEAD[0] * 1e300, HEAD[1])}, "head weights: NaN or infinity"),
        ({"head_weights": [[1, 1, 1]]}, "head_weights: not used beside float_head"),
        ({"scale": [1.0]}, "scale: not used beside float_head"),
        ({"bias": [1.0]}, "bias: not used beside float_head"),
        ({"float_head": None}, "head_weights: want them, or float_head"),
    ],
)
def test_wrong_arguments_are_refused_by_name(changes, message):
    """A wrong argument is a ModelFormatError that names it."""
    from_signs(**SOUND)
    with pytest.raises(ModelFormatError, match=re.escape(message)):
        from_signs(**SOUND | changes)


def test_all_levels_agree(level):
    """A level computes the scores that the portable one computes."""
    case = both()
    net = BinaryNetwork(from_signs(**case.arguments))
    with set_level("scalar"):
        wanted = net.run(case.x)[1]
    assert net.run(case.x)[1].tobytes() == wanted.tobytes()
