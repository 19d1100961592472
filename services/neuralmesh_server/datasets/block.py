"""Rows of a data set as arrays, and the digest of their content.

The digest is BLAKE3, since all data is hashed when it is planned and again when it is read. It is over, in this order:

1. eight bytes, little-endian: the length of the header;
2. the header, canonical JSON: `{"arrays":[[role,name,dtype,shape]...],"input":1,"rejected":[[row,why]...],"rows":n}`
   with the inputs in code-point order of their names, then the label, then the id. `shape` begins with the number of
   rows that were not rejected;
3. the content of each array in that order. Numbers: their bytes, little-endian, rows one after the other. Text (dtype
   `utf8`): the length in bytes of each row's UTF-8 as int64, then the bytes. Lists of several lengths (dtype
   `ragged` and that of the numbers): the length of each row's list as int64, then the numbers.

So it depends on what is read and on nothing else: not on the file's name, format or compression, not on the place of
the rows in it, and not on columns that nobody asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import blake3
import numpy as np

from neuralmesh_server import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from neuralmesh_server.canonical import Fact

    Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Lists of several lengths, one a row.

    Attributes:
        lengths: Numbers of each row, int64.
        values: The numbers of all rows, one after the other.
    """

    lengths: npt.NDArray[np.int64]
    values: Array

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def slice(self, first: int, end: int) -> Array | Ragged:
        """Return rows, as an array where their lists have one length."""
        lengths = self.lengths[first:end]
        start = int(self.lengths[:first].sum())
        values = self.values[start : start + int(lengths.sum())]
        if len(lengths) and (lengths == lengths[0]).all() and lengths[0]:
            return values.reshape(len(lengths), int(lengths[0]))
        return Ragged(lengths, values)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be read as the columns say.

    Attributes:
        row: Its number, from 0, within the range that was asked for.
        why: What is wrong with it, without the number of the row.
    """

    row: int
    why: str


@dataclass(frozen=True, eq=False)
class Block:
    """A range of rows of one file. Arrays hold the rows that are not rejected, in order; they may be read-only.

    Attributes:
        rows: Number of rows of the range, rejected ones included.
        inputs: Numbers and booleans in native byte order, rows first, by the name of the input; `""` for the sole input
            of a file that does not name it. `Ragged` where the rows hold lists of several lengths.
        label: True labels, one a row: numbers, booleans, or text (dtype `U`). Cells of .csv are text as they stand.
        id: What tells rows by, one a row, likewise.
        rejected: Rows that are missing from the arrays, in order.
    """

    rows: int
    inputs: Mapping[str, Array | Ragged]
    label: Array | None = None
    id: Array | None = None
    rejected: tuple[Rejected, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The input digest: `blake3:` and 64 hexadecimal digits."""
        return InputHasher().digest(self)

    @property
    def kept(self) -> int:
        """Number of rows in the arrays."""
        return self.rows - len(self.rejected)

    def slice(self, first: int, rows: int) -> Block:
        """Return rows `first` to `first + rows` of this range; arrays are views."""
        low = bisect_left(self.rejected, first, key=_row)
        high = bisect_left(self.rejected, first + rows, key=_row)
        start, end = first - low, first + rows - high
        return Block(
            rows,
            {
                name: array.slice(start, end) if isinstance(array, Ragged) else array[start:end]
                for name, array in self.inputs.items()
            },
            None if self.label is None else self.label[start:end],
            None if self.id is None else self.id[start:end],
            tuple(Rejected(entry.row - first, entry.why) for entry in self.rejected[low:high]),
        )


class InputHasher:
    """Computes input digests; keeps headers, since ranges of one length mostly have the same. For one thread."""

    def __init__(self) -> None:
        self._headers: dict[Any, bytes] = {}

    def digest(self, block: Block) -> str:
        """Return the input digest of a block."""
        parts = [("input", name, block.inputs[name]) for name in sorted(block.inputs)]
        if block.label is not None:
            parts.append(("label", "", block.label))
        if block.id is not None:
            parts.append(("id", "", block.id))
        key = (block.rows, block.rejected, *((role, name, *_shape(array)) for role, name, array in parts))
        header = self._headers.get(key)
        if header is None:
            header = _header(block, parts)
            if not block.rejected:
                self._headers[key] = header
        hasher = blake3.blake3(header)
        for _, _, array in parts:
            for piece in _pieces(array):
                hasher.update(piece)
        return "blake3:" + hasher.hexdigest()


def _row(entry: Rejected) -> int:
    return entry.row


def _header(block: Block, parts: list[tuple[str, str, Array | Ragged]]) -> bytes:
    arrays: list[Fact] = []
    for role, name, array in parts:
        dtype, shape = _shape(array)
        arrays.append([role, name, dtype, list(shape)])
    rejected: list[Fact] = [[entry.row, entry.why] for entry in block.rejected]
    header = canonical.encode({"arrays": arrays, "input": 1, "rejected": rejected, "rows": block.rows})
    return len(header).to_bytes(8, "little") + header


def _shape(array: Array | Ragged) -> tuple[str, tuple[int, ...]]:
    if isinstance(array, Ragged):
        return f"ragged {array.values.dtype.str}", (len(array),)
    if array.dtype.kind == "U":
        return "utf8", array.shape
    return array.dtype.str, array.shape


def _pieces(array: Array | Ragged) -> list[memoryview | bytes]:
    if isinstance(array, Ragged):
        return [_bytes(array.lengths), _bytes(array.values)]
    if array.dtype.kind == "U":
        texts = [text.encode() for text in array.tolist()]
        return [_bytes(np.fromiter(map(len, texts), np.int64, len(texts))), b"".join(texts)]
    return [_bytes(array)]


def _bytes(array: Array) -> memoryview | bytes:
    # A view of bytes, since memoryview knows no float16 in all of its uses and blake3 takes only bytes.
    flat = np.ascontiguousarray(array).reshape(-1)
    return memoryview(flat.view(np.uint8).data) if flat.size else b""
