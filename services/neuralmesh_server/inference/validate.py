"""Holds a request against the signature of the version that will answer it, before anything is allocated or run.

Every refusal is INVALID_ARGUMENT and names the input, output or parameter in its metadata, and what is wrong with an
input or output as one of the constants here, for who says it in other words. What passes is in the order of the
signature. The elements themselves are read by `inputs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference.tensors import DTYPES, SizeError, TensorError, check_shape, element_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.inference.request import Input, Parameter, Request, RequestedOutput
    from neuralmesh_server.inference.tensors import Signature, TensorSpec

TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field that holds each datatype's typed elements; FP16 and BF16 have none."""

_SEQUENCES = frozenset({"sequence_id", "sequence_start", "sequence_end"})
_WHOLE_NUMBERS = frozenset({"priority", "timeout"})
_KNOWN_TRITON = "triton_enable_empty_final_response"


UNKNOWN, TWICE, MISSING, REQUESTED_TWICE = "unknown", "given twice", "missing", "requested twice"
DATATYPE, SHAPE, SIZE, ELEMENTS = "datatype", "shape", "size", "elements"
TYPED_BESIDE_RAW, BUFFERS_MISSING, BUFFERS_LEFT = "typed beside raw", "buffers missing", "buffers left over"


def input_invalid(name: str, problem: str, why: str) -> InvalidArgumentError:
    """Return the error for an input; `problem` is a constant of this module."""
    shown = ascii(name if len(name) <= 128 else name[:128] + "...")
    return InvalidArgumentError("INPUT_INVALID", f"input {shown} {why}", input=name, problem=problem)


def elements_invalid(name: str, error: TensorError) -> InvalidArgumentError:
    """Return the error for an input whose elements cannot be read."""
    return input_invalid(name, SIZE if isinstance(error, SizeError) else ELEMENTS, str(error))


def check_parameters(parameters: Mapping[str, Parameter | None]) -> None:
    """Check the parameters of a request; unknown names belong to the caller and are left alone."""
    for name, value in parameters.items():
        if value is None:
            raise _parameter(name, "has no value")
        if name in _SEQUENCES:
            raise _parameter(name, "asks for a sequence; this server keeps no state between requests")
        if name in _WHOLE_NUMBERS and (type(value) is not int or value < 0):
            raise _parameter(name, "is no whole number from 0")
        if name.startswith("triton_") and name != _KNOWN_TRITON:
            raise _parameter(name, "is reserved and not known")


def check_inputs(signature: Signature, request: Request) -> list[int]:
    """Check the inputs of a request; returns the position in the request of each input of the signature."""
    found: dict[str, int] = {}
    specs = {spec.name: spec for spec in signature.inputs}
    for position, tensor in enumerate(request.inputs):
        spec = specs.get(tensor.name)
        if spec is None:
            raise input_invalid(tensor.name, UNKNOWN, f"is unknown; the version takes {sorted(specs)}")
        if tensor.name in found:
            raise input_invalid(tensor.name, TWICE, "is given twice")
        found[tensor.name] = position
        _check_tensor(spec, tensor)
        if request.raw and tensor.typed is not None:
            raise input_invalid(tensor.name, TYPED_BESIDE_RAW, "has typed contents beside raw_input_contents")
    for name in specs:
        if name not in found:
            raise input_invalid(name, MISSING, "is missing")
    if request.raw and len(request.raw) != len(request.inputs):
        raise _buffers(request.inputs, len(request.raw))
    return [found[name] for name in specs]


def check_outputs(signature: Signature, outputs: Sequence[RequestedOutput]) -> list[int]:
    """Check the requested outputs; returns their positions in the signature, all when none is requested."""
    if not outputs:
        return list(range(len(signature.outputs)))
    places = {spec.name: index for index, spec in enumerate(signature.outputs)}
    chosen: list[int] = []
    for output in outputs:
        place = places.get(output.name)
        if place is None:
            raise _output(output.name, UNKNOWN, f"is unknown; the version gives {list(places)}")
        if place in chosen:
            raise _output(output.name, REQUESTED_TWICE, "is requested twice")
        for name in output.parameters:
            if name != "binary_data":
                raise _parameter(name, f"is not known for output {output.name!r}")
        chosen.append(place)
    return chosen


def check_values(tensor: Input) -> Sequence[Any]:
    """Return the typed elements of an input, which must be in the one field of its datatype."""
    field = TYPED_FIELDS.get(tensor.datatype)
    if field is None:
        why = f"is {tensor.datatype}, which has no typed contents; send raw_input_contents"
        raise input_invalid(tensor.name, ELEMENTS, why)
    typed = tensor.typed or {}
    for found in typed:
        if found != field:
            raise input_invalid(tensor.name, ELEMENTS, f"is {tensor.datatype}, but has {found} instead of {field}")
    return typed.get(field, ())


def _check_tensor(spec: TensorSpec, tensor: Input) -> None:
    name = spec.name
    if tensor.datatype != spec.datatype:
        known = "" if tensor.datatype in DTYPES else ", which is no datatype,"
        raise input_invalid(name, DATATYPE, f"has datatype {tensor.datatype!r}{known} instead of {spec.datatype}")
    try:
        check_shape(spec, tensor.shape)
        element_count(spec.datatype, tensor.shape)
    except TensorError as error:
        raise input_invalid(name, SHAPE, str(error)) from error
    for parameter in tensor.parameters:
        if parameter == "binary_data_size":  # some clients repeat what the buffer says anyway
            continue
        raise _parameter(parameter, f"is not known for input {name!r}")


def _buffers(inputs: Sequence[Input], count: int) -> InvalidArgumentError:
    if count < len(inputs):
        why = f"has no buffer: {count} raw buffers for {len(inputs)} inputs"
        return input_invalid(inputs[count].name, BUFFERS_MISSING, why)
    last = inputs[-1].name if inputs else ""
    return input_invalid(last, BUFFERS_LEFT, f"is the last of {len(inputs)}, but {count} raw buffers came")


def _output(name: str, problem: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("OUTPUT_INVALID", f"output {name[:128]!r} {why}", output=name, problem=problem)


def _parameter(name: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("PARAMETER_INVALID", f"parameter {name[:128]!r} {why}", parameter=name)
