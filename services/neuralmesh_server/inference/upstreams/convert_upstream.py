"""Between the Open Inference Protocol's messages and what an upstream is asked and answers.

Servers differ in what they send; what of it is right is for `upstream` to say.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from neuralmesh import oip
from neuralmesh_server.inference.tensors import TensorSpec
from neuralmesh_server.inference.upstreams.link import Description, Reply, ReplyOutput, UpstreamError

if TYPE_CHECKING:
    from neuralmesh_server.inference.upstreams.link import Forward

_OURS = frozenset({"priority", "timeout"})
"""Parameters that were meant for this node's queue; the deadline goes with the call."""


def write_forward(forward: Forward) -> bytes:
    """Return the ModelInferRequest for the upstream: the caller's, with model and version replaced, for all outputs."""
    request = forward.request
    names = oip.ModelInferRequest(model_name=forward.model)
    if not request.outputs and _OURS.isdisjoint(request.parameters):
        # Of a field that comes twice, every decoder takes the last; so nothing of the tensors is parsed or copied.
        version = forward.version.encode()
        data: bytes = b"".join((request.data, names.SerializeToString(), b"\x12", _varint(len(version)), version))
        return data
    message = oip.ModelInferRequest.FromString(request.data)
    message.MergeFrom(names)
    message.model_version = forward.version
    message.ClearField("outputs")  # counting labels and receipts need all of them
    for name in _OURS:
        message.parameters.pop(name, None)
    forwarded: bytes = message.SerializeToString()
    return forwarded


def _varint(value: int) -> bytes:
    assert 0 <= value < 16384
    return bytes((value,)) if value < 128 else bytes((value & 127 | 128, value >> 7))


def write_ready(model: str, version: str) -> bytes:
    """Return a ModelReadyRequest."""
    data: bytes = oip.ModelReadyRequest(name=model, version=version).SerializeToString()
    return data


def write_metadata(model: str, version: str) -> bytes:
    """Return a ModelMetadataRequest."""
    data: bytes = oip.ModelMetadataRequest(name=model, version=version).SerializeToString()
    return data


def read_ready(data: bytes) -> bool:
    """Return what a ModelReadyResponse says."""
    ready: bool = _parse(oip.ModelReadyResponse, data).ready
    return ready


def read_metadata(data: bytes) -> Description:
    """Return the description in a ModelMetadataResponse."""
    try:
        message = oip.ModelMetadataResponse.FromString(data)
        properties = dict(message.properties)
    except DecodeError:
        # MLServer has a map of another type in the place of the properties.
        message = _parse(_metadata_without_properties(), data)
        properties = {}
    return Description(_specs(message.inputs), _specs(message.outputs), properties)


def read_reply(data: bytes) -> Reply:
    """Return the reply in a ModelInferResponse."""
    message = _parse(oip.ModelInferResponse, data)
    raw = message.raw_output_contents
    if raw and len(raw) != len(message.outputs):
        raise UpstreamError("INTERNAL", f"the answer has {len(raw)} raw buffers for {len(message.outputs)} outputs")
    return Reply(
        version=message.model_version,
        outputs=tuple(
            ReplyOutput(
                output.name,
                output.datatype,
                tuple(output.shape),
                raw[position] if raw else None,
                {field.name: values for field, values in output.contents.ListFields()},
            )
            for position, output in enumerate(message.outputs)
        ),
        parameters={
            name: value.string_param
            for name, value in message.parameters.items()
            if value.WhichOneof("parameter_choice") == "string_param"
        },
    )


def _specs(specs: Any) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(spec.name, spec.datatype, tuple(spec.shape)) for spec in specs)


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise UpstreamError("INTERNAL", f"the answer's bytes are no {kind.DESCRIPTOR.full_name}") from None


@cache
def _metadata_without_properties() -> Any:
    file = descriptor_pb2.FileDescriptorProto()
    oip.DESCRIPTOR.CopyToProto(file)
    (message,) = [one for one in file.message_type if one.name == "ModelMetadataResponse"]
    (properties,) = [field for field in message.field if field.number == 6]
    message.field.remove(properties)
    (entry,) = [one for one in message.nested_type if one.options.map_entry]
    message.nested_type.remove(entry)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{message.name}"))
