"""What every format of files offers, and which suffix means which format."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from neuralmesh_server.datasets.format_arrow import TableFile
from neuralmesh_server.datasets.format_csv import CsvFile
from neuralmesh_server.datasets.format_npy import NpyFile
from neuralmesh_server.datasets.format_npz import NpzFile
from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from neuralmesh_server.datasets.block import Block
    from neuralmesh_server.datasets.regular_file import RegularFile
    from neuralmesh_server.datasets.roles import ColumnRoles


class Selection(Protocol):
    """Columns of an open file in their roles.

    Attributes:
        row_bytes: Bytes of a row, where all rows have as many; else None.
    """

    row_bytes: int | None

    def read(self, first_row: int, rows: int) -> Block:
        """Return a range of rows that lies within the file; raises DATASET_INVALID."""


class OpenFile(Protocol):
    """A file whose structure is known.

    Attributes:
        rows: Its rows, rejected ones included.
        sequential: It costs to open, and ranges are best read in order. Else many may open it, each for a single range.
        file: The file.
    """

    file: RegularFile
    rows: int
    sequential: bool

    def select(self, wanted: ColumnRoles) -> Selection:
        """Return the columns in the wanted roles; raises DATASET_INVALID where the file has not got them."""

    def close(self) -> None:
        """Let go of the file; selections are of no use afterwards."""


_FORMATS: Mapping[str, Callable[[Path, str], OpenFile]] = {
    ".npy": NpyFile,
    ".npz": NpzFile,
    ".parquet": TableFile,
    ".arrow": TableFile,
    ".feather": TableFile,
    ".csv": CsvFile,
}

SUFFIXES = frozenset(_FORMATS)
"""Suffixes of data files in small letters; capitals do not matter."""


def open_file(path: Path, name: str) -> OpenFile:
    """Return an open file.

    Args:
        path: Where it is.
        name: Its path within the data set, which says its format and stands in messages.

    Raises:
        FailedPreconditionError: DATASET_INVALID where it is not what its suffix says, DATASET_CHANGED where it is gone.
    """
    kind = _FORMATS.get(suffix(name))
    if kind is None:
        raise dataset_invalid(name, f"has none of the suffixes {', '.join(sorted(SUFFIXES))}")
    return kind(path, name)


def suffix(name: str) -> str:
    """Return the suffix of a file's name in small letters."""
    return PurePosixPath(name).suffix.lower()
