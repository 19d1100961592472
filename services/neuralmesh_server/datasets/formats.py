"""What every format of files offers, and which suffix means which format."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Protocol

from neuralmesh_server.datasets.format_npy import NpyFile
from neuralmesh_server.datasets.format_npz import NpzFile
from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuralmesh_server.datasets.block import Block
    from neuralmesh_server.datasets.data_file import DataFile
    from neuralmesh_server.datasets.fitting import RowShape
    from neuralmesh_server.datasets.roles import ColumnRoles


class Selection(Protocol):
    """Columns of an open file in their roles.

    Attributes:
        row_bytes: Bytes of a row, where all rows have as many; else None.
        row_shapes: The shape of a row of each input, by its name; None where it differs from row to row.
    """

    row_bytes: int | None
    row_shapes: Mapping[str, RowShape | None]

    def read(self, first_row: int, rows: int) -> Block:
        """Return a range of rows that lies within the file; raises DATASET_INVALID."""


class OpenFile(Protocol):
    """The structure of an open file, of no use once the file is closed.

    Attributes:
        rows: Its rows, rejected ones included.
        sequential: It costs to open, and ranges are best read in order. Else many may open it, each for a single range.
    """

    rows: int
    sequential: bool

    def select(self, wanted: ColumnRoles) -> Selection:
        """Return the columns in the wanted roles; raises DATASET_INVALID where the file has not got them."""


def _table(file: DataFile) -> OpenFile:
    from neuralmesh_server.datasets.format_arrow import TableFile  # noqa: PLC0415 - who reads arrays starts sooner

    return TableFile(file)


def _csv(file: DataFile) -> OpenFile:
    from neuralmesh_server.datasets.format_csv import CsvFile  # noqa: PLC0415 - as above

    return CsvFile(file)


_FORMATS: Mapping[str, Callable[[DataFile], OpenFile]] = {
    ".npy": NpyFile,
    ".npz": NpzFile,
    ".parquet": _table,
    ".arrow": _table,
    ".feather": _table,
    ".csv": _csv,
}

SUFFIXES = frozenset(_FORMATS)
"""Suffixes of data files in small letters; capitals do not matter."""


def open_file(file: DataFile) -> OpenFile:
    """Return a file by its structure, in the format that its name says.

    Raises:
        FailedPreconditionError: DATASET_INVALID where it is not what its suffix says, DATASET_CHANGED where it is gone.
    """
    return _FORMATS[suffix(file.name)](file)


def suffix(name: str) -> str:
    """Return the suffix of a file's name in small letters."""
    return posixpath.splitext(name)[1].lower()


def check_path(path: str) -> None:
    """Raise DATASET_INVALID for a path that does not stay within a data set, or has no known suffix."""
    parts = path.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts) or suffix(path) not in SUFFIXES:
        raise dataset_invalid(path, "is not the path of a file within a data set")
