"""Between the Open Inference Protocol's messages and what the domain works with.

Inference is three steps, `parse_infer`, `read_inputs` and `write_infer`, with nothing but bytes and values between
them, so that another codec can take their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralmesh import oip
from neuralmesh_server.inference import validate
from neuralmesh_server.inference.tensors import TensorError, check_raw, from_raw, from_values
from neuralmesh_server.runtime.handlers import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.activity import VersionActivity
    from neuralmesh_server.inference.execution import Output
    from neuralmesh_server.inference.serving import LoadedModel, Snapshot
    from neuralmesh_server.inference.tensors import TensorSpec

_REQUEST = oip.ModelInferRequest
_RESPONSE = oip.ModelInferResponse


@dataclass(frozen=True, slots=True)
class Inputs:
    """Checked inputs of a request: arrays by name, or the raw elements of the only one.

    Attributes:
        rows: First dimension of the first input; 1 where it has none.
    """

    rows: int
    raw: bytes | None
    arrays: dict[str, NDArray[Any]]


def parse_infer(data: bytes) -> Any:
    """Return the ModelInferRequest in bytes; REQUEST_MALFORMED when there is none."""
    return parse(_REQUEST, data)


def read_inputs(loaded: LoadedModel, request: Any) -> tuple[Inputs, list[int]]:
    """Check a request and return its inputs and the positions of the outputs it wants.

    Raises:
        InvalidArgumentError: INPUT_INVALID, OUTPUT_INVALID or PARAMETER_INVALID, which name what is wrong.
    """
    signature = loaded.signature
    raw = request.raw_input_contents
    if request.parameters:
        validate.check_parameters(request.parameters)
    found = validate.check_inputs(signature, request.inputs, raw)
    outputs = validate.check_outputs(signature, request.outputs)
    rows = found[0][1][0] if found and found[0][1] else 1
    if found and raw and loaded.run_raw is not None:
        (position, shape), spec = found[0], signature.inputs[0]
        data = raw[position]
        try:
            check_raw(spec.datatype, shape, data)
        except TensorError as error:
            raise validate.input_invalid(spec.name, str(error)) from error
        return Inputs(rows, data, {}), outputs
    arrays = {}
    for spec, (position, shape) in zip(signature.inputs, found, strict=True):
        arrays[spec.name] = _array(spec, shape, request.inputs[position], raw[position] if raw else None)
    return Inputs(rows, None, arrays), outputs


def _array(spec: TensorSpec, shape: tuple[int, ...], tensor: Any, raw: bytes | None) -> NDArray[Any]:
    try:
        if raw is not None:
            return from_raw(spec.datatype, shape, raw)
        values = validate.check_values(spec.name, spec.datatype, tensor.contents)
        return from_values(spec.datatype, shape, values)
    except TensorError as error:
        raise validate.input_invalid(spec.name, str(error)) from error


def write_infer(loaded: LoadedModel, request: Any, outputs: Sequence[Output], prediction_id: str, node: str) -> bytes:
    """Return the ModelInferResponse's bytes; elements are always raw."""
    response = _RESPONSE(model_name=loaded.model, model_version=str(loaded.version), id=request.id)
    parameters = response.parameters
    parameters["prediction_id"].string_param = prediction_id
    parameters["digest"].string_param = loaded.digest
    parameters["node"].string_param = node
    for output in outputs:
        response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        response.raw_output_contents.append(output.raw)
    data: bytes = response.SerializeToString()
    return data


def metadata(snapshot: Snapshot, loaded: LoadedModel, node: str) -> Any:
    """Return the ModelMetadataResponse of a version."""
    return oip.ModelMetadataResponse(
        name=loaded.model,
        versions=[str(version) for version in snapshot.ready_versions(loaded.model)],
        platform=loaded.kind,
        inputs=[_tensor(spec) for spec in loaded.signature.inputs],
        outputs=[_tensor(spec) for spec in loaded.signature.outputs],
        properties={"version": str(loaded.version), "digest": loaded.digest, "node": node},
    )


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def index(snapshot: Snapshot, *, ready_only: bool) -> Any:
    """Return the RepositoryIndexResponse of a snapshot."""
    response = oip.RepositoryIndexResponse()
    for (model, version), state in snapshot.states.items():
        if not ready_only or state.state == "READY":
            response.models.add(name=model, version=str(version), state=state.state, reason=state.reason)
    return response


def statistics(activity: VersionActivity) -> Any:
    """Return the ModelStatistics of a version."""

    def spent(count: int, nanoseconds: int) -> dict[str, int]:
        return {"count": count, "ns": nanoseconds}

    runs = activity.executions
    return oip.ModelStatistics(
        name=activity.model,
        version=str(activity.version),
        last_inference=activity.last_ms,
        inference_count=activity.rows,
        execution_count=runs,
        inference_stats={
            "success": spent(activity.requests, activity.success_ns),
            "fail": spent(activity.failures, activity.failure_ns),
            "compute_input": spent(runs, activity.input_ns),
            "compute_infer": spent(runs, activity.infer_ns),
            "compute_output": spent(runs, activity.output_ns),
        },
    )
