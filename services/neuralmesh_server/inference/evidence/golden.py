"""Golden sets: examples that a version brings along as `golden.npz`, and the answers that it must give to them.

Arrays by the names of the inputs, and optionally `expect/{output}` by those of the outputs. Their first axis counts
examples: for an input whose own first dimension counts rows an example is one row, otherwise one whole input. The file
is data: headers are read and held against limits before anything is allocated, and nothing of it is executed. What
executes the version never sees it.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.tensors import DTYPES, to_raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.backend import Model
    from neuralmesh_server.inference.backends.ending import Ending
    from neuralmesh_server.inference.tensors import Signature, TensorSpec

FILE = "golden.npz"
EXPECT = "expect/"
MAX_BYTES = 256 * 1024 * 1024
MAX_HEADER_BYTES = 10_000
ROWS_AT_ONCE = 32
RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""How near floating-point answers must come where a version does not promise the same bits."""


@dataclass(frozen=True, slots=True)
class Golden:
    """A golden set.

    Attributes:
        count: Examples.
        inputs: For each input of the signature its examples.
        expected: Answers by output; empty where none are known.
    """

    count: int
    inputs: Mapping[str, NDArray[Any]]
    expected: Mapping[str, NDArray[Any]]

    def request(self, signature: Signature, index: int) -> dict[str, NDArray[Any]]:
        """Return the inputs of a request with one example."""
        found = {spec.name: self.inputs[spec.name][index : index + 1] for spec in signature.inputs}
        for spec in signature.inputs:
            if not spec.batched:
                found[spec.name] = found[spec.name].reshape(found[spec.name].shape[1:])
        return found


def split(files: Mapping[str, Path]) -> tuple[dict[str, Path], Path | None]:
    """Return a version's files without its golden set, and the golden set, None where there is none."""
    return {name: path for name, path in files.items() if name != FILE}, files.get(FILE)


def read(path: Path, signature: Signature) -> Golden:
    """Return the golden set in a file.

    Raises:
        LoadError: It is no golden set of the signature, or too large.
        OSError: The file cannot be read.
    """
    arrays = _arrays(path)
    inputs = {spec.name: _examples(arrays, spec.name, spec, "input") for spec in signature.inputs}
    expected = {
        spec.name: _examples(arrays, EXPECT + spec.name, spec, "output")
        for spec in signature.outputs
        if EXPECT + spec.name in arrays
    }
    known = {*inputs, *(EXPECT + name for name in expected)}
    strange = sorted(arrays.keys() - known)
    if strange:
        raise LoadError(f"{FILE} has the array {strange[0]!r}, which is no input and no expected output")
    counts = {len(array) for array in (*inputs.values(), *expected.values())}
    if len(counts) != 1 or not min(counts):
        raise LoadError(f"the arrays of {FILE} have {sorted(counts)} examples; all must have the same number, from 1")
    return Golden(counts.pop(), inputs, expected)


def verify(model: Model, signature: Signature, path: Path, ending: Ending | None = None) -> None:
    """Hold a model against the answers that its golden set expects: bit by bit where it promises the same bits.

    Raises:
        LoadError: It contradicts them, fails on them, or the file is no golden set.
        neuralmesh_server.inference.backends.ending.EndedError: A run was ended.
    """
    golden = read(path, signature)
    if not golden.expected or model.upstream is not None:  # another server is not asked before it is needed
        return
    uneven = sorted(model.ragged & golden.expected.keys())
    if uneven:
        raise LoadError(f"{FILE} expects output {uneven[0]!r}, which does not have one row for each example")
    for first, last, inputs in _batches(golden, signature):
        try:
            outputs = model.run(inputs, ending)
        except NeuralMeshError as error:
            raise LoadError(f"it fails on example {first} of {FILE}: {error.message}") from error
        for spec in signature.outputs:
            if spec.name in golden.expected:
                wanted = golden.expected[spec.name][first:last] if spec.batched else golden.expected[spec.name][first]
                if not _agrees(spec, outputs[spec.name], wanted, bits=model.exact == "bits"):
                    examples = f"examples {first} to {last - 1}"
                    raise LoadError(f"it contradicts {FILE}: output {spec.name!r} of {examples} is not as expected")


def _batches(golden: Golden, signature: Signature) -> Iterator[tuple[int, int, dict[str, NDArray[Any]]]]:
    """Yield first example, end, and inputs of each run."""
    if not all(spec.batched for spec in (*signature.inputs, *signature.outputs)):
        for index in range(golden.count):
            yield index, index + 1, golden.request(signature, index)
        return
    for first in range(0, golden.count, ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, golden.count)
        yield first, last, {name: array[first:last] for name, array in golden.inputs.items()}


def _agrees(spec: TensorSpec, output: NDArray[Any], wanted: NDArray[Any], *, bits: bool) -> bool:
    if output.shape != wanted.shape:
        return False
    if bits or DTYPES[spec.datatype].kind != "f":
        return to_raw(spec.datatype, output) == to_raw(spec.datatype, wanted)
    return bool(np.allclose(output, wanted, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True))


def _examples(arrays: Mapping[str, NDArray[Any]], name: str, spec: TensorSpec, what: str) -> NDArray[Any]:
    if name not in arrays:
        raise LoadError(f"{FILE} has no array {name!r} for {what} {spec.name!r}")
    array = arrays[name]
    shape = spec.shape[1:] if spec.batched else spec.shape
    fits = len(array.shape) == len(shape) + 1 and all(
        want in (-1, have) for want, have in zip(shape, array.shape[1:], strict=True)
    )
    if not fits:
        raise LoadError(f"{name!r} of {FILE} has shape {list(array.shape)}; {what} {spec.name!r} is {list(spec.shape)}")
    if spec.datatype == "BYTES" and array.dtype.kind in "SU":
        texts = np.empty(array.size, np.object_)
        texts[:] = [item.encode() if isinstance(item, str) else bytes(item) for item in array.reshape(-1).tolist()]
        return texts.reshape(array.shape)
    dtype = DTYPES[spec.datatype]
    if spec.datatype == "BYTES" or (array.dtype.kind, array.dtype.itemsize) != (dtype.kind, dtype.itemsize):
        raise LoadError(f"{name!r} of {FILE} is {array.dtype}; {what} {spec.name!r} is {spec.datatype}")
    return array.astype(dtype, copy=False)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    left = MAX_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                if not item.filename.endswith(".npy"):
                    raise LoadError(f"{FILE} holds {item.filename!r}, which is no array")
                if item.header_offset < 0:  # zipfile would seek there
                    raise LoadError(f"{FILE} is no readable archive of arrays: {item.filename!r} begins before it")
                with archive.open(item) as file:
                    array = _array(file, item.filename, left)
                left -= array.nbytes
                arrays[item.filename.removesuffix(".npy")] = array
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise LoadError(f"{FILE} is no readable archive of arrays: {error}") from error
    return arrays


def _array(file: Any, name: str, limit: int) -> NDArray[Any]:
    """Read one array of at most `limit` bytes; its header is checked before anything is allocated."""
    version = npy.read_magic(file)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = reader(file, max_header_size=MAX_HEADER_BYTES)
    if dtype.hasobject:
        raise LoadError(f"{name!r} of {FILE} holds Python objects, which are not read")
    size = math.prod(shape) * dtype.itemsize
    if size > limit:
        raise LoadError(f"the arrays of {FILE} have more than {MAX_BYTES} bytes")
    data = file.read(size + 1)
    if len(data) != size:
        raise LoadError(f"{name!r} of {FILE} has other than the {size} bytes that its header says")
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
