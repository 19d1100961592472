"""A file in the file system.

Nothing is mapped into memory: what was hashed must be what is computed with, also while somebody writes to the file,
and a file that is cut short must not end the process with SIGBUS.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Self

import numpy as np

from neuralmesh_server.datasets.refusals import dataset_changed, dataset_invalid

if TYPE_CHECKING:
    from neuralmesh_server.datasets.data_file import Bytes, FileState

LARGEST_READ = 1 << 30
"""Linux reads at most 2 GiB at once."""


class RegularFile:
    """An open file; see `data_file.DataFile`.

    Args:
        path: Where it is; links are not followed.
        name: Its path within the data set.

    Raises:
        FailedPreconditionError: DATASET_CHANGED where it is not there, DATASET_INVALID where it cannot be opened.
    """

    chunk_bytes = 1 << 20

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self.name = name
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise dataset_changed(name, "is not there") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise dataset_changed(name, "is reached over a symbolic link") from error
            raise dataset_invalid(name, f"cannot be opened: {error.strerror}") from error
        said = os.fstat(self._descriptor)
        if not stat.S_ISREG(said.st_mode):
            self.close()
            raise dataset_invalid(name, "is not a regular file")
        self.size = said.st_size
        self.state = _state(said)

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def same(self) -> bool:
        """Say whether the file that is open is still the one at the path, untouched as far as its times tell."""
        try:
            return _state(os.lstat(self._path)) == self.state == _state(os.fstat(self._descriptor))
        except OSError:
            return False

    def read_into(self, array: Bytes, offset: int) -> None:
        """Fill a contiguous array of bytes from an offset on; raises DATASET_CHANGED where the file ends before."""
        done = 0
        while done < len(array):
            try:
                count = os.preadv(self._descriptor, [array[done : done + LARGEST_READ].data], offset + done)
            except OSError as error:
                raise dataset_invalid(self.name, f"cannot be read: {error.strerror}") from error
            if not count:
                raise dataset_changed(self.name, f"ends at byte {offset + done}")
            done += count

    def read(self, offset: int, size: int) -> Bytes:
        """Return bytes from an offset on; raises as `read_into` does."""
        array = np.empty(size, np.uint8)
        self.read_into(array, offset)
        return array

    def close(self) -> None:
        """Close it; once."""
        os.close(self._descriptor)


def _state(said: os.stat_result) -> FileState:
    return said.st_dev, said.st_ino, said.st_size, said.st_mtime_ns, said.st_ctime_ns
