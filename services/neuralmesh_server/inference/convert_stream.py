"""The answers of a stream, as bytes: a ModelInferResponse that is there already is wrapped, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh import oip
from neuralmesh_server.inference.convert import text
from neuralmesh_server.runtime.status import clip

if TYPE_CHECKING:
    from neuralmesh_server.errors import NeuralMeshError

STATUS_KEY = "triton_grpc_error"
"""Metadata of a stream that wants its first failure as the stream's status."""

_TAG = b"\x12"  # field 2, length-delimited
_MESSAGE_BYTES = 8000
_FINAL: bytes = oip.ModelInferResponse(parameters={"triton_final_response": {"bool_param": True}}).SerializeToString()
# Appended to a message, the bytes of another one are merged into it: the answer gets one more parameter.
_ENDS = len(_FINAL)


def stream_answer(answer: bytes) -> bytes:
    """Return the ModelStreamInferResponse around the bytes of a ModelInferResponse, which is its request's last."""
    size = len(answer) + _ENDS
    return b"".join((_TAG, _varint(size), answer, _FINAL))


def stream_failure(request: bytes, error: NeuralMeshError) -> bytes:
    """Return the ModelStreamInferResponse for the bytes of a request that failed: why, and the request's id."""
    message: bytes = oip.ModelStreamInferResponse(
        error_message=clip(error.message, _MESSAGE_BYTES), infer_response={"id": text(request, "id")}
    ).SerializeToString()
    return message


def _varint(number: int) -> bytes:
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)
