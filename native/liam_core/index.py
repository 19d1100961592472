"""Running a binary index: from queries to the ids of their nearest codes, in a few C calls for all rows."""

import os
from collections.abc import Callable
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from liam_core.bits import check_array, from_packbits, pack, words_for
from liam_core.errors import ResultSizeError
from liam_core.index_definition import FLOATS, IndexDefinition
from liam_core.index_profile import FORMAT, FORMAT_VERSION, INPUT_NAME, read_binary_index
from liam_core.kernel import ffi, lib, pointer
from liam_core.search import BinaryCodes, rescore_vectors

__all__ = ["MAX_RESULT_BYTES", "BinaryIndex", "StoppedError"]

MAX_RESULT_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of the results of one run."""
COUNT_BYTES: Final = 8
ID_BYTES: Final = 8
DISTANCE_BYTES: Final = 4
BLOCK_WORDS: Final = 1 << 30
"""Words of codes that are compared between two looks at whether to go on; about a twentieth of a second."""
LEAST_BLOCK: Final = 16
"""Rows that are compared together at least: fewer are slower."""
MOST_FOUND: Final = 1 << 22
"""Neighbours of a block: its rows times the shortlist, or times all codes, which may all be within a radius."""

_METRICS: Final = {
    "hamming": lib.LIAM_METRIC_HAMMING,
    "dot": lib.LIAM_METRIC_DOT,
    "jaccard": lib.LIAM_METRIC_JACCARD,
}
_IDS: Final = {"name": "ids", "datatype": "INT64"}


class StoppedError(Exception):
    """A run was told not to go on."""


class BinaryIndex:
    """An index that is ready to search; immutable, and safe to share by threads.

    Input `input`, float32 (m, nbits) or uint8 (m, ceil(nbits / 8)). Outputs of an index with `k`: `ids`, int64 (m, k),
    nearest first, ties in the order of the file; `distances`, int32 (m, k), float32 for jaccard; and with rescoring
    `scores`, float32 (m, k), by which the neighbours are then ordered, greatest first. Outputs of an index with a
    radius: `counts`, int64 (m,), and the `ids` and `distances` of all queries' matches one after the other, each
    query's nearest first. Every row's results are the same bits whatever rows are beside it, at every SIMD level.
    A NaN in a query is below every threshold, and a score of NaN is the last.
    """

    def __init__(self, definition: IndexDefinition) -> None:
        self._codes = BinaryCodes(definition.codes, definition.nbits)
        self._ids = definition.ids.copy()
        self._nbits, self._metric = definition.nbits, definition.metric
        self._k, self._radius = definition.k, definition.radius
        self._floats = definition.input_form == FLOATS
        self._thresholds = None if definition.thresholds is None else definition.thresholds.copy()
        rescoring = definition.rescoring
        self._rescores = rescoring is not None
        self._shortlist = 0 if definition.k is None else definition.shortlist
        self._vectors = None if rescoring is None or rescoring.vectors is None else rescoring.vectors.copy()
        self._distance_type: Any = np.dtype(np.float32 if definition.metric == "jaccard" else np.int32)
        each = ID_BYTES + DISTANCE_BYTES * (2 if self._rescores else 1)
        self._row_bytes = COUNT_BYTES if definition.k is None else definition.k * each
        words = words_for(definition.nbits)
        self._codes_bytes = definition.codes.nbytes
        block = max(BLOCK_WORDS // (definition.rows * words), LEAST_BLOCK)
        self._block = max(min(block, MOST_FOUND // (self._shortlist or definition.rows)), 1)
        self._handle = None if definition.k is None or self._rescores else self._make_handle(definition.k)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Return the index in a `liam.binary_index` file. The file is not needed afterwards.

        Raises:
            ModelFormatError: the file breaks a rule of the format; the message names it.
            OSError: the file cannot be read.
        """
        return cls(read_binary_index(path))

    @property
    def rows(self) -> int:
        """The number of codes."""
        return len(self._ids)

    @property
    def nbits(self) -> int:
        """The width of a code in bits."""
        return self._nbits

    @property
    def handle(self) -> Any:
        """The index for C, as long as this object lives; None where C alone does not search it."""
        return self._handle

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the index holds, about."""
        kept = (self._ids, self._thresholds, self._vectors)
        return self._codes_bytes + sum(array.nbytes for array in kept if array is not None)

    def describe(self) -> dict[str, Any]:
        """Return the format, the signature as the Open Inference Protocol has it, and how the index searches.

        `ragged` names the outputs whose first dimension counts matches, and not the rows of the input.
        """
        datatype, width = ("FP32", self._nbits) if self._floats else ("UINT8", (self._nbits + 7) // 8)
        distances = {"name": "distances", "datatype": "FP32" if self._metric == "jaccard" else "INT32"}
        if self._k is None:
            outputs = [
                {"name": "counts", "datatype": "INT64", "shape": [-1]},
                {**_IDS, "shape": [-1]},
                {**distances, "shape": [-1]},
            ]
        else:
            outputs = [{**_IDS, "shape": [-1, self._k]}, {**distances, "shape": [-1, self._k]}]
        if self._rescores:
            outputs.append({"name": "scores", "datatype": "FP32", "shape": [-1, self._k]})
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "inputs": [{"name": INPUT_NAME, "datatype": datatype, "shape": [-1, width]}],
            "outputs": outputs,
            "ragged": ["ids", "distances"] if self._k is None else [],
            "rows": self.rows,
            "nbits": self._nbits,
            "metric": self._metric,
            "k": self._k,
            "radius": self._radius,
            "shortlist": self._shortlist if self._rescores else None,
            "nbytes": self.nbytes,
        }

    def run(
        self,
        x: NDArray[np.float32] | NDArray[np.uint8],
        *,
        threads: int = 1,
        goes_on: Callable[[], bool] | None = None,
    ) -> tuple[NDArray[Any], ...]:
        """Return the outputs, in the order of the signature, for the rows of `x`, which may be none.

        Args:
            x: Queries, C-contiguous: float32 (m, nbits), or uint8 (m, ceil(nbits / 8)) whose first bit is the least
                significant one of the first byte; bits past `nbits` are ignored.
            threads: How many threads may search.
            goes_on: Asked now and then in a long run; False ends it.

        Raises:
            ValueError: `x` is none of these.
            ResultSizeError: The results would have more than MAX_RESULT_BYTES.
            StoppedError: `goes_on` said no.
        """
        bits = self._bits(x)
        if len(x) * self._row_bytes > MAX_RESULT_BYTES:
            raise ResultSizeError(
                f"x: {len(x)} rows give at least {len(x) * self._row_bytes} bytes of results; send at most"
                f" {MAX_RESULT_BYTES // self._row_bytes} rows at once"
            )
        if len(x) <= self._block:
            return self._found(x, bits, threads)
        parts = []
        size = 0
        for start in range(0, len(x), self._block):
            if goes_on is not None and not goes_on():
                raise StoppedError
            stop = start + self._block
            parts.append(self._found(x[start:stop], bits[start:stop], threads))
            size += sum(part.nbytes for part in parts[-1])
            _check_matches(size)
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _make_handle(self, k: int) -> Any:
        handle = ffi.new("liam_index *")
        prepared, popcounts = self._codes.prepared(self._metric)
        handle.prepared, handle.rows, handle.nbits = prepared, self.rows, self._nbits
        handle.ids = pointer("int64_t[]", self._ids)
        handle.row_popcounts = ffi.NULL if popcounts is None else pointer("uint32_t[]", popcounts)
        handle.thresholds = ffi.NULL if self._thresholds is None else pointer("float[]", self._thresholds)
        handle.k, handle.metric, handle.packed = k, _METRICS[self._metric], not self._floats
        return handle

    def _bits(self, x: NDArray[Any]) -> NDArray[np.uint64]:
        if self._floats:
            check_array("x", x, (np.float32,), 2)
            if x.shape[1] != self._nbits:
                raise ValueError(f"x: want {self._nbits} columns, got {x.shape[1]}")
            return pack(x, self._thresholds)
        check_array("x", x, (np.uint8,), 2)
        if x.shape[1] != (self._nbits + 7) // 8:
            raise ValueError(f"x: want {(self._nbits + 7) // 8} bytes per row for {self._nbits} bits, got {x.shape[1]}")
        return from_packbits(x, self._nbits, "little")

    def _found(self, x: NDArray[Any], bits: NDArray[np.uint64], threads: int) -> tuple[NDArray[Any], ...]:
        if self._radius is not None:
            matches = self._codes.within(bits, self._radius, metric=self._metric, threads=threads)
            _check_matches(len(matches.positions) * (ID_BYTES + DISTANCE_BYTES))
            return matches.counts, self._ids[matches.positions], self._typed(matches.distances)
        found = self._codes.top_k(bits, self._shortlist, metric=self._metric, threads=threads)
        positions, distances = found.positions, found.distances
        if not self._rescores:
            return self._ids[positions], self._typed(distances)
        if self._vectors is None:
            scores = self._codes.rescore(x, positions)
        else:
            scores = rescore_vectors(x, self._vectors, positions)
        # Greatest first, ties by position, NaN last: the last key counts most.
        order = np.lexsort((positions, -scores), axis=-1)[:, : self._k]
        scores = np.take_along_axis(scores, order, axis=-1)
        scores[np.isnan(scores)] = np.nan  # one pattern of bits for all of them
        kept = np.take_along_axis(positions, order, axis=-1)
        return self._ids[kept], self._typed(np.take_along_axis(distances, order, axis=-1)), scores

    def _typed(self, distances: NDArray[Any]) -> NDArray[Any]:
        return distances.astype(self._distance_type, copy=False)


def _check_matches(size: int) -> None:
    if size > MAX_RESULT_BYTES:
        raise ResultSizeError(
            f"x: the matches take more than {MAX_RESULT_BYTES} bytes; send fewer rows at once, or use a smaller radius"
        )
