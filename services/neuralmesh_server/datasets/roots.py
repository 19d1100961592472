"""Where a data set is: in the file system, or in a store of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from neuralmesh_server.datasets.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path


class Root(Protocol):
    """The place of a data set. Safe for any threads."""

    def paths(self) -> list[str]:
        """Return the paths of all data files, relative, in byte order; raises DATASET_INVALID."""

    def locate(self, path: str) -> Path:
        """Return a local file with the content of a data file; raises DATASET_INVALID or DATASET_CHANGED."""

    def close(self) -> None:
        """Remove what was made to reach the data."""


def open_root(root: str) -> Root:
    """Return the place of a data set; raises DATASET_INVALID where there is none."""
    return Folder(root)
