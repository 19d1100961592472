"""The folder of artifacts: complete or invisible, verified on read, resumable."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.content_store import CHUNK_BYTES, MAX_ARTIFACT_BYTES, ContentStore
from neuralmesh_server.errors import (
    AbortedError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put(store: ContentStore, data: bytes) -> str:
    with store.open_upload(digest(data), len(data)) as upload:
        upload.write(data)
        upload.finish()
    return digest(data)


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path / "artifacts")


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_bytes_come_back(store, size):
    """An artifact of any size around the chunk size comes back as it went in, in chunks of at most 1 MiB."""
    data = os.urandom(size)
    name = put(store, data)
    chunks = list(store.read(name))
    assert b"".join(chunks) == data
    assert all(len(chunk) <= CHUNK_BYTES for chunk in chunks)
    assert (store.has(name), store.size(name), store.committed(name)) == (True, size, 0)


def test_nothing_is_visible_before_the_end(store):
    """A written but unfinished artifact is a partial, not an artifact."""
    data = b"x" * 100
    with store.open_upload(digest(data), 100) as upload:
        upload.write(data)
        assert not store.has(digest(data))
    assert not store.has(digest(data))
    assert store.committed(digest(data)) == 100
    with pytest.raises(NotFoundError) as caught:
        store.path(digest(data))
    assert caught.value.reason == "ARTIFACT_NOT_FOUND"


@given(data=st.binary(min_size=1, max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_any_cuts_resume(tmp_path_factory, data, cuts):
    """However often an upload is cut, going on from its offset ends with the artifact."""
    store = ContentStore(tmp_path_factory.mktemp("cas"))
    for cut in sorted(min(cut, len(data)) for cut in cuts):
        with store.open_upload(digest(data), len(data)) as upload:
            upload.write(data[upload.offset : cut])
        assert store.committed(digest(data)) == cut
    with store.open_upload(digest(data), len(data)) as upload:
        upload.write(data[upload.offset :])
        upload.finish()
    assert b"".join(store.read(digest(data))) == data


def test_wrong_bytes_are_refused_and_forgotten(store):
    """Bytes of another digest are refused, and their partial is gone, so the next upload begins anew."""
    name = digest(b"right")
    with store.open_upload(name, 5) as upload:
        upload.write(b"wrong")
        with pytest.raises(FailedPreconditionError) as caught:
            upload.finish()
    assert caught.value.reason == "DIGEST_MISMATCH"
    assert caught.value.metadata["actual"] == digest(b"wrong")
    assert (store.has(name), store.committed(name)) == (False, 0)


def test_a_damaged_partial_is_found_at_the_end(store, tmp_path):
    """A partial that changed on the disk between two uploads makes the second fail, not the artifact wrong."""
    data = b"0123456789"
    with store.open_upload(digest(data), 10) as upload:
        upload.write(data[:5])
    (partial,) = (tmp_path / "artifacts" / "partial").iterdir()
    partial.write_bytes(b"01x34")
    with store.open_upload(digest(data), 10) as upload:
        assert upload.offset == 5
        upload.write(data[5:])
        with pytest.raises(FailedPreconditionError):
            upload.finish()
    assert not store.has(digest(data))


def test_too_many_bytes_are_refused(store):
    """Bytes beyond the stated size are refused and none of them is written."""
    with store.open_upload(digest(b"abc"), 3) as upload:
        with pytest.raises(InvalidArgumentError):
            upload.write(b"abcd")
        assert upload.offset == 0
        upload.write(b"abc")
        upload.finish()


def test_one_upload_at_a_time(store):
    """A second upload of the same digest is refused while the first runs, and permitted afterwards."""
    name = digest(b"abc")
    with store.open_upload(name, 3):
        with pytest.raises(AbortedError) as caught:
            store.open_upload(name, 3)
        assert caught.value.reason == "UPLOAD_IN_PROGRESS"
    store.open_upload(name, 3).close()


def test_a_damaged_artifact_is_never_read_whole(store):
    """One flipped bit makes a whole read fail with DATA_LOSS before its last chunk is given."""
    data = os.urandom(2 * CHUNK_BYTES + 7)
    for changed in (data[:5] + bytes([data[5] ^ 1]) + data[6:], data[:-1], data + b"x", b""):
        name = put(store, data)
        store.path(name).write_bytes(changed)
        given_out = []
        with pytest.raises(DataLossError) as caught:
            given_out.extend(store.read(name))
        assert caught.value.reason == "ARTIFACT_CORRUPT"
        assert len(b"".join(given_out)) < len(data)


def test_a_damaged_artifact_is_set_aside_and_repaired(store, tmp_path):
    """Who finds the damage moves it away; the artifact is missing then, and an upload of its bytes brings it back."""
    name = put(store, b"0123456789")
    store.path(name).write_bytes(b"01234x6789")
    with pytest.raises(DataLossError):
        store.verify(name)
    assert not store.has(name)
    with pytest.raises(NotFoundError):
        store.read(name)
    (aside,) = (tmp_path / "artifacts" / "damaged").iterdir()
    assert aside.read_bytes() == b"01234x6789"
    assert put(store, b"0123456789") == name
    store.verify(name)


def test_a_slow_reader_of_damage_does_not_undo_the_repair(store):
    """Of two readers of a damaged artifact both get DATA_LOSS, and the later leaves a repair in between in its place."""
    data = os.urandom(2 * CHUNK_BYTES)
    name = put(store, data)
    store.path(name).write_bytes(b"x" + data[1:])
    slow = store.read(name)
    next(slow)
    with pytest.raises(DataLossError):
        store.verify(name)
    put(store, data)
    with pytest.raises(DataLossError):
        list(slow)
    store.verify(name)


def test_a_read_that_began_before_a_repair_does_not_undo_it(store):
    """A read that took the size of the damaged file finds another one, fails, and leaves the repaired one alone."""
    name = put(store, b"0123456789")
    store.path(name).write_bytes(b"01234")
    early = store.read(name)
    with pytest.raises(DataLossError):
        store.verify(name)
    late = put(store, b"0123456789")
    with pytest.raises(DataLossError, match="size changed"):
        list(early)
    store.verify(late)


def test_many_readers_of_damage_and_a_repair(store):
    """Whatever threads read while one repairs, the artifact is whole in the end."""
    data = os.urandom(3 * CHUNK_BYTES)
    name = put(store, data)

    def read(_):
        try:
            return b"".join(store.read(name)) == data
        except (DataLossError, NotFoundError):
            return None

    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            store.path(name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            answers = threads.map(read, range(8))
            while store.has(name):
                read(0)
            put(store, data)
            assert False not in list(answers)
            store.verify(name)


def test_a_size_below_what_is_stored_is_refused(store):
    """Another stated size does not cost what is stored: it is refused with the committed size, and the upload goes on."""
    name = digest(b"0123456789")
    with store.open_upload(name, 10) as upload:
        upload.write(b"01234")
    with pytest.raises(InvalidArgumentError) as caught:
        store.open_upload(name, 3)
    assert (caught.value.metadata["field"], caught.value.metadata["committed"]) == ("size_bytes", "5")
    with store.open_upload(name, 10) as upload:
        assert upload.offset == 5
        upload.write(b"56789")
        upload.finish()


@pytest.mark.parametrize(
    ("offset", "length", "wanted"),
    [(0, 0, b"0123456789"), (3, 0, b"3456789"), (3, 4, b"3456"), (10, 0, b""), (8, 99, b"89"), (0, 4, b"0123")],
)
def test_ranges(store, offset, length, wanted):
    """A range gives its bytes; it may end beyond the artifact and may be empty at its end."""
    name = put(store, b"0123456789")
    assert b"".join(store.read(name, offset, length)) == wanted


@pytest.mark.parametrize("offset", [-1, 11])
def test_ranges_begin_within(store, offset):
    """A range that begins beyond the artifact is refused."""
    with pytest.raises(InvalidArgumentError):
        store.read(put(store, b"0123456789"), offset)


@pytest.mark.parametrize(
    "name",
    ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "a" * 64, "sha256:" + "a" * 63 + "\n"],
)
def test_no_other_name_reaches_the_disk(store, name):
    """A name that is not a digest is refused by every operation."""
    for operation in (store.has, store.path, store.size, store.committed, store.read, store.verify):
        with pytest.raises(InvalidArgumentError) as caught:
            operation(name)
        assert caught.value.reason == "DIGEST_INVALID"
    with pytest.raises(InvalidArgumentError):
        store.open_upload(name, 1)


def test_size_has_a_limit(store):
    """An artifact beyond the documented size is refused before a byte is taken."""
    with pytest.raises(ResourceExhaustedError) as caught:
        store.open_upload(digest(b""), MAX_ARTIFACT_BYTES + 1)
    assert caught.value.reason == "LIMIT_EXCEEDED"


def test_others_cannot_read_the_folder(store, tmp_path):
    """Folders are open to their owner only."""
    put(store, b"abc")
    for folder, _, _ in os.walk(tmp_path / "artifacts"):
        assert Path(folder).stat().st_mode & 0o077 == 0


def test_a_full_disk_is_told_and_not_kept_full(tmp_path):
    """Where a file cannot grow, the upload fails with STORAGE_FULL, gives its room back, and begins anew later."""
    script = textwrap.dedent("""
        import hashlib, pathlib, resource, signal, sys
        from neuralmesh_server.content_store import ContentStore
        from neuralmesh_server.errors import ResourceExhaustedError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        data = bytes(range(256)) * 400
        name = "sha256:" + hashlib.sha256(data).hexdigest()
        store = ContentStore(pathlib.Path(sys.argv[1]))
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        try:
            with store.open_upload(name, len(data)) as upload:
                for start in range(0, len(data), 8192):
                    upload.write(data[start:start + 8192])
        except ResourceExhaustedError as error:
            assert error.reason == "STORAGE_FULL", error.reason
        else:
            raise AssertionError("the disk was not full")
        assert not store.has(name)
        assert store.committed(name) == 0
        assert not list((pathlib.Path(sys.argv[1]) / "partial").iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        with store.open_upload(name, len(data)) as upload:
            assert upload.offset == 0
            upload.write(data)
            upload.finish()
        store.verify(name)
        print("repeated")
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cas")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("repeated\n", 0), done.stderr
