"""Freezes data sets: which files there are, what is in them by digest, and what is in each range of their rows."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from neuralmesh_server.datasets.block import InputHasher
from neuralmesh_server.datasets.fitting import misfit
from neuralmesh_server.datasets.formats import open_file
from neuralmesh_server.datasets.refusals import data_invalid, dataset_changed, dataset_invalid
from neuralmesh_server.datasets.roots import open_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from neuralmesh_server.datasets.data_file import DataFile, FileState
    from neuralmesh_server.datasets.fitting import RowShape
    from neuralmesh_server.datasets.roles import ColumnRoles
    from neuralmesh_server.errors import FailedPreconditionError

Progress: TypeAlias = "Callable[[int, int], None]"
"""Is told the bytes that are done and all bytes, by any thread but never by two at once; what it raises ends it."""

WINDOW_BYTES = 8 << 20
"""Rows are read about this many bytes at a time, and at least a whole range."""

SPAN_BYTES = 64 << 20
"""What one thread takes of a large file that several may read."""

BATCH_BYTES = 4 << 20
BATCH_FILES = 64
"""How many small files a thread takes at once, by size and number."""


@dataclass(frozen=True, slots=True)
class FrozenFile:
    """A file by its content: path within the data set, bytes, `sha256:` digest, rows."""

    path: str
    size: int
    digest: str
    rows: int


@dataclass(frozen=True, slots=True)
class SurveyedFile:
    """A file whose structure is known and whose content is not.

    Attributes:
        path: Its path within the data set.
        size: Its bytes.
        rows: Its rows, those included that will be rejected.
        row_bytes: Bytes of a row of the wanted columns as arrays, rounded up; where rows differ, of the file.
        sequential: See `formats.OpenFile`.
        state: Tells whether it has been written to since.
    """

    path: str
    size: int
    rows: int
    row_bytes: int
    sequential: bool
    state: FileState


@dataclass(frozen=True, slots=True)
class FrozenData:
    """A data set by its content.

    Attributes:
        files: In byte order of their paths.
        digests: For each file, the input digests of its ranges of rows in order.
    """

    files: tuple[FrozenFile, ...]
    digests: tuple[tuple[str, ...], ...]


class DataSet:
    """A data set that is about to be frozen.

    Args:
        root: Folder, file or s3:// address of the data.
        columns: What its columns are; `labor.plan.Columns` is of this shape.
        takes: For each of those who will be given the rows, the shape of a row that it takes for each of its inputs: -1
            for any size, None for whatever it is.
        threads: How many threads read and hash; 0 for one per processor.
        progress: Is told how far it is.

    Attributes:
        files: The files, surveyed, in byte order of their paths.

    Raises:
        FailedPreconditionError: DATASET_INVALID where there is no data, or a file is not what its suffix says or lacks
            a column, or has rows that somebody can take none of. Of several such files the first one is named.
    """

    def __init__(
        self,
        root: str,
        columns: ColumnRoles,
        *,
        takes: Sequence[Mapping[str, RowShape | None]] = (),
        threads: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self._columns = columns
        self._takes = takes
        self._threads = threads or os.cpu_count() or 1
        self._root = open_root(root)
        paths = self._root.paths()
        if not paths:
            raise data_invalid(root, "holds no data files")
        with ThreadPoolExecutor(self._threads) as pool:
            batches = [paths[first : first + BATCH_FILES] for first in range(0, len(paths), BATCH_FILES)]
            self.files = tuple(itertools.chain.from_iterable(pool.map(self._survey, batches)))
        if not any(file.rows for file in self.files):
            raise data_invalid(root, "holds no rows")
        self._meter = _Meter(2 * sum(file.size for file in self.files), progress)

    def freeze(self, rows_per_range: int) -> FrozenData:
        """Return the digests of all files, and of all ranges of so many rows; the last of a file may have fewer.

        Raises:
            FailedPreconditionError: DATASET_INVALID where a file cannot be read; DATASET_CHANGED where one was
                written to since it was surveyed.
        """
        digests = [""] * len(self.files)
        ranges: list[list[str]] = [[] for _ in self.files]
        with ThreadPoolExecutor(self._threads) as pool:
            # In order of the files, so that of several bad ones the first is named.
            futures = [pool.submit(self._parts, tasks, rows_per_range) for tasks in _tasks(self.files, rows_per_range)]
            try:
                for part in itertools.chain.from_iterable(future.result() for future in futures):
                    digests[part.file] = part.digest or digests[part.file]
                    ranges[part.file] += part.ranges
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        files = [
            FrozenFile(file.path, file.size, digest, file.rows)
            for file, digest in zip(self.files, digests, strict=True)
        ]
        return FrozenData(tuple(files), tuple(map(tuple, ranges)))

    def _survey(self, paths: Sequence[str]) -> list[SurveyedFile]:
        found = []
        for path in paths:
            with self._root.open(path) as file:
                structure = open_file(file)
                rows = structure.rows
                selection = structure.select(self._columns)
                for wanted in self._takes if rows else ():
                    why = misfit(selection.row_shapes, wanted)
                    if why:
                        raise dataset_invalid(path, why)
                row_bytes = selection.row_bytes or -(-file.size // max(rows, 1))
                found.append(SurveyedFile(path, file.size, rows, row_bytes, structure.sequential, file.state))
        return found

    def _parts(self, tasks: Sequence[_Task], rows_per_range: int) -> list[_Part]:
        parts = []
        hasher = InputHasher()
        for task in tasks:
            surveyed = self.files[task.file]
            with self._root.open(surveyed.path) as file:
                if file.state != surveyed.state:
                    raise _written(surveyed)
                digest = self._file_digest(file) if task.whole else ""
                ranges = self._range_digests(file, task, hasher, rows_per_range)
                if not file.same():
                    raise _written(surveyed)
            parts.append(_Part(task.file, digest, ranges))
        return parts

    def _file_digest(self, file: DataFile) -> str:
        hasher = hashlib.sha256()
        chunk = np.empty(min(file.chunk_bytes, file.size), np.uint8)
        for offset in range(0, file.size, file.chunk_bytes):
            piece = chunk[: min(file.chunk_bytes, file.size - offset)]
            file.read_into(piece, offset)
            hasher.update(piece.data)
            self._meter.add(len(piece))
        return "sha256:" + hasher.hexdigest()

    def _range_digests(self, file: DataFile, task: _Task, hasher: InputHasher, rows_per_range: int) -> list[str]:
        surveyed = self.files[task.file]
        digests: list[str] = []
        step = rows_per_range * max(1, WINDOW_BYTES // (rows_per_range * surveyed.row_bytes))
        if task.first == task.end:
            return digests
        selection = open_file(file).select(self._columns)
        for start in range(task.first, task.end, step):
            rows = min(step, task.end - start)
            block = selection.read(start, rows)
            digests += [
                hasher.digest(block.slice(inside, min(rows_per_range, rows - inside)))
                for inside in range(0, rows, rows_per_range)
            ]
            self._meter.add(surveyed.size * rows // surveyed.rows)
        return digests


@dataclass(frozen=True, slots=True)
class _Task:
    """What is hashed of a file: its bytes, where `whole` is said, and the rows from `first` to before `end`."""

    file: int
    whole: bool
    first: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """What a task gives: the digest of the file, empty where it is not whole, and those of its ranges of rows."""

    file: int
    digest: str
    ranges: list[str]


class _Meter:
    """Adds up what threads have done."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Say that bytes are done."""
        if self._progress is None:
            return
        with self._lock:
            self._done += count
            self._progress(self._done, self._total)


def _tasks(files: Sequence[SurveyedFile], rows_per_range: int) -> Iterator[list[_Task]]:
    """Yield what threads take at once, in order of the files: several small files, or a part of a large one."""
    batch: list[_Task] = []
    batched = 0
    for index, file in enumerate(files):
        if file.size < SPAN_BYTES:
            batch.append(_Task(index, whole=True, end=file.rows))
            batched += file.size
        if batch and (file.size >= SPAN_BYTES or batched >= BATCH_BYTES or len(batch) >= BATCH_FILES):
            yield batch
            batch, batched = [], 0
        if file.size >= SPAN_BYTES:
            yield [_Task(index, whole=True)]
            yield from ([_Task(index, False, *span)] for span in _spans(file, rows_per_range))
    if batch:
        yield batch


def _spans(file: SurveyedFile, rows_per_range: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that threads read apart, as first row and the row behind the last."""
    step = file.rows if file.sequential else rows_per_range * max(1, SPAN_BYTES // (rows_per_range * file.row_bytes))
    return ((first, min(first + step, file.rows)) for first in range(0, file.rows, max(step, 1)))


def _written(surveyed: SurveyedFile) -> FailedPreconditionError:
    return dataset_changed(surveyed.path, "was written to while the plan was made")
