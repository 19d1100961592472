"""Comma-separated text: strict quoting, no guessing, and rows that cannot be read."""

import csv
import io
import math
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neuralmesh_server import datasets
from neuralmesh_server.datasets import Rejected, csv_records, format_csv
from neuralmesh_server.datasets.regular_file import RegularFile
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.labor.plan import Columns
from tests.datasets import samples

A = Columns((("x", ("a",)),))
AB = Columns((("x", ("a", "b")),))
TEXT = Columns((("x", ("a",)),), "", "t")


def read(folder: Path, content: bytes, columns: Columns, rows: range | None = None) -> datasets.Block:
    """Write a file and read rows of it, all unless told otherwise."""
    path = folder / "t.csv"
    path.write_bytes(content)
    if rows is None:
        data = datasets.DataSet(str(path), columns)
        rows = range(data.files[0].rows)
    return datasets.read(str(path), "t.csv", rows.start, len(rows), columns)


def refusal(folder: Path, content: bytes, columns: Columns = A) -> str:
    """Return why a file is refused."""
    with pytest.raises(FailedPreconditionError) as caught:
        read(folder, content, columns, range(1))
    assert caught.value.metadata["file"] == "t.csv"
    return samples.refused(caught.value)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path: Path, end: bytes, last: bool, mark: bytes) -> None:
    """Inputs are float64, side by side in the order of the file; labels and ids are text as it stands."""
    content = mark + end.join([b"a,y,b,id", b"1,07,2.5,\xc3\xbc", b'-3e2, 8,"4","x,""y"""']) + (end if last else b"")
    block = read(tmp_path, content, Columns((), "y", "id"))
    assert block.inputs[""].tolist() == [[1.0, 2.5], [-300.0, 4.0]]
    assert block.inputs[""].dtype == np.float64
    assert block.label.tolist() == ["07", " 8"]
    assert block.id.tolist() == ["ü", 'x,"y"']
    assert (
        block.digest
        == read(tmp_path, b'a,y,b,id\n1.0,07,2.50,"\xc3\xbc"\n-300, 8,4,"x,""y"""\n', Columns((), "y", "id")).digest
    )


def test_rows_that_cannot_be_read_are_rejected_with_the_reason(tmp_path: Path) -> None:
    """Each reason names what is wrong with the row, and the other rows are read."""
    content = b"\n".join(
        [
            b"a,t,b",
            b"1,x,2",
            b"1,x",
            b"1,x,2,3",
            b"",
            b",x,2",
            b"one,x,2",
            b"1,,2",
            b"1,\xff,2",
            b'1,"x\ny",2',
            b"nan,x,-inf",
        ]
    )
    block = read(tmp_path, content, Columns((), "", "t"))
    assert block.rejected == (
        Rejected(1, "has 2 cells and not 3"),
        Rejected(2, "has 4 cells and not 3"),
        Rejected(3, "has nothing in column 'a'"),
        Rejected(4, "has nothing in column 'a'"),
        Rejected(5, "holds 'one' in column 'a', no number"),
        Rejected(6, "has nothing in column 't'"),
        Rejected(7, "holds '\ufffd' in column 't', which is not UTF-8"),
    )
    assert block.id.tolist() == ["x", "x\ny", "x"]
    assert block.inputs[""][0].tolist() == [1.0, 2.0]
    assert math.isnan(block.inputs[""][2, 0])
    assert block.inputs[""][2, 1] == -math.inf


def test_a_range_without_a_row_that_can_be_read_is_a_block_of_none(tmp_path: Path) -> None:
    """Where every row of a range is rejected, inputs are arrays of no rows, which fit and hold nothing."""
    columns = Columns((("x", ("a", "b")),), "", "t")
    block = read(tmp_path, b"a,t,b\none,x,2\n1,x,two\n1,x,2\n", columns, range(2))
    assert [entry.row for entry in block.rejected] == [0, 1]
    assert block.inputs["x"].shape == (0, 2)
    assert len(block.id) == 0
    for kind in ("f4", "u1", "?"):
        fitted = datasets.fit(block, {"x": datasets.RowType(np.dtype(kind), (2,))})
        assert (fitted.inputs["x"].shape, len(fitted.rejected)) == ((0, 2), 2)


def test_cells_of_columns_that_nobody_asked_for_do_not_matter(tmp_path: Path) -> None:
    """Neither what they hold nor that they are empty."""
    one = read(tmp_path, b"a,z\n1,2\n3,\xff\n", A)
    other = read(tmp_path, b"z,a\nx,1\n,3\n", A)
    assert one.digest == other.digest
    assert one.kept == 2


def test_a_single_column_may_have_empty_rows(tmp_path: Path) -> None:
    """An empty line is a row without a number, not no row: numbers of rows must not depend on the reader's taste."""
    block = read(tmp_path, b"a\n1\n\n2\n\n", A)
    assert block.rows == 4
    assert [entry.row for entry in block.rejected] == [1, 3]
    assert block.inputs["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no header"),
        (b'a\n1\n"2\n3\n', "row 1 of 't.csv': has a quote that is never closed"),
        (b'a\n1\n2"3"\n', "row 1 of 't.csv': has a quote within a cell that is not quoted"),
        (b'a\n"1"2\n', "row 0 of 't.csv': has text behind a closing quote"),
        (b'a\n"1" \n', "row 0 of 't.csv': has text behind a closing quote"),
        (b"a\n1\r2\n", "row 0 of 't.csv': has a CR without LF"),
        (b"a\n1\r", "row 0 of 't.csv': has a CR without LF"),
        (b'a"b\n1\n', "'t.csv': its header has a quote within a cell"),
        (b'"a\n1\n', "'t.csv': its header has a quote that is never closed"),
        (b"a\xff\n1\n", "'t.csv': has a header that cannot be read"),
        (b"a,a\n1,2\n", "has two columns 'a'"),
        (b"b\n1\n", "has no column 'a'; it has 'b'"),
        (b"\n1\n", "has no column 'a'"),
    ],
)
def test_what_two_readers_would_read_differently_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Quotes and line ends that depart from RFC 4180 are named with their row."""
    assert message in refusal(tmp_path, content)


def test_a_record_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without line ends would have to be read whole for its first row."""
    monkeypatch.setattr(csv_records, "LARGEST_RECORD", 100)
    assert "its header is longer than 100 bytes" in refusal(tmp_path, b"a" * 101)
    assert "row 1 of 't.csv': is longer" in refusal(tmp_path, b"a\n1\n" + b"2" * 100 + b"\n3\n")
    assert "row 1 of 't.csv': is longer" in refusal(tmp_path, b"a\n1\n" + b"2" * 101)


cells = st.one_of(
    st.sampled_from(["", "1", "2.5", "-3", "x", "a,b", "a\nb", 'say "x"', "\r\n", "ü", "nan", " 4", "1e5", "é\n\n"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)


@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=40), data=st.data(), crlf=st.booleans())
@example(rows=[("1", "x")] * 9, data=None, crlf=False)
def test_any_text_comes_back(
    rows: list[tuple[str, str]], data: st.DataObject | None, crlf: bool, tmp_path_factory
) -> None:
    """What Python's writer quotes is read back, in any range of rows, over the ends of chunks and steps."""
    stream = io.StringIO()
    # Python quotes a CR only where it ends its lines.
    style = (
        {"lineterminator": "\r\n", "quoting": csv.QUOTE_MINIMAL}
        if crlf
        else {"lineterminator": "\n", "quoting": csv.QUOTE_ALL}
    )
    writer = csv.writer(stream, **style)
    writer.writerows([("a", "t"), *rows])
    content = stream.getvalue().encode()
    first = data.draw(st.integers(0, len(rows) - 1)) if data else 0
    count = data.draw(st.integers(1, len(rows) - first)) if data else len(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "STEP", 4)
        patch.setattr(csv_records, "CHUNK_BYTES", 7)
        patch.setattr(format_csv, "PIECE_ROWS", 5)
        block = read(tmp_path_factory.mktemp("csv"), content, TEXT, range(first, first + count))
    wanted = [
        (float(number), text)
        for number, text in rows[first : first + count]
        if re.fullmatch(format_csv.NUMBER.replace("$", ""), number) and text
    ]
    assert block.rows == count
    assert block.kept == len(wanted)
    assert block.id.tolist() == [text for _, text in wanted]
    assert np.array_equal(block.inputs["x"].reshape(-1), [number for number, _ in wanted], equal_nan=True)


lines = st.sampled_from([b"1,x", b"2,y", b"one,x", b"1", b"1,2,3", b"", b",z", b'"4","a\nb"', b"nan,\xff", b"5,"])


@given(body=st.lists(lines, min_size=2, max_size=30), data=st.data())
def test_a_row_reads_the_same_beside_any_others(body: list[bytes], data: st.DataObject, tmp_path_factory) -> None:
    """Whether a row is rejected, and why, follows from the row, so that the digest of a range follows from its rows."""
    content = b"a,t\n" + b"\n".join(body) + b"\n"
    folder = tmp_path_factory.mktemp("csv")
    whole = read(folder, content, TEXT, range(len(body)))
    first = data.draw(st.integers(0, len(body) - 1))
    count = data.draw(st.integers(1, len(body) - first))
    part = read(folder, content, TEXT, range(first, first + count))
    alone = read(folder, b"a,t\n" + b"\n".join(body[first : first + count]) + b"\n", TEXT, range(count))
    assert part.digest == alone.digest == whole.slice(first, count).digest
    assert part.rejected == alone.rejected


pieces = st.sampled_from(
    ["1", "0", "9", ".", "e", "E", "+", "-", " ", "\t", "nan", "inf", "Infinity", "NaN", "x", "_", "0x", "١"]
)


@given(cell=st.lists(pieces, max_size=6).map("".join))
def test_numbers_are_what_arrow_takes_for_numbers(cell: str) -> None:
    """The rule for cells of rows that are looked at twice is the rule of the parser, which would else fail on them."""
    taken = True
    try:
        arrow_csv.read_csv(
            io.BytesIO(b"0," + cell.encode() + b"\n"),
            arrow_csv.ReadOptions(column_names=["z", "a"]),
            convert_options=arrow_csv.ConvertOptions(column_types={"a": pa.float64()}, null_values=[""]),
        )
    except pa.ArrowInvalid:
        taken = False
    assert taken == (cell == "" or re.fullmatch(format_csv.NUMBER.replace("$", ""), cell) is not None)


def test_a_file_that_loses_rows_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    """The place of a record is known from before; what is there now is no longer it."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\n" + b"1\n" * 3000)
    file = format_csv.CsvFile(RegularFile(str(path), "t.csv"))
    selection = file.select(A)
    with path.open("r+b") as changed:
        changed.truncate(3000)
    with pytest.raises(FailedPreconditionError) as caught:
        selection.read(1000, 1500)
    samples.refused(caught.value, reason="DATASET_CHANGED")
    with path.open("r+b") as changed:
        changed.write(b"a," * 1500)
        changed.write(b"1," * 1501)
    with pytest.raises(FailedPreconditionError) as caught:
        selection.read(1000, 1500)
    samples.refused(caught.value, reason="DATASET_CHANGED")
