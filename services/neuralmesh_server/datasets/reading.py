"""Reads ranges of rows, by the path of their file within a data set."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from neuralmesh_server.datasets.formats import open_file
from neuralmesh_server.datasets.refusals import dataset_changed
from neuralmesh_server.datasets.roots import open_root

if TYPE_CHECKING:
    from neuralmesh_server.datasets.block import Block
    from neuralmesh_server.datasets.data_file import DataFile
    from neuralmesh_server.datasets.formats import Selection
    from neuralmesh_server.datasets.roles import ColumnRoles

OPEN_FILES = 4
"""Files that a reader keeps open."""


class Reader:
    """Reads ranges of rows; files stay open, since to find the structure of one may take longer than to read a range.

    For one thread at a time. Close it, or use it in a `with` statement.

    Args:
        root: Folder, file or s3:// address of the data.
        columns: What its columns are; `labor.plan.Columns` is of this shape.

    Raises:
        FailedPreconditionError: DATASET_INVALID where there is nothing at the root.
    """

    def __init__(self, root: str, columns: ColumnRoles) -> None:
        self._root = open_root(root)
        self._columns = columns
        self._open: OrderedDict[str, _Kept] = OrderedDict()

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def read(self, path: str, first_row: int, rows: int) -> Block:
        """Return a range of rows.

        What it returns is no view of the file, and its `digest` is that of these very bytes, whatever happens to the
        file meanwhile. Rows that cannot be read are among its `rejected` ones.

        Args:
            path: Path of the file within the data set.
            first_row: Number of the first row in the file, from 0.
            rows: Number of rows, at least 1.

        Raises:
            FailedPreconditionError: DATASET_INVALID for a file that cannot be read, or a path that is not one within
                the data set; DATASET_CHANGED for one that is gone or has fewer rows.
        """
        kept = self._kept(path)
        if not 0 <= first_row < first_row + rows <= kept.rows:
            raise dataset_changed(path, f"has {kept.rows} rows, and not rows {first_row} to {first_row + rows - 1}")
        return kept.selection.read(first_row, rows)

    def close(self) -> None:
        """Let go of all files."""
        while self._open:
            self._open.popitem()[1].file.close()

    def _kept(self, path: str) -> _Kept:
        kept = self._open.pop(path, None)
        if kept is not None and not kept.file.same():
            kept.file.close()
            kept = None
        if kept is None:
            while len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].file.close()
            with ExitStack() as stack:
                file = stack.enter_context(self._root.open(path))
                structure = open_file(file)
                kept = _Kept(file, structure.rows, structure.select(self._columns))
                stack.pop_all()
        self._open[path] = kept
        return kept


@dataclass(frozen=True, slots=True)
class _Kept:
    file: DataFile
    rows: int
    selection: Selection


def read(root: str, path: str, first_row: int, rows: int, columns: ColumnRoles) -> Block:
    """Return a range of rows as `Reader.read` does, for those who read a single one."""
    with Reader(root, columns) as reader:
        return reader.read(path, first_row, rows)
