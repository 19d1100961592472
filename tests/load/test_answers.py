"""Every answer is held against what its version says when asked alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh import oip
from neuralmesh_server.errors import InternalError
from neuralmesh_server.load.answers import MOST_EXAMPLES, MOST_WAITING, Answers, Tolerance, difference, read_answer


def answer(version: str, *outputs: np.ndarray, prediction_id: str = "p", typed: bool = False) -> bytes:
    message = oip.ModelInferResponse(model_name="m", model_version=version, id="caller")
    message.parameters["prediction_id"].string_param = prediction_id
    for number, output in enumerate(outputs):
        tensor = message.outputs.add(name=f"o{number}", datatype="FP32", shape=output.shape)
        if typed:
            tensor.contents.fp32_contents.extend(output.ravel().tolist())
        else:
            message.raw_output_contents.append(output.astype("<f4").tobytes())
    return message.SerializeToString()


FLOATS = np.array([[1.0, -2.0, 3.5]], np.float32)
VERSIONS = st.one_of(st.just(""), st.text(max_size=200))


@given(VERSIONS, st.lists(st.binary(max_size=400), max_size=4), st.text(max_size=300), st.text(max_size=20))
def test_reading_agrees_with_protobuf(version, raw, request_id, parameter):
    """The version is the one that protobuf reads; outputs are told apart exactly as protobuf tells them apart."""
    message = oip.ModelInferResponse(model_version=version, id=request_id, raw_output_contents=raw)
    message.parameters["x"].string_param = parameter
    for number in range(len(raw)):
        message.outputs.add(name=f"o{number}", datatype="BYTES", shape=[number])
    found, outputs = read_answer(message.SerializeToString())
    assert found == version
    assert list(outputs) == [*(output.SerializeToString() for output in message.outputs), *raw]


@given(st.binary(max_size=60))
def test_bytes_that_are_no_answer_are_an_error_and_nothing_else(data):
    """Whatever comes back, reading ends with a version or with InternalError."""
    try:
        version, outputs = read_answer(data)
    except InternalError:
        return
    assert isinstance(version, str)
    assert all(isinstance(output, bytes) for output in outputs)


def test_a_cut_answer_is_an_error():
    """No prefix that ends within the last field is taken for the whole answer."""
    whole = answer("3", FLOATS)
    for length in range(len(whole) - FLOATS.nbytes, len(whole)):
        with pytest.raises(InternalError):
            read_answer(whole[:length])


def test_an_unknown_field_does_not_hide_the_version():
    """A field of another wire type than bytes sends the reader the slow way, with the same result."""
    assert read_answer(answer("3", FLOATS) + b"\x98\x06\x07") == read_answer(answer("3", FLOATS))


def test_an_answer_as_expected_is_right_whatever_its_prediction_id():
    """Only the version and the outputs are compared."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS)], None)
    answers.take(0, answer("1", FLOATS, prediction_id="another"))
    answers.settle()
    assert (answers.right, answers.wrong, answers.unjudged) == (1, 0, 0)


def test_one_bit_makes_an_exact_version_s_answer_wrong():
    """Without a tolerance the smallest difference counts, and the example says where it is."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS), answer("1", FLOATS)], None)
    other = np.nextafter(FLOATS, np.float32(9))
    other[0, :2] = FLOATS[0, :2]
    answers.take(1, answer("1", other))
    answers.settle()
    assert (answers.right, answers.wrong) == (0, 1)
    assert answers.examples[0].request == 1
    assert answers.examples[0].why == "o0 differs in 1 of 3 elements"


def test_a_tolerance_permits_what_lies_within_it():
    """Close floats are right, distant ones wrong."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS)], Tolerance(relative=1e-3, absolute=0))
    answers.take(0, answer("1", FLOATS * np.float32(1.0005)))
    answers.take(0, answer("1", FLOATS * np.float32(1.01)))
    answers.settle()
    assert (answers.right, answers.wrong) == (1, 1)
    assert "o0 is up to 0.035 away" in answers.examples[0].why


def test_another_version_s_outputs_under_this_version_s_name_are_wrong():
    """An answer is held against the version that it names and no other."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS)], None)
    answers.know("2", [answer("2", FLOATS * 2)], None)
    answers.take(0, answer("1", FLOATS * 2))
    answers.take(0, answer("2", FLOATS * 2))
    answers.settle()
    assert (answers.right, answers.wrong) == (1, 1)


def test_answers_of_an_unknown_version_wait_until_it_is_known():
    """They are counted by version, named as unknown, and judged when the expectation comes; equal ones are kept once."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS)], None)
    for _ in range(1000):
        answers.take(0, answer("2", FLOATS))
    answers.take(0, answer("2", -FLOATS))
    answers.settle()
    assert answers.unknown() == ["2"]
    assert answers.unjudged == 1001
    assert len(answers._waiting) == 2
    answers.know("2", [answer("2", FLOATS)], None)
    answers.settle()
    assert (answers.right, answers.wrong, answers.unjudged, answers.unknown()) == (1000, 1, 0, [])
    assert answers.versions == {"2": 1001}


def test_typed_outputs_are_compared_by_value():
    """A server that answers without raw contents is held to its word as well."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS, typed=True)], None)
    answers.take(0, answer("1", FLOATS, typed=True))
    answers.take(0, answer("1", FLOATS, typed=False))
    answers.take(0, answer("1", FLOATS * 2, typed=True))
    answers.settle()
    assert (answers.right, answers.wrong) == (2, 1)


def test_answers_that_all_differ_do_not_fill_the_memory():
    """Those of a known version are judged on the way, before more than a bounded number of them is kept."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS)], Tolerance(relative=1))
    for number in range(3 * MOST_WAITING):
        answers.take(0, answer("1", FLOATS * np.float32(1 + number / 1e5)))
        assert len(answers._waiting) < MOST_WAITING
    answers.settle()
    assert (answers.right, answers.wrong) == (3 * MOST_WAITING, 0)


def test_only_the_first_wrong_answers_are_kept():
    """A server that answers everything wrong does not fill the memory with examples."""
    answers = Answers()
    answers.know("1", [answer("1", FLOATS)], None)
    for number in range(MOST_EXAMPLES + 3):
        answers.take(0, answer("1", FLOATS + number + 1))
    answers.settle()
    assert answers.wrong == MOST_EXAMPLES + 3
    assert len(answers.examples) == MOST_EXAMPLES


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({}, "outputs [] instead of ['o0']"),
        ({"o0": FLOATS.reshape(3)}, "o0 is float32 [3], expected float32 [1, 3]"),
        ({"o0": FLOATS.astype(np.float64)}, "o0 is float64 [1, 3], expected float32 [1, 3]"),
    ],
)
def test_a_difference_names_what_differs(found, why):
    """Missing outputs, shapes and types are told apart."""
    assert difference({"o0": FLOATS}, found, Tolerance()) == why


def test_nan_where_nan_is_expected_is_no_difference():
    """Exact comparison is of bits, tolerant comparison takes NaN for equal to NaN."""
    wanted, other = np.array([np.nan], np.float32), np.array([-np.nan], np.float32)
    assert difference({"o": wanted}, {"o": wanted.copy()}, None) == ""
    assert difference({"o": wanted}, {"o": other}, None) != ""
    assert difference({"o": wanted}, {"o": other}, Tolerance()) == ""


def test_integers_have_no_tolerance():
    """A label is right or wrong."""
    assert difference({"o": np.array([100_000])}, {"o": np.array([100_001])}, Tolerance(relative=1)) != ""


def test_bytes_are_compared_element_by_element():
    """Strings are equal or not."""
    words = np.array([b"a", b"bc"], dtype=object)
    assert difference({"o": words}, {"o": words.copy()}, None) == ""
    assert difference({"o": words}, {"o": words[::-1].copy()}, Tolerance()) == "o differs in 2 of 2 elements"
