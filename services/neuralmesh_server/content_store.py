"""Artifacts on disk under the names of their digests: what is there is complete, verified and never changes.

An artifact is written to `partial/`, hashed on the way, and renamed to `sha256/` only when size and SHA-256 are right
and the bytes are on the disk. A cut upload leaves its partial behind and is resumed from its length; after STORAGE_FULL
there is none, so that the room is there for others, and the upload begins anew. An artifact whose bytes have changed is
moved to `damaged/` by whoever reads it: it is missing from then on, and an upload repairs it. The store keeps no index:
the folder is the truth. It knows neither models nor the network; services call it from threads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import threading
from typing import TYPE_CHECKING

from neuralmesh_server import names
from neuralmesh_server.durable_file import sync_folder
from neuralmesh_server.errors import (
    AbortedError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NeuralMeshError,
    NotFoundError,
    ResourceExhaustedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path
    from types import TracebackType
    from typing import Self

CHUNK_BYTES = 1024 * 1024
"""Largest piece that is read or written at once."""

MAX_ARTIFACT_BYTES = 64 * 1024**3
"""Largest artifact."""

STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of the system that mean: no room."""


class ContentStore:
    """A folder of artifacts. Safe for use from several threads of one process; one process owns the folder.

    Args:
        root: The folder; it is created with mode 0700.
    """

    def __init__(self, root: Path) -> None:
        self._complete = root / "sha256"
        self._partial = root / "partial"
        self._damaged = root / "damaged"
        for folder in (root, self._complete, self._partial, self._damaged):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._uploading: set[str] = set()

    def path(self, digest: str) -> Path:
        """Return where a complete artifact is.

        Raises:
            NotFoundError: ARTIFACT_NOT_FOUND.
            InvalidArgumentError: DIGEST_INVALID.
        """
        place = self._place(digest)
        if not place.is_file():
            raise _not_found(digest)
        return place

    def has(self, digest: str) -> bool:
        """Say whether an artifact is stored completely."""
        return self._place(digest).is_file()

    def size(self, digest: str) -> int:
        """Return the size of a complete artifact in bytes."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:  # set aside by a reader a moment ago
            raise _not_found(digest) from None

    def committed(self, digest: str) -> int:
        """Return how many bytes of an incomplete artifact are stored; 0 when there are none."""
        try:
            return self._partial_place(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def read_partial(self, digest: str, offset: int) -> bytes:
        """Return bytes of an incomplete artifact, at most 1 MiB, not verified; nothing where there are none."""
        try:
            with self._partial_place(digest).open("rb", buffering=0) as file:
                file.seek(offset)
                return file.read(CHUNK_BYTES)
        except FileNotFoundError:
            return b""

    def open_upload(self, digest: str, size: int) -> Upload:
        """Begin or resume an upload; bytes that are there are hashed again.

        Raises:
            AbortedError: UPLOAD_IN_PROGRESS.
            InvalidArgumentError: FIELD_INVALID, the size is below what is stored already.
            ResourceExhaustedError: LIMIT_EXCEEDED or STORAGE_FULL.
        """
        place = self._place(digest)
        if size > MAX_ARTIFACT_BYTES:
            raise ResourceExhaustedError(
                "LIMIT_EXCEEDED",
                f"artifact {digest} has {size} bytes; the largest may have {MAX_ARTIFACT_BYTES}",
                digest=digest,
                size=size,
                limit=MAX_ARTIFACT_BYTES,
            )
        with self._lock:
            if digest in self._uploading:
                raise AbortedError("UPLOAD_IN_PROGRESS", f"another upload of {digest} is running", digest=digest)
            self._uploading.add(digest)
        try:
            return Upload(self, digest, size, self._partial_place(digest), place)
        except OSError as error:
            self._release(digest)
            raise storage_error(error, digest) from error
        except InvalidArgumentError:
            self._release(digest)
            raise

    def read(self, digest: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """Yield a range in chunks of at most 1 MiB; length 0 stands for all that follows.

        A read of the whole is verified, and its last chunk is given only when the digest is right; an artifact with
        another digest is moved away, and is not stored from then on.

        Raises:
            DataLossError: ARTIFACT_CORRUPT.
            NotFoundError: ARTIFACT_NOT_FOUND.
            InvalidArgumentError: FIELD_INVALID, the offset is beyond the end.
        """
        size = self.size(digest)
        if not 0 <= offset <= size:
            why = f"offset {offset} is not within artifact {digest} of {size} bytes"
            raise _field("offset", why, offset=offset, digest=digest, size=size)
        end = size if length == 0 else min(size, offset + length)
        return self._read(digest, offset, end, whole=offset == 0 and end == size)

    def older_than(self, before: float) -> list[str]:
        """Return complete artifacts, oldest first, that were stored or touched before a time in seconds since 1970."""
        found = [
            (age, entry.name)
            for shard in self._complete.iterdir()
            for entry in os.scandir(shard)
            if (age := _touched(entry)) < before
        ]
        return [f"sha256:{name}" for _, name in sorted(found)]

    def touch(self, digest: str) -> None:
        """Make a complete artifact as young as one that is stored now."""
        with contextlib.suppress(FileNotFoundError):  # set aside by a reader a moment ago
            os.utime(self._place(digest))

    def remove(self, digest: str, before: float) -> bool:
        """Remove a complete artifact unless it was stored or touched since a time; says whether it did.

        Who still reads it reads on. It may be there again after a power failure.
        """
        place = self._place(digest)
        with self._lock, contextlib.suppress(FileNotFoundError):
            if place.stat().st_mtime < before:
                place.unlink()
                return True
        return False

    def discard_partials(self, before: float) -> None:
        """Remove incomplete artifacts that nobody has added to since a time and nobody uploads."""
        with self._lock:
            for entry in os.scandir(self._partial):
                if f"sha256:{entry.name}" not in self._uploading and _touched(entry) < before:
                    (self._partial / entry.name).unlink(missing_ok=True)

    def verify(self, digest: str) -> None:
        """Read an artifact and compare its digest; raises ARTIFACT_CORRUPT, and moves the artifact away."""
        for _ in self.read(digest):
            pass

    def _read(self, digest: str, offset: int, end: int, *, whole: bool) -> Iterator[bytes]:
        sha = hashlib.sha256()
        held = b""
        with self._open(digest) as file:
            found = os.fstat(file.fileno())
            if whole and found.st_size != end:  # damaged or repaired since its size was asked; another read will tell
                raise _corrupt(digest, f"its size changed from {end} to {found.st_size}")
            file.seek(offset)
            while offset < end:
                chunk = file.read(min(CHUNK_BYTES, end - offset))
                if not chunk:
                    raise _corrupt(digest, f"it ends at byte {offset} instead of {end}")
                offset += len(chunk)
                if whole:
                    sha.update(chunk)
                    chunk, held = held, chunk
                if chunk:
                    yield chunk
        if whole:
            actual = f"sha256:{sha.hexdigest()}"
            if actual != digest:
                self._set_aside(digest, found)
                raise _corrupt(digest, f"its bytes have digest {actual}")
            if held:
                yield held

    def _open(self, digest: str) -> FileIO:
        try:
            return self.path(digest).open("rb", buffering=0)
        except FileNotFoundError:  # as above
            raise _not_found(digest) from None

    def _set_aside(self, digest: str, read: os.stat_result) -> None:
        """Move a damaged artifact away, if the file in its place is still the one that was read."""
        place = self._place(digest)
        # Where the disk refuses, the reader still has to hear of the damage; the next reader tries again.
        with self._lock, contextlib.suppress(OSError):
            if os.path.samestat(place.stat(), read):
                place.rename(self._damaged / place.name)
                sync_folder(self._damaged)
                sync_folder(place.parent)

    def _show(self, partial: Path, place: Path) -> None:
        """Give a verified partial its name; locked, so that a reader cannot set it aside for what was there before."""
        with self._lock:
            partial.rename(place)

    def _place(self, digest: str) -> Path:
        digits = names.check_digest(digest).removeprefix("sha256:")
        return self._complete / digits[:2] / digits

    def _partial_place(self, digest: str) -> Path:
        return self._partial / names.check_digest(digest).removeprefix("sha256:")

    def _release(self, digest: str) -> None:
        with self._lock:
            self._uploading.discard(digest)


class Upload:
    """One artifact on its way in, exclusive for its digest. A context manager; leaving early keeps the partial.

    Where the disk is full, the partial is removed: it would keep the disk full and block every other change until its
    upload is resumed, which may be never. The next upload then begins at 0.

    `offset` is where the next byte goes.
    """

    def __init__(self, store: ContentStore, digest: str, size: int, partial: Path, place: Path) -> None:
        self._store = store
        self._digest = digest
        self._size = size
        self._partial = partial
        self._place = place
        self._sha = hashlib.sha256()
        self._lock = threading.Lock()
        self._failed = False
        self.offset = 0
        self._file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._resume()
        except (OSError, InvalidArgumentError):
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Append bytes; what would go beyond the size is refused, and none of it is written."""
        with self._lock:
            end = self.offset + len(data)
            if end > self._size:
                why = f"data ends at byte {end} of artifact {self._digest}, which has {self._size}"
                raise _field("data", why, end=end, digest=self._digest, size=self._size)
            try:
                _write_all(self._file, data)
            except OSError as error:
                self._failed = True  # the file may end inside this chunk; only a resume hashes it again
                raise self._storage_error(error) from error
            self._sha.update(data)
            self.offset += len(data)

    def finish(self) -> None:
        """Verify size and digest, make the bytes durable, and show the artifact under its name.

        Raises:
            FailedPreconditionError: DIGEST_MISMATCH; the partial is removed.
        """
        with self._lock:
            actual = f"sha256:{self._sha.hexdigest()}"
            if self._failed or self.offset != self._size or actual != self._digest:
                self._partial.unlink(missing_ok=True)
                raise FailedPreconditionError(
                    "DIGEST_MISMATCH",
                    f"the {self.offset} bytes have digest {actual} instead of {self._digest} over {self._size} bytes",
                    expected=self._digest,
                    actual=actual,
                    offset=self.offset,
                    size=self._size,
                )
            try:
                os.fsync(self._file)
                shard = self._place.parent
                if not shard.is_dir():
                    shard.mkdir(mode=0o700, exist_ok=True)
                    sync_folder(shard.parent)
                self._store._show(self._partial, self._place)  # noqa: SLF001 - the two classes are one unit
                sync_folder(shard)
                sync_folder(self._partial.parent)
            except OSError as error:
                raise self._storage_error(error) from error

    def close(self) -> None:
        """End the upload; what was written stays for a resume. Repeating it changes nothing."""
        with self._lock:
            if self._file < 0:
                return
            file, self._file = self._file, -1
        try:
            os.fsync(file)
        except OSError as error:
            raise self._storage_error(error) from error
        finally:
            os.close(file)
            if self._place.is_file():  # another upload of the same bytes was faster
                self._partial.unlink(missing_ok=True)
            self._store._release(self._digest)  # noqa: SLF001 - the two classes are one unit

    def _resume(self) -> None:
        stored = os.fstat(self._file).st_size
        if stored > self._size:  # one of the two sizes is wrong; a complete upload of either is told which
            why = f"size_bytes is {self._size}; {stored} bytes of artifact {self._digest} are stored already"
            raise _field("size_bytes", why, size=self._size, digest=self._digest, committed=stored)
        while chunk := os.read(self._file, CHUNK_BYTES):
            self._sha.update(chunk)
            self.offset += len(chunk)

    def _storage_error(self, error: OSError) -> NeuralMeshError | OSError:
        """Return what to raise for a failed disk operation; where there is no room, give back what the partial took."""
        if error.errno in STORAGE_ERRORS:
            self._partial.unlink(missing_ok=True)
        return storage_error(error, self._digest)


def storage_error(error: OSError, digest: str) -> NeuralMeshError | OSError:
    """Return what to raise for a failed disk operation: STORAGE_FULL where there is no room, else the error itself."""
    if error.errno in STORAGE_ERRORS:
        return ResourceExhaustedError("STORAGE_FULL", f"no space is left to store artifact {digest}", digest=digest)
    return error


def _touched(entry: os.DirEntry[str]) -> float:
    """Return when a file was written or touched last; never, which no time is before, where it is gone."""
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:  # moved a moment ago
        return math.inf


def _field(field: str, why: str, **metadata: object) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", why, field=field, **metadata)


def _not_found(digest: str) -> NotFoundError:
    return NotFoundError("ARTIFACT_NOT_FOUND", f"no complete artifact {digest} is stored", digest=digest)


def _corrupt(digest: str, why: str) -> DataLossError:
    return DataLossError("ARTIFACT_CORRUPT", f"artifact {digest} is damaged: {why}", digest=digest, why=why)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
