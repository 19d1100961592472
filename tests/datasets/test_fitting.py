"""Blocks as somebody takes them: names, shapes, types, and rows that do not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neuralmesh_server.datasets import Block, Ragged, Rejected, RowType, fit
from neuralmesh_server.datasets.fitting import misfit
from neuralmesh_server.errors import FailedPreconditionError
from tests.datasets import samples


def row_type(dtype: str, *shape: int) -> RowType:
    """Return what an input takes."""
    return RowType(np.dtype(dtype), shape)


def block(array: np.ndarray | Ragged, name: str = "") -> Block:
    """Return a block of one input."""
    return Block(len(array), {name: array})


def test_inputs_go_by_name_and_a_sole_one_needs_none() -> None:
    """Arrays that nobody takes are left; one that is missing is named."""
    a, b = np.zeros((3, 2)), np.ones((3, 2))
    both = Block(3, {"a": a, "b": b})
    fitted = fit(both, {"b": row_type("f4", 2)})
    assert list(fitted.inputs) == ["b"]
    assert fitted.inputs["b"].all()
    assert list(fit(block(a, "anything"), {"x": row_type("f8", 2)}).inputs) == ["x"]
    for wanted in ({"x": row_type("f4", 2)}, {"a": row_type("f4", 2), "x": row_type("f4", 2)}):
        with pytest.raises(FailedPreconditionError) as caught:
            fit(both, wanted)
        assert "has no input 'x'; it has 'a', 'b'" in samples.refused(caught.value)


@pytest.mark.parametrize(
    ("own", "wanted", "given_shape"),
    [
        ((6,), (6,), (6,)),
        ((6,), (2, 3), (2, 3)),
        ((2, 3), (6,), (6,)),
        ((2, 3), (2, 3), (2, 3)),
        ((2, 3), (-1, 3), (2, 3)),
        ((6,), (-1, 3), (2, 3)),
        ((2, 3), (-1,), (6,)),
        ((6,), (-1,), (6,)),
        ((1,), (), ()),
        ((), (1,), (1,)),
        ((), (), ()),
    ],
)
def test_flat_rows_take_a_shape_and_shaped_rows_are_laid_flat(
    own: tuple[int, ...], wanted: tuple[int, ...], given_shape: tuple[int, ...]
) -> None:
    """Values keep their order."""
    array = np.arange(4 * int(np.prod(own)), dtype=np.float32).reshape(4, *own)
    fitted = fit(block(array), {"x": row_type("f4", *wanted)})
    assert fitted.inputs["x"].shape == (4, *given_shape)
    assert np.array_equal(fitted.inputs["x"].reshape(-1), array.reshape(-1))
    assert fitted.rejected == ()


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ((2, 3), (3, 2)),
        ((6,), (5,)),
        ((6,), (4, 2)),
        ((2, 3), (2, 3, 1)),
        ((6,), (-1, 4)),
        ((6,), (-1, -1)),
        ((6,), (0,)),
        ((2, 3), ()),
    ],
)
def test_rows_of_another_shape_are_all_rejected(own: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Each is listed with its own shape and the wanted one."""
    fitted = fit(block(np.zeros((3, *own))), {"x": row_type("f4", *wanted)})
    assert len(fitted.inputs["x"]) == 0
    assert fitted.inputs["x"].dtype == np.float32
    assert [entry.row for entry in fitted.rejected] == [0, 1, 2]
    shown = str(list(own)).replace(" ", "")
    assert fitted.rejected[0].why.startswith(f"input 'x' has the shape {shown} and not [")


def test_integers_and_booleans_lose_nothing() -> None:
    """Values that a type cannot hold reject their row, with the first of them."""
    array = np.array([[0, 255], [1, 256], [-1, 300], [0.5, 1], [np.nan, 1], [np.inf, 1], [7, 7]])
    fitted = fit(block(array), {"x": row_type("u1", 2)})
    assert fitted.inputs["x"].tolist() == [[0, 255], [7, 7]]
    assert fitted.inputs["x"].dtype == np.uint8
    assert fitted.rejected == (
        Rejected(1, "input 'x' holds 256.0, which is no uint8"),
        Rejected(2, "input 'x' holds -1.0, which is no uint8"),
        Rejected(3, "input 'x' holds 0.5, which is no uint8"),
        Rejected(4, "input 'x' holds nan, which is no uint8"),
        Rejected(5, "input 'x' holds inf, which is no uint8"),
    )
    bits = fit(block(np.array([[0, 1], [2, 0], [1, 1]], np.int64)), {"x": row_type("?", 2)})
    assert bits.inputs["x"].tolist() == [[False, True], [True, True]]
    assert bits.rejected == (Rejected(1, "input 'x' holds 2, which is no bool"),)


def test_the_largest_integers_are_told_from_the_next_numbers() -> None:
    """2^63 and 2^64 are doubles that no integer type holds, which a cast and back would not show everywhere."""
    array = np.array([[2.0**63], [2.0**63 - 1024], [-(2.0**63)], [-(2.0**63) - 2048]])
    fitted = fit(block(array), {"x": row_type("i8", 1)})
    assert fitted.inputs["x"].tolist() == [[2**63 - 1024], [-(2**63)]]
    unsigned = fit(block(np.array([[2.0**64], [2.0**64 - 2048], [-0.0]])), {"x": row_type("u8", 1)})
    assert unsigned.inputs["x"].tolist() == [[2**64 - 2048], [0]]
    mixed = fit(block(np.array([[2**64 - 1], [3]], np.uint64)), {"x": row_type("i8", 1)})
    assert mixed.inputs["x"].tolist() == [[3]]
    assert fit(block(np.array([[-1], [3]], np.int64)), {"x": row_type("u8", 1)}).inputs["x"].tolist() == [[3]]


def test_floating_point_is_rounded_and_does_not_overflow() -> None:
    """NaN and infinities pass; a finite number that would become infinite does not."""
    array = np.array([[0.1], [1e300], [np.inf], [np.nan], [-70000.0]])
    single = fit(block(array), {"x": row_type("f4", 1)})
    assert single.rejected == (Rejected(1, "input 'x' holds 1e+300, which is no float32"),)
    assert single.inputs["x"][0, 0] == np.float32(0.1)
    half = fit(block(array), {"x": row_type("f2", 1)})
    assert [entry.row for entry in half.rejected] == [1, 4]
    assert fit(block(np.array([[2**53 + 1]])), {"x": row_type("f8", 1)}).inputs["x"].tolist() == [[2.0**53]]


def test_lists_of_several_lengths_fit_where_their_length_does() -> None:
    """Short and long ones are rejected with their length, the others form the tensor."""
    ragged = Ragged(np.array([4, 3, 4, 0, 5, 4]), np.arange(20, dtype=np.int64) * 20)
    fitted = fit(block(ragged), {"x": row_type("u1", 2, 2)})
    assert fitted.inputs["x"].tolist() == [[[0, 20], [40, 60]], [[140, 160], [180, 200]]]
    assert fitted.rejected == (
        Rejected(1, "input 'x' has the shape [3] and not [2,2]"),
        Rejected(3, "input 'x' has the shape [0] and not [2,2]"),
        Rejected(4, "input 'x' has the shape [5] and not [2,2]"),
        Rejected(5, "input 'x' holds 320, which is no uint8"),
    )
    with pytest.raises(FailedPreconditionError) as caught:
        fit(block(ragged), {"x": row_type("u1", -1)})
    assert "lists of several lengths" in samples.refused(caught.value)


def test_labels_and_ids_stay_with_their_rows() -> None:
    """Rows that were rejected before and rows that do not fit are both gone, and numbers of rows are those of the range."""
    array = np.array([[1.0, 1], [2, 300], [3, 3], [-4, 4]])
    given_block = Block(
        6,
        {"a": array, "b": np.array([1, 2, 3, 4])},
        np.array([10, 20, 30, 40]),
        np.array(["p", "q", "r", "s"]),
        (Rejected(0, "has nothing"), Rejected(3, "has nothing")),
    )
    fitted = fit(given_block, {"a": row_type("u1", 2), "b": row_type("i8")})
    assert fitted.rows == 6
    assert fitted.inputs["a"].tolist() == [[1, 1], [3, 3]]
    assert fitted.inputs["b"].tolist() == [1, 3]
    assert fitted.label.tolist() == [10, 30]
    assert fitted.id.tolist() == ["p", "r"]
    assert [entry.row for entry in fitted.rejected] == [0, 2, 3, 5]
    assert fitted.rejected[1].why == "input 'a' holds 300.0, which is no uint8"


def test_a_row_that_fails_twice_is_listed_once() -> None:
    """The first input in the order of who takes them gives the reason."""
    given_block = Block(2, {"a": np.array([[300], [1]]), "b": np.array([[300], [1]])})
    fitted = fit(given_block, {"b": row_type("u1", 1), "a": row_type("u1", 1)})
    assert fitted.rejected == (Rejected(0, "input 'b' holds 300, which is no uint8"),)


@given(
    array=arrays.arrays(
        st.sampled_from(["f8", "f4", "f2", "i8", "u8", "i2", "u1", "?"]),
        st.tuples(st.integers(1, 8), st.integers(1, 3)),
    ),
    dtype=st.sampled_from(["f8", "f4", "f2", "i8", "u8", "i4", "u2", "i1", "?"]),
    data=st.data(),
)
def test_what_fits_depends_on_the_row_alone(array: np.ndarray, dtype: str, data: st.DataObject) -> None:
    """Rows beside a row change neither whether it fits, nor the reason, nor what it becomes."""
    first = data.draw(st.integers(0, len(array) - 1))
    rows = data.draw(st.integers(1, len(array) - first))
    whole = block(array)
    wanted = {"x": row_type(dtype, array.shape[1])}
    part, everything = fit(whole.slice(first, rows), wanted), fit(whole, wanted)
    inside = [entry for entry in everything.rejected if first <= entry.row < first + rows]
    assert [Rejected(entry.row + first, entry.why) for entry in part.rejected] == inside
    before = sum(entry.row < first for entry in everything.rejected)
    kept = everything.inputs["x"][first - before :][: len(part.inputs["x"])]
    assert part.inputs["x"].tobytes() == kept.tobytes()
    assert part.inputs["x"].flags.c_contiguous


@given(
    own=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    wanted=st.lists(st.sampled_from([-1, 1, 2, 3, 4, 6, 8]), max_size=3).map(tuple),
)
def test_headers_tell_what_rows_will(own: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """A shape that a header tells is refused exactly where every row of it would be rejected for its shape."""
    told = misfit({"x": own}, {"x": wanted})
    fitted = fit(Block(3, {"x": np.ones((3, *own), np.uint8)}), {"x": RowType(np.dtype(np.uint8), wanted)})
    assert bool(told) == (len(fitted.rejected) == 3)
    assert misfit({"x": None}, {"x": wanted}) == misfit({"x": own}, {"x": None}) == ""


def test_headers_tell_which_input_is_absent() -> None:
    """A sole input stands for another sole one; otherwise names decide, and those that there are are listed."""
    assert misfit({"": (2,)}, {"x": (2,)}) == ""
    assert misfit({"b": (2,), "a": (2,)}, {"x": (2,)}) == "has no input 'x'; it has 'a', 'b'"
    assert misfit({"": (2,)}, {"x": None, "y": None}) == "has no input 'x'; it has ''"
