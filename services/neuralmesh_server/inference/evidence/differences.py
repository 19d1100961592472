"""How far two answers to one request differ, output by output, element by element."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.inference.tensors import DTYPES, from_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.execution import Output

FLOATING = frozenset({"FP16", "FP32", "FP64", "BF16"})


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output differs.

    Attributes:
        identical: Both have the same bits, shape and datatype.
        different: Elements that differ in a bit.
        elements: Elements in all; of the greater one where shapes differ.
        largest: Largest absolute difference of numbers; infinite when shapes or datatypes differ, when an output is
            missing, or when one side is not finite where the other is; 0 for BYTES.
    """

    name: str
    identical: bool
    different: int
    elements: int
    largest: float


def compare(recorded: Sequence[Output], found: Sequence[Output]) -> list[Difference]:
    """Return the difference of every output that either answer has, in the recorded order."""
    after = {output.name: output for output in found}
    before = {output.name for output in recorded}
    compared = [_output(output, after.get(output.name)) for output in recorded]
    return compared + [_output(output, None) for output in found if output.name not in before]


def _output(one: Output, other: Output | None) -> Difference:
    elements = math.prod(one.shape)
    if other is None or (one.datatype, one.shape) != (other.datatype, other.shape):
        most = max(elements, 0 if other is None else math.prod(other.shape))
        return Difference(one.name, identical=False, different=most, elements=most, largest=math.inf)
    if one.raw == other.raw:
        return Difference(one.name, identical=True, different=0, elements=elements, largest=0.0)
    differs = different_elements(one, other)
    largest = 0.0 if one.datatype == "BYTES" else largest_difference(one, other)
    return Difference(one.name, identical=False, different=int(differs.sum()), elements=elements, largest=largest)


def different_elements(one: Output, other: Output) -> NDArray[np.bool_]:
    """Return for each element of two outputs of one shape and datatype whether it differs in a bit."""
    first, second = (from_raw(output.datatype, output.shape, output.raw) for output in (one, other))
    if one.datatype == "BYTES":
        return np.asarray(first != second, np.bool_)
    width = np.dtype(f"u{DTYPES[one.datatype].itemsize}")
    return np.asarray(first.view(width) != second.view(width), np.bool_)


def largest_difference(one: Output, other: Output) -> float:
    """Return the largest absolute difference between two elements of outputs of one shape and numeric datatype."""
    first, second = (_numbers(output) for output in (one, other))
    if not first.size:
        return 0.0
    if first.dtype.kind != "f":
        return float((np.maximum(first, second).astype(np.uint64) - np.minimum(first, second).astype(np.uint64)).max())
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(first - second)
    gaps[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    gaps[np.isnan(gaps)] = np.inf
    return float(gaps.max())


def _numbers(output: Output) -> NDArray[Any]:
    """Return an output's elements as float64, or as 64-bit integers."""
    array = from_raw(output.datatype, output.shape, output.raw)
    if output.datatype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    return array.astype(np.uint64 if array.dtype.kind == "u" else np.int64)
