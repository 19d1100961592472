"""Between the Open Inference Protocol's messages and what the domain works with: values out, bytes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from liam_core import oip as codec
from neuralmesh import oip
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.request import DIGEST_KEY, HOPS_KEY, Caller, Input, Request, RequestedOutput
from neuralmesh_server.runtime.handlers import parse
from neuralmesh_server.runtime.wire import text_field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import grpc

    from neuralmesh_server.inference.backends.execution import Output
    from neuralmesh_server.inference.reporting.totals import Totals
    from neuralmesh_server.inference.request import Parameter
    from neuralmesh_server.inference.serving import LoadedModel, Snapshot, VersionState
    from neuralmesh_server.inference.tensors import TensorSpec

_HOPS_DIGITS = 4

LARGE_BYTES = 64 * 1024
"""Requests from this size on are read without copying their tensors."""

_REQUEST = oip.ModelInferRequest
_RESPONSE = oip.ModelInferResponse


def read_request(data: bytes) -> Request:
    """Return the request in the bytes of a ModelInferRequest; REQUEST_MALFORMED when there is none."""
    parts = codec.read(data) if len(data) >= LARGE_BYTES else None
    if parts is not None:
        return _without_copies(parts, data)
    message = parse(_REQUEST, data)
    return Request(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=tuple(_input(tensor) for tensor in message.inputs),
        raw=tuple(message.raw_input_contents),
        outputs=tuple(RequestedOutput(output.name, tuple(output.parameters)) for output in message.outputs),
        parameters={name: _parameter(value) for name, value in message.parameters.items()},
        data=data,
    )


def _without_copies(parts: codec.Parts, data: bytes) -> Request:
    return Request(
        model=parts.model,
        version=parts.version,
        id=parts.id,
        inputs=tuple(Input(name, datatype, shape) for name, datatype, shape, _ in parts.inputs),
        raw=tuple(raw for _, _, _, raw in parts.inputs),
        outputs=tuple(RequestedOutput(name) for name in parts.outputs),
        parameters={},
        data=data,
    )


def text(data: bytes, field: str) -> str:
    """Return a text field of the bytes of a ModelInferRequest, empty when they are none."""
    found = text_field(data, _REQUEST.DESCRIPTOR.fields_by_name[field].number)
    if found is not None:
        return found
    try:
        return str(getattr(parse(_REQUEST, data), field))
    except NeuralMeshError:
        return ""


def caller(context: grpc.aio.ServicerContext) -> Caller:
    """Return what the transport knows of a call."""
    remaining = context.time_remaining()
    entries = context.invocation_metadata() or ()

    def metadata(key: str) -> str | None:
        for name, value in entries:
            if name == key:
                return value if isinstance(value, str) else value.decode("utf-8", "replace")
        return None

    hops = metadata(HOPS_KEY) if entries else None
    return Caller(
        deadline=None if remaining is None else time.monotonic() + remaining,
        metadata=metadata,
        hops=_hops(hops or ""),
        digest=(metadata(DIGEST_KEY) or "") if entries else "",
    )


def _hops(text: str) -> int:
    """Return what the metadata says of hops: none where that is no number, and more than any limit where it is long."""
    if not (text.isascii() and text.isdecimal()):
        return 0
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) < _HOPS_DIGITS else 10**_HOPS_DIGITS


def is_pinned(context: grpc.aio.ServicerContext) -> bool:
    """Say whether a caller wants one digest to answer; see `caller`."""
    return any(key == DIGEST_KEY for key, _ in context.invocation_metadata() or ())


def _input(tensor: Any) -> Input:
    typed = None
    if tensor.HasField("contents"):
        typed = {field.name: values for field, values in tensor.contents.ListFields()}
    return Input(tensor.name, tensor.datatype, tuple(tensor.shape), typed, tuple(tensor.parameters))


def _parameter(value: Any) -> Parameter | None:
    kind = value.WhichOneof("parameter_choice")
    return None if kind is None else getattr(value, kind)


def write_answer(
    loaded: LoadedModel, request_id: str, outputs: Sequence[Output], parameters: Mapping[str, str | int]
) -> bytes:
    """Return the ModelInferResponse's bytes; elements are always raw."""
    response = _RESPONSE(model_name=loaded.model, model_version=str(loaded.version), id=request_id)
    for name, value in parameters.items():
        if isinstance(value, int):
            response.parameters[name].int64_param = value
        else:
            response.parameters[name].string_param = value
    for output in outputs:
        response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
    # The raw contents are the message's last field, so they follow as they are, copied once.
    pieces = [response.SerializeToString()]
    for output in outputs:
        pieces += [codec.raw_field(len(output.raw)), output.raw]
    return b"".join(pieces)


def metadata(snapshot: Snapshot, loaded: LoadedModel, node: str) -> Any:
    """Return the ModelMetadataResponse of a version."""
    return oip.ModelMetadataResponse(
        name=loaded.model,
        versions=[str(version) for version in snapshot.ready_versions(loaded.model)],
        platform=loaded.kind,
        inputs=[_tensor(spec) for spec in loaded.signature.inputs],
        outputs=[_tensor(spec) for spec in loaded.signature.outputs],
        properties={
            "version": str(loaded.version),
            "digest": loaded.digest,
            "node": node,
            "numerics": loaded.runner.exact,
        },
    )


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def index(states: Mapping[tuple[str, int], VersionState], *, ready_only: bool) -> Any:
    """Return the RepositoryIndexResponse of versions and their states."""
    response = oip.RepositoryIndexResponse()
    for (model, version), state in states.items():
        if not ready_only or state.state == "READY":
            response.models.add(name=model, version=str(version), state=state.state, reason=state.reason)
    return response


def statistics(activity: Totals) -> Any:
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
            "queue": spent(activity.queued, activity.queue_ns),
            "compute_input": spent(runs, activity.input_ns),
            "compute_infer": spent(runs, activity.infer_ns),
            "compute_output": spent(runs, activity.output_ns),
        },
        batch_stats=[
            {"batch_size": rows, "compute_infer": spent(*counted)} for rows, counted in sorted(activity.batches.items())
        ],
    )
