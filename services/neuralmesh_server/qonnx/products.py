"""Products of bits and binary weights: what MatMul, Gemm and XnorPopcountMatMul give for each inner product of signs.

A term is +-p for one p a channel, so the float32 sum is a function of the inner product d wherever no addition rounds:
wherever K p + |bias| needs no more than float32's 24 bits. Elsewhere it depends on the order of the additions, which
differs between onnxruntime's kernels, and only bounds are known: whatever the order, n rounded operations err by at
most n u / (1 - n u) of the sum of the terms' magnitudes, u = 2^-24 (Higham, "Accuracy and Stability of Numerical
Algorithms", 2002, section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.graph import Operation

    Floats = NDArray[np.float32]

_SIGNIFICAND = 2.0**24
_UNIT = 2.0**-24
_TINIEST = 2.0**-149


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A layer's product; its value for an inner product d of signs is `term * d + bias`.

    Attributes:
        operation: The node.
        signs: True for +1, bool (channels, nbits).
        term: Magnitude of a term, float64 (channels,), positive.
        bias: What the node itself adds, float64 (channels,).
        exact: Whether no order of additions rounds, bool (channels,).
    """

    operation: Operation
    signs: NDArray[np.bool_]
    term: NDArray[np.float64]
    bias: NDArray[np.float64]
    exact: NDArray[np.bool_]

    @property
    def nbits(self) -> int:
        """Width of the input."""
        return int(self.signs.shape[1])

    def values(self, channels: slice) -> Floats:
        """Return the sums for d = -nbits, 2 - nbits, ... nbits, float32 (nbits + 1, channels), rounded if not exact."""
        return _float32(self._sums(channels))

    def bounds(self, channels: slice) -> tuple[Floats, Floats]:
        """Return what the sums reach at least and at most, in any order of additions, as `values` has them."""
        sums, exact, count = self._sums(channels), self.exact[channels], self.nbits + 2
        values = _float32(sums)
        if exact.all():
            return values, values
        share = count * _UNIT / (1 - count * _UNIT)
        error = share * (self.nbits * self.term[channels] + np.abs(self.bias[channels])) + count * _TINIEST
        low, high = _float32(sums - error), _float32(sums + error)
        return (
            np.where(exact, values, np.nextafter(low, np.float32(-np.inf))),
            np.where(exact, values, np.nextafter(high, np.float32(np.inf))),
        )

    def _sums(self, channels: slice) -> NDArray[np.float64]:
        dots = np.arange(-self.nbits, self.nbits + 1, 2, dtype=np.float64)
        return dots[:, None] * self.term[channels] + self.bias[channels]


def product_of(operation: Operation, off: Floats, on: Floats) -> Product:
    """Return the product that a node is.

    Args:
        operation: The node.
        off: Value of each of its input's bits where it is off, float32 (nbits,).
        on: Value where it is on.

    Raises:
        InvalidArgumentError: The input or the weights are not binary, or the node is no plain product of them.
    """
    if operation.data != 0:
        raise refused(operation.node, "its first factor does not depend on the input: want rows times weights")
    weights, bias = _weights(operation), _bias(operation)
    if weights.shape[0] != len(on):
        raise refused(operation.node, f"its weights have {weights.shape[0]} rows for {len(on)} features")
    if operation.kind == "XnorPopcountMatMul":
        _want_zeros_and_ones(operation, off, on, weights)
        signs = (weights == 1) == (on == 1)[:, None]
        term, bias = np.full(weights.shape[1], 0.5), np.full(weights.shape[1], len(on) / 2)
    else:
        magnitude = _magnitude(operation, off, on)
        signs = (weights > 0) == (on > 0)[:, None]
        term = magnitude * _channel_magnitudes(operation, weights)
    return Product(operation, np.ascontiguousarray(signs.T), term, bias, _is_exact(len(on), term, bias))


def _weights(operation: Operation) -> Floats:
    weights = operation.constants.get(1)
    if weights is None or weights.ndim != 2 or weights.dtype != np.float32 or not weights.size:
        raise refused(operation.node, "its weights are no float32 matrix")
    if operation.kind != "Gemm":
        return weights
    if operation.attribute("transA", 0):
        raise refused(operation.node, "it transposes the rows (transA)")
    for name in ("alpha", "beta"):
        if operation.attribute(name, 1.0) != 1.0:
            raise refused(operation.node, f"its {name} is {operation.attribute(name, 1.0):g}: want 1")
    return weights.T if operation.attribute("transB", 0) else weights


def _bias(operation: Operation) -> NDArray[np.float64]:
    """Return what a Gemm adds, or zeros, float64 (channels,)."""
    channels = _weights(operation).shape[1]
    bias = operation.constants.get(2)
    if bias is None:
        return np.zeros(channels)
    if (
        bias.dtype != np.float32
        or not np.isfinite(bias).all()
        or bias.shape not in {(), (1,), (channels,), (1, channels)}
    ):
        raise refused(operation.node, f"its bias of shape {bias.shape} is not {channels} finite float32 numbers")
    return np.broadcast_to(bias.astype(np.float64).reshape(-1), (channels,)).copy()


def _magnitude(operation: Operation, off: Floats, on: Floats) -> float:
    """Return the one magnitude that the input's bits have: every bit stands for plus or minus it."""
    magnitude = abs(float(on[0]))
    if magnitude == 0 or not ((off == -on) & (np.abs(on) == magnitude)).all():
        raise refused(operation.node, "its input is not +s and -s with one s for all features")
    return magnitude


def _channel_magnitudes(operation: Operation, weights: Floats) -> NDArray[np.float64]:
    magnitudes = np.abs(weights)
    first: NDArray[np.float64] = magnitudes[0].astype(np.float64)
    binary = (magnitudes == magnitudes[0]).all(axis=0) & (first > 0) & np.isfinite(first)
    if not binary.all():
        channel = int(binary.argmin())
        raise refused(
            operation.node,
            f"its weights are not binary: those of channel {channel} are not +s and -s with one s above zero",
        )
    return first


def _want_zeros_and_ones(operation: Operation, off: Floats, on: Floats, weights: Floats) -> None:
    if not (np.isin(on, (0, 1)) & (off == 1 - on)).all():
        raise refused(operation.node, "its input is not 0 and 1")
    if not np.isin(weights, (0, 1)).all():
        raise refused(operation.node, "its weights are not binary: want 0 and 1")


def _is_exact(nbits: int, term: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say for each channel whether all partial sums are multiples of one number that float32 holds exactly."""
    unit, most = np.minimum(_lowest_bit(term), _lowest_bit(bias)), nbits * term + np.abs(bias)
    return (most <= _SIGNIFICAND * unit) & (unit >= _TINIEST) & (most <= np.finfo(np.float32).max)


def _float32(values: NDArray[np.float64]) -> Floats:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, as in the model
        return values.astype(np.float32)


def _lowest_bit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the value of the lowest bit that is set; infinity for zero."""
    fraction, exponent = np.frexp(values)
    digits = np.abs(fraction * 2.0**53).astype(np.int64)
    lowest = np.ldexp((digits & -digits).astype(np.float64), exponent - 53)
    return np.where(values == 0, np.inf, lowest)
