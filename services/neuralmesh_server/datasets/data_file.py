"""A file of a data set, wherever it is, read by position; what is read is a copy that belongs to who asked for it."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from _typeshed import WriteableBuffer

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    FileState: TypeAlias = tuple[int | str, ...]


class Source(Protocol):
    """Bytes by position.

    Attributes:
        name: Path of their file within the data set.
    """

    name: str

    def read(self, offset: int, size: int) -> Bytes:
        """Return bytes from an offset on that nobody else holds."""

    def read_into(self, array: Bytes, offset: int) -> None:
        """Fill a contiguous array from an offset on."""


class DataFile(Source, Protocol):
    """An open file. `read` and `read_into` raise DATASET_CHANGED where it ends before, and are safe for any threads.

    Attributes:
        name: Its path within the data set, for messages.
        size: Its bytes when it was opened.
        state: Tells it, as it was when it was opened, from what it was before or becomes.
        chunk_bytes: How many bytes are well read at once by who reads all.
    """

    size: int
    state: FileState
    chunk_bytes: int

    def __enter__(self) -> Self:
        """Return the file."""

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def same(self) -> bool:
        """Say whether what is at its path is still this file, untouched as far as one can tell."""

    def close(self) -> None:
        """Close it; once."""


def stream(file: DataFile) -> io.BufferedReader:
    """Return a stream over a file, with a position of its own, of no use once the file is closed."""
    return io.BufferedReader(_Stream(file), 1 << 16)


class _Stream(io.RawIOBase):
    def __init__(self, file: DataFile) -> None:
        super().__init__()
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "the position lies before the file")  # as files do, which zipfile relies on
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        array = np.frombuffer(memoryview(buffer), np.uint8)
        count = max(0, min(len(array), self._file.size - self._position))
        self._file.read_into(array[:count], self._position)
        self._position += count
        return count
