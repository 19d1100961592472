"""Which files are a data set, and that nothing outside of it is ever read."""

import os
from pathlib import Path

import numpy as np
import pytest

from neuralmesh_server import datasets
from neuralmesh_server.errors import FailedPreconditionError
from tests.datasets import samples


def names(root: Path) -> list[str]:
    """Return the paths of the files of a data set."""
    data = datasets.DataSet(str(root), samples.NOTHING_NAMED)
    return [file.path for file in data.files]


def refusal(root: Path | str) -> str:
    """Return why a data set is refused."""
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.DataSet(str(root), samples.NOTHING_NAMED)
    return samples.refused(caught.value)


def put(path: Path, rows: int = 3) -> None:
    """Write an array and the folders around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, np.arange(rows * 2, dtype=np.uint8).reshape(rows, 2))


def test_files_of_known_suffixes_come_in_byte_order_of_their_paths(tmp_path: Path) -> None:
    """Order knows neither language nor folder; hidden files, hidden folders and other suffixes are none."""
    for path in ("b/a.npy", "b.npy", "B.NPY", "b-1.npy", "ü/ß.npy", "z/y/x/w.npy", ".h.npy", ".g/i.npy", "b/.j/k.npy"):
        put(tmp_path / path)
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "npy").write_text("no suffix")
    assert names(tmp_path) == ["B.NPY", "b-1.npy", "b.npy", "b/a.npy", "z/y/x/w.npy", "ü/ß.npy"]


def test_a_file_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    """Its path within the data set is its name, so that the plan does not know where it is."""
    put(tmp_path / "a.npy")
    put(tmp_path / "b.npy")
    assert names(tmp_path / "a.npy") == ["a.npy"]
    read = datasets.read(str(tmp_path / "a.npy"), "a.npy", 0, 3, samples.NOTHING_NAMED)
    assert read.kept == 3
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path / "a.npy"), "b.npy", 0, 3, samples.NOTHING_NAMED)
    assert "'b.npy': is not the file 'a.npy'" in samples.refused(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.npy",
        "a/../../secret.npy",
        "/etc/secret.npy",
        "a//b.npy",
        "./a.npy",
        "",
        "a.npy/",
        "a\0.npy",
        "..",
        "a.txt",
    ],
)
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    """A path comes over the wire, and must not name what is not in the data set."""
    put(tmp_path / "secret.npy")
    put(tmp_path / "data" / "a.npy")
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path / "data"), path, 0, 1, samples.NOTHING_NAMED)
    assert "is not the path of a file within a data set" in samples.refused(caught.value)


def test_links_are_refused_and_not_passed_over(tmp_path: Path) -> None:
    """To leave data out silently would be worse than to say that links are not followed."""
    put(tmp_path / "outside" / "a.npy")
    root = tmp_path / "data"
    put(root / "b.npy")
    (root / "l.npy").symlink_to(tmp_path / "outside" / "a.npy")
    assert "'l.npy': is a symbolic link" in refusal(root)
    (root / "l.npy").unlink()
    (root / "folder").symlink_to(tmp_path / "outside")
    assert "'folder': is a symbolic link" in refusal(root)
    (root / "folder").unlink()
    (root / "dangling.npy").symlink_to(root / "nothing")
    assert "'dangling.npy': is a symbolic link" in refusal(root)
    (root / "dangling.npy").unlink()
    (root / "notes.txt").symlink_to(tmp_path / "outside" / "a.npy")
    assert names(root) == ["b.npy"]


@pytest.mark.parametrize("path", ["l.npy", "folder/a.npy"])
def test_links_that_come_later_are_not_followed(tmp_path: Path, path: str) -> None:
    """A plan names files; when a worker finds a link in place of one, the data has changed."""
    put(tmp_path / "outside" / "a.npy")
    root = tmp_path / "data"
    root.mkdir()
    (root / "l.npy").symlink_to(tmp_path / "outside" / "a.npy")
    (root / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(root), path, 0, 1, samples.NOTHING_NAMED)
    assert "over a symbolic link" in samples.refused(caught.value, reason="DATASET_CHANGED")


def test_the_root_may_be_reached_over_a_link(tmp_path: Path) -> None:
    """Where a data set is, is a matter of whoever names it."""
    put(tmp_path / "data" / "a.npy")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert names(tmp_path / "link") == ["a.npy"]
    assert datasets.read(str(tmp_path / "link"), "a.npy", 0, 1, samples.NOTHING_NAMED).kept == 1


def test_a_root_that_holds_nothing_is_refused_by_name(tmp_path: Path) -> None:
    """The message says which data, and why."""
    assert f"the data '{tmp_path}/none': cannot be opened" in refusal(tmp_path / "none")
    assert "holds no data files" in refusal(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    assert "has none of the suffixes" in refusal(tmp_path / "a.txt")
    put(tmp_path / "a.npy", 0)
    assert "holds no rows" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is neither a folder nor a file" in refusal(tmp_path / "pipe")
    assert "cannot be opened" in refusal("a\0b")
    assert "cannot be opened" in refusal("x" * 5000)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """A pipe with the name of a file would keep whoever opens it for ever."""
    os.mkfifo(tmp_path / "a.npy")
    assert "'a.npy': is not a regular file" in refusal(tmp_path)
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path), "a.npy", 0, 1, samples.NOTHING_NAMED)
    samples.refused(caught.value)


def test_a_folder_with_the_name_of_a_file_is_a_folder(tmp_path: Path) -> None:
    """Only what files are called counts."""
    put(tmp_path / "set.npy" / "a.npy")
    assert names(tmp_path) == ["set.npy/a.npy"]
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(tmp_path), "set.npy", 0, 1, samples.NOTHING_NAMED)
    assert "is not a regular file" in samples.refused(caught.value)


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    """A plan could not name them."""
    put(tmp_path / "a.npy")
    (tmp_path / "a.npy").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.npy"))
    assert "not UTF-8" in refusal(tmp_path)


def test_deep_folders_are_no_difficulty(tmp_path: Path) -> None:
    """Folders are gone through without recursion, as deep as paths may be."""
    deep = tmp_path
    for _ in range(900):
        deep = deep / "d"
        deep.mkdir()
    put(deep / "a.npy")
    assert names(tmp_path) == ["d/" * 900 + "a.npy"]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the system says against it is part of the message."""
    put(tmp_path / "a.npy")

    def refuse(path: object, *_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert "'a.npy': cannot be opened: Permission denied" in refusal(tmp_path)


def test_a_file_that_cannot_be_read_to_its_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails in the middle fails the plan, not the service."""
    put(tmp_path / "a.npy", 5000)
    preadv = os.preadv

    def fail_later(descriptor: int, buffers: list, offset: int) -> int:
        if offset:
            raise OSError(5, "Input/output error")
        return preadv(descriptor, buffers, offset)

    data = datasets.DataSet(str(tmp_path), samples.NOTHING_NAMED)
    monkeypatch.setattr(os, "preadv", fail_later)
    with pytest.raises(FailedPreconditionError) as caught:
        data.freeze(100)
    assert "'a.npy': cannot be read: Input/output error" in samples.refused(caught.value)
