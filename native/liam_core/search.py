"""Search among binary codes: distances, the nearest codes, the codes within a radius, and float rescoring.

Hamming distance is the number of bits that differ; `dot` is the inner product of +1 and -1, `nbits - 2 * Hamming`;
Jaccard distance is the share of bits that differ among those set in either code, 0 for two empty codes. All searches
are exact and look at every code. Where distances are equal, the lower position comes first. Results are the same
bits at every SIMD level and number of threads.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from liam_core.arguments import integer, real_scalar
from liam_core.bits import check_array, check_bits, words_for
from liam_core.kernel import call, ffi, lib, pointer
from liam_core.shares import in_threads, shares
from liam_core.xnor import prepare_rows, product_workspace

__all__ = ["BinaryCodes", "Matches", "Metric", "Neighbours", "rescore_vectors"]

Metric: TypeAlias = Literal["hamming", "dot", "jaccard"]

_METRICS: Final = ("hamming", "dot", "jaccard")

# Codes in a panel of prepared memory, and queries that the kernel takes through a panel together.
_PANEL: Final = 16
_TILE: Final = 8

# The first room for matches; a search that finds more is run again with as much as it needs.
_FIRST_CAPACITY: Final = 4096

_Result = TypeVar("_Result")


class Neighbours(NamedTuple):
    """The nearest codes of each query, best first."""

    distances: NDArray[Any]
    """(queries, found), of the dtype of `BinaryCodes.distances`."""
    positions: NDArray[np.int64]
    """(queries, found)."""


class Matches(NamedTuple):
    """The codes within a radius, those of the first query first, each query's best first."""

    counts: NDArray[np.int64]
    """(queries,): how many codes each query has."""
    positions: NDArray[np.int64]
    """(counts.sum(),)."""
    distances: NDArray[Any]
    """(counts.sum(),), of the dtype of `BinaryCodes.distances`."""


class BinaryCodes:
    """Codes to search in, copied once into the layout that the kernel reads; immutable and safe to share.

    Args:
        codes: Packed uint64 (rows, words); bits past `nbits` are ignored.
        nbits: Columns.

    Raises:
        ValueError: a wrong dtype, shape, layout or width.
    """

    __slots__ = ("_memory", "_nbits", "_popcounts", "_rows")

    def __init__(self, codes: NDArray[np.uint64], nbits: int) -> None:
        check_bits("codes", codes, nbits, 2)
        if len(codes) > lib.LIAM_MAX_ROWS:
            raise ValueError(f"codes: want at most {lib.LIAM_MAX_ROWS} rows, got {len(codes)}")
        self._rows, self._nbits = len(codes), nbits
        self._memory = prepare_rows("codes", codes, nbits)
        self._popcounts: NDArray[np.uint32] | None = None

    @property
    def rows(self) -> int:
        """The number of codes."""
        return self._rows

    @property
    def nbits(self) -> int:
        """The width of a code in bits."""
        return self._nbits

    def distances(self, queries: NDArray[np.uint64], metric: Metric = "hamming") -> NDArray[Any]:
        """Return the distances of all queries and codes, (m, rows).

        They are uint16 for Hamming (uint32 where nbits is above 65535), int32 for dot and float32 for Jaccard.

        Args:
            queries: Packed (m, words).
            metric: "hamming", "dot" or "jaccard".
        """
        self._check(queries, metric)
        out = np.empty((len(queries), self._rows), self._dtype(metric))
        operands = self._operands(queries)
        if metric == "jaccard":
            row_popcounts = pointer("uint32_t[]", self._row_popcounts())
            status = lib.liam_search_jaccard(*operands, row_popcounts, pointer("float[]", out), self._rows)
        elif metric == "dot":
            room = product_workspace(len(queries), self._rows, self._nbits)
            status = lib.liam_xnor_dot(*operands, pointer("int32_t[]", out), self._rows, *room)
        elif out.dtype == np.uint16:
            status = lib.liam_search_hamming16(*operands, pointer("uint16_t[]", out), self._rows)
        else:
            status = lib.liam_search_hamming32(*operands, pointer("uint32_t[]", out), self._rows)
        call("distances", status)
        return out

    def top_k(self, queries: NDArray[np.uint64], k: int, metric: Metric = "hamming", threads: int = 1) -> Neighbours:
        """Return the `min(k, rows)` nearest codes of each query, sorted by (distance, position).

        With metric "dot" the distances are the products, the largest first.

        Args:
            queries: Packed (m, words).
            k: How many codes.
            metric: "hamming", "dot" or "jaccard".
            threads: How many threads to use, this one among them.
        """
        self._check(queries, metric)
        found = min(integer("k", k, 0), self._rows)
        threads = integer("threads", threads, 1)

        def search(some: NDArray[np.uint64], first: int, last: int) -> NDArray[np.uint64]:
            keys = np.empty((len(some), found), np.uint64)
            operands, to = self._operands(some, first, last), pointer("uint64_t[]", keys)
            if metric == "jaccard":
                popcounts = pointer("uint32_t[]", self._row_popcounts()[first:last])
                status = lib.liam_search_jaccard_top_k(*operands, popcounts, first, found, to)
            else:
                status = lib.liam_search_hamming_top_k(*operands, first, found, to)
            call("top_k", status)
            return keys

        parts, by_queries = self._split(queries, threads, search)
        keys = np.concatenate(parts, axis=0 if by_queries else 1)
        if len(parts) > 1 and not by_queries:
            keys = np.sort(keys, axis=1)[:, :found]
        return Neighbours(self._distances_of(keys, metric), _positions_of(keys))

    def within(
        self, queries: NDArray[np.uint64], radius: float, metric: Metric = "hamming", threads: int = 1
    ) -> Matches:
        """Return the codes at a distance of at most `radius`, each query's sorted by (distance, position).

        With metric "dot" these are the codes whose product is at least `radius`, the largest first.

        Args:
            queries: Packed (m, words).
            radius: An integer of at least 0 for "hamming", any integer for "dot", a number of at least 0 for "jaccard",
                rounded to float32.
            metric: "hamming", "dot" or "jaccard".
            threads: How many threads to use, this one among them.
        """
        self._check(queries, metric)
        limit = self._radius(radius, metric)
        threads = integer("threads", threads, 1)
        m = len(queries)
        if limit is None:
            hits = np.empty((0, 2), np.uint64)
        else:

            def search(some: NDArray[np.uint64], first: int, last: int) -> NDArray[np.uint64]:
                return self._hits(some, first, last, metric, limit)

            parts, by_queries = self._split(queries, threads, search)
            if by_queries:
                for part, share in zip(parts, shares(m, _TILE, threads), strict=True):
                    part[:, 1] += np.uint64(share.start)
            hits = parts[0] if len(parts) == 1 else np.concatenate(parts)

        counts, keys = np.empty(m, np.uint64), np.empty(len(hits), np.uint64)
        source = ffi.cast("liam_hit *", pointer("uint64_t[]", hits))
        to = pointer("uint64_t[]", counts), pointer("uint64_t[]", keys)
        call("within", lib.liam_search_group(source, len(hits), m, *to))
        end = 0
        for count in counts.tolist():
            if count > 1:
                keys[end : end + count].sort()
            end += count
        return Matches(counts.astype(np.int64), _positions_of(keys), self._distances_of(keys, metric))

    def rescore(self, queries: NDArray[np.float32], positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the inner products, float32 (m, c), of float queries and the +1 and -1 of the codes at positions.

        Terms are added in the order that `liam_search.h` defines, so results are the same bits everywhere.

        Args:
            queries: float32 (m, nbits).
            positions: int64 (m, c): each query's codes, within [0, rows).
        """
        out = _check_shortlist(queries, positions, self._nbits)
        status = lib.liam_search_rescore_bits(
            *(pointer("float[]", queries), len(queries), self._nbits),
            *(ffi.from_buffer(self._memory), self._rows, self._nbits),
            *(pointer("int64_t[]", positions), positions.shape[1], positions.shape[1]),
            *(pointer("float[]", out), positions.shape[1]),
        )
        _call_rescore(status, self._rows)
        return out

    def prepared(self, metric: Metric) -> tuple[Any, NDArray[np.uint32] | None]:
        """Return what C searches by a metric: the codes, and the bits set in each where it needs them.

        Both live as long as this object.

        Raises:
            ValueError: `metric` is none.
        """
        _check_metric(metric)
        return ffi.from_buffer(self._memory), self._row_popcounts() if metric == "jaccard" else None

    def _check(self, queries: object, metric: object) -> None:
        check_bits("queries", queries, self._nbits, 2)
        _check_metric(metric)

    def _dtype(self, metric: Metric) -> type[np.generic]:
        if metric == "hamming":
            return np.uint16 if self._nbits <= np.iinfo(np.uint16).max else np.uint32
        return np.int32 if metric == "dot" else np.float32

    def _operands(self, queries: NDArray[np.uint64], first: int = 0, last: int | None = None) -> tuple[object, ...]:
        """Return the arguments that all searches begin with, for codes `first` (of a panel) to `last`."""
        rows = (self._rows if last is None else last) - first
        words = words_for(self._nbits)
        memory = ffi.from_buffer(self._memory[first * words * 8 :] if first else self._memory)
        return pointer("uint64_t[]", queries), len(queries), words, memory, rows, self._nbits

    def _row_popcounts(self) -> NDArray[np.uint32]:
        """Return the bits set in each code: its Hamming distances from none. Threads that race compute the same."""
        if self._popcounts is None:
            none = np.zeros((1, words_for(self._nbits)), np.uint64)
            self._popcounts = self.distances(none)[0].astype(np.uint32)
        return self._popcounts

    def _split(
        self,
        queries: NDArray[np.uint64],
        threads: int,
        search: Callable[[NDArray[np.uint64], int, int], _Result],
    ) -> tuple[list[_Result], bool]:
        """Return what `search` of (queries, first, last) gives for shares of the queries, or else of the codes."""
        rows = self._rows
        by_queries = len(queries) >= threads * _TILE
        if by_queries:
            parts = [(queries[share.start : share.stop], 0, rows) for share in shares(len(queries), _TILE, threads)]
        else:
            parts = [(queries, share.start, share.stop) for share in shares(rows, _PANEL, threads)]
        return in_threads(search, parts), by_queries

    def _radius(self, radius: object, metric: Metric) -> int | float | None:
        """Return the largest distance wanted, as the kernel takes it; None if no distance is small enough."""
        if metric == "jaccard":
            number = real_scalar("radius", radius)
            if number < 0:
                raise ValueError(f"radius: want a number of at least 0, got {number}")
            return min(number, 1.0)
        if metric == "hamming":
            return min(integer("radius", radius, 0), self._nbits)
        largest = (self._nbits - integer("radius", radius)) // 2
        return min(largest, self._nbits) if largest >= 0 else None

    def _hits(
        self, queries: NDArray[np.uint64], first: int, last: int, metric: Metric, limit: float
    ) -> NDArray[np.uint64]:
        """Return the (key, query) of every match among codes `first` to `last`."""
        total = ffi.new("size_t *")
        operands = self._operands(queries, first, last)
        capacity = _FIRST_CAPACITY
        while True:
            hits = np.empty((capacity, 2), np.uint64)
            room = (ffi.cast("liam_hit *", pointer("uint64_t[]", hits)), capacity, total)
            if metric == "jaccard":
                popcounts = pointer("uint32_t[]", self._row_popcounts()[first:last])
                status = lib.liam_search_jaccard_within(*operands, popcounts, first, limit, *room)
            else:
                status = lib.liam_search_hamming_within(*operands, first, limit, *room)
            call("within", status)
            if total[0] <= capacity:
                return hits[: total[0]]
            capacity = total[0]

    def _distances_of(self, keys: NDArray[np.uint64], metric: Metric) -> NDArray[Any]:
        high = (keys >> np.uint64(32)).astype(np.uint32)
        if metric == "jaccard":
            return high.view(np.float32)
        if metric == "dot":
            return self._nbits - 2 * high.astype(np.int32)
        return high.astype(self._dtype(metric), copy=False)


def _check_metric(metric: object) -> None:
    if metric not in _METRICS:
        raise ValueError(f"metric: want 'hamming', 'dot' or 'jaccard', got {metric!r}")


def rescore_vectors(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the inner products, float32 (m, c), of queries and the vectors at positions.

    Products are rounded before they are added, in the order that `liam_search.h` defines.

    Args:
        queries: float32 (m, d).
        vectors: float32 (n, d).
        positions: int64 (m, c): each query's vectors, within [0, n).
    """
    check_array("queries", queries, (np.float32,), 2)
    check_array("vectors", vectors, (np.float32,), 2)
    rows, width = vectors.shape
    out = _check_shortlist(queries, positions, width)
    status = lib.liam_search_rescore_f32(
        *(pointer("float[]", queries), len(queries), width, pointer("float[]", vectors), rows, width, width),
        *(pointer("int64_t[]", positions), positions.shape[1], positions.shape[1]),
        *(pointer("float[]", out), positions.shape[1]),
    )
    _call_rescore(status, rows)
    return out


def _check_shortlist(queries: object, positions: object, width: int) -> NDArray[np.float32]:
    """Refuse queries and positions that do not fit; return the array for their scores."""
    check_array("queries", queries, (np.float32,), 2)
    check_array("positions", positions, (np.int64,), 2)
    assert isinstance(queries, np.ndarray)
    assert isinstance(positions, np.ndarray)
    if queries.shape[1] != width:
        raise ValueError(f"queries: want {width} columns, got {queries.shape[1]}")
    if len(positions) != len(queries):
        raise ValueError(f"positions: want {len(queries)} rows, got {len(positions)}")
    return np.empty(positions.shape, np.float32)


def _call_rescore(status: int, rows: int) -> None:
    if status == lib.LIAM_ERR_VALUE:
        raise ValueError(f"positions: want positions within [0, {rows})")
    call("rescore", status)


def _positions_of(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
