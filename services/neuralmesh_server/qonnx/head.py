"""The last layer: what turns its inner products into scores, proved bit for bit at every inner product there is.

Scale and bias where some pair gives the model's very scores; else the table of the scores themselves, which is any
function of the inner product, so that nothing is ever nearly right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from liam_core.bits import pack
from liam_core.definition import Head, TableHead
from neuralmesh_server.qonnx.refusal import refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuralmesh_server.qonnx.steps import Step
    from neuralmesh_server.qonnx.sums import Sums

    Floats = NDArray[np.float32]


def head_of(sums: Sums) -> Head | TableHead:
    """Return the head of a network.

    Raises:
        InvalidArgumentError: A score depends on the order of additions, is infinite or NaN; the message names the node.
    """
    table = _scores(sums)
    nbits, weights = sums.product.nbits, pack(sums.product.signs)
    scale, bias = _candidate(sums)
    dots = np.arange(-nbits, nbits + 1, 2, dtype=np.float32)
    with np.errstate(all="ignore"):
        affine = scale[:, None] * dots + bias[:, None]
    if _same_bits(affine, table) and np.isfinite(scale).all() and np.isfinite(bias).all():
        return Head(nbits, weights, scale, bias)
    return TableHead(nbits, weights, table)


def _scores(sums: Sums) -> Floats:
    """Return the scores at every inner product, float32 (classes, nbits + 1)."""
    parts = []
    for channels, low, high in sums.tables():
        _want_scores(sums, low, high, channels)
        parts.append(low.T)
    return np.ascontiguousarray(np.concatenate(parts))


def _want_scores(sums: Sums, low: Floats, high: Floats, channels: slice) -> None:
    rounded = (low != high).any(axis=0)
    if rounded.any():
        raise refused(
            sums.product.operation.node,
            f"the scores of class {channels.start + int(rounded.argmax())} depend on the order in which its products "
            f"are added, since their sums are rounded; --inexact takes such sums in float64",
        )
    infinite = ~np.isfinite(low).all(axis=0)
    if infinite.any():
        node = (sums.steps[-1] if sums.steps else sums.product).operation.node
        raise refused(node, f"it gives infinity in class {channels.start + int(infinite.argmax())}")


def _candidate(sums: Sums) -> tuple[Floats, Floats]:
    """Return the scale and bias that the steps come to in float32; whether they are right is for the table to say.

    No bias is -0.0, which changes no bit of what it is added to.
    """
    product = sums.product
    scale, bias = product.term.astype(np.float32), product.bias.astype(np.float32)
    bias[bias == 0] = -0.0
    with np.errstate(all="ignore"):
        for step in sums.steps:
            scale, bias = _after(step, scale, bias)
    return scale, bias


def _after(step: Step, scale: Floats, bias: Floats) -> tuple[Floats, Floats]:
    kind, data = step.operation.kind, step.operation.data
    if kind == "BatchNormalization":
        gamma, beta, mean, variance = (step.constants[position] for position in (1, 2, 3, 4))
        epsilon = np.float32(step.operation.attribute("epsilon", 1e-5))
        factor = gamma * (np.float32(1) / np.sqrt(variance + epsilon))
        return scale * factor, _plus(bias * factor, bias, beta - mean * factor)
    constant = step.constants[1 - data]
    if kind == "Mul":
        return scale * constant, _plus(bias * constant, bias, np.full_like(bias, -0.0))
    if kind == "Div":
        return scale / constant, _plus(bias / constant, bias, np.full_like(bias, -0.0))
    if kind == "Add":
        return scale, bias + constant
    return (scale, bias - constant) if data == 0 else (-scale, constant - bias)


def _plus(product: Floats, bias: Floats, term: Floats) -> Floats:
    """Return product + term, where no bias stays no bias whatever it was multiplied with."""
    return np.where(bias == 0, term, product + term)


def _same_bits(a: Floats, b: Floats) -> bool:
    return bool((a.view(np.uint32) == b.view(np.uint32)).all())
