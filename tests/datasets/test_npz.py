"""Archives of arrays: stored or compressed, and what an archive may do to whoever opens it."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuralmesh_server import datasets
from neuralmesh_server.datasets import format_npz
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.labor.plan import Columns
from tests.datasets import samples


def member(array: np.ndarray) -> bytes:
    """Return the bytes of an array's file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def archive(path: Path, members: list[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> None:
    """Write an archive, whatever is in it."""
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in members:
            file.writestr(name, content)


def refusal(folder: Path, columns: Columns = samples.NOTHING_NAMED) -> str:
    """Return why the archive is refused."""
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read(str(folder), "a.npz", 0, 1, columns)
    assert caught.value.metadata["file"] == "a.npz"
    return samples.refused(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_each_array_is_an_input_by_its_name(tmp_path: Path, save) -> None:
    """Without a word about columns, all that is neither label nor id is an input."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(9, 2, 2)), np.asfortranarray(random.integers(0, 9, (9, 3)).astype(">i4"))
    save(tmp_path / "a.npz", ünit=a, b=b, y=np.arange(9))
    block = datasets.read(str(tmp_path), "a.npz", 3, 4, Columns((), "y"))
    assert sorted(block.inputs) == ["b", "ünit"]
    assert np.array_equal(block.inputs["ünit"], a[3:7])
    assert np.array_equal(block.inputs["b"], b[3:7])
    assert block.inputs["b"].dtype == np.int32
    assert block.inputs["b"].flags.aligned
    assert block.label.tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_put_side_by_side(tmp_path: Path, save) -> None:
    """Numbers and lists of several arrays make one input, in the order that is given."""
    a, b = np.arange(10).reshape(5, 2), np.arange(5) / 2
    save(tmp_path / "a.npz", a=a, b=b)
    block = datasets.read(str(tmp_path), "a.npz", 1, 3, Columns((("x", ("b", "a")),)))
    assert np.array_equal(block.inputs["x"], np.column_stack([b, a])[1:4])


def test_arrays_have_the_same_number_of_rows(tmp_path: Path) -> None:
    """Rows of one array without counterpart in another have no meaning."""
    np.savez(tmp_path / "a.npz", a=np.zeros((3, 2)), b=np.zeros(4))
    assert "holds 3 rows of 'a' and 4 of 'b'" in refusal(tmp_path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_that_are_no_arrays_are_refused(tmp_path: Path, kind: int) -> None:
    """Objects, text files and single values are named."""
    archive(tmp_path / "a.npz", [("x.npy", member(np.array([{}, {}], object)))], kind)
    assert "member 'x.npy' holds object" in refusal(tmp_path)
    archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(3))), ("readme.txt", b"hello")], kind)
    assert "'readme.txt', which is no array" in refusal(tmp_path)
    archive(tmp_path / "a.npz", [("x.npy", member(np.float64(1)))], kind)
    assert "member 'x.npy' has no rows" in refusal(tmp_path)
    archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(3))[:-5])], kind)
    assert "member 'x.npy' has 19 bytes of content" in refusal(tmp_path)
    archive(tmp_path / "a.npz", [(".npy", member(np.zeros(3)))], kind)
    assert "'.npy', which is no array" in refusal(tmp_path)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Two programs might take different ones."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(3))), ("x.npy", member(np.ones(3)))])
    assert "holds 'x.npy' twice" in refusal(tmp_path)


def test_an_archive_of_nothing_is_refused(tmp_path: Path) -> None:
    """There are no rows in it."""
    archive(tmp_path / "a.npz", [])
    assert "holds no array" in refusal(tmp_path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, kind: int) -> None:
    """NumPy writes deflate, and each further way to unfold bytes is one more to be careful with."""
    archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(3)))], kind)
    assert "another way than by deflate" in refusal(tmp_path)


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compressed members unfold to is held against a limit first; a header that lies about it is found out."""
    monkeypatch.setattr(format_npz, "COMPRESSED_BYTES", 1 << 20)
    archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(1 << 17)))], zipfile.ZIP_DEFLATED)
    assert "at most 1048576 are read" in refusal(tmp_path)
    content = (tmp_path / "a.npz").read_bytes()
    true, small = (len(member(np.zeros(1 << 17)))).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    assert content.count(true) == 2
    (tmp_path / "a.npz").write_bytes(content.replace(true, small))
    assert "is no archive of arrays: Bad CRC-32" in refusal(tmp_path)
    np.savez(tmp_path / "a.npz", x=np.zeros(1 << 18))
    assert datasets.read(str(tmp_path), "a.npz", 0, 1 << 18, samples.NOTHING_NAMED).kept == 1 << 18


def test_a_member_that_begins_behind_the_end_is_refused(tmp_path: Path) -> None:
    """Offsets in the archive's directory are not believed."""
    archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(3)))])
    content = bytearray((tmp_path / "a.npz").read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + 42 : entry + 46] = (10**6).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    assert "'a.npz'" in refusal(tmp_path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    """Nobody has its password."""
    archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(3)))])
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.npz").write_bytes(content)
    assert "is encrypted" in refusal(tmp_path)


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    """A directory of a million entries is no data set."""
    archive(tmp_path / "a.npz", [(f"{n}.npy", b"") for n in range(format_npz.MEMBERS + 1)])
    assert "1001 members" in refusal(tmp_path)


def test_labels_and_ids_are_single(tmp_path: Path) -> None:
    """A list cannot tell rows by, nor be a true label."""
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros((3, 2)), t=np.array(["a" * 2000] * 3))
    assert "column 'y' has rows of the shape [2]" in refusal(tmp_path, Columns((("x", ("x",)),), "y"))
    assert "text of more than 1024 characters" in refusal(tmp_path, Columns((("x", ("x",)),), "", "t"))


def test_text_that_is_not_unicode_is_refused_with_its_row(tmp_path: Path) -> None:
    """Code points that UTF-8 cannot say would fail later, far from the file that they come from."""
    names = np.array(["a", "b", "c"])
    content = bytearray(member(names))
    for point in (0xD800, 0x110000):
        content[-8:-4] = point.to_bytes(4, "little")
        archive(tmp_path / "a.npz", [("x.npy", member(np.zeros(3))), ("t.npy", bytes(content))])
        columns = Columns((("x", ("x",)),), "", "t")
        assert datasets.read(str(tmp_path), "a.npz", 0, 1, columns).id.tolist() == ["a"]
        with pytest.raises(FailedPreconditionError) as caught:
            datasets.read(str(tmp_path), "a.npz", 0, 3, columns)
        assert "row 1 of 'a.npz'" in samples.refused(caught.value)
