"""Data sets in an S3-compatible store, through obstore, which finds its credentials where AWS's tools do.

Objects are read by ranges and never copied to the disk. Each read names the version of the object that was opened, so
that a file cannot be put together out of two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from neuralmesh_server.datasets.formats import SUFFIXES, check_path, suffix
from neuralmesh_server.datasets.refusals import data_invalid, dataset_changed, dataset_invalid

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

    from neuralmesh_server.datasets.data_file import Bytes

SCHEME = "s3://"


class Bucket:
    """The objects below a prefix, or one object.

    Args:
        root: Its address, for messages.
        store: Where the objects are.
        prefix: What their keys begin with, without a slash at its end; empty for all.

    Raises:
        FailedPreconditionError: DATASET_INVALID where the store cannot be asked.
    """

    def __init__(self, root: str, store: ObjectStore, prefix: str) -> None:
        self._root = root
        self._store = store
        self._folder = prefix + "/" if prefix else ""
        self._single = ""
        if suffix(prefix) in SUFFIXES and self._exists(prefix):
            folder, _, self._single = prefix.rpartition("/")
            self._folder = folder + "/" if folder else ""

    @classmethod
    def of_address(cls, root: str) -> Self:
        """Return the data set at an s3:// address; raises DATASET_INVALID as the class does."""
        bucket, _, prefix = root.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise data_invalid(root, "names no bucket")
        try:
            store = S3Store(bucket)
        except BaseError as error:
            raise data_invalid(root, f"cannot be reached: {_said(error)}") from error
        return cls(root, store, prefix.rstrip("/"))

    def paths(self) -> list[str]:
        """Return the paths of all data files; see `roots.Root`."""
        if self._single:
            return [self._single]
        try:
            keys = [
                entry["path"]
                for batch in obstore.list(self._store, self._folder.rstrip("/") or None)
                for entry in batch
            ]
        except (BaseError, OSError) as error:
            raise data_invalid(self._root, f"cannot be listed: {_said(error)}") from error
        found = [
            path
            for path in (key.removeprefix(self._folder) for key in keys)
            if suffix(path) in SUFFIXES and not any(part.startswith(".") for part in path.split("/"))
        ]
        return sorted(found, key=str.encode)

    def open(self, path: str) -> StoredObject:
        """Return an open object; see `roots.Root`."""
        if self._single and path != self._single:
            raise dataset_invalid(path, f"is not the file {self._single!r}")
        check_path(path)
        return StoredObject(self._store, self._folder + path, path)

    def _exists(self, key: str) -> bool:
        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise data_invalid(self._root, f"cannot be reached: {_said(error)}") from error
        return True


class StoredObject:
    """An object; see `data_file.DataFile`.

    Args:
        store: Where it is.
        key: Its key.
        name: Its path within the data set.

    Raises:
        FailedPreconditionError: DATASET_CHANGED where it is not there, DATASET_INVALID where it cannot be opened.
    """

    chunk_bytes = 16 << 20

    def __init__(self, store: ObjectStore, key: str, name: str) -> None:
        self._store = store
        self._key = key
        self.name = name
        try:
            said = obstore.head(store, key)
        except FileNotFoundError as error:
            raise dataset_changed(name, "is not there") from error
        except (BaseError, OSError) as error:
            raise dataset_invalid(name, f"cannot be opened: {_said(error)}") from error
        self.size = said["size"]
        self.state = _state(said)
        self._tag = said["e_tag"]

    def __enter__(self) -> Self:
        """Return the object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def same(self) -> bool:
        """Say whether the object at the key is still this one."""
        try:
            return _state(obstore.head(self._store, self._key)) == self.state
        except (BaseError, OSError):
            return False

    def read_into(self, array: Bytes, offset: int) -> None:
        """Fill a contiguous array of bytes from an offset on."""
        array[:] = self._range(offset, len(array))

    def read(self, offset: int, size: int) -> Bytes:
        """Return bytes from an offset on."""
        return self._range(offset, size).copy()

    def close(self) -> None:
        """Do nothing."""

    def _range(self, offset: int, size: int) -> Bytes:
        if not size:
            return np.empty(0, np.uint8)
        if offset + size > self.size:
            raise dataset_changed(self.name, f"ends at byte {self.size}")
        try:
            found = obstore.get(
                self._store, self._key, options={"range": (offset, offset + size), "if_match": self._tag}
            )
            array = np.frombuffer(memoryview(found.bytes()), np.uint8)
        except (PreconditionError, FileNotFoundError) as error:
            raise dataset_changed(self.name, "was replaced while it was read") from error
        except (BaseError, OSError) as error:
            raise dataset_invalid(self.name, f"cannot be read: {_said(error)}") from error
        if len(array) != size:
            raise dataset_changed(self.name, f"ends at byte {offset + len(array)}")
        return array


def _state(said: ObjectMeta) -> tuple[int | str, ...]:
    return said["size"], said["e_tag"] or "", said["last_modified"].isoformat()


def _said(error: Exception) -> str:
    """Return what an error says, without the long form that follows."""
    return str(error).strip().split("\n", 1)[0][:300]
