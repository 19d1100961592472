"""Elements on the wire and in arrays, for every datatype."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh import oip
from neuralmesh_server.inference import convert, tensors, validate

FIXED = sorted(set(tensors.DTYPES) - {"BYTES"})
SHAPES = st.lists(st.integers(0, 4), max_size=3)


def _elements(datatype: str) -> st.SearchStrategy[object]:
    dtype = tensors.DTYPES[datatype]
    if datatype == "BYTES":
        return st.binary(max_size=9)
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind == "f":
        return st.floats(width=dtype.itemsize * 8)
    limits = np.iinfo(dtype)
    return st.integers(int(limits.min), int(limits.max))


@pytest.mark.parametrize("datatype", sorted(tensors.DTYPES))
@given(data=st.data())
def test_raw_elements_survive_the_round_trip(datatype: str, data: st.DataObject) -> None:
    """Raw elements become an array and the same raw elements again, bit for bit, for every datatype."""
    shape = data.draw(SHAPES)
    count = int(np.prod(shape, dtype=int))
    values = data.draw(st.lists(_elements(datatype), min_size=count, max_size=count))
    if datatype == "BYTES":
        raw = b"".join(len(value).to_bytes(4, "little") + value for value in values)
    else:
        raw = np.array(values, tensors.DTYPES[datatype]).tobytes()
    array = tensors.from_raw(datatype, shape, raw)
    assert array.shape == tuple(shape)
    assert tensors.to_raw(datatype, array) == raw


@pytest.mark.parametrize("datatype", sorted(validate.TYPED_FIELDS))
@given(data=st.data())
def test_typed_elements_mean_the_same_as_raw_ones(datatype: str, data: st.DataObject) -> None:
    """What protobuf's typed contents carry becomes the array that the same raw elements give."""
    values = data.draw(st.lists(_elements(datatype), max_size=6))
    contents = oip.InferTensorContents()
    getattr(contents, validate.TYPED_FIELDS[datatype]).extend(values)
    shape = (len(values),)
    message = oip.ModelInferRequest(inputs=[{"name": "x", "datatype": datatype, "shape": shape, "contents": contents}])
    (tensor,) = convert.read_request(message.SerializeToString()).inputs
    typed = tensors.from_values(datatype, shape, validate.check_values(tensor))
    assert typed.dtype == tensors.DTYPES[datatype]
    assert tensors.to_raw(
        datatype, tensors.from_raw(datatype, shape, tensors.to_raw(datatype, typed))
    ) == tensors.to_raw(datatype, typed)
    expected = np.empty(len(values), tensors.DTYPES[datatype])
    expected[:] = values
    assert tensors.to_raw(datatype, typed) == tensors.to_raw(datatype, expected)


@pytest.mark.parametrize("datatype", FIXED)
def test_a_wrong_byte_count_is_refused(datatype: str) -> None:
    """One byte more or less than shape and datatype say is an error that names both counts."""
    size = tensors.DTYPES[datatype].itemsize
    for length in (3 * size - 1, 3 * size + 1, 0):
        with pytest.raises(tensors.TensorError, match=f"has {length} bytes instead of {3 * size}"):
            tensors.from_raw(datatype, [3], bytes(length))


@pytest.mark.parametrize("shape", [[2**62, 4], [2**63], [2**40, 2**40, 2**40], [0, 2**62, 2**62]])
@pytest.mark.parametrize("datatype", ["INT8", "FP64", "BYTES"])
def test_a_size_beyond_the_address_space_is_refused_before_anything_is_allocated(
    shape: list[int], datatype: str
) -> None:
    """Dimensions whose product overflows are an error, even beside a zero."""
    with pytest.raises(tensors.TensorError, match=r"overflows|bytes"):
        tensors.from_raw(datatype, shape, b"")


@given(st.binary(max_size=40), st.integers(0, 5))
def test_any_bytes_are_either_framed_elements_or_refused(data: bytes, count: int) -> None:
    """Bytes that are read as BYTES elements are written back the same; all others raise TensorError."""
    try:
        array = tensors.from_raw("BYTES", [count], data)
    except tensors.TensorError:
        return
    assert tensors.to_raw("BYTES", array) == data


def test_outputs_in_other_memory_orders_are_written_row_major() -> None:
    """A transposed array is written as its elements stand, row by row."""
    array = np.arange(6, dtype=np.int64).reshape(2, 3).T
    assert tensors.to_raw("INT64", array) == np.ascontiguousarray(array).tobytes()
