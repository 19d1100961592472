"""Arrays in NumPy's format: any layout and byte order, and everything that is no array of rows."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neuralmesh_server import datasets
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.labor.plan import Columns
from tests.datasets import samples

NUMBERS = [*(kind + width for kind in "iu" for width in ("1", "2", "4", "8")), "f2", "f4", "f8", "b1"]


def read(folder: Path, name: str, first: int, rows: int) -> datasets.Block:
    """Read rows of the one array of a file."""
    return datasets.read(str(folder), name, first, rows, samples.NOTHING_NAMED)


def npy(array: np.ndarray, **options: bool) -> bytes:
    """Return the bytes of an array's file."""
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 4), (9, 2, 3), (9, 2, 3, 2)])
def test_layout_and_byte_order_change_nothing(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    """C and Fortran order, little-endian and big-endian give the same rows and the same digest."""
    random = np.random.default_rng(1)
    array = random.integers(0, 2 if kind == "b1" else 100, shape).astype(kind)
    np.save(tmp_path / "c.npy", array)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(array))
    np.save(tmp_path / "big.npy", array.astype(array.dtype.newbyteorder(">")))
    np.save(tmp_path / "both.npy", np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))))
    digests = set()
    for name in ("c.npy", "fortran.npy", "big.npy", "both.npy"):
        block = read(tmp_path, name, 2, 5)
        assert np.array_equal(block.inputs[""], array[2:7])
        assert block.inputs[""].dtype == array.dtype
        assert block.inputs[""].flags.c_contiguous
        digests.add(block.digest)
    assert len(digests) == 1


@given(
    array=arrays.arrays(
        st.sampled_from([np.dtype(kind) for kind in NUMBERS]),
        st.tuples(st.integers(1, 12), st.integers(1, 4)),
    ),
    data=st.data(),
)
def test_the_digest_knows_only_the_rows(array: np.ndarray, data: st.DataObject, tmp_path_factory) -> None:
    """Rows in the middle of one file have the digest that they have as a file of their own."""
    folder = tmp_path_factory.mktemp("npy")
    first = data.draw(st.integers(0, len(array) - 1))
    rows = data.draw(st.integers(1, len(array) - first))
    np.save(folder / "all.npy", array)
    np.save(folder / "some.npy", array[first : first + rows])
    assert read(folder, "all.npy", first, rows).digest == read(folder, "some.npy", 0, rows).digest


@given(
    array=arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 4))),
    data=st.data(),
)
def test_one_changed_byte_changes_the_digest_of_its_rows_and_of_no_others(
    array: np.ndarray, data: st.DataObject, tmp_path_factory
) -> None:
    """Digests tell rows with another content from those with the same."""
    folder = tmp_path_factory.mktemp("npy")
    row = data.draw(st.integers(0, len(array) - 1))
    column = data.draw(st.integers(0, array.shape[1] - 1))
    other = array.copy()
    other[row, column] ^= data.draw(st.integers(1, 255))
    np.save(folder / "a.npy", array)
    np.save(folder / "b.npy", other)
    for at in range(len(array)):
        same = read(folder, "a.npy", at, 1).digest == read(folder, "b.npy", at, 1).digest
        assert same == (at != row)


def test_values_that_are_no_numbers_pass_as_they_are(tmp_path: Path) -> None:
    """NaN with any payload, infinities and negative zero keep their bits, and the digest tells them apart."""
    bits = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800000, 0x80000000, 0x00000000], np.uint32)
    np.save(tmp_path / "a.npy", bits.view(np.float32).reshape(6, 1))
    block = read(tmp_path, "a.npy", 0, 6)
    assert np.array_equal(block.inputs[""].view(np.uint32).reshape(-1), bits)
    assert len({read(tmp_path, "a.npy", row, 1).digest for row in range(6)}) == 6


def test_the_block_keeps_what_was_hashed_while_the_file_changes(tmp_path: Path) -> None:
    """What is computed with is what the digest is of, although somebody writes to the file in between."""
    np.save(tmp_path / "a.npy", np.zeros((8, 4), np.uint8))
    with datasets.Reader(str(tmp_path), samples.NOTHING_NAMED) as reader:
        block = reader.read("a.npy", 0, 8)
        with (tmp_path / "a.npy").open("r+b") as file:
            file.seek(-32, 2)
            file.write(b"\1" * 32)
        before = block.digest
        assert not block.inputs[""].any()
        after = reader.read("a.npy", 0, 8)
        assert after.inputs[""].all()
        assert after.digest != before


WRONG = {
    "no rows": (npy(np.float32(3)), "single value"),
    "rows of nothing": (npy(np.zeros((3, 0), np.float32)), "rows hold nothing"),
    "objects": (npy(np.array([{}, []], object), allow_pickle=True), "holds object"),
    "structures": (npy(np.zeros(3, [("a", "f4"), ("b", "i2")])), "holds [('a', '<f4'), ('b', '<i2')]"),
    "times": (npy(np.zeros(3, "M8[s]")), "holds datetime64[s]"),
    "complex numbers": (npy(np.zeros((3, 2), np.complex64)), "holds complex64"),
    "long doubles": (npy(np.zeros((3, 2), np.longdouble)), "inputs are numbers of at most 64 bits"),
    "text": (npy(np.array(["a", "b"])), "inputs are numbers"),
    "bytes": (npy(np.array([b"a", b"b"])), "holds |S1"),
    "too short": (npy(np.zeros((3, 2), np.float32))[:-1], "has 23 bytes of content; its shape and type say 24"),
    "too long": (npy(np.zeros((3, 2), np.float32)) + b"\0", "has 25 bytes of content; its shape and type say 24"),
    "header cut": (npy(np.zeros((3, 2), np.float32))[:40], "header of 118 bytes"),
    "length cut": (b"\x93NUMPY\1\0\1", "ends within its header"),
    "another version": (b"\x93NUMPY\4\0" + b"\0" * 100, "version 1.0, 2.0 or 3.0"),
    "no array": (b"PK\3\4" + b"\0" * 100, "is no array"),
    "empty": (b"", "is no array"),
}


def header(text: str) -> bytes:
    """Return a file that is only a header."""
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode()


WRONG |= {
    "huge shape": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}\n"),
        "bytes of con",
    ),
    "negative shape": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -4)}\n"),
        "has the shape (-1, -4)",
    ),
    "shape of another type": (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}\n"), "shape (1.5,)"),
    "no shape": (header("{'descr': '<f4', 'fortran_order': False}\n"), "header that is not NumPy's"),
    "order of another type": (header("{'descr': '<f4', 'fortran_order': 'no', 'shape': (0,)}\n"), "in which order"),
    "unknown type": (header("{'descr': '<q9', 'fortran_order': False, 'shape': (0,)}\n"), "header that is not NumPy's"),
    "a list": (header("[1, 2]\n"), "header that is not NumPy's"),
    "code": (header("__import__('os').abort()\n"), "header that is not NumPy's"),
    "deep nesting": (header("(" * 5000), "header that is not NumPy's"),
    "not closed": (header("{'descr': '<f4',"), "header that is not NumPy's"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_array_of_rows_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    """The error names the file and says what is wrong with it; nothing in a header is run."""
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(FailedPreconditionError) as caught:
        read(tmp_path, "bad.npy", 0, 1)
    assert message in samples.refused(caught.value)
    assert caught.value.metadata["file"] == "bad.npy"


@pytest.mark.parametrize(
    "columns",
    [Columns((("x", ("a",)),)), Columns((), "y"), Columns((), "", "id")],
    ids=["input", "label", "id"],
)
def test_an_array_has_no_columns_to_name(tmp_path: Path, columns: Columns) -> None:
    """Somebody who names columns means another file."""
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path), "a.npy", 0, 1, columns)
    assert "has one array" in samples.refused(caught.value)


def test_a_boolean_that_is_neither_is_refused_with_its_row(tmp_path: Path) -> None:
    """Bytes other than 0 and 1 mean different things to different programs."""
    content = bytearray(npy(np.zeros((5, 3), np.bool_)))
    content[-4] = 2
    (tmp_path / "a.npy").write_bytes(content)
    assert read(tmp_path, "a.npy", 0, 3).kept == 3
    with pytest.raises(FailedPreconditionError) as caught:
        read(tmp_path, "a.npy", 1, 4)
    assert "row 3 of 'a.npy'" in samples.refused(caught.value)
