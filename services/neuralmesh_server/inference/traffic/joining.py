"""Joins the inputs of several requests to one batch, and splits its outputs again. Rows only; it runs nothing."""

from __future__ import annotations

import math
import struct
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.inputs import Inputs
from neuralmesh_server.inference.tensors import DTYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuralmesh_server.inference.tensors import Signature

_LENGTH = struct.Struct("<I")


class UnsplittableError(Exception):
    """The outputs of a batch do not have one row for each row that went in."""


def joinable(signature: Signature) -> bool:
    """Say whether every input and output counts rows in its first dimension."""
    specs = (*signature.inputs, *signature.outputs)
    return bool(signature.inputs) and all(spec.batched for spec in specs)


def shape_of(inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Return what must be the same for inputs to be joined: their shapes without the rows."""
    return tuple(array.shape[1:] for array in inputs.arrays.values())


def even(inputs: Inputs) -> bool:
    """Say whether all inputs have the same number of rows, and at least one."""
    return inputs.rows > 0 and all(array.shape[0] == inputs.rows for array in inputs.arrays.values())


def join(parts: Sequence[Inputs]) -> Inputs:
    """Return the inputs of a batch, in the order of its parts."""
    rows = sum(part.rows for part in parts)
    if all(part.raw is not None for part in parts):
        return Inputs(rows, b"".join(part.raw for part in parts if part.raw is not None), {}, [])
    names = parts[0].arrays
    return Inputs(rows, None, {name: np.concatenate([part.arrays[name] for part in parts]) for name in names}, [])


def split(outputs: Sequence[Output], rows: Sequence[int]) -> list[list[Output]]:
    """Return the outputs of each part of a batch, by the rows of the parts.

    Raises:
        UnsplittableError: An output has another number of rows than the batch.
    """
    ends = [0, *accumulate(rows)]
    parts: list[list[Output]] = [[] for _ in rows]
    for output in outputs:
        if not output.shape or output.shape[0] != ends[-1]:
            raise UnsplittableError
        inner = output.shape[1:]
        cuts = _cuts(output, ends)
        for part, count, (start, end) in zip(parts, rows, pairwise(cuts), strict=True):
            part.append(Output(output.name, output.datatype, (count, *inner), output.raw[start:end]))
    return parts


def _cuts(output: Output, ends: Sequence[int]) -> list[int]:
    """Return where in the raw elements each part ends, in bytes, from 0 on."""
    inner = math.prod(output.shape[1:])
    if output.datatype != "BYTES":
        row_bytes = inner * DTYPES[output.datatype].itemsize
        return [end * row_bytes for end in ends]
    cuts, position, element = [], 0, 0
    for end in ends:
        while element < end * inner:
            position += _LENGTH.size + _LENGTH.unpack_from(output.raw, position)[0]
            element += 1
        cuts.append(position)
    return cuts
