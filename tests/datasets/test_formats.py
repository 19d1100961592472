"""What all formats have in common: ranges of rows, and digests of nothing but content."""

from pathlib import Path

import numpy as np
import pytest

from neuralmesh_server import datasets
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.labor.plan import Columns
from tests.datasets import samples

ROWS = 40
SUFFIXES = (".npz", ".parquet", ".arrow", ".feather")
RANGES = ((0, 1), (0, 7), (6, 3), (7, 7), (13, 20), (39, 1), (0, 40))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("first", "rows"), RANGES)
def test_a_range_of_rows_is_what_was_written(tmp_path: Path, suffix: str, first: int, rows: int) -> None:
    """Inputs, labels and ids of a range are those of its rows, over the ends of groups of rows."""
    samples.write(tmp_path / f"d{suffix}", ROWS)
    block = datasets.read(str(tmp_path), f"d{suffix}", first, rows, samples.NAMED)
    pixels, labels, names = samples.digits(ROWS)
    assert block.rows == block.kept == rows
    assert block.rejected == ()
    assert np.array_equal(block.inputs["x"], pixels[first : first + rows])
    assert block.inputs["x"].dtype == np.uint8
    assert np.array_equal(block.label, labels[first : first + rows])
    assert block.id.tolist() == names[first : first + rows].tolist()


@pytest.mark.parametrize(("first", "rows"), RANGES)
def test_the_same_rows_have_the_same_digest_in_every_format(tmp_path: Path, first: int, rows: int) -> None:
    """The digest is one of content: it knows neither format nor compression nor groups of rows."""
    digests = set()
    for suffix in SUFFIXES:
        for group in (5, 11):
            samples.write(tmp_path / f"{group}{suffix}", ROWS, group=group)
            digests.add(datasets.read(str(tmp_path), f"{group}{suffix}", first, rows, samples.NAMED).digest)
    np.savez_compressed(tmp_path / "c.npz", **dict(zip(("pixels", "digit", "name"), samples.digits(ROWS), strict=True)))
    digests.add(datasets.read(str(tmp_path), "c.npz", first, rows, samples.NAMED).digest)
    assert len(digests) == 1


def test_the_digest_is_the_published_one(tmp_path: Path) -> None:
    """Header and content are hashed as the module says, so that others can compute the digest."""
    import blake3

    array = np.array([[1, 2], [3, 4]], "<i2")
    np.save(tmp_path / "a.npy", array)
    header = b'{"arrays":[["input","","<i2",[2,2]]],"input":1,"rejected":[],"rows":2}'
    expected = blake3.blake3(len(header).to_bytes(8, "little") + header + array.tobytes()).hexdigest()
    assert datasets.read(str(tmp_path), "a.npy", 0, 2, samples.NOTHING_NAMED).digest == "blake3:" + expected


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_a_column_is_for_is_part_of_the_digest(tmp_path: Path, suffix: str) -> None:
    """The same bytes as another input, or as label instead of id, are another action's."""
    samples.write(tmp_path / f"d{suffix}", ROWS)
    wanted = [
        Columns((("x", ("pixels",)),), "digit", ""),
        Columns((("x", ("pixels",)),), "", "digit"),
        Columns((("y", ("pixels",)),), "digit", ""),
        Columns((("x", ("pixels",)),), "", ""),
        Columns((("x", ("pixels",)), ("y", ("digit",))), "", ""),
    ]
    digests = {datasets.read(str(tmp_path), f"d{suffix}", 3, 9, columns).digest for columns in wanted}
    assert len(digests) == len(wanted)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "columns",
    [Columns((("x", ("pixel",)),)), Columns((), "digits"), Columns((), "", "nåme")],
    ids=["input", "label", "id"],
)
def test_a_column_that_is_not_there_is_named(tmp_path: Path, suffix: str, columns: Columns) -> None:
    """The message names the file, the column that is wanted and those that there are."""
    samples.write(tmp_path / f"d{suffix}", ROWS)
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path), f"d{suffix}", 0, 1, columns)
    message = samples.refused(caught.value)
    assert f"'d{suffix}': has no column " in message
    assert "'pixels'" in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_that_nobody_names_are_the_inputs(tmp_path: Path, suffix: str) -> None:
    """Arrays keep their names; a table's columns are one input, side by side, in the order of the file."""
    samples.write(tmp_path / f"d{suffix}", ROWS)
    block = datasets.read(str(tmp_path), f"d{suffix}", 2, 3, Columns((), "", "name"))
    pixels, labels, _ = samples.digits(ROWS)
    if suffix == ".npz":
        assert sorted(block.inputs) == ["digit", "pixels"]
    else:
        assert list(block.inputs) == [""]
        assert np.array_equal(block.inputs[""], np.column_stack([pixels, labels])[2:5])
        assert block.inputs[""].dtype == np.int64


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("first", "rows"), [(39, 2), (40, 1), (0, 41), (-1, 2), (0, 0), (5, -1)])
def test_rows_that_are_not_there_are_refused(tmp_path: Path, suffix: str, first: int, rows: int) -> None:
    """Whoever asks for more rows than there are has a plan for another file."""
    samples.write(tmp_path / f"d{suffix}", ROWS)
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path), f"d{suffix}", first, rows, samples.NAMED)
    assert "has 40 rows" in samples.refused(caught.value, reason="DATASET_CHANGED")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".npy", ".csv"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x03\x04", b"PAR1PAR1", b"ARROW1\0\0", b"\x93NUMPY"])
def test_a_file_that_is_not_what_its_suffix_says_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    """Any bytes give either an error that names the file, or, as text may, a table without rows."""
    (tmp_path / f"d{suffix}").write_bytes(content)
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.DataSet(str(tmp_path), samples.NOTHING_NAMED)
    message = samples.refused(caught.value)
    assert f"d{suffix}" in message or "holds no rows" in message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_cut_short_is_never_read_as_whole(tmp_path: Path, suffix: str) -> None:
    """Wherever a file ends too early, it is refused."""
    samples.write(tmp_path / f"whole{suffix}", ROWS)
    content = (tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    for size in range(0, len(content), max(1, len(content) // 97)):
        path.write_bytes(content[:size])
        with pytest.raises(FailedPreconditionError) as caught:
            datasets.read(str(tmp_path), path.name, 0, ROWS, samples.NAMED)
        assert caught.value.reason in {"DATASET_INVALID", "DATASET_CHANGED"}


def read_or_none(path: Path) -> datasets.Block | None:
    """Return all rows of a file, or None where it is refused as a data set is."""
    try:
        return datasets.read(str(path.parent), path.name, 0, ROWS, samples.NAMED)
    except FailedPreconditionError:
        return None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flipped_byte_never_gives_the_digest_of_the_whole_file_for_other_rows(tmp_path: Path, suffix: str) -> None:
    """A damaged file is refused, or read with another digest, or what is damaged does not matter."""
    samples.write(tmp_path / f"whole{suffix}", ROWS)
    content = (tmp_path / f"whole{suffix}").read_bytes()
    whole = datasets.read(str(tmp_path), f"whole{suffix}", 0, ROWS, samples.NAMED)
    path = tmp_path / f"bad{suffix}"
    for place in range(0, len(content), max(1, len(content) // 211)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        block = read_or_none(path)
        if block is None:
            continue
        same = (
            np.array_equal(block.inputs["x"], whole.inputs["x"])
            and np.array_equal(block.label, whole.label)
            and block.id.tolist() == whole.id.tolist()
        )
        assert (block.digest == whole.digest) == same
