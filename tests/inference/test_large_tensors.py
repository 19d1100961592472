"""Requests that are read and answers that are written without copying tensors: the same values, the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from neuralmesh import oip
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference import convert
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.reporting.activity import VersionActivity
from neuralmesh_server.inference.request import Request
from neuralmesh_server.inference.serving import LoadedModel
from neuralmesh_server.inference.tensors import LARGE_BYTES, Signature, from_raw, raw_view, to_raw
from tests.inference import wire


def both(data: bytes) -> tuple[Request | None, Request | None]:
    """Return what both readers make of a request, None for a refusal."""
    found: list[Request | None] = []
    with pytest.MonkeyPatch.context() as patch:
        for least in (0, len(data) + 1):
            patch.setattr(convert, "LARGE_BYTES", least)
            try:
                found.append(convert.read_request(data))
            except NeuralMeshError:
                found.append(None)
    return found[0], found[1]


@settings(max_examples=500)
@given(wire.requests())
def test_both_readers_make_the_same_request(data: bytes) -> None:
    """Whatever a request looks like, reading it in place gives what protobuf gives."""
    in_place, parsed = both(data)
    assert in_place == parsed


def test_a_large_request_is_not_copied() -> None:
    """The elements of a large request are views of its bytes."""
    message = oip.ModelInferRequest(model_name="m")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2**16])
    message.raw_input_contents.append(bytes(2**18))
    request = convert.read_request(message.SerializeToString())
    (raw,) = request.raw
    assert isinstance(raw, memoryview)
    assert raw.obj is request.data


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("datatype", ["FP32", "INT64", "BOOL"])
def test_arrays_of_views_are_aligned(datatype: str, offset: int) -> None:
    """Wherever elements lie in a request, a runtime gets them aligned, copied only where they are not."""
    content = bytes(offset) + bytes([0, 1] * 40)
    view = memoryview(content)[offset : offset + 64]
    array = from_raw(datatype, (64 // from_raw(datatype, (0,), b"").itemsize,), view)
    assert array.flags.aligned
    assert array.tobytes() == view
    assert (array.base is None) == (np.frombuffer(view, array.dtype).flags.aligned is False)


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "BOOL", "BF16", "INT64"])
@pytest.mark.parametrize("size", [0, 10, LARGE_BYTES])
def test_answers_are_protobufs(datatype: str, size: int) -> None:
    """An answer whose elements are appended as they are has the bytes of one that protobuf wrote."""
    array = from_raw(datatype, (size,), bytes(size * from_raw(datatype, (0,), b"").itemsize))
    raw = raw_view(datatype, array)
    assert raw == to_raw(datatype, array)
    assert isinstance(raw, memoryview) is (array.nbytes >= LARGE_BYTES)
    loaded = LoadedModel(
        model="m", version=1, uid=1, digest="", kind="", signature=Signature((), ()), runner=None, size_bytes=1,
        base_ns=1, row_ns=1, label_index=-1, activity=VersionActivity("m", 1, ""), run_raw=None,
    )  # fmt: skip
    outputs = [Output("y", datatype, (size,), raw), Output("z", datatype, (size,), raw)]
    expected = oip.ModelInferResponse(model_name="m", model_version="1", id="i")
    expected.parameters["node"].string_param = "n"
    for output in outputs:
        expected.outputs.add(name=output.name, datatype=datatype, shape=[size])
        expected.raw_output_contents.append(bytes(raw))
    assert convert.write_answer(loaded, "i", outputs, {"node": "n"}) == expected.SerializeToString()
