"""From a checked request to what a version runs on: arrays by name, or the raw elements of its only input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh_server.inference import validate
from neuralmesh_server.inference.tensors import TensorError, check_raw, from_raw, from_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neuralmesh_server.inference.request import Input, Request
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class Inputs:
    """Checked inputs of a request.

    Attributes:
        rows: First dimension of the first input; 1 where it has none.
        raw: Raw elements of the only input, for a version that takes them; then `arrays` is empty.
        arrays: Inputs by name.
        wanted: Positions of the wanted outputs in the signature.
    """

    rows: int
    raw: bytes | memoryview | None
    arrays: dict[str, NDArray[Any]]
    wanted: list[int]


def read(loaded: LoadedModel, request: Request) -> Inputs:
    """Check a request against a version and return its inputs.

    Raises:
        InvalidArgumentError: INPUT_INVALID, OUTPUT_INVALID or PARAMETER_INVALID, which name what is wrong.
    """
    signature = loaded.signature
    if request.parameters:
        validate.check_parameters(request.parameters)
    positions = validate.check_inputs(signature, request)
    wanted = validate.check_outputs(signature, request.outputs)
    first = request.inputs[positions[0]].shape if positions else ()
    rows = first[0] if first else 1
    if positions and request.raw and loaded.run_raw is not None:
        spec, data = signature.inputs[0], request.raw[positions[0]]
        try:
            check_raw(spec.datatype, first, data)
        except TensorError as error:
            raise validate.elements_invalid(spec.name, error) from error
        return Inputs(rows, data, {}, wanted)
    arrays = {
        spec.name: _array(spec, request.inputs[position], request.raw[position] if request.raw else None)
        for spec, position in zip(signature.inputs, positions, strict=True)
    }
    return Inputs(rows, None, arrays, wanted)


def _array(spec: TensorSpec, tensor: Input, raw: bytes | memoryview | None) -> NDArray[Any]:
    try:
        if raw is not None:
            return from_raw(spec.datatype, tensor.shape, raw)
        return from_values(spec.datatype, tensor.shape, validate.check_values(tensor))
    except TensorError as error:
        raise validate.elements_invalid(spec.name, error) from error
