"""Binary networks from unpacked weights: numbers in arrays or lists, as a trainer or a person has them.

What comes out is a `definition`, which checks shapes and widths; here it is only looked at what packing would hide.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core.arguments import part_array, part_integer
from liam_core.bits import pack
from liam_core.definition import Encoding, FloatLayer, Head, HiddenLayer, NetworkDefinition
from liam_core.errors import ModelFormatError

__all__ = ["from_signs"]


def from_signs(
    *,
    features: int,
    encoding_thresholds: ArrayLike,
    hidden: Sequence[tuple[ArrayLike, ArrayLike]],
    head_weights: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    source: ArrayLike | None = None,
    float_input: tuple[ArrayLike, ArrayLike] | None = None,
    float_head: tuple[ArrayLike, ArrayLike] | None = None,
) -> NetworkDefinition:
    """Return the network with the given unpacked weights.

    Args:
        features: Width of the float input.
        encoding_thresholds: (bits,), rounded to float32; bit j is `x[source[j]] >= encoding_thresholds[j]`.
        hidden: For each hidden layer (weights, thresholds): weights (outputs, inputs) of +1 and -1, or bools with
            True for +1; integer thresholds (outputs,), with output bit n = `dot >= thresholds[n]`.
        head_weights: (classes, inputs) of +1 and -1, or bools.
        scale: (classes,), rounded to float32; ones if absent.
        bias: (classes,), rounded to float32; zeros if absent.
        source: (bits,) indices of x; all of them in turn if absent. Runs of 16 consecutive sources that start at a
            multiple of 16 are read fastest, so a thermometer code is best ordered threshold by threshold.
        float_input: A layer (weights, bias) before the encoding, weights (features, outputs) and bias (outputs,),
            rounded to float32: the encoding's x is `input @ weights + bias`, not the input itself.
        float_head: In place of `head_weights`, `scale` and `bias`: a layer (weights, bias), weights (inputs, classes)
            and bias (classes,), rounded to float32, of the last bits as +1 and -1.

    Raises:
        ModelFormatError: an argument has a wrong shape, type or value.
    """
    limits = _floats("encoding_thresholds", encoding_thresholds)
    input_layer = None if float_input is None else _float_layer("float_input", float_input)
    width = part_integer("features", features) if input_layer is None else len(input_layer.bias)
    if input_layer is not None and len(input_layer.weights) != features:
        raise ModelFormatError(f"float_input weights: {len(input_layer.weights)} rows for {features} features")
    if source is None and len(limits) != width:
        raise ModelFormatError(f"encoding_thresholds: {len(limits)} for {width} features, and no source")
    sources = np.arange(len(limits)) if source is None else source
    layers = []
    for index, (weights, thresholds) in enumerate(_pairs(hidden)):
        signs = _signs(f"hidden[{index}] weights", weights)
        limit = _integers(f"hidden[{index}] thresholds", thresholds)
        layers.append(HiddenLayer(nbits=signs.shape[1], weights=pack(signs), thresholds=limit))
    return NetworkDefinition(
        encoding=Encoding(features=width, source=_integers("source", sources), thresholds=limits),
        hidden=tuple(layers),
        head=_head(head_weights, scale, bias, float_head),
        input_layer=input_layer,
    )


def _head(
    head_weights: ArrayLike | None,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    float_head: tuple[ArrayLike, ArrayLike] | None,
) -> Head | FloatLayer:
    if float_head is not None:
        for name, part in (("head_weights", head_weights), ("scale", scale), ("bias", bias)):
            if part is not None:
                raise ModelFormatError(f"{name}: not used beside float_head")
        return _float_layer("float_head", float_head)
    if head_weights is None:
        raise ModelFormatError("head_weights: want them, or float_head")
    signs = _signs("head_weights", head_weights)
    classes = len(signs)
    return Head(
        nbits=signs.shape[1],
        weights=pack(signs),
        scale=np.ones(classes, np.float32) if scale is None else _floats("scale", scale),
        bias=np.zeros(classes, np.float32) if bias is None else _floats("bias", bias),
    )


def _float_layer(name: str, layer: tuple[ArrayLike, ArrayLike]) -> FloatLayer:
    weights, bias = _pair(name, layer)
    return FloatLayer(_floats(f"{name} weights", weights, axes=2), _floats(f"{name} bias", bias))


def _pairs(hidden: Sequence[tuple[ArrayLike, ArrayLike]]) -> Sequence[tuple[ArrayLike, ArrayLike]]:
    if not isinstance(hidden, Sequence):
        raise ModelFormatError(f"hidden: want a sequence of (weights, thresholds), got {type(hidden).__name__}")
    for index, layer in enumerate(hidden):
        _pair(f"hidden[{index}]", layer, "thresholds")
    return hidden


def _pair(name: str, layer: tuple[ArrayLike, ArrayLike], second: str = "bias") -> tuple[ArrayLike, ArrayLike]:
    if not isinstance(layer, Sequence) or len(layer) != len(("weights", second)):
        raise ModelFormatError(f"{name}: want (weights, {second}), got {type(layer).__name__}")
    return layer


def _signs(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    array = part_array(name, values)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ModelFormatError(f"{name}: want a matrix of numbers or bools, got {array.dtype} {array.shape}")
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array)
    positive = array == 1
    if not (positive | (array == -1)).all():
        raise ModelFormatError(f"{name}: want +1 and -1 only")
    return np.ascontiguousarray(positive)


def _integers(name: str, values: ArrayLike) -> NDArray[np.int32]:
    array = part_array(name, values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ModelFormatError(f"{name}: want a vector of integers, got {array.dtype} {array.shape}")
    limits = np.iinfo(np.int32)
    if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise ModelFormatError(f"{name}: want 32-bit integers")
    return np.ascontiguousarray(array, dtype=np.int32)


def _floats(name: str, values: ArrayLike, axes: int = 1) -> NDArray[np.float32]:
    array = part_array(name, values)
    if array.ndim != axes or array.dtype.kind not in "iuf":
        wanted = "a vector" if axes == 1 else "a matrix"
        raise ModelFormatError(f"{name}: want {wanted} of numbers, got {array.dtype} {array.shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return np.ascontiguousarray(array, dtype=np.float32)
