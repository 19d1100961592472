"""Archives of arrays as np.savez writes them.

Arrays that are only stored are read in place; compressed ones are held in memory, up to a limit that no header can talk
its way around.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.datasets import numbers, roles
from neuralmesh_server.datasets.block import Block
from neuralmesh_server.datasets.data_file import stream
from neuralmesh_server.datasets.format_npy import StoredArray
from neuralmesh_server.datasets.refusals import dataset_invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.datasets.data_file import Bytes, DataFile
    from neuralmesh_server.datasets.fitting import RowShape
    from neuralmesh_server.datasets.roles import ColumnRoles, Roles
    from neuralmesh_server.errors import FailedPreconditionError

COMPRESSED_BYTES = 1 << 30
"""Most bytes that the compressed arrays of a file may unfold to."""

MEMBERS = 1000
"""Most arrays of a file."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1


class NpzFile:
    """An .npz file; see `formats.OpenFile`. All of its arrays have the same number of rows."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._arrays = self._opened()
        self.rows = next(iter(self._arrays.values())).rows
        self.sequential = self._unfolded > 0

    def select(self, wanted: ColumnRoles) -> _NpzSelection:
        """Return the arrays in their roles."""
        return _NpzSelection(
            self._file.name, self._arrays, roles.of_arrays(self._file.name, tuple(self._arrays), wanted)
        )

    def _opened(self) -> dict[str, StoredArray]:
        try:
            with stream(self._file) as content, zipfile.ZipFile(content) as archive:
                arrays = self._members(archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
            raise self._invalid(f"is no archive of arrays: {error}") from error
        if not arrays:
            raise self._invalid("holds no array")
        first = next(iter(arrays))
        for name, array in arrays.items():
            if array.rows != arrays[first].rows:
                raise self._invalid(f"holds {arrays[first].rows} rows of {first!r} and {array.rows} of {name!r}")
        return arrays

    def _members(self, archive: zipfile.ZipFile) -> dict[str, StoredArray]:
        members = archive.infolist()
        if len(members) > MEMBERS:
            raise self._invalid(f"holds {len(members)} members; at most {MEMBERS} are read")
        self._unfolded = sum(member.file_size for member in members if member.compress_type != zipfile.ZIP_STORED)
        if self._unfolded > COMPRESSED_BYTES:
            raise self._invalid(
                f"holds compressed arrays of {self._unfolded} bytes; at most {COMPRESSED_BYTES} are read, more "
                "where they are not compressed (np.savez)"
            )
        arrays: dict[str, StoredArray] = {}
        for member in sorted(members, key=lambda member: member.filename):
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise self._invalid(f"holds {member.filename!r} twice")
            if name == member.filename or not name:
                raise self._invalid(f"holds {member.filename!r}, which is no array")
            arrays[name] = self._array(archive, member)
        return arrays

    def _array(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> StoredArray:
        label = f"member {member.filename!r}"
        if member.flag_bits & _ENCRYPTED:
            raise self._invalid(f"{label} is encrypted")
        if member.compress_type == zipfile.ZIP_STORED:
            if member.file_size != member.compress_size:
                raise self._invalid(f"{label} has two sizes")
            return StoredArray(self._file, label, self._content(member), member.file_size)
        if member.compress_type != zipfile.ZIP_DEFLATED:
            raise self._invalid(f"{label} is compressed in another way than by deflate")
        # ZipFile reads no more than the size that was checked, and holds the content against its CRC.
        memory = _Memory(self._file.name, archive.read(member))
        return StoredArray(memory, label, 0, member.file_size)

    def _content(self, member: zipfile.ZipInfo) -> int:
        """Return where a stored member's bytes begin: after a header whose length only the header says."""
        if member.header_offset + _LOCAL_HEADER.size > self._file.size:
            raise self._invalid(f"ends before {member.filename!r}")
        header = self._file.read(member.header_offset, _LOCAL_HEADER.size).tobytes()
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        start = member.header_offset + _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)
        if signature != b"PK\x03\x04" or start + member.file_size > self._file.size:
            raise self._invalid(f"ends before {member.filename!r}")
        return start

    def _invalid(self, why: str) -> FailedPreconditionError:
        return dataset_invalid(self._file.name, why)


class _Memory:
    """An array that was unfolded; see `data_file.Source`."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self._data = np.frombuffer(data, np.uint8)

    def read(self, offset: int, size: int) -> Bytes:
        return self._data[offset : offset + size].copy()

    def read_into(self, array: Bytes, offset: int) -> None:
        array[:] = self._data[offset : offset + len(array)]


class _NpzSelection:
    def __init__(self, file: str, arrays: Mapping[str, StoredArray], chosen: Roles) -> None:
        self._file = file
        self._arrays = arrays
        self._roles = chosen
        for _, columns in chosen.inputs:
            numbers.check_side_by_side(file, {name: (arrays[name].dtype, arrays[name].row_shape) for name in columns})
        for mark in filter(None, (chosen.label, chosen.id)):
            numbers.check_mark(file, mark, arrays[mark].dtype, arrays[mark].row_shape)
        self.row_bytes: int | None = sum(arrays[name].row_bytes for name in chosen.columns)
        self.row_shapes: Mapping[str, RowShape | None] = {
            name: numbers.row_side_by_side([arrays[part].row_shape for part in parts]) for name, parts in chosen.inputs
        }

    def read(self, first_row: int, rows: int) -> Block:
        arrays = {name: self._arrays[name].read(first_row, rows) for name in self._roles.columns}
        return Block(
            rows,
            {name: numbers.side_by_side([arrays[part] for part in parts]) for name, parts in self._roles.inputs},
            arrays[self._roles.label] if self._roles.label else None,
            arrays[self._roles.id] if self._roles.id else None,
        )
