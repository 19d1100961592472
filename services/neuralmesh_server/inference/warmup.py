"""Between opening a version and serving it: does it keep to its declared signature, does it run, what does it cost?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.backend import LoadError
from neuralmesh_server.inference.tensors import DTYPES, Signature, TensorError, TensorSpec, check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backend import Model
    from neuralmesh_server.inference.ending import Ending

REPEATS = 5
LONG_NS = 500_000_000
"""A model that takes longer is not run more often, nor with more rows, than is needed to see that it runs."""
MANY_ROWS = 32
_LABEL_DATATYPES = ("INT64", "BYTES")


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a model after its first runs; see LoadedModel for the costs.

    Attributes:
        raw: True when the runner's raw way gives the outputs of the signature in order.
    """

    signature: Signature
    label_index: int
    base_ns: int
    row_ns: int
    raw: bool


def check(model: Model, declared: Signature | None, ending: Ending | None = None) -> Checked:
    """Hold a model against its declared signature, run one row of zeros, and measure.

    Raises:
        LoadError: The model is not what was declared, or does not run.
        neuralmesh_server.inference.ending.EndedError: A run was ended.
    """
    signature = model.signature if declared is None else declared
    if declared is not None:
        _compare("input", declared.inputs, model.signature.inputs)
        _compare("output", declared.outputs, model.signature.outputs)
    label_index = _label_index(signature)
    batched = all(spec.batched for spec in signature.inputs)
    one = _time(model, signature, 1, ending)
    many = one
    if batched:
        many = _time(model, signature, MANY_ROWS, ending) if one * MANY_ROWS < LONG_NS else one * MANY_ROWS
    row = max(many - one, 0) // (MANY_ROWS - 1)
    same = [spec.name for spec in signature.outputs] == [spec.name for spec in model.signature.outputs]
    return Checked(signature, label_index, max(one - row, 0), row, raw=same and model.run_raw is not None)


def _compare(what: str, declared: Sequence[TensorSpec], actual: Sequence[TensorSpec]) -> None:
    names, found = [spec.name for spec in declared], {spec.name: spec for spec in actual}
    if sorted(names) != sorted(found):
        raise LoadError(f"the version declares the {what}s {names}, its files have {sorted(found)}")
    for spec in declared:
        other = found[spec.name]
        if spec.datatype != other.datatype:
            raise LoadError(f"{what} {spec.name!r} is declared as {spec.datatype}, its files have {other.datatype}")
        # A runtime that does not know a shape says nothing; the warm-up shows it.
        if other.shape and not _fits(spec.shape, other.shape):
            raise LoadError(
                f"{what} {spec.name!r} is declared with shape {list(spec.shape)}, its files have {list(other.shape)}"
            )


def _fits(declared: tuple[int, ...], actual: tuple[int, ...]) -> bool:
    # What is declared may be narrower than what the files could do, never wider.
    pairs = zip(declared, actual, strict=False)
    return len(declared) == len(actual) and all(have in (-1, want) for want, have in pairs)


def _label_index(signature: Signature) -> int:
    if not signature.label_output:
        return -1
    for index, spec in enumerate(signature.outputs):
        if spec.name == signature.label_output:
            if spec.datatype not in _LABEL_DATATYPES:
                raise LoadError(f"label output {spec.name!r} is {spec.datatype}; labels are INT64 or BYTES")
            return index
    raise LoadError(f"label output {signature.label_output!r} is no output of the version")


def _time(model: Model, signature: Signature, rows: int, ending: Ending | None) -> int:
    inputs = {spec.name: _zeros(spec, rows) for spec in signature.inputs}
    best, total = 2**63, 0
    try:
        for _ in range(REPEATS):
            started = time.perf_counter_ns()
            outputs = model.run(inputs, ending)
            spent = time.perf_counter_ns() - started
            best, total = min(best, spent), total + spent
            if total > LONG_NS:
                break
    except NeuralMeshError as error:
        raise LoadError(f"the warm-up failed: {error.message}") from error
    for spec in signature.outputs:
        _check_output(spec, outputs[spec.name])
    return best


def _zeros(spec: TensorSpec, rows: int) -> NDArray[Any]:
    shape = [rows if size == -1 and axis == 0 else abs(size) for axis, size in enumerate(spec.shape)]
    if spec.datatype == "BYTES":
        return np.full(shape, b"", np.object_)
    return np.zeros(shape, DTYPES[spec.datatype])


def _check_output(spec: TensorSpec, output: object) -> None:
    if not isinstance(output, np.ndarray):
        raise LoadError(f"output {spec.name!r} is a {type(output).__name__}, no tensor")
    kind = "OUS" if spec.datatype == "BYTES" else DTYPES[spec.datatype].kind
    if output.dtype.kind not in kind or (kind != "OUS" and output.dtype != DTYPES[spec.datatype]):
        raise LoadError(f"output {spec.name!r} is {output.dtype}, declared as {spec.datatype}")
    try:
        check_shape(spec, output.shape)
    except TensorError as error:
        raise LoadError(f"output {spec.name!r} {error}") from error
