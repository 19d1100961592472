"""Inference requests and answers between NumPy and the protocol's messages; knows no transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from neuralmesh import oip, tensors
from neuralmesh.exceptions import InternalError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

Parameter: TypeAlias = "bool | int | float | str"
"""A value of a request parameter."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer and what made it.

    Attributes:
        model: Name of the model.
        version: Number of the version that answered.
        prediction_id: Names this very answer for ever; see `Client.trace`.
        digest: Digest of the version.
        node: Node that answered.
        outputs: Arrays by name.
        request_id: The caller's own id, echoed.
        parameters: Everything that the answer says of itself, such as `arm` where a canary is in force, or `identity`
            and `upstream_version` where another server ran it.
    """

    model: str
    version: int
    prediction_id: str
    digest: str
    node: str
    outputs: dict[str, np.ndarray[Any, Any]]
    request_id: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)


def build_request(
    model: str,
    inputs: Mapping[str, np.ndarray[Any, Any] | tensors.Tensor],
    *,
    version: str,
    outputs: Sequence[str],
    request_id: str,
    parameters: Mapping[str, Parameter] | None,
) -> Any:
    """Return a ModelInferRequest with raw contents.

    Raises:
        InvalidArgumentError: An input or parameter cannot be sent.
    """
    request = oip.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, value in inputs.items():
        datatype, shape, raw = tensors.encode(name, value)
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(raw)
    for name in outputs:
        request.outputs.add(name=name)
    for key, parameter in (parameters or {}).items():
        _set_parameter(request.parameters[key], key, parameter)
    return request


def read_request(request: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return the inputs of a ModelInferRequest by name, with raw or typed contents.

    Raises:
        InvalidArgumentError: The request breaks the protocol.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        why = f"the request has {len(request.inputs)} inputs but {len(raw)} buffers"
        raise InvalidArgumentError("FIELD_INVALID", why, {"field": "raw_input_contents"})
    return _arrays(request.inputs, raw)


def read_response(response: Any) -> Prediction:
    """Return the prediction in a ModelInferResponse, with raw or typed contents.

    Raises:
        InternalError: The answer breaks the protocol.
    """
    raw = response.raw_output_contents
    if raw and len(raw) != len(response.outputs):
        raise InternalError("INTERNAL", f"the answer has {len(response.outputs)} outputs but {len(raw)} buffers")
    arrays = _arrays(response.outputs, raw)
    found = ((key, _parameter(parameter)) for key, parameter in response.parameters.items())
    parameters = {key: value for key, value in found if value is not None}
    version = response.model_version
    return Prediction(
        model=response.model_name,
        version=int(version) if version.isascii() and version.isdecimal() else 0,
        prediction_id=_text(parameters, "prediction_id"),
        digest=_text(parameters, "digest"),
        node=_text(parameters, "node"),
        outputs=arrays,
        request_id=response.id,
        parameters=parameters,
    )


def _arrays(described: Sequence[Any], raw: Sequence[bytes]) -> dict[str, np.ndarray[Any, Any]]:
    """Return tensors by name; without raw buffers their contents are typed."""
    arrays = {}
    for index, tensor in enumerate(described):
        name, datatype, shape = tensor.name, tensor.datatype, list(tensor.shape)
        if raw:
            arrays[name] = tensors.decode(name, datatype, shape, raw[index])
        else:
            arrays[name] = tensors.decode_contents(name, datatype, shape, tensor.contents)
    return arrays


def _text(parameters: Mapping[str, Parameter], key: str) -> str:
    found = parameters.get(key)
    return found if isinstance(found, str) else ""


def _parameter(message: Any) -> Parameter | None:
    """Return the value of a parameter, None where a server set none."""
    choice = message.WhichOneof("parameter_choice")
    value: Parameter | None = None if choice is None else getattr(message, choice)
    return value


def _set_parameter(message: Any, key: str, value: Parameter) -> None:
    if isinstance(value, bool):
        message.bool_param = value
    elif isinstance(value, int):
        if -(2**63) <= value < 2**63:
            message.int64_param = value
        elif 0 <= value < 2**64:
            message.uint64_param = value
        else:
            raise InvalidArgumentError(
                "PARAMETER_INVALID", f"parameter {key!r} does not fit 64 bits", {"parameter": key}
            )
    elif isinstance(value, str):
        message.string_param = value
    elif isinstance(value, float):
        message.double_param = value
    else:
        raise InvalidArgumentError(
            "PARAMETER_INVALID",
            f"parameter {key!r} is a {type(value).__name__} and neither bool, int, float nor str",
            {"parameter": key},
        )
