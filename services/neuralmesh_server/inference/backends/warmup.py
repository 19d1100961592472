"""Between opening a version and serving it: does it keep to its declared signature, does it run, what does it cost?"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.backends.backend import LoadError, NotYetError
from neuralmesh_server.inference.backends.execution import MEASURED_ROWS
from neuralmesh_server.inference.tensors import DTYPES, Signature, TensorError, TensorSpec, check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.inference.backends.ending import Ending

REPEATS = 5
QUICK_REPEATS = 25
QUICK_NS = 25_000_000
"""Within this time a model is run up to QUICK_REPEATS times: the allocator needs some runs to keep large buffers."""
LONG_NS = 500_000_000
"""A model that takes longer is not run more often, nor with more rows, than is needed to see that it runs."""
MANY_ROWS = MEASURED_ROWS
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

    What another server runs is not run for this, and its cost stays unknown.

    Raises:
        LoadError: The model is not what was declared, or does not run.
        neuralmesh_server.inference.backends.ending.EndedError: A run was ended.
    """
    if model.upstream is not None:
        return _check_remote(model.signature, declared)
    signature = model.signature if declared is None else declared
    if declared is not None:
        _compare("input", declared.inputs, model.signature.inputs)
        _compare("output", declared.outputs, model.signature.outputs)
    label_index = _label_index(signature)
    if label_index >= 0 and signature.label_output in model.ragged:
        raise LoadError(f"label output {signature.label_output!r} does not have a label for each row")
    batched = all(spec.batched for spec in signature.inputs)
    one = _time(model, signature, 1, ending)
    many = one
    if batched:
        many = _time(model, signature, MANY_ROWS, ending) if one * MANY_ROWS < LONG_NS else one * MANY_ROWS
    row = max(many - one, 0) // (MANY_ROWS - 1)
    same = [spec.name for spec in signature.outputs] == [spec.name for spec in model.signature.outputs]
    raw = same and model.run_raw is not None
    if raw:
        row = max(row, 1)  # a small network's rows may cost less than the clock sees, but never nothing
    # One row and many cost what was measured, also where rows cost more the more there are.
    return Checked(signature, label_index, one - row, row, raw=raw)


def _check_remote(said: Signature, declared: Signature | None) -> Checked:
    """Hold what an upstream says of itself, which may be nothing, against the declaration."""
    if declared is None:
        if not (said.inputs and said.outputs):
            raise NotYetError(
                "the upstream does not say what the model takes and gives; declare the version's signature"
            )
        return Checked(said, _label_index(said), 0, 0, raw=False)
    for what, wanted, found in (("input", declared.inputs, said.inputs), ("output", declared.outputs, said.outputs)):
        if found:
            try:
                _compare(what, wanted, [_comparable(spec, wanted) for spec in found], "its upstream has")
            except LoadError as error:  # the upstream may change, the files cannot
                raise NotYetError(str(error)) from error
    return Checked(declared, _label_index(declared), 0, 0, raw=False)


def _comparable(spec: TensorSpec, declared: Sequence[TensorSpec]) -> TensorSpec:
    if spec.shape == (-1,):  # what servers say that do not know a shape
        return replace(spec, shape=())
    # A vector has to be [n, 1] on some servers; `upstream` makes it [n] again.
    column = any(one.name == spec.name and (*one.shape, 1) == spec.shape for one in declared)
    return replace(spec, shape=spec.shape[:-1]) if column else spec


def _compare(
    what: str, declared: Sequence[TensorSpec], actual: Sequence[TensorSpec], have: str = "its files have"
) -> None:
    names, found = [spec.name for spec in declared], {spec.name: spec for spec in actual}
    if sorted(names) != sorted(found):
        raise LoadError(f"the version declares the {what}s {names}, {have} {sorted(found)}")
    for spec in declared:
        other = found[spec.name]
        if spec.datatype != other.datatype:
            raise LoadError(f"{what} {spec.name!r} is declared as {spec.datatype}, {have} {other.datatype}")
        # A runtime that does not know a shape says nothing; the warm-up shows it.
        if other.shape and not _fits(spec.shape, other.shape):
            raise LoadError(
                f"{what} {spec.name!r} is declared with shape {list(spec.shape)}, {have} {list(other.shape)}"
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
        for turn in range(QUICK_REPEATS):
            outputs: dict[str, NDArray[Any]] = {}  # as between requests, the memory of the run before is free
            started = time.perf_counter_ns()
            outputs = model.run(inputs, ending)
            spent = time.perf_counter_ns() - started
            best, total = min(best, spent), total + spent
            if total > LONG_NS or (turn + 1 >= REPEATS and total > QUICK_NS):
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
