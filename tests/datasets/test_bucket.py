"""Data sets in a store of objects, here in memory: the same files, the same digests, and no mixture of two versions."""

import builtins
import io
import sys
from pathlib import Path

import numpy as np
import obstore
import pytest
from obstore.store import MemoryStore

from neuralmesh_server import datasets
from neuralmesh_server.datasets import bucket, roots
from neuralmesh_server.errors import FailedPreconditionError, NotSupportedError
from tests.datasets import samples


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """Return a store that s3:// addresses lead to."""
    memory = MemoryStore()
    monkeypatch.setattr(bucket, "S3Store", lambda _: memory)
    return memory


def fill(store: MemoryStore, prefix: str, folder: Path) -> None:
    """Put the files of a folder into the store."""
    for path in folder.rglob("*.*"):
        obstore.put(store, f"{prefix}{path.relative_to(folder)}", path.read_bytes())


def npy(value: int) -> bytes:
    """Return the file of an array of one value."""
    stream = io.BytesIO()
    np.save(stream, np.full((50, 4), value, np.uint8))
    return stream.getvalue()


def test_objects_freeze_to_what_files_freeze_to(tmp_path: Path, store: MemoryStore) -> None:
    """Every format is read by ranges with the same result, digest by digest."""
    for name in ("a.npz", "b.parquet", "c/d.arrow", "e.feather"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        samples.write(tmp_path / name, 30)
    (tmp_path / "f.csv").write_text("pixels,digit,name\n" + "".join(f"{n},{n},x\n" for n in range(3000)))
    np.savez_compressed(tmp_path / "g.npz", **dict(zip(("pixels", "digit", "name"), samples.digits(9), strict=True)))
    fill(store, "some/where/", tmp_path)
    obstore.put(store, "some/whereelse/x.npy", b"no")
    obstore.put(store, "some/where/readme.txt", b"no")
    obstore.put(store, "some/where/.hidden/x.npy", b"no")
    here = datasets.DataSet(str(tmp_path), samples.NAMED).freeze(7)
    there = datasets.DataSet("s3://bucket/some/where", samples.NAMED).freeze(7)
    assert there == here
    assert datasets.DataSet("s3://bucket/some/where/", samples.NAMED).freeze(7) == here
    with datasets.Reader("s3://bucket/some/where", samples.NAMED) as reader:
        for file, digests in zip(there.files, there.digests, strict=True):
            assert reader.read(file.path, 0, 7).digest == digests[0]


def test_an_object_is_a_data_set_of_its_own(store: MemoryStore) -> None:
    """Its path is its name, as with a file; a bucket without a prefix is a data set too."""
    obstore.put(store, "a/b.npy", npy(1))
    obstore.put(store, "a/c.npy", npy(2))
    assert [file.path for file in datasets.DataSet("s3://bucket/a/b.npy", samples.NOTHING_NAMED).files] == ["b.npy"]
    assert [file.path for file in datasets.DataSet("s3://bucket", samples.NOTHING_NAMED).files] == [
        "a/b.npy",
        "a/c.npy",
    ]
    assert datasets.read("s3://bucket/a/b.npy", "b.npy", 0, 3, samples.NOTHING_NAMED).kept == 3
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read("s3://bucket/a/b.npy", "c.npy", 0, 3, samples.NOTHING_NAMED)
    samples.refused(caught.value)
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.read("s3://bucket/a", "../a/b.npy", 0, 3, samples.NOTHING_NAMED)
    assert "is not the path" in samples.refused(caught.value)


def test_an_object_that_is_replaced_is_noticed(store: MemoryStore) -> None:
    """By a plan that is being made, and by a reader, which takes the new one whole."""
    obstore.put(store, "a.npy", npy(1))
    data = datasets.DataSet("s3://bucket", samples.NOTHING_NAMED)
    with datasets.Reader("s3://bucket", samples.NOTHING_NAMED) as reader:
        before = reader.read("a.npy", 0, 50).digest
        obstore.put(store, "a.npy", npy(2))
        after = reader.read("a.npy", 0, 50)
        assert after.digest != before
        assert (after.inputs[""] == 2).all()
        obstore.delete(store, "a.npy")
        with pytest.raises(FailedPreconditionError) as caught:
            reader.read("a.npy", 0, 50)
        assert "is not there" in samples.refused(caught.value, reason="DATASET_CHANGED")
        obstore.put(store, "a.npy", npy(1))
    with pytest.raises(FailedPreconditionError) as caught:
        data.freeze(10)
    assert "was written to" in samples.refused(caught.value, reason="DATASET_CHANGED")


def test_a_read_never_mixes_two_versions_of_an_object(store: MemoryStore) -> None:
    """What is read of a file that was opened before is of that file, or nothing."""
    obstore.put(store, "a.npy", npy(1))
    opened = bucket.StoredObject(store, "a.npy", "a.npy")
    assert opened.read(128, 4).tolist() == [1, 1, 1, 1]
    obstore.put(store, "a.npy", npy(2))
    with pytest.raises(FailedPreconditionError) as caught:
        opened.read(128, 4)
    assert "'a.npy': was replaced while it was read" in samples.refused(caught.value, reason="DATASET_CHANGED")
    with pytest.raises(FailedPreconditionError) as caught:
        bucket.StoredObject(store, "a.npy", "a.npy").read(200, 1000)
    assert "ends at byte 328" in samples.refused(caught.value, reason="DATASET_CHANGED")


def test_a_prefix_without_data_is_refused(store: MemoryStore) -> None:
    """As a folder without data is."""
    for root in ("s3://bucket/nothing", "s3://bucket/nothing.npy", "s3://bucket"):
        with pytest.raises(FailedPreconditionError) as caught:
            datasets.DataSet(root, samples.NOTHING_NAMED)
        assert f"the data '{root}': holds no data files" in samples.refused(caught.value)
    with pytest.raises(FailedPreconditionError) as caught:
        roots.open_root("s3:///x")
    assert "names no bucket" in samples.refused(caught.value)


def test_a_store_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which data, and what the store said."""
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(
        bucket, "S3Store", lambda name: bucket.obstore.store.S3Store(name, retry_config={"max_retries": 0})
    )
    with pytest.raises(FailedPreconditionError) as caught:
        datasets.DataSet("s3://bucket/a", samples.NOTHING_NAMED)
    assert "the data 's3://bucket/a': cannot be listed" in samples.refused(caught.value)


def test_without_obstore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has data in a bucket is told what to install."""
    genuine = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "obstore":
            raise ModuleNotFoundError("No module named 'obstore'", name="obstore")
        return genuine(name, *rest)

    monkeypatch.delitem(sys.modules, "neuralmesh_server.datasets.bucket")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NotSupportedError) as caught:
        roots.open_root("s3://bucket/a")
    assert caught.value.reason == "NOT_SUPPORTED"
    assert "neuralmesh[s3]" in caught.value.message


def test_other_addresses_are_refused() -> None:
    """They would else be taken for paths."""
    with pytest.raises(NotSupportedError) as caught:
        roots.open_root("gs://bucket/a")
    assert caught.value.reason == "NOT_SUPPORTED"
    assert "'gs://bucket/a'" in caught.value.message
