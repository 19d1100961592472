"""Parquet and Arrow tables: which types are what, and rows that cannot be read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from neuralmesh_server import datasets
from neuralmesh_server.datasets import Ragged, Rejected
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.labor.plan import Columns
from tests.datasets import samples

X = Columns((("x", ("x",)),))
SUFFIXES = (".parquet", ".arrow")


def write(path: Path, table: pa.Table, group: int = 3) -> None:
    """Write a table in small groups of rows."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=group)


def read(folder: Path, suffix: str, table: pa.Table, columns: Columns = X, rows: range | None = None) -> datasets.Block:
    """Write a table and read rows of it, all unless told otherwise."""
    write(folder / f"t{suffix}", table)
    rows = rows or range(len(table))
    return datasets.read(str(folder), f"t{suffix}", rows.start, len(rows), columns)


def refusal(folder: Path, suffix: str, table: pa.Table, columns: Columns = X) -> str:
    """Return why a table is refused."""
    with pytest.raises(FailedPreconditionError) as caught:
        read(folder, suffix, table, columns)
    return samples.refused(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["fixed", "tensor", "list"])
def test_lists_and_tensors_are_rows_of_numbers(tmp_path: Path, suffix: str, kind: str) -> None:
    """The kind of list that holds the numbers is of no importance, but for the shape that tensors have."""
    block = read(tmp_path, suffix, samples.table(20, kind=kind), samples.NAMED, range(4, 15))
    pixels = samples.digits(20)[0][4:15]
    assert np.array_equal(block.inputs["x"], pixels.reshape(11, 2, -1) if kind == "tensor" else pixels)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.uint16(), pa.int32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_()],
    ids=str,
)
def test_numbers_keep_their_type(tmp_path: Path, suffix: str, kind: pa.DataType) -> None:
    """Columns of one type, side by side, give an input of that type; alone, they give one number a row."""
    numbers = np.array([0, 1, 1, 0, 1], kind.to_pandas_dtype())
    table = pa.table({"a": pa.array(numbers, kind), "b": pa.array(numbers[::-1].copy(), kind)})
    block = read(tmp_path, suffix, table, Columns((("x", ("b", "a")), ("y", ("a",)))))
    assert np.array_equal(block.inputs["x"], np.column_stack([numbers[::-1], numbers]))
    assert np.array_equal(block.inputs["y"], numbers)
    assert block.inputs["x"].dtype == block.inputs["y"].dtype == numbers.dtype


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nested_lists_of_fixed_lengths_have_a_shape(tmp_path: Path, suffix: str) -> None:
    """Lists of lists are tensors."""
    array = np.arange(48, dtype=np.float32).reshape(8, 2, 3)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), 3)
    table = pa.table({"x": pa.FixedSizeListArray.from_arrays(inner, 2)})
    assert np.array_equal(read(tmp_path, suffix, table, rows=range(1, 7)).inputs["x"], array[1:7])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_with_nulls_are_rejected(tmp_path: Path, suffix: str) -> None:
    """A null in an input, within a list, in a label or an id is nothing to compute with; in other columns it may be."""
    table = pa.table(
        {
            "x": pa.array([[1, 2], None, [3, None], [5, 6], [7, 8], [9, 9], [1, 1]], pa.list_(pa.int32(), 2)),
            "n": pa.array([[1], [2], [3], [None], [4], [], [9]], pa.list_(pa.int16())),
            "y": pa.array([0, 1, 2, 3, None, 5, 6]),
            "t": ["a", "b", "c", "d", "e", None, "g"],
            "other": pa.nulls(7, pa.float32()),
        }
    )
    columns = Columns((("n", ("n",)), ("x", ("x",))), "y", "t")
    block = read(tmp_path, suffix, table, columns)
    assert block.rejected == (
        Rejected(1, "has nothing in column 'x'"),
        Rejected(2, "has nothing in column 'x'"),
        Rejected(3, "has nothing in column 'n'"),
        Rejected(4, "has nothing in column 'y'"),
        Rejected(5, "has nothing in column 't'"),
    )
    assert block.rows == 7
    assert block.kept == 2
    assert block.inputs["x"].tolist() == [[1, 2], [1, 1]]
    assert block.inputs["x"].dtype == np.int32
    assert block.inputs["n"].tolist() == [[1], [9]]
    assert block.label.tolist() == [0, 6]
    assert block.label.dtype == np.int64
    assert block.id.tolist() == ["a", "g"]
    part = read(tmp_path, suffix, table, columns, range(2, 7))
    assert [entry.row for entry in part.rejected] == [0, 1, 2, 3]
    assert part.kept == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lists_of_several_lengths_stay_apart(tmp_path: Path, suffix: str) -> None:
    """Where lists differ they come one after the other; where those of a range agree they are an array."""
    lists = [[1.0, 2.0], [3.0, 4.0], [5.0], [], [6.0], [7.0]]
    table = pa.table({"x": pa.array(lists, pa.list_(pa.float32()))})
    block = read(tmp_path, suffix, table)
    ragged = block.inputs["x"]
    assert isinstance(ragged, Ragged)
    assert ragged.lengths.tolist() == [2, 2, 1, 0, 1, 1]
    assert ragged.values.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    for rows in (range(2), range(4, 6), range(2, 4), range(1, 5)):
        alone = read(tmp_path, suffix, table, rows=rows)
        inside = block.slice(rows.start, len(rows))
        assert alone.digest == inside.digest
        assert isinstance(alone.inputs["x"], Ragged) == isinstance(inside.inputs["x"], Ragged)
    assert block.slice(0, 2).inputs["x"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    empty = read(tmp_path, suffix, table, rows=range(3, 4)).inputs["x"]
    assert isinstance(empty, Ragged)
    assert empty.lengths.tolist() == [0]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str)
def test_text_is_text_however_it_is_stored(tmp_path: Path, suffix: str, kind: pa.DataType) -> None:
    """Labels and ids of text come as text, whatever the encoding; impossible ones are rejected."""
    names = ["α", "", "b" * 1024, "c" * 1025, "nul\0", "β"]
    table = pa.table({"x": np.arange(6.0), "t": pa.array(names, pa.string()).cast(kind)})
    block = read(tmp_path, suffix, table, Columns((), "", "t"))
    assert block.id.tolist() == ["α", "", "b" * 1024, "β"]
    assert block.rejected == (
        Rejected(3, "column 't' holds text of more than 1024 characters"),
        Rejected(4, "column 't' holds the character U+0000"),
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["a", "b"]), "column 'x' holds <U0; inputs are numbers"),
        (pa.array([1, 2], pa.timestamp("s")), "; only numbers, lists of numbers and text are read"),
        (pa.array([b"a", b"b"]), "column 'x' holds binary; only numbers"),
        (pa.array([{"a": 1}, {"a": 2}]), "column 'x' holds struct<a: int64>"),
        (pa.array([[["a"]], [["b"]]]), "column 'x' holds list<"),
        (pa.array([None, None]), "column 'x' holds null"),
        (pa.array([[], []], pa.list_(pa.int8(), 0)), "column 'x' holds empty lists"),
    ],
    ids=["text", "times", "bytes", "structs", "lists of lists", "nulls", "empty lists"],
)
def test_what_is_no_number_is_no_input(tmp_path: Path, suffix: str, column: pa.Array, message: str) -> None:
    """The message names the column and what it holds."""
    write_error = ()
    if suffix == ".parquet" and "empty lists" in message:
        write_error = (pa.ArrowException, OSError)
    try:
        assert message in refusal(tmp_path, suffix, pa.table({"x": column}))
    except write_error:
        assert suffix == ".parquet"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_occur_twice_are_refused(tmp_path: Path, suffix: str) -> None:
    """Nobody could say which one is meant."""
    table = pa.table([pa.array([1.0]), pa.array([2.0])], names=["x", "x"])
    assert "has two columns 'x'" in refusal(tmp_path, suffix, table)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lists_of_any_length_are_an_input_alone(tmp_path: Path, suffix: str) -> None:
    """Beside another column nobody knows where they end; labels are no lists."""
    table = pa.table({"x": pa.array([[1.0]], pa.list_(pa.float64())), "z": [1.0]})
    assert "which must be an input alone" in refusal(tmp_path, suffix, table, Columns((("x", ("x", "z")),)))
    assert "labels and ids are single" in refusal(tmp_path, suffix, table, Columns((("x", ("z",)),), "x"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_with_dots_and_accents_are_names(tmp_path: Path, suffix: str) -> None:
    """Parquet joins the names of nested columns with dots, and a name may have some of its own."""
    table = pa.table({"größe.px": [1.5, 2.5], "größe": [3, 4], "a b\n": [5, 6]})
    block = read(tmp_path, suffix, table, Columns((("x", ("größe.px",)), ("y", ("a b\n",)))))
    assert block.inputs["x"].tolist() == [1.5, 2.5]
    assert block.inputs["y"].tolist() == [5, 6]


def test_a_stream_and_old_feather_are_no_files_of_arrow(tmp_path: Path) -> None:
    """They have no directory of their rows."""
    table = pa.table({"x": [1.0]})
    with pa.ipc.new_stream(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path), "t.arrow", 0, 1, X)
    assert "'t.arrow': cannot be read" in samples.refused(caught.value)


def test_a_table_without_rows_or_groups_has_none(tmp_path: Path) -> None:
    """It is a file of the data set with nothing to do, beside others."""
    empty = samples.table(1).slice(0, 0)
    for suffix in SUFFIXES:
        write(tmp_path / f"a{suffix}", empty)
    samples.write(tmp_path / "b.parquet", 5)
    data = datasets.DataSet(str(tmp_path), samples.NAMED)
    assert [file.rows for file in data.files] == [0, 0, 5]
    assert [len(digests) for digests in data.freeze(2).digests] == [0, 0, 3]
