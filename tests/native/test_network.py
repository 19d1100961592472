"""Whole networks against an oracle over floats and unpacked signs, at every SIMD level."""

import re
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liam_core import BinaryNetwork, ModelFormatError, capabilities, from_signs, set_level
from tests.native.oracle import Maker

SHAPES = [
    (1, (1,), None),
    (3, (2,), None),
    (64, (10,), None),
    (512, (256, 10), None),
    (784, (128, 64, 10), None),
    (100, (65, 63, 17, 3), None),
    (5, (70, 11), 333),
    (64, (100, 10), 64 * 8),
    (17, (1, 1, 1, 5), 1),
]


def network_of(network):
    """Return the network under test."""
    return BinaryNetwork(from_signs(**network.arguments()))


def assert_same(results, expected):
    """Compare (label, scores) to the last bit."""
    for got, want in zip(results, expected, strict=True):
        assert (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())


@pytest.mark.parametrize(("features", "widths", "bits"), SHAPES)
def test_networks_agree_with_the_oracle(level, features, widths, bits):
    """Labels and scores equal the oracle's, bit for bit, for every number of rows."""
    maker = Maker(features)
    network = maker.network(features, *widths, bits=bits)
    net = network_of(network)
    for count in (0, 1, 2, 7, 8, 9, 64, 65, 200):
        x = maker.rows(network, count)
        scores = network.scores(x)
        assert_same(net.run(x), (scores.argmax(axis=1), scores))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    maker=st.builds(Maker, st.integers(0, 2**32)),
    shape=st.tuples(st.integers(1, 80), st.lists(st.integers(1, 90), min_size=1, max_size=4)),
    bits=st.none() | st.integers(1, 300),
    rows=st.integers(0, 70),
)
def test_any_network_agrees_with_the_oracle(level, maker, shape, bits, rows):
    """Networks of any depth and width compute what the oracle does."""
    features, widths = shape
    network = maker.network(features, *widths, bits=bits)
    x = maker.rows(network, rows)
    scores = network.scores(x)
    assert_same(network_of(network).run(x), (scores.argmax(axis=1), scores))


def test_rows_do_not_depend_on_their_batch(level):
    """A row's results are the same bits alone, in any batch and at any position of it."""
    maker = Maker(1)
    network = maker.network(100, 130, 70, 11)
    net, x = network_of(network), maker.rows(network, 150)
    label, scores = net.run(x)
    for size in (1, 3, 8, 63, 64, 65, 100):
        for start in (0, 1, 5, 50):
            part = net.run(np.ascontiguousarray(x[start : start + size]))
            assert_same(part, (label[start : start + size], scores[start : start + size]))


def test_levels_agree_to_the_bit():
    """Every supported level returns the bytes that the scalar level returns."""
    maker = Maker(2)
    network = maker.network(333, 257, 129, 7)
    net, x = network_of(network), maker.rows(network, 77)
    results = set()
    for level in capabilities().supported:
        with set_level(level):
            results.add(tuple(array.tobytes() for array in net.run(x)))
    assert len(results) == 1


def test_ties_go_to_the_lowest_class(level):
    """Among equal scores the lowest class is the label, also when all are minus infinity or zeros of either sign."""
    ones = np.ones((4, 3), np.int8)
    scale = np.array([0.0, -0.0, 0.0, 0.0], np.float32)
    base = {"features": 3, "encoding_thresholds": [0, 0, 0], "hidden": [], "head_weights": ones}
    x = np.ones((1, 3), np.float32)
    assert network_of_arguments(base, scale=scale).run(x)[0].tolist() == [0]
    assert network_of_arguments(base, bias=[1, 2, 2, 1]).run(x)[0].tolist() == [1]
    huge = np.full(4, -3.0e38, np.float32)
    label, scores = network_of_arguments(base, scale=huge).run(x)
    assert (label.tolist(), scores.tolist()) == ([0], [[-np.inf] * 4])


def network_of_arguments(base, **more):
    """Return a network from arguments of `from_signs`."""
    return BinaryNetwork(from_signs(**base, **more))


def test_nan_features_are_below_every_threshold(level):
    """A NaN feature gives the bits that minus infinity gives."""
    maker = Maker(3)
    network = maker.network(40, 30, 5)
    net = network_of(network)
    x = maker.rows(network, 9)
    x[:, 7] = np.nan
    other = x.copy()
    other[:, 7] = -np.inf
    assert_same(net.run(x), net.run(other))


def test_results_go_where_they_are_wanted(level):
    """Given arrays are filled and returned."""
    maker = Maker(4)
    network = maker.network(20, 10, 3)
    net, x = network_of(network), maker.rows(network, 6)
    label, scores = np.full(6, -1), np.zeros((6, 3), np.float32)
    returned = net.run(x, label, scores)
    assert returned[0] is label
    assert returned[1] is scores
    assert_same(net.run(x), (label, scores))


@pytest.mark.parametrize("rows", [0, 1, 5, 64, 65, 300])
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: memoryview(b"xyz" + data)[3:]])
def test_run_bytes_equals_run(level, rows, wrap):
    """Raw requests give the bytes of the arrays, for every kind of buffer and for data at odd addresses."""
    maker = Maker(5)
    network = maker.network(50, 40, 6)
    net, x = network_of(network), maker.rows(network, rows)
    label, scores = net.run(x)
    assert net.run_bytes(wrap(x.tobytes()), rows) == (label.tobytes(), scores.tobytes())


def test_threads_share_a_network(level):
    """Concurrent calls on one network do not disturb one another."""
    maker = Maker(6)
    network = maker.network(200, 150, 60, 4)
    net = network_of(network)
    inputs = [maker.rows(network, 20 + 30 * index) for index in range(8)]
    expected = [tuple(array.tobytes() for array in net.run(x)) for x in inputs]
    wrong = []

    def work(index):
        x = inputs[index]
        for _ in range(50):
            if tuple(array.tobytes() for array in net.run(x)) != expected[index]:
                wrong.append(index)
            if net.run_bytes(x.tobytes(), len(x)) != expected[index]:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_networks_describe_themselves():
    """The description holds the signature and the widths, in JSON's types."""
    net = network_of(Maker(7).network(20, 10, 5, 3))
    assert (net.features, net.classes) == (20, 3)
    assert net.nbytes > 0
    assert net.describe() == {
        "format": "liam.binary_network",
        "format_version": "1",
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 20]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "input_bits": 20,
        "hidden": [10, 5],
        "classes": 3,
        "nbytes": net.nbytes,
    }


NET = network_of(Maker(8).network(4, 5, 3))
X = np.zeros((6, 4), np.float32)
READ_ONLY = np.zeros(6, np.int64)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NET.run(X[:, :3].copy()), "x: want a C-contiguous float32 array of shape (-1, 4)"),
        (lambda: NET.run(X[0]), "x: want"),
        (lambda: NET.run(X.astype(np.float64)), "x: want"),
        (lambda: NET.run(X.astype(">f4")), "x: want"),
        (lambda: NET.run(X.T.copy().T), "x: want"),
        (lambda: NET.run(X[::2]), "x: want"),
        (lambda: NET.run(X.tolist()), "x: want"),
        (lambda: NET.run(memoryview(X)), "x: want"),
        (lambda: NET.run(None), "x: want"),
        (lambda: NET.run(X, np.zeros(5, np.int64)), "label: want a C-contiguous int64 array of shape (6,)"),
        (lambda: NET.run(X, np.zeros(6, np.int32)), "label: want"),
        (lambda: NET.run(X, np.zeros(12, np.int64)[::2]), "label: want a C-contiguous, aligned, writable array"),
        (lambda: NET.run(X, READ_ONLY), "label: want a C-contiguous, aligned, writable array"),
        (lambda: NET.run(X, [0] * 6), "label: want"),
        (lambda: NET.run(X, None, np.zeros((6, 4), np.float32)), "scores: want"),
        (lambda: NET.run(X, None, np.zeros((3, 6), np.float32).T), "scores: want a C-contiguous, aligned, writable"),
        (lambda: NET.run_bytes(X.tobytes(), 5), "data: 96 bytes are not 5 rows of 16 bytes"),
        (lambda: NET.run_bytes(X.tobytes()[1:], 6), "data: 95 bytes"),
        (lambda: NET.run_bytes(b"", -1), "data: 0 bytes are not -1 rows"),
        (lambda: NET.run_bytes(b"", 2**62), "data: 0 bytes"),
        (lambda: NET.run_bytes(X.tobytes(), 6.0), "data: 96 bytes are not 6.0 rows"),
        (lambda: NET.run_bytes(memoryview(X.tobytes())[::2], 3), "data: want a contiguous"),
        (lambda: NET.run_bytes("text", 0), "data: want a contiguous"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


ARGUMENTS = {
    "features": 3,
    "encoding_thresholds": [0.0, 1.0, 2.0],
    "hidden": [([[1, -1, 1], [1, 1, 1]], [0, 4])],
    "head_weights": [[1, -1], [1, 1]],
    "scale": [1.0, 2.0],
    "bias": [0.0, 0.5],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": 0, "source": [0, 0, 0]}, "features: want 1 to"),
        ({"features": 2}, "encoding_thresholds: 3 for 2 features, and no source"),
        ({"source": [0, 1]}, "encoding thresholds: want float32 (2,)"),
        ({"source": [0, 1, 3]}, "encoding source: want values within [0, 2]"),
        ({"source": [0, -1, 2]}, "encoding source: want values within [0, 2]"),
        ({"source": [0.0, 1.0, 2.0]}, "source: want a vector of integers"),
        ({"source": [0, 1, 2**31]}, "source: want 32-bit integers"),
        ({"encoding_thresholds": [0.0, np.nan, 0.0]}, "encoding thresholds: NaN or infinity"),
        ({"encoding_thresholds": [0.0, 1e39, 0.0]}, "encoding thresholds: NaN or infinity"),
        ({"encoding_thresholds": [], "source": np.empty(0, np.int32)}, "encoding: want 1 to"),
        ({"hidden": [([[1, -1, 0]], [0])]}, "hidden[0] weights: want +1 and -1 only"),
        ({"hidden": [([[1, -1]], [0])]}, "hidden[0]: takes 2 bits, but gets 3 from before it"),
        ({"hidden": [([1, -1, 1], [0])]}, "hidden[0] weights: want a matrix"),
        ({"hidden": [([["a", "b", "c"]], [0])]}, "hidden[0] weights: want a matrix of numbers"),
        ({"hidden": [([[1, -1, 1], [1, 1, 1]], [0])]}, "hidden[0] thresholds: want int32 (2,)"),
        ({"hidden": [([[1, -1, 1], [1, 1, 1]], [0, 5])]}, "hidden[0] thresholds: want values within [-4, 4]"),
        ({"hidden": [([[1, -1, 1], [1, 1, 1]], [-5, 0])]}, "hidden[0] thresholds: want values within"),
        (
            {"hidden": [([[1, -1, 1], [1, 1, 1]], [0.5, 0])]},
            "hidden[0] thresholds: want a vector of integers",
        ),
        (
            {"hidden": [([[True] * 3] * 3, [0] * 3)] + [([[True] * 3] * 3, [0] * 3)] * 64},
            "hidden: at most 64",
        ),
        ({"head_weights": [[1, 1, 1]] * 2}, "head: takes 3 bits, but gets 2 from before it"),
        ({"head_weights": np.empty((0, 2))}, "head outputs: want 1 to"),
        ({"scale": [1.0]}, "head scale: want float32 (2,)"),
        ({"bias": [1.0, np.inf]}, "head bias: NaN or infinity"),
        ({"bias": [[1.0, 2.0]]}, "bias: want a vector of numbers"),
    ],
)
def test_wrong_definitions_are_refused_by_name(change, message):
    """A definition that is no network is a ModelFormatError that names the part."""
    with pytest.raises(ModelFormatError, match=re.escape(message)):
        from_signs(**(ARGUMENTS | change))


def test_bools_and_signs_mean_the_same():
    """True is +1 and False is -1."""
    signs = from_signs(**ARGUMENTS)
    hidden = [(np.array(weights) > 0, thresholds) for weights, thresholds in ARGUMENTS["hidden"]]
    bools = from_signs(**(ARGUMENTS | {"hidden": hidden, "head_weights": np.array([[1, -1], [1, 1]]) > 0}))
    x = Maker(9).random.standard_normal((50, 3)).astype(np.float32)
    assert_same(BinaryNetwork(signs).run(x), BinaryNetwork(bools).run(x))
