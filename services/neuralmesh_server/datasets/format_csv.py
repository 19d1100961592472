"""Tables as comma-separated text with a header row, quoted as RFC 4180 says.

Nothing is guessed from the content: inputs are float64 and labels and ids are text as it stands, so that no cell has a
say in how another one is read. Rows with too few or too many cells, with an empty cell where one is needed, or with
something else than a number in an input are rejected; a row without any cell is one with empty cells.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from neuralmesh_server.datasets import arrow_columns, csv_records, roles
from neuralmesh_server.datasets.arrow_columns import ColumnType
from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.datasets.block import Block
    from neuralmesh_server.datasets.csv_records import RecordIndex, Records
    from neuralmesh_server.datasets.data_file import DataFile
    from neuralmesh_server.datasets.roles import ColumnRoles, Roles

PIECE_ROWS = 1 << 16
"""Most rows that are parsed at once."""

SHOWN_CHARACTERS = 40

NUMBER = r"^[ \t]*[-+]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?i:nan|inf|infinity))[ \t]*$"
"""What Arrow takes for a number; a test holds the two against each other."""


class CsvFile:
    """A .csv file; see `formats.OpenFile`."""

    sequential = True

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._records = csv_records.index(self._file)
        if not self._records.count:
            raise dataset_invalid(file.name, "is empty: it has no header")
        self._names = self._header()
        self.rows = self._records.count - 1

    def select(self, wanted: ColumnRoles) -> _CsvSelection:
        """Return the columns in their roles."""
        return _CsvSelection(
            self._file, self._records, self._names, roles.of_table(self._file.name, self._names, wanted)
        )

    def _header(self) -> list[str]:
        data = csv_records.read(self._file, self._records, 0, 1).data.tobytes()
        try:
            (names,) = csv.reader([data.decode()], strict=True)
        except (UnicodeDecodeError, ValueError, csv.Error) as error:
            raise dataset_invalid(self._file.name, f"has a header that cannot be read: {error}") from error
        return names


class _CsvSelection:
    def __init__(self, file: DataFile, records: RecordIndex, names: Sequence[str], chosen: Roles) -> None:
        self._file = file
        self._records = records
        self._names = names
        self._roles = chosen
        inputs = dict.fromkeys([column for _, columns in chosen.inputs for column in columns])
        self._types = {name: pa.float64() if name in inputs else pa.binary() for name in chosen.columns}
        number, text = ColumnType(np.dtype(np.float64), ()), ColumnType(np.dtype("U"), ())
        self._holds = {name: number if name in inputs else text for name in chosen.columns}
        self.row_bytes = arrow_columns.check(file.name, chosen, self._holds)
        self.row_shapes = arrow_columns.row_shapes(chosen, self._holds)

    def read(self, first_row: int, rows: int) -> Block:
        tables: list[pa.Table] = []
        bad: dict[int, str] = {}
        for first in range(0, rows, PIECE_ROWS):
            count = min(PIECE_ROWS, rows - first)
            records = csv_records.read(self._file, self._records, 1 + first_row + first, count)
            table, wrong = self._parsed(records)
            tables.append(table)
            bad |= {first + row: why for row, why in wrong.items()}
        return arrow_columns.block(self._roles, self._holds, pa.concat_tables(tables), bad)

    def _parsed(self, records: Records) -> tuple[pa.Table, dict[int, str]]:
        """Return the rows that can be read, and what is wrong with the others."""
        try:
            return self._table(records, self._types), {}
        except pa.ArrowInvalid:
            pass  # something is wrong with some row
        try:
            bad = self._miscounted(records)
            rest = np.delete(np.arange(len(records.ends)), list(bad))
            bad |= {int(rest[row]): why for row, why in self._unreadable(_without(records, bad)).items()}
            return self._table(_without(records, bad), self._types), bad
        except pa.ArrowInvalid as error:
            raise dataset_invalid(self._file.name, f"cannot be parsed: {error}") from error

    def _miscounted(self, records: Records) -> dict[int, str]:
        cells, width = records.cells(), len(self._names)
        wrong = np.flatnonzero((cells != width) & (cells > 0)).tolist()
        return {row: f"has {cells[row]} cells and not {width}" for row in wrong}

    def _unreadable(self, records: Records) -> dict[int, str]:
        table = self._table(records, dict.fromkeys(self._types, pa.binary()))
        bad: dict[int, str] = {}
        for name, kind in self._types.items():
            column = table.column(name)
            if kind == pa.float64():
                wrong = pc.invert(pc.match_substring_regex(column, NUMBER))
                rows = np.flatnonzero(pc.fill_null(wrong, False).to_numpy()).tolist()
                reasons = {row: f"holds {_shown(column[row].as_py())} in column {name!r}, no number" for row in rows}
            else:
                cells = column.to_pylist()
                reasons = {
                    row: f"holds {_shown(cell)} in column {name!r}, which is not UTF-8"
                    for row, cell in enumerate(cells)
                    if cell is not None and not _is_utf8(cell)
                }
            bad = reasons | bad
        return bad

    def _table(self, records: Records, types: Mapping[str, pa.DataType]) -> pa.Table:
        if not len(records.ends):
            table = pa.schema(types.items()).empty_table()
        else:
            table = arrow_csv.read_csv(
                pa.BufferReader(records.data),
                arrow_csv.ReadOptions(use_threads=False, column_names=self._names, block_size=len(records.data) + 1),
                arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                arrow_csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    null_values=[""],
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
        if len(table) != len(records.ends):
            raise pa.ArrowInvalid(f"{len(records.ends)} records were read as {len(table)} rows")
        if types is not self._types:
            return table
        return table.cast(
            pa.schema([(name, pa.string() if kind == pa.binary() else kind) for name, kind in types.items()])
        )


def _without(records: Records, bad: Mapping[int, str]) -> Records:
    marks = np.zeros(len(records.ends), np.bool_)
    marks[list(bad)] = True
    return records.without(marks)


def _is_utf8(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(cell: bytes) -> str:
    text = cell.decode(errors="replace")
    return repr(text[:SHOWN_CHARACTERS] + ("…" if len(text) > SHOWN_CHARACTERS else ""))
