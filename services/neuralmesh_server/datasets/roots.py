"""Where a data set is: in the file system, or in a store of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from neuralmesh_server.datasets.folder import Folder
from neuralmesh_server.errors import NotSupportedError

if TYPE_CHECKING:
    from neuralmesh_server.datasets.data_file import DataFile


class Root(Protocol):
    """The place of a data set. Safe for any threads."""

    def paths(self) -> list[str]:
        """Return the paths of all data files, relative, in byte order; raises DATASET_INVALID."""

    def open(self, path: str) -> DataFile:
        """Return an open data file.

        Raises:
            FailedPreconditionError: DATASET_INVALID for a path that does not stay within the data set, is no data or
                cannot be opened; DATASET_CHANGED where nothing is there, or links have come in between.
        """


def open_root(root: str) -> Root:
    """Return the place of a data set.

    Raises:
        FailedPreconditionError: DATASET_INVALID where there is none, or it cannot be reached.
        NotSupportedError: NOT_SUPPORTED for an s3:// address where obstore is not installed, or another address.
    """
    scheme, found, _ = root.partition("://")
    if not found:
        return Folder(root)
    if scheme != "s3":
        raise NotSupportedError("NOT_SUPPORTED", f"data at {root!r} cannot be read; paths and s3:// can", data=root)
    try:
        from neuralmesh_server.datasets.bucket import Bucket  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        why = f"data at {root!r} cannot be read: obstore is not installed (pip install 'neuralmesh[s3]')"
        raise NotSupportedError("NOT_SUPPORTED", why, data=root) from error
    return Bucket.of_address(root)
