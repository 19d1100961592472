"""A binary network as arrays: what the file profile stores and what the kernel is prepared from.

Shapes, widths and values are checked here once, for definitions made in Python and for those read from files
alike.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liam_core.bits import words_for
from liam_core.errors import ModelFormatError
from liam_core.kernel import MAX_NBITS, lib

__all__ = ["Encoding", "FloatLayer", "Head", "HiddenLayer", "NetworkDefinition", "TableHead"]

MAX_FEATURES: Final = 2**31 - 1
MAX_FLOAT: Final = float(np.finfo(np.float32).max)
MAX_HIDDEN_LAYERS: Final[int] = lib.LIAM_MAX_HIDDEN_LAYERS
MAX_HEAD_FLOAT: Final = 2.0**64
"""The greatest magnitude in a head of floats: no sum of MAX_NBITS of them is infinite, so no score is NaN."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """Bit j of the first layer's input is `x[source[j]] >= thresholds[j]`; x is the input layer output, if any."""

    features: int
    """Width of x."""
    source: NDArray[np.int32]
    """(bits,), each within [0, features)."""
    thresholds: NDArray[np.float32]
    """(bits,), finite."""


@dataclass(frozen=True, slots=True, eq=False)
class HiddenLayer:
    """Bit n of the output is `dot(input, weights[n]) >= thresholds[n]`."""

    nbits: int
    """Width of the input."""
    weights: NDArray[np.uint64]
    """(outputs, words), packed rows of nbits bits."""
    thresholds: NDArray[np.int32]
    """(outputs,), each within [-nbits - 1, nbits + 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Score c is `scale[c] * dot(input, weights[c]) + bias[c]`, in float32."""

    nbits: int
    weights: NDArray[np.uint64]
    """(classes, words), packed rows of nbits bits."""
    scale: NDArray[np.float32]
    """(classes,), finite."""
    bias: NDArray[np.float32]
    """(classes,), finite."""


@dataclass(frozen=True, slots=True, eq=False)
class TableHead:
    """Score c is `table[c, (dot(input, weights[c]) + nbits) // 2]`: any function of the inner product."""

    nbits: int
    weights: NDArray[np.uint64]
    """(classes, words), packed rows of nbits bits."""
    table: NDArray[np.float32]
    """(classes, nbits + 1), finite; column k is for an inner product of 2 * k - nbits."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatLayer:
    """Floats of `x @ weights + bias`, in the order of summation of `liam_core.Linear`."""

    weights: NDArray[np.float32]
    """(inputs, outputs), finite."""
    bias: NDArray[np.float32]
    """(outputs,), finite."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkDefinition:
    """A valid network: constructing one checks it.

    A head that is a `FloatLayer` reads the last bits as +1.0 and -1.0, and has no magnitude above `MAX_HEAD_FLOAT`.

    Raises:
        ModelFormatError: a part does not have the documented shape, width or values.
    """

    encoding: Encoding
    hidden: tuple[HiddenLayer, ...]
    head: Head | TableHead | FloatLayer
    input_layer: FloatLayer | None = None
    """Before the encoding: its outputs are the encoding's features."""

    def __post_init__(self) -> None:
        if self.input_layer is not None:
            _check_floats("input layer", self.input_layer)
        _check_encoding(self.encoding)
        if len(self.hidden) > MAX_HIDDEN_LAYERS:
            raise ModelFormatError(f"hidden: at most {MAX_HIDDEN_LAYERS} layers, got {len(self.hidden)}")
        for index, layer in enumerate(self.hidden):
            _check_hidden(f"hidden[{index}]", layer)
        if isinstance(self.head, FloatLayer):
            _check_floats("head", self.head, MAX_HEAD_FLOAT)
        else:
            _check_head(self.head)
        given = len(self.input_layer.bias) if self.input_layer is not None else self.encoding.features
        if given != self.encoding.features:
            raise ModelFormatError(
                f"encoding: takes {self.encoding.features} features, but gets {given} from before it"
            )
        widths = [len(self.encoding.source), *(len(layer.weights) for layer in self.hidden)]
        takes = [*(layer.nbits for layer in self.hidden), self.head_inputs]
        for index, (taken, given) in enumerate(zip(takes, widths, strict=True)):
            if taken != given:
                name = "head" if index == len(self.hidden) else f"hidden[{index}]"
                raise ModelFormatError(f"{name}: takes {taken} bits, but gets {given} from before it")

    @property
    def features(self) -> int:
        """The width of an input row."""
        return self.encoding.features if self.input_layer is None else len(self.input_layer.weights)

    @property
    def head_inputs(self) -> int:
        """The number of bits that the head reads."""
        return len(self.head.weights) if isinstance(self.head, FloatLayer) else self.head.nbits

    @property
    def classes(self) -> int:
        """The number of scores."""
        return len(self.head.bias) if isinstance(self.head, FloatLayer) else len(self.head.weights)


def _check_encoding(encoding: Encoding) -> None:
    _check_axes("encoding source", encoding.source, 1)
    _check_axes("encoding thresholds", encoding.thresholds, 1)
    bits = len(encoding.source)
    if type(encoding.features) is not int or not 0 < encoding.features <= MAX_FEATURES:
        raise ModelFormatError(f"features: want 1 to {MAX_FEATURES}, got {encoding.features!r}")
    _check_width("encoding", bits)
    _check_shape("encoding source", encoding.source, (bits,), np.int32)
    _check_shape("encoding thresholds", encoding.thresholds, (bits,), np.float32)
    _check_range("encoding source", encoding.source, 0, encoding.features - 1)
    _check_finite("encoding thresholds", encoding.thresholds)


def _check_hidden(name: str, layer: HiddenLayer) -> None:
    _check_weights(name, layer.weights, layer.nbits)
    _check_axes(f"{name} thresholds", layer.thresholds, 1)
    _check_shape(f"{name} thresholds", layer.thresholds, (len(layer.weights),), np.int32)
    _check_range(f"{name} thresholds", layer.thresholds, -layer.nbits - 1, layer.nbits + 1)


def _check_head(head: Head | TableHead) -> None:
    _check_weights("head", head.weights, head.nbits)
    classes = len(head.weights)
    if isinstance(head, TableHead):
        _check_axes("head table", head.table, 2)
        _check_shape("head table", head.table, (classes, head.nbits + 1), np.float32)
        _check_finite("head table", head.table)
        return
    for name, values in (("head scale", head.scale), ("head bias", head.bias)):
        _check_axes(name, values, 1)
        _check_shape(name, values, (classes,), np.float32)
        _check_finite(name, values)


def _check_floats(name: str, layer: FloatLayer, limit: float = MAX_FLOAT) -> None:
    _check_axes(f"{name} weights", layer.weights, 2)
    _check_axes(f"{name} bias", layer.bias, 1)
    inputs, outputs = layer.weights.shape
    for what, width in (("inputs", inputs), ("outputs", outputs)):
        if not 0 < width <= MAX_FEATURES:
            raise ModelFormatError(f"{name} {what}: want 1 to {MAX_FEATURES}, got {width}")
    _check_shape(f"{name} weights", layer.weights, (inputs, outputs), np.float32)
    _check_shape(f"{name} bias", layer.bias, (outputs,), np.float32)
    for part, array in (("weights", layer.weights), ("bias", layer.bias)):
        _check_finite(f"{name} {part}", array)
        if limit < MAX_FLOAT and (abs(array) > limit).any():
            raise ModelFormatError(f"{name} {part}: want magnitudes up to {limit:g}")


def _check_weights(name: str, weights: NDArray[np.uint64], nbits: int) -> None:
    _check_axes(f"{name} weights", weights, 2)
    _check_width(f"{name} nbits", nbits)
    _check_width(f"{name} outputs", len(weights))
    _check_shape(f"{name} weights", weights, (len(weights), words_for(nbits)), np.uint64)
    if nbits % 64 and (weights[:, -1] >> np.uint64(nbits % 64)).any():
        raise ModelFormatError(f"{name} weights: bits past {nbits} are not zero")


def _check_width(name: str, nbits: int) -> None:
    if type(nbits) is not int or not 0 < nbits <= MAX_NBITS:
        raise ModelFormatError(f"{name}: want 1 to {MAX_NBITS} bits, got {nbits!r}")


def _check_shape(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        wanted = np.dtype(dtype).name
        raise ModelFormatError(f"{name}: want {wanted} {shape}, got {array.dtype} {array.shape}")


def _check_axes(name: str, array: object, axes: int) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != axes:
        got = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ModelFormatError(f"{name}: want an array of {axes} axes, got {got}")


def _check_range(name: str, array: NDArray[np.int32], low: int, high: int) -> None:
    if int(array.min()) < low or int(array.max()) > high:
        raise ModelFormatError(f"{name}: want values within [{low}, {high}]")


def _check_finite(name: str, array: NDArray[np.float32]) -> None:
    if not np.isfinite(array).all():
        raise ModelFormatError(f"{name}: NaN or infinity")
