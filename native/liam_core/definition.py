"""A binary network as arrays: what the file profile stores and what the kernel is prepared from.

Shapes, widths and values are checked here once, for definitions made in Python and for those read from files
alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liam_core.arguments import part_array, part_integer
from liam_core.bits import pack, words_for
from liam_core.errors import ModelFormatError
from liam_core.kernel import MAX_NBITS, lib

__all__ = ["Encoding", "Head", "HiddenLayer", "NetworkDefinition", "TableHead", "from_signs"]

MAX_FEATURES: Final = 2**31 - 1
MAX_HIDDEN_LAYERS: Final[int] = lib.LIAM_MAX_HIDDEN_LAYERS


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """Bit j of the network's input is `x[source[j]] >= thresholds[j]`."""

    features: int
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
class NetworkDefinition:
    """A valid network: constructing one checks it.

    Raises:
        ModelFormatError: a part does not have the documented shape, width or values.
    """

    encoding: Encoding
    hidden: tuple[HiddenLayer, ...]
    head: Head | TableHead

    def __post_init__(self) -> None:
        _check_encoding(self.encoding)
        if len(self.hidden) > MAX_HIDDEN_LAYERS:
            raise ModelFormatError(f"hidden: at most {MAX_HIDDEN_LAYERS} layers, got {len(self.hidden)}")
        for index, layer in enumerate(self.hidden):
            _check_hidden(f"hidden[{index}]", layer)
        _check_head(self.head)
        widths = [len(self.encoding.source), *(len(layer.weights) for layer in self.hidden)]
        takes = [*(layer.nbits for layer in self.hidden), self.head.nbits]
        for index, (taken, given) in enumerate(zip(takes, widths, strict=True)):
            if taken != given:
                name = "head" if index == len(self.hidden) else f"hidden[{index}]"
                raise ModelFormatError(f"{name}: takes {taken} bits, but gets {given} from before it")

    @property
    def classes(self) -> int:
        """The number of scores."""
        return len(self.head.weights)


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


def from_signs(
    *,
    features: int,
    encoding_thresholds: ArrayLike,
    hidden: Sequence[tuple[ArrayLike, ArrayLike]],
    head_weights: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    source: ArrayLike | None = None,
) -> NetworkDefinition:
    """Return the network with the given unpacked weights.

    Args:
        features: Width of the float input.
        encoding_thresholds: (bits,), rounded to float32; bit j is `x[source[j]] >= encoding_thresholds[j]`.
        hidden: For each hidden layer (weights, thresholds): weights (outputs, inputs) of +1 and -1, or bools
        with
            True for +1; integer thresholds (outputs,), with output bit n = `dot >= thresholds[n]`.
        head_weights: (classes, inputs) of +1 and -1, or bools.
        scale: (classes,), rounded to float32; ones if absent.
        bias: (classes,), rounded to float32; zeros if absent.
        source: (bits,) feature indices; `arange(features)` if absent. Runs of 16 consecutive sources that
        start at
            a multiple of 16 are read fastest, so a thermometer code is best ordered threshold by threshold.

    Raises:
        ModelFormatError: an argument has a wrong shape, type or value.
    """
    limits = _floats("encoding_thresholds", encoding_thresholds)
    if source is None and len(limits) != features:
        raise ModelFormatError(f"encoding_thresholds: {len(limits)} for {features} features, and no source")
    sources = np.arange(len(limits)) if source is None else source
    head_bits = _signs("head_weights", head_weights)
    classes = len(head_bits)
    layers = []
    for index, (weights, thresholds) in enumerate(_pairs(hidden)):
        signs = _signs(f"hidden[{index}] weights", weights)
        limit = _integers(f"hidden[{index}] thresholds", thresholds)
        layers.append(HiddenLayer(nbits=signs.shape[1], weights=pack(signs), thresholds=limit))
    return NetworkDefinition(
        encoding=Encoding(
            features=part_integer("features", features), source=_integers("source", sources), thresholds=limits
        ),
        hidden=tuple(layers),
        head=Head(
            nbits=head_bits.shape[1],
            weights=pack(head_bits),
            scale=np.ones(classes, np.float32) if scale is None else _floats("scale", scale),
            bias=np.zeros(classes, np.float32) if bias is None else _floats("bias", bias),
        ),
    )


def _pairs(hidden: Sequence[tuple[ArrayLike, ArrayLike]]) -> Sequence[tuple[ArrayLike, ArrayLike]]:
    if not isinstance(hidden, Sequence):
        raise ModelFormatError(f"hidden: want a sequence of (weights, thresholds), got {type(hidden).__name__}")
    for index, layer in enumerate(hidden):
        if not isinstance(layer, Sequence) or len(layer) != len(("weights", "thresholds")):
            raise ModelFormatError(f"hidden[{index}]: want (weights, thresholds), got {type(layer).__name__}")
    return hidden


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


def _floats(name: str, values: ArrayLike) -> NDArray[np.float32]:
    array = part_array(name, values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise ModelFormatError(f"{name}: want a vector of numbers, got {array.dtype} {array.shape}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return np.ascontiguousarray(array, dtype=np.float32)
