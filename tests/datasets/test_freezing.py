"""Frozen data sets: content, rows, ranges, and that they do not depend on who freezes them."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server import datasets
from neuralmesh_server.datasets import freezing
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.labor.plan import Columns
from tests.datasets import samples


def freeze(root: Path, rows: int, columns: Columns = samples.NOTHING_NAMED, **options) -> datasets.FrozenData:
    """Freeze a data set in ranges of rows."""
    data = datasets.DataSet(str(root), columns, **options)
    return data.freeze(rows)


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def mixed(folder: Path) -> None:
    """Write the same columns in every format of tables, in files of several lengths."""
    for rows, name in ((20, "a.npz"), (1, "b.parquet"), (33, "c/d.arrow"), (7, "e.feather"), (12, "f.parquet")):
        (folder / name).parent.mkdir(exist_ok=True)
        samples.write(folder / name, rows)


def test_files_are_frozen_by_content(tmp_path: Path) -> None:
    """Each has its size, the SHA-256 of its bytes and its rows."""
    mixed(tmp_path)
    frozen = freeze(tmp_path, 5, samples.NAMED)
    assert [(file.path, file.rows) for file in frozen.files] == [
        ("a.npz", 20),
        ("b.parquet", 1),
        ("c/d.arrow", 33),
        ("e.feather", 7),
        ("f.parquet", 12),
    ]
    for file in frozen.files:
        content = (tmp_path / file.path).read_bytes()
        assert file.size == len(content)
        assert file.digest == "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("rows", [1, 4, 7, 33, 100])
def test_ranges_have_the_digests_that_reading_them_gives(tmp_path: Path, rows: int) -> None:
    """What is planned and what is run is named by the same digest; ranges cover each file once and end with it."""
    mixed(tmp_path)
    frozen = freeze(tmp_path, rows, samples.NAMED)
    with datasets.Reader(str(tmp_path), samples.NAMED) as reader:
        for file, digests in zip(frozen.files, frozen.digests, strict=True):
            starts = range(0, file.rows, rows)
            assert len(digests) == len(starts)
            for first, digest in zip(starts, digests, strict=True):
                assert reader.read(file.path, first, min(rows, file.rows - first)).digest == digest


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("window", [1, 50, 1 << 20])
def test_threads_and_windows_change_nothing(
    tmp_path: Path, threads: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How the work is cut up among threads is not to be seen in what is frozen."""
    mixed(tmp_path)
    np.savez(tmp_path / "large.npz", **dict(zip(("pixels", "digit", "name"), samples.digits(500), strict=True)))
    expected = freeze(tmp_path, 3, samples.NAMED)
    monkeypatch.setattr(freezing, "WINDOW_BYTES", window)
    monkeypatch.setattr(freezing, "SPAN_BYTES", window * 2)
    assert freeze(tmp_path, 3, samples.NAMED, threads=threads) == expected


def test_freezing_twice_gives_the_same(tmp_path: Path) -> None:
    """Names and times of files matter to nothing, but for the names themselves."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        mixed(tmp_path / folder)
    for path in (tmp_path / "two").rglob("*.*"):
        os.utime(path, (1, 1))
    assert freeze(tmp_path / "one", 4, samples.NAMED) == freeze(tmp_path / "two", 4, samples.NAMED)


@given(
    files=st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any),
    rows=st.integers(1, 10),
    data=st.data(),
)
def test_one_changed_byte_changes_one_digest(
    files: list[int], rows: int, data: st.DataObject, tmp_path_factory
) -> None:
    """Of all ranges of a data set, the one that holds the byte is another; of all files, likewise."""
    folder = tmp_path_factory.mktemp("set")
    for index, length in enumerate(files):
        np.save(folder / f"{index}.npy", np.zeros((length, 3), np.uint8))
    before = freeze(folder, rows)
    changed = data.draw(st.sampled_from([index for index, length in enumerate(files) if length]))
    place = data.draw(st.integers(1, files[changed] * 3))
    with (folder / f"{changed}.npy").open("r+b") as file:
        file.seek(-place, 2)
        file.write(b"\1")
    after = freeze(folder, rows)
    row = files[changed] - 1 - (place - 1) // 3
    differing = [
        (file, index)
        for file, (old, new) in enumerate(zip(before.digests, after.digests, strict=True))
        for index, (one, other) in enumerate(zip(old, new, strict=True))
        if one != other
    ]
    assert differing == [(changed, row // rows)]
    assert [index for index in range(len(files)) if before.files[index] != after.files[index]] == [changed]


def test_progress_counts_up_to_the_end(tmp_path: Path) -> None:
    """It never goes down, and ends at about all; what it raises ends the work and is raised."""
    mixed(tmp_path)
    told: list[tuple[int, int]] = []
    freeze(tmp_path, 2, samples.NAMED, progress=lambda done, total: told.append((done, total)))
    total = 2 * sum(path.stat().st_size for path in tmp_path.rglob("*.*"))
    assert {entry[1] for entry in told} == {total}
    assert told == sorted(told)
    assert total - 200 < told[-1][0] <= total

    class EnoughError(Exception):
        pass

    def refuse(done: int, total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        freeze(tmp_path, 2, samples.NAMED, progress=refuse)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".arrow", ".feather"])
def test_data_that_changes_between_survey_and_freezing_is_noticed(tmp_path: Path, suffix: str) -> None:
    """A plan must not hold the digests of two states of a file."""
    path = tmp_path / f"a{suffix}"
    samples.write(path, 20)
    data = datasets.DataSet(str(tmp_path), samples.NAMED)
    samples.write(path, 21)
    with pytest.raises(FailedPreconditionError) as caught:
        data.freeze(5)
    assert f"'a{suffix}': was written to" in samples.refused(caught.value, reason="DATASET_CHANGED")
    path.unlink()
    with pytest.raises(FailedPreconditionError) as caught:
        data.freeze(5)
    assert "is not there" in samples.refused(caught.value, reason="DATASET_CHANGED")


def test_data_that_changes_while_it_is_hashed_is_noticed(tmp_path: Path) -> None:
    """Also where size and rows stay the same."""
    np.save(tmp_path / "a.npy", np.zeros((1000, 8), np.uint8))

    def write(done: int, total: int) -> None:
        with (tmp_path / "a.npy").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\1")

    with pytest.raises(FailedPreconditionError) as caught:
        freeze(tmp_path, 10, progress=write, threads=1)
    samples.refused(caught.value, reason="DATASET_CHANGED")


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".arrow", ".feather"])
def test_data_that_changes_after_freezing_has_another_digest(tmp_path: Path, suffix: str) -> None:
    """A reader that has the file open sees what is there now, whether it was replaced or written to."""
    path = tmp_path / f"a{suffix}"
    samples.write(path, 20)
    before = freeze(tmp_path, 20, samples.NAMED).digests[0][0]
    with datasets.Reader(str(tmp_path), samples.NAMED) as reader:
        assert reader.read(path.name, 0, 20).digest == before
        samples.write(tmp_path / f"b{suffix}", 40)
        (tmp_path / f"b{suffix}").replace(path)
        assert reader.read(path.name, 0, 20).digest != before
        samples.write(path, 20)
        assert reader.read(path.name, 0, 20).digest == before
        path.unlink()
        with pytest.raises(FailedPreconditionError) as caught:
            reader.read(path.name, 0, 20)
        samples.refused(caught.value, reason="DATASET_CHANGED")


def test_a_reader_keeps_few_files_open(tmp_path: Path) -> None:
    """As many data files as there may be must not use up what a process may open."""
    for index in range(20):
        np.save(tmp_path / f"{index:02}.npy", np.full((2, 2), index))
    before = open_files()
    with datasets.Reader(str(tmp_path), samples.NOTHING_NAMED) as reader:
        for index in [*range(20), 3, 19]:
            assert (reader.read(f"{index:02}.npy", 0, 2).inputs[""] == index).all()
            assert open_files() <= before + 4
    assert open_files() == before


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".arrow", ".csv"])
def test_a_file_that_is_refused_is_closed(tmp_path: Path, suffix: str) -> None:
    """Whoever refuses a thousand files has none of them open."""
    (tmp_path / f"a{suffix}").write_bytes(b'"no')
    before = open_files()
    for _ in range(3):
        with pytest.raises(FailedPreconditionError):
            datasets.read(str(tmp_path), f"a{suffix}", 0, 1, samples.NOTHING_NAMED)
    assert open_files() == before


def test_the_width_of_a_row_is_that_of_its_columns(tmp_path: Path) -> None:
    """Numbers count as they are read, text for 16 bytes; lists of any length leave only the file's own measure."""
    import pyarrow.parquet as pq

    samples.write(tmp_path / "a.npz", 9)
    samples.write(tmp_path / "b.parquet", 9)
    pq.write_table(samples.table(9, kind="list"), tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_text("pixels,digit,name\n1,2,c\n")
    np.save(tmp_path / "e.npy", np.zeros((2, 3, 4), np.float16))

    def width(name: str, columns: Columns = samples.NAMED) -> int:
        data = datasets.DataSet(str(tmp_path / name), columns)
        return data.files[0].row_bytes

    assert width("a.npz") == 6 + 8 + 4 * len("row 0 ü")
    assert width("b.parquet") == 6 + 8 + 16
    assert width("c.parquet") == -(-(tmp_path / "c.parquet").stat().st_size // 9)
    assert width("d.csv") == 8 + 16 + 16
    assert width("e.npy", samples.NOTHING_NAMED) == 24


def test_of_several_bad_files_the_first_is_named(tmp_path: Path) -> None:
    """The error is the same on every run, whichever thread finds one first."""
    for name in ("b.npy", "c.npy", "d.npy"):
        (tmp_path / name).write_bytes(b"no")
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    for _ in range(5):
        with pytest.raises(FailedPreconditionError) as caught:
            datasets.DataSet(str(tmp_path), samples.NOTHING_NAMED, threads=3)
        assert "'b.npy'" in samples.refused(caught.value)
