"""Where the records of a .csv file are, by the quoting of RFC 4180, which is held to the letter.

A record ends with LF or CRLF that stands outside of quotes. Quotes begin at the beginning of a cell, end at its end and
are doubled in between; whatever departs from that makes the file unreadable, since no two programs would agree on where
its rows begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server.datasets.refusals import dataset_changed, dataset_invalid

if TYPE_CHECKING:
    import numpy.typing as npt

    from neuralmesh_server.datasets.data_file import Bytes, DataFile
    from neuralmesh_server.errors import FailedPreconditionError

    Positions = npt.NDArray[np.int64]

STEP = 1024
"""The place of every such record is kept."""

CHUNK_BYTES = 1 << 22

LARGEST_RECORD = 1 << 24
"""Most bytes of a record."""

QUOTE, COMMA, LF, CR = b'",\n\r'
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """Where records are.

    Attributes:
        count: Their number, the header included.
        places: Offsets of record 0, STEP, 2 STEP and so on.
        end: Offset after the last record.
    """

    count: int
    places: Positions
    end: int


def index(file: DataFile) -> RecordIndex:
    """Return where the records of a file are.

    Raises:
        FailedPreconditionError: DATASET_INVALID where its quotes or line ends are not those of RFC 4180, or a record is
            longer than LARGEST_RECORD.
    """
    start = len(BOM) if file.read(0, min(file.size, len(BOM))).tobytes() == BOM else 0
    places = [np.array([start], np.int64)]
    count, end, inside = 0, start, False
    for offset in range(start, file.size, CHUNK_BYTES):
        chunk = _Chunk(file, start, offset, inside=inside)
        wrong = chunk.fault()
        if wrong is not None:
            where, why = wrong
            raise _invalid(file, count + int(np.searchsorted(chunk.ends, where, side="right")), why)
        inside = chunk.inside_at_end
        if len(chunk.ends):
            longest = int(np.diff(chunk.ends, prepend=end).argmax())
            if int(chunk.ends[longest]) - (int(chunk.ends[longest - 1]) if longest else end) > LARGEST_RECORD:
                raise _invalid(file, count + longest, f"is longer than {LARGEST_RECORD} bytes")
            # The record after an end has the number of ends so far; every STEPth is kept.
            places.append(chunk.ends[(-count - 1) % STEP :: STEP])
            count += len(chunk.ends)
            end = int(chunk.ends[-1])
    if file.size - end > LARGEST_RECORD:
        raise _invalid(file, count, f"is longer than {LARGEST_RECORD} bytes")
    if inside:
        raise _invalid(file, count, "has a quote that is never closed")
    if end < file.size:
        count += 1  # the last record has no line end
    return RecordIndex(count, np.concatenate(places)[: -(-count // STEP)], file.size)


def read(file: DataFile, records: RecordIndex, first: int, count: int) -> Records:
    """Return records by their numbers; raises DATASET_CHANGED where they are no longer there."""
    kept, beyond = first // STEP, -(-(first + count) // STEP)
    start = int(records.places[kept])
    end = int(records.places[beyond]) if beyond < len(records.places) else records.end
    data = file.read(start, end - start)
    found = split(data)
    skipped = first - kept * STEP
    if len(found.ends) < skipped + count:
        raise dataset_changed(file.name, f"has no record {first + len(found.ends) - skipped}")
    begin = int(found.ends[skipped - 1]) if skipped else 0
    ends = found.ends[skipped : skipped + count] - begin
    return Records(data[begin : begin + int(ends[-1]) if count else begin], ends)


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Whole records: their bytes, and the offset after each."""

    data: Bytes
    ends: Positions

    def cells(self) -> Positions:
        """Return how many cells each has; 0 for one that is empty."""
        quotes = np.flatnonzero(self.data == QUOTE)
        commas = np.flatnonzero(self.data == COMMA)
        commas = commas[np.searchsorted(quotes, commas) % 2 == 0]
        counts = np.diff(np.searchsorted(commas, self.ends), prepend=0) + 1
        starts = np.concatenate([[0], self.ends[:-1]])
        first = self.data[starts]
        empty = (first == LF) | ((first == CR) & (self.ends - starts == 2))
        return np.where(empty, 0, counts)

    def without(self, bad: npt.NDArray[np.bool_]) -> Records:
        """Return the records that are not marked."""
        lengths = np.diff(self.ends, prepend=0)
        return Records(self.data[np.repeat(~bad, lengths)], np.cumsum(lengths[~bad]))


def split(data: Bytes) -> Records:
    """Return the records of bytes that begin with one; the last may lack its line end."""
    ends = np.flatnonzero(data == LF)
    quotes = np.flatnonzero(data == QUOTE)
    if len(quotes):
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    ends += 1
    if len(data) and (not len(ends) or ends[-1] < len(data)):
        ends = np.append(ends, len(data))
    return Records(data, ends)


class _Chunk:
    """A piece of a file with the byte before and the byte behind it.

    Attributes:
        ends: Offsets in the file after each record that ends here.
        inside_at_end: Its end is within quotes.
    """

    def __init__(self, file: DataFile, start: int, offset: int, *, inside: bool) -> None:
        size = min(CHUNK_BYTES, file.size - offset)
        before, behind = int(offset > start), int(offset + size < file.size)
        # Around the file there seem to be a line end and a comma: cells may begin and end there, and no CR may.
        self._around = np.empty(size + 2, np.uint8)
        self._around[0], self._around[-1] = LF, COMMA
        file.read_into(self._around[1 - before : size + 1 + behind], offset - before)
        data = self._around[1:-1]
        self._offset = offset
        self._inside = int(inside)
        self._quotes = np.flatnonzero(data == QUOTE)
        self.ends = self._outside(np.flatnonzero(data == LF)) + (offset + 1)
        self._returns = self._outside(np.flatnonzero(data == CR))
        self.inside_at_end = bool((self._inside + len(self._quotes)) % 2)

    def fault(self) -> tuple[int, str] | None:
        """Return the first place that departs from RFC 4180, as an offset in the file, and what is wrong there."""
        openings, closings = self._quotes[self._inside :: 2], self._quotes[1 - self._inside :: 2]
        before, behind = self._around[openings], self._around[closings + 2]
        faults = [
            *self._first(
                openings, ~np.isin(before, (COMMA, LF, QUOTE)), "has a quote within a cell that is not quoted"
            ),
            *self._first(closings, ~np.isin(behind, (COMMA, LF, CR, QUOTE)), "has text behind a closing quote"),
            *self._first(self._returns, self._around[self._returns + 2] != LF, "has a CR without LF"),
        ]
        return min(faults, default=None)

    def _outside(self, places: Positions) -> Positions:
        outside: Positions = places[(np.searchsorted(self._quotes, places) + self._inside) % 2 == 0]
        return outside

    def _first(self, places: Positions, wrong: npt.NDArray[np.bool_], why: str) -> list[tuple[int, str]]:
        return [(self._offset + int(places[wrong.argmax()]), why)] if wrong.any() else []


def _invalid(file: DataFile, record: int, why: str) -> FailedPreconditionError:
    if record == 0:
        return dataset_invalid(file.name, f"its header {why}")
    return dataset_invalid(file.name, why, row=record - 1)
