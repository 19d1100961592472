"""Requests are serialised before the first is sent."""

import numpy as np
import pytest

from neuralmesh import oip
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.load.workload import MOST_DRAWN, Workload, drawn, split_rows


def test_arrays_are_cut_along_their_first_axis():
    """Each part has as many rows as asked for; a rest that fills no request is left out."""
    arrays = {"a": np.arange(14).reshape(7, 2), "b": np.arange(7)}
    parts = split_rows(arrays, 3)
    assert [part["b"].tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
    assert parts[1]["a"].tolist() == [[6, 7], [8, 9], [10, 11]]


@pytest.mark.parametrize(
    ("arrays", "rows", "why"),
    [
        ({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))}, 1, "differ in their number of rows"),
        ({"a": np.zeros((2, 1))}, 3, "2 rows do not fill one request of 3"),
        ({"a": np.float32(1)}, 1, "0 rows"),
    ],
)
def test_arrays_that_give_no_request_are_refused(arrays, rows, why):
    """The message says what is wrong with them."""
    with pytest.raises(InvalidArgumentError, match=why):
        split_rows({name: np.asarray(array) for name, array in arrays.items()}, rows)


def test_pinned_requests_differ_only_in_the_version():
    """What a version is asked alone is what it was asked in the run."""
    work = Workload.of("m", "production", split_rows({"x": np.arange(6, dtype=np.float32).reshape(3, 2)}, 1))
    for request, pinned in zip(work.requests, work.pinned("7"), strict=True):
        one, other = (oip.ModelInferRequest.FromString(data) for data in (request, pinned))
        assert (one.model_version, other.model_version) == ("production", "7")
        other.model_version = "production"
        assert one == other


def test_a_workload_without_requests_is_refused():
    """There is nothing to send."""
    with pytest.raises(InvalidArgumentError, match="no rows"):
        Workload.of("m", "", [])


SPECS = {
    "floats": ("FP32", [-1, 3]),
    "halves": ("FP16", [-1, 2]),
    "labels": ("INT64", [-1]),
    "flags": ("BOOL", [-1, 2]),
    "words": ("BYTES", [-1, -1]),
}


def test_drawn_inputs_fit_the_signature():
    """Types and shapes are the signature's, the leading dimension is the rows of a request."""
    parts = drawn(SPECS, 2, seed=1)
    assert len(parts) == MOST_DRAWN
    shapes = {name: (array.dtype.kind, array.shape) for name, array in parts[0].items()}
    assert shapes == {
        "floats": ("f", (2, 3)),
        "halves": ("f", (2, 2)),
        "labels": ("i", (2,)),
        "flags": ("b", (2, 2)),
        "words": ("O", (2, 1)),
    }
    assert Workload.of("m", "", parts).requests[0] != Workload.of("m", "", parts).requests[1]


def test_the_seed_decides_what_is_drawn():
    """A run can be repeated."""
    one, same, other = (Workload.of("m", "", drawn(SPECS, 1, seed)).requests for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_what_cannot_be_drawn_is_refused_by_name():
    """BF16 has no NumPy type."""
    with pytest.raises(InvalidArgumentError, match="'x': BF16"):
        drawn({"x": ("BF16", [-1])}, 1, 1)
