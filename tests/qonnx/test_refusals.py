"""What is no network of the subset is refused, by the name of the node, its operator and the reason."""

from __future__ import annotations

import re

import numpy as np
import pytest

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.qonnx.importer import import_network
from tests.qonnx.builder import Builder


def built(*calls, shape=(6,), **options):
    """Return a builder after calls of its methods, each (name, *arguments)."""
    made = Builder(2, shape, seed=3, **options)
    for name, *arguments in calls:
        getattr(made, name)(*arguments)
    return made


def with_node(kind, *others, place=1, **attributes):
    """Return a small network with a node of any kind in it: before the quantiser, after it, or at the end."""
    made = Builder(2, (6,), seed=3)
    for index, call in enumerate((made.bipolar, lambda: made.matmul(4), lambda: None)):
        if index == place:
            made.extend(kind, *map(made.constant, others), **attributes)
        call()
    return made


def two_ways():
    made = built(("bipolar",))
    first = made.tip
    made.matmul(6)
    made.tip = made.node("Add", [made.tip, first], (2, 6))
    return made.bipolar().matmul(3)


def joined():
    made = built(("bipolar",), ("matmul", 6))
    return made.extend("Mul", made.tip).bipolar().matmul(3)


def float_weights():
    made = built(("bipolar",))
    return made.extend("MatMul", made.constant(made.random.standard_normal((6, 3))), shape=(2, 3))


def zero_weights():
    made = built(("bipolar",))
    signs = np.where(made.random.random((6, 3)) < 0.5, 1.0, -1.0)
    signs[2, 1] = 0
    return made.extend("MatMul", made.constant(signs), shape=(2, 3))


def weights_first():
    made = built(("bipolar",))
    weights = made.weights(6)
    return made.extend("MatMul", weights, first=False, shape=(6, 6))


def gemm(**attributes):
    made = built(("bipolar",))
    return made.extend("Gemm", made.weights(3), shape=(2, 3), **attributes)


def reshape(*sizes, shape=(2, 3)):
    made = Builder(2, shape, seed=3)
    return made.extend("Reshape", made.constant(sizes, np.int64), shape=(2, 6)).bipolar().matmul(3)


def computed_weights():
    made = built(("bipolar",))
    weights = made.node("Sign", [made.constant(made.random.standard_normal((6, 3)))], (6, 3))
    return made.extend("MatMul", weights, shape=(2, 3))


def argmax(**attributes):
    return built(("bipolar",), ("matmul", 3)).extend("ArgMax", shape=(2,), keepdims=0, **attributes)


def annotated(position, kind):
    made = built(("bipolar",), ("matmul", 5), ("pair", "Mul", 0.3), ("bipolar",), ("matmul", 3))
    made.annotations[made.nodes[position].output[0]] = kind
    return made


NORM = (np.ones(6), np.zeros(6), np.zeros(6), np.ones(6))

REFUSED = {
    "an unknown operator": (
        lambda: with_node("Relu", place=0),
        "node 'Relu_0' (Relu): Relu is no operator between the input and the scores that can be imported",
    ),
    "several bits": (
        lambda: with_node("Quant", 1.0, 0.0, 4.0, place=0),
        "node 'Quant_0' (Quant): qonnx.custom_op.general.Quant is no operator",
    ),
    "an operator of nobody": (
        lambda: built(("bipolar",), ("matmul", 3), domain="org.example"),
        "node 'BipolarQuant_0' (BipolarQuant): org.example.BipolarQuant is no operator",
    ),
    "an unknown operator in weights": (
        computed_weights,
        "node 'Sign_1' (Sign): Sign is no operator that makes a constant that can be imported",
    ),
    "an unknown attribute": (
        lambda: with_node("Identity", place=0, axis=1),
        "node 'Identity_0' (Identity): it has the attribute 'axis', which is not understood",
    ),
    "float weights": (float_weights, "node 'MatMul_1' (MatMul): its weights are not binary: those of channel 0"),
    "a weight of zero": (zero_weights, "node 'MatMul_1' (MatMul): its weights are not binary: those of channel 1"),
    "float inputs": (
        lambda: built(("matmul", 3)),
        "node 'MatMul_1' (MatMul): it multiplies floats: want a quantiser",
    ),
    "no quantiser between layers": (
        lambda: built(("bipolar",), ("matmul", 4), ("matmul", 3)),
        "node 'MatMul_4' (MatMul): it multiplies the sums of a layer",
    ),
    "a quantiser of bits": (
        lambda: built(("bipolar",), ("bipolar",), ("matmul", 3)),
        "node 'BipolarQuant_1' (BipolarQuant): it quantises bits again",
    ),
    "activations of different scales": (
        lambda: built(("bipolar", [1, 1, 2, 1, 1, 1]), ("matmul", 3)),
        "node 'MatMul_2' (MatMul): its input is not +s and -s with one s for all features",
    ),
    "activations that are not symmetric": (
        lambda: built(("threshold", np.zeros((1, 1)), 1.0, 0.0), ("matmul", 3)),
        "node 'MatMul_2' (MatMul): its input is not +s and -s",
    ),
    "signs into the streamlined product": (
        lambda: built(("bipolar",), ("xnor", 3)),
        "node 'XnorPopcountMatMul_1' (XnorPopcountMatMul): its input is not 0 and 1",
    ),
    "several thresholds": (
        lambda: built(("threshold", np.zeros((6, 3))), ("matmul", 3)),
        "node 'MultiThreshold_0' (MultiThreshold): its thresholds have the shape (6, 3): want one for each channel",
    ),
    "a threshold of NaN": (
        lambda: built(("threshold", [[np.nan]]), ("matmul", 3)),
        "node 'MultiThreshold_0' (MultiThreshold): its thresholds are no float32 numbers",
    ),
    "thresholds of another width": (
        lambda: built(("threshold", np.zeros((5, 1))), ("matmul", 3)),
        "node 'MultiThreshold_0' (MultiThreshold): it has 5 thresholds for 6 channels",
    ),
    "a constant that is not finite": (
        lambda: with_node("Mul", np.inf, place=0),
        "node 'Mul_0' (Mul): 'param_0' holds NaN or infinity",
    ),
    "a constant that differs by row": (
        lambda: with_node("Mul", np.ones((2, 1)), place=0),
        "node 'Mul_0' (Mul): 'param_0' of shape (2, 1) does not spread over rows of (6,)",
    ),
    "a reciprocal": (
        lambda: built(("bipolar",), ("matmul", 4)).pair("Div", 1.0, first=False).bipolar().matmul(3),
        "node 'Div_3' (Div): it divides by what depends on the input, which is not monotone",
    ),
    "NaN from normalisation": (
        lambda: built(("bipolar",), ("matmul", 6), ("norm", *NORM[:3], -np.ones(6)), ("bipolar",), ("matmul", 3)),
        "node 'BatchNormalization_3' (BatchNormalization): it gives NaN in channel 0",
    ),
    "NaN from a variance of zero": (
        lambda: built(("bipolar",), ("matmul", 6), ("norm", *NORM[:3], np.zeros(6), 0.0), ("bipolar",), ("matmul", 3)),
        "node 'BatchNormalization_3' (BatchNormalization): it gives NaN in channel 0",
    ),
    "NaN for the greatest floats": (
        lambda: built(("pair", "Mul", 2.0), ("pair", "Mul", 0.0), ("bipolar",), ("matmul", 3)),
        "node 'Mul_1' (Mul): it gives NaN in feature 0 for an input of -3.40282e+38",
    ),
    "a normalisation of another width": (
        lambda: built(("bipolar",), ("matmul", 5), ("norm", *NORM), ("bipolar",), ("matmul", 3)),
        "node 'BatchNormalization_3' (BatchNormalization): 'param_3' does not hold 5 finite float32 numbers",
    ),
    "infinite scores": (
        lambda: built(("bipolar",), ("matmul", 3), ("pair", "Mul", 3e38)),
        "node 'Mul_3' (Mul): it gives infinity in class 0",
    ),
    "sums of layers that round": (
        lambda: built(("bipolar",), ("gemm", 3, [0.1, 0.2, 0.3])),
        "node 'Gemm_2' (Gemm): the scores of class 0 depend on the order in which its products are added",
    ),
    "scaled weights in the head": (
        lambda: built(("bipolar",), ("matmul", 3, 0.1)),
        "node 'MatMul_2' (MatMul): the scores of class 0 depend on the order in which its products are added",
    ),
    "bits that depend on rounding": (
        lambda: built(("bipolar",), ("matmul", 5, 0.1), ("pair", "Sub", 0.2), ("bipolar",), ("matmul", 3)),
        "node 'MatMul_2' (MatMul): a bit of channel 0 depends on the order in which its products are added",
    ),
    "alpha": (lambda: gemm(alpha=2.0), "node 'Gemm_2' (Gemm): its alpha is 2: want 1"),
    "rows that are transposed": (lambda: gemm(transA=1), "node 'Gemm_2' (Gemm): it transposes the rows (transA)"),
    "weights that come first": (
        weights_first,
        "node 'MatMul_2' (MatMul): its first factor does not depend on the input",
    ),
    "weights of another width": (
        lambda: built(("bipolar",)).extend("MatMul", "w", shape=(2, 3)),
        "node 'MatMul_1' (MatMul): it reads 'w', which nothing before it makes",
    ),
    "a residual connection": (two_ways, "node 'Add_3' (Add): it joins two tensors that depend on the input"),
    "a square": (joined, "node 'Mul_3' (Mul): it joins two tensors that depend on the input"),
    "images that are not flattened": (
        lambda: Builder(2, (1, 6), seed=3).bipolar().extend("MatMul", "none"),
        "it reads 'none'",
    ),
    "rows that are mixed": (
        lambda: reshape(1, -1),
        "node 'Reshape_0' (Reshape): it makes [1, -1] of [2, 2, 3]: want rows to stay apart",
    ),
    "rows that are split": (lambda: reshape(-1, 3), "node 'Reshape_0' (Reshape): it makes [-1, 3] of [2, 2, 3]"),
    "a shape of nothing": (lambda: reshape(0, 0), "node 'Reshape_0' (Reshape): it makes [0, 0] of [2, 2, 3]"),
    "columns that are flattened": (
        lambda: Builder(2, (2, 3), seed=3).extend("Flatten", shape=(4, 3), axis=2).bipolar(),
        "node 'Flatten_0' (Flatten): it flattens from axis 2: want 1, which keeps rows apart",
    ),
    "no layer": (lambda: built(("bipolar",)), "the model does not end in a layer's scores"),
    "nothing but arithmetic": (lambda: built(("pair", "Mul", 2.0)), "the model does not end in a layer's scores"),
    "bits at the end": (
        lambda: built(("bipolar",), ("matmul", 3), ("bipolar",)),
        "the model does not end in a layer's scores",
    ),
    "a label of another axis": (
        lambda: argmax(axis=0),
        "node 'ArgMax_3' (ArgMax): it is not the lowest class with the greatest score",
    ),
    "the highest of equal classes": (
        lambda: argmax(axis=1, select_last_index=1),
        "node 'ArgMax_3' (ArgMax): it is not the lowest class",
    ),
    "sums that contradict their annotation": (
        lambda: annotated(3, "INT32"),
        "node 'Mul_3' (Mul): its output is annotated as INT32, which its values are not",
    ),
    "bits that contradict their annotation": (
        lambda: annotated(0, "BINARY"),
        "node 'BipolarQuant_0' (BipolarQuant): its output is annotated as BINARY, which its values are not",
    ),
    "weights that contradict their annotation": (
        lambda: annotated(1, "BINARY"),
        "tensor 'BipolarQuant_1_out' is annotated as BINARY, which its values are not",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_in_the_subset_is_refused_by_name(case, tmp_path):
    """The message names the node, its operator and why."""
    make, message = REFUSED[case]
    with pytest.raises(InvalidArgumentError, match=re.escape(message)) as caught:
        import_network(make().save(tmp_path))
    assert caught.value.reason == "FIELD_INVALID"


def test_nodes_without_a_name_are_named_by_what_they_make(tmp_path):
    """An exporter that gives no names still gets a message that finds the node."""
    made = float_weights()
    for node in made.nodes:
        node.ClearField("name")
    with pytest.raises(
        InvalidArgumentError, match=re.escape("the node that makes 'MatMul_1_out' (MatMul): its weights")
    ):
        import_network(made.save(tmp_path))
