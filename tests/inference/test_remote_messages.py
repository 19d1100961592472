"""What goes to an upstream and what comes back, on random messages, held against protobuf and NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralmesh import oip
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference import convert
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.tensors import DTYPES, Signature, TensorSpec
from neuralmesh_server.inference.upstreams import convert_upstream
from neuralmesh_server.inference.upstreams.descriptor import Descriptor
from neuralmesh_server.inference.upstreams.link import Description, Forward, Reply, UpstreamError
from neuralmesh_server.inference.upstreams.upstream import RemoteUpstream
from neuralmesh_server.inference.validate import TYPED_FIELDS

TEXT = st.text(max_size=20)
LONG = st.text("abc", max_size=256)


@dataclass(frozen=True)
class FixedLink:
    """A link whose every answer has the same bytes."""

    data: bytes

    async def ready(self, model: str, version: str, seconds: float) -> bool:
        return True

    async def describe(self, model: str, version: str, seconds: float) -> Description:
        return Description((), (), {})

    async def infer(self, forward: Forward) -> Reply:
        return convert_upstream.read_reply(self.data)

    async def close(self) -> None:
        """Hold nothing."""


async def answer(data: bytes, *outputs: TensorSpec) -> Any:
    """Return what becomes of an upstream's bytes."""
    upstream = RemoteUpstream(Descriptor("h:1", "m"), FixedLink(data), "bits")
    request = convert.read_request(oip.ModelInferRequest(model_name="far").SerializeToString())
    return await upstream.infer(request, Signature((), outputs), Caller())


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """Draw a ModelInferRequest."""
    request = oip.ModelInferRequest(model_name=draw(TEXT), model_version=draw(TEXT), id=draw(TEXT))
    for _ in range(draw(st.integers(0, 3))):
        request.inputs.add(name=draw(TEXT), datatype=draw(TEXT), shape=draw(st.lists(st.integers(0, 9), max_size=3)))
        request.raw_input_contents.append(draw(st.binary(max_size=40)))
    for name in draw(st.lists(TEXT, max_size=2, unique=True)):
        request.outputs.add(name=name)
    for name in draw(st.lists(TEXT | st.sampled_from(["priority", "timeout"]), max_size=3, unique=True)):
        request.parameters[name].int64_param = draw(st.integers(0, 9))
    return request


@given(requests(), LONG.filter(bool), LONG)
def test_a_forwarded_request_is_the_callers_but_for_its_address(request: Any, model: str, version: str) -> None:
    """Model and version are replaced, outputs and what is meant for our queue are left out, the rest is as it came."""
    forward = Forward(convert.read_request(request.SerializeToString()), model, version, 1.0, 1, ())
    found = oip.ModelInferRequest.FromString(convert_upstream.write_forward(forward))
    wanted = oip.ModelInferRequest()
    wanted.CopyFrom(request)
    wanted.model_name, wanted.model_version = model, version
    wanted.ClearField("outputs")
    for name in ("priority", "timeout"):
        wanted.parameters.pop(name, None)
    assert found == wanted


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    """Draw a datatype with a typed field and an array of it."""
    datatype = draw(st.sampled_from(sorted(TYPED_FIELDS)))
    count = draw(st.integers(0, 5))
    if datatype == "BYTES":
        array = np.empty(count, np.object_)
        array[:] = [draw(st.binary(max_size=5)) for _ in range(count)]
        return datatype, array
    return datatype, draw(arrays(DTYPES[datatype], st.integers(0, 5)))


@given(tensors())
async def test_typed_and_raw_answers_are_the_same(drawn: tuple[str, np.ndarray]) -> None:
    """Elements in the typed field of their datatype become the raw elements that a raw answer would have had."""
    datatype, array = drawn
    typed, raw = oip.ModelInferResponse(), oip.ModelInferResponse()
    for response in (typed, raw):
        response.outputs.add(name="y", datatype=datatype, shape=[len(array)])
    getattr(typed.outputs[0].contents, TYPED_FIELDS[datatype]).extend(array.tolist())
    raw.raw_output_contents.append(
        b"".join(len(one).to_bytes(4, "little") + one for one in array) if datatype == "BYTES" else array.tobytes()
    )
    spec = TensorSpec("y", datatype, (-1,))
    first, second = [await answer(one.SerializeToString(), spec) for one in (typed, raw)]
    if datatype in ("FP32", "FP64"):  # what bits a NaN has does not survive Python's floats
        first, second = (np.frombuffer(one.outputs[0].raw, DTYPES[datatype]) for one in (first, second))
        np.testing.assert_array_equal(first, second)
    else:
        assert first.outputs == second.outputs


@given(st.binary(max_size=200))
async def test_any_answer_is_right_or_refused(data: bytes) -> None:
    """Nothing but the errors of the house comes of bytes that a stranger sent."""
    try:
        found = await answer(data, TensorSpec("y", "FP32", (-1,)))
    except (NeuralMeshError, UpstreamError) as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        assert [output.name for output in found.outputs] == ["y"]


@given(st.binary(max_size=200))
def test_any_metadata_is_read_or_refused(data: bytes) -> None:
    """A description that is no message, with or without foreign properties, is refused as the upstream's failure."""
    try:
        found = convert_upstream.read_metadata(data)
    except UpstreamError as error:
        assert error.code == "INTERNAL"  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(found, Description)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
async def test_half_precision_comes_raw_only(datatype: str) -> None:
    """FP16 and BF16 have no typed field: a typed answer is refused, a raw one is taken."""
    response = oip.ModelInferResponse()
    response.outputs.add(name="y", datatype=datatype, shape=[2], contents={"fp32_contents": [1, 2]})
    spec = TensorSpec("y", datatype, (-1,))
    with pytest.raises(NeuralMeshError, match="no typed contents"):
        await answer(response.SerializeToString(), spec)
    response.outputs[0].ClearField("contents")
    response.raw_output_contents.append(b"\1\2\3\4")
    assert (await answer(response.SerializeToString(), spec)).outputs[0].raw == b"\1\2\3\4"
