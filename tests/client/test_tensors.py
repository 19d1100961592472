"""Arrays survive the way to raw tensors and back."""

from __future__ import annotations

import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neuralmesh import Tensor, exceptions, oip, tensors
from neuralmesh.prediction import build_request, read_response

NUMERIC = {name: dtype for name, dtype in tensors.DTYPES.items() if name != "BF16"}
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(st.data(), st.sampled_from(sorted(NUMERIC)), SHAPES)
def test_numeric_arrays_round_trip(data, datatype, shape):
    """An array of each numeric type comes back bit by bit, also from big-endian and strided memory."""
    array = data.draw(arrays.arrays(NUMERIC[datatype], shape))
    for form in (array, array.astype(array.dtype.newbyteorder(">")), array.T.copy().T):
        named, sizes, raw = tensors.encode("x", form)
        assert (named, sizes) == (datatype, list(shape))
        back = tensors.decode("x", named, sizes, raw)
        assert back.dtype == NUMERIC[datatype]
        assert back.tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_bytes_round_trip(elements):
    """BYTES elements of any content come back as objects, trailing zero bytes included."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    datatype, shape, raw = tensors.encode("x", array)
    assert datatype == "BYTES"
    assert raw == b"".join(struct.pack("<I", len(item)) + item for item in elements)
    assert tensors.decode("x", datatype, shape, raw).tolist() == elements


def test_text_travels_as_utf8():
    """Arrays of str are sent as UTF-8 BYTES."""
    _, _, raw = tensors.encode("x", np.array(["é", "b"]))
    assert tensors.decode("x", "BYTES", [2], raw).tolist() == ["é".encode(), b"b"]


def test_bf16_needs_an_explicit_datatype():
    """uint16 is UINT16 unless a Tensor says BF16; BF16 comes back as uint16."""
    bits = np.array([0x3F80], dtype=np.uint16)
    assert tensors.encode("x", bits)[0] == "UINT16"
    datatype, shape, raw = tensors.encode("x", Tensor(bits, "BF16"))
    assert (datatype, shape) == ("BF16", [1])
    assert tensors.decode("x", datatype, shape, raw).dtype == np.uint16


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([1.0], "not a numpy array"),
        (np.zeros(1, np.complex64), "complex64 has no datatype"),
        (np.array(["2026-01-01"], "datetime64[D]"), "datetime64"),
        (np.array([1, "a"], dtype=object), "neither bytes nor str"),
        (Tensor(np.zeros(1, np.float32), "BF16"), "needs uint16 and not float32"),
        (Tensor(np.zeros(1, np.float64), "FP32"), "needs FP32 and not float64"),
        (Tensor(np.zeros(1), "FP128"), "'FP128'"),
    ],
)
def test_what_cannot_be_sent_is_refused(value, why):
    """A value without a datatype raises InvalidArgumentError that names the input and the reason."""
    with pytest.raises(exceptions.InvalidArgumentError, match=why) as caught:
        tensors.encode("pixels", value)
    assert caught.value.metadata == {"input": "pixels"}
    assert "'pixels'" in caught.value.message


def test_bfloat16_arrays_say_what_to_do():
    """An array of ml_dtypes.bfloat16 is refused with the way to send it."""
    with pytest.raises(exceptions.InvalidArgumentError, match="view"):
        tensors.encode("x", np.zeros(1, ml_dtypes.bfloat16))


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", [2], b"\0" * 4),
        ("FP32", [1], b"\0" * 3),
        ("FP99", [1], b""),
        ("BYTES", [1], b"\1\0"),
        ("BYTES", [1], b"\2\0\0\0a"),
        ("BYTES", [2], b"\0\0\0\0"),
    ],
)
def test_malformed_answers_are_refused(datatype, shape, raw):
    """An answer whose bytes do not fit raises InvalidArgumentError that names the output."""
    with pytest.raises(exceptions.InvalidArgumentError, match="'scores'"):
        tensors.decode("scores", datatype, shape, raw)


def test_requests_carry_raw_contents_and_parameters():
    """A request holds one raw buffer for each input and a typed value for each parameter."""
    request = build_request(
        "m",
        {"a": np.zeros((1, 2), np.float32), "b": np.array([b"x"], dtype=object)},
        version="3",
        outputs=["label"],
        request_id="r",
        parameters={"flag": True, "small": -1, "large": 2**63, "text": "t", "real": 0.5},
    )
    assert [tensor.datatype for tensor in request.inputs] == ["FP32", "BYTES"]
    assert [len(raw) for raw in request.raw_input_contents] == [8, 5]
    kinds = {key: value.WhichOneof("parameter_choice") for key, value in request.parameters.items()}
    assert kinds == {
        "flag": "bool_param",
        "small": "int64_param",
        "large": "uint64_param",
        "text": "string_param",
        "real": "double_param",
    }
    for wrong in (2**64, None):
        with pytest.raises(exceptions.InvalidArgumentError, match="'p'"):
            build_request("m", {}, version="", outputs=(), request_id="", parameters={"p": wrong})


def test_answers_with_typed_contents_are_read():
    """An answer of another server, with typed contents and no parameters, is read as well."""
    response = oip.ModelInferResponse(model_name="m", model_version="v1")
    output = response.outputs.add(name="y", datatype="INT32", shape=[2])
    output.contents.int_contents.extend([1, -2])
    prediction = read_response(response)
    assert prediction.outputs["y"].tolist() == [1, -2]
    assert prediction.outputs["y"].dtype == np.int32
    assert (prediction.version, prediction.prediction_id) == (0, "")
