"""Tables in Apache Parquet and in Arrow's IPC file format (Feather 2), read one group of rows after the other."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from neuralmesh_server.datasets import arrow_columns, roles
from neuralmesh_server.datasets.data_file import stream
from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuralmesh_server.datasets.block import Block
    from neuralmesh_server.datasets.data_file import DataFile
    from neuralmesh_server.datasets.roles import ColumnRoles, Roles


class _Groups(Protocol):
    """Groups of rows of one file: Parquet's row groups, Arrow's record batches."""

    schema: pa.Schema
    rows: list[int]

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Return columns of a group, validated."""


class TableFile:
    """A .parquet, .arrow or .feather file; see `formats.OpenFile`."""

    sequential = True

    def __init__(self, file: DataFile) -> None:
        parquet = PurePosixPath(file.name).suffix.lower() == ".parquet"
        self._file = file
        source = pa.PythonFile(stream(file), mode="r")
        with _refusing(file.name):
            self._groups: _Groups = _ParquetGroups(source) if parquet else _IpcGroups(source)
            # Names that are no UTF-8 fail here, where the file can be named.
            self._names = list(self._groups.schema.names)
        self.rows = sum(self._groups.rows)

    def select(self, wanted: ColumnRoles) -> _TableSelection:
        """Return the columns in their roles."""
        return _TableSelection(self._file.name, self._groups, roles.of_table(self._file.name, self._names, wanted))


class _ParquetGroups:
    def __init__(self, source: pa.NativeFile) -> None:
        self._file = pq.ParquetFile(source, page_checksum_verification=True)
        self.schema: pa.Schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        table = self._file.read_row_group(group, columns=list(columns), use_threads=False)
        table.validate(full=True)
        return table


class _IpcGroups:
    def __init__(self, source: pa.NativeFile) -> None:
        self._source = source
        self._file = pa.ipc.open_file(source)
        self.schema: pa.Schema = self._file.schema
        narrow = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=self._narrowest()))
        self.rows = [narrow.get_batch(group).num_rows for group in range(narrow.num_record_batches)]

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        table = pa.Table.from_batches([self._file.get_batch(group)]).select(list(columns))
        table.validate(full=True)
        return table

    def _narrowest(self) -> list[int]:
        """Return the field that costs least to read when only the number of rows is wanted; none stands for all."""
        widths = {
            index: field.type.bit_width for index, field in enumerate(self.schema) if pa.types.is_primitive(field.type)
        }
        return [min(widths, key=lambda index: widths[index])] if widths else []


class _TableSelection:
    """Keeps the group that was read last, since ranges of rows mostly come in order."""

    def __init__(self, file: str, groups: _Groups, chosen: Roles) -> None:
        self._file = file
        self._groups = groups
        self._roles = chosen
        self._types = {
            name: arrow_columns.column_type(file, name, groups.schema.field(name).type) for name in chosen.columns
        }
        self.row_bytes = arrow_columns.check(file, chosen, self._types)
        self.row_shapes = arrow_columns.row_shapes(chosen, self._types)
        self._ends = np.cumsum(groups.rows)
        self._last: tuple[int, pa.Table] | None = None

    def read(self, first_row: int, rows: int) -> Block:
        first = int(np.searchsorted(self._ends, first_row, side="right"))
        end = int(np.searchsorted(self._ends, first_row + rows, side="left")) + 1
        with _refusing(self._file):
            tables = [self._group(group) for group in range(first, min(end, len(self._ends)))]
            before = int(self._ends[first]) - len(tables[0])
            table = pa.concat_tables(tables).slice(first_row - before, rows)
            return arrow_columns.block(self._roles, self._types, table, {})

    def _group(self, group: int) -> pa.Table:
        if self._last is None or self._last[0] != group:
            self._last = None  # its memory is wanted for the next one
            table = self._groups.read(group, self._roles.columns)
            if set(table.column_names) != set(self._roles.columns) or len(table) != self._groups.rows[group]:
                raise dataset_invalid(self._file, f"has a group {group} of rows that is not what its header says")
            self._last = group, table
        return self._last[1]


@contextmanager
def _refusing(file: str) -> Iterator[None]:
    """Turn what Arrow says of a file into DATASET_INVALID."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise dataset_invalid(file, f"cannot be read: {str(error).strip()[:500]}") from error
