"""Memory that the serving codec fills: totals, labels and receipts, until somebody takes them.

The layouts are those of `native/include/oip.h`. Nothing here locks: one thread fills a block, and whoever empties it is
that thread or holds it off; to read a number needs neither. `Stats` may lie in memory that other processes read.
`Numbers` are for any number of threads.
"""

import base64
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liam_core.kernel import ffi, lib

__all__ = ["ID_TEXT", "RECEIPT", "RING_BYTES", "STATS_BYTES", "HeldLabels", "Labels", "Numbers", "Receipts", "Stats"]

STATS_BYTES: Final[int] = ffi.sizeof("oip_stats")
FIRST_BUCKET: Final[int] = lib.OIP_FIRST_BUCKET
ID_BYTES: Final[int] = lib.OIP_ID_BYTES
ID_TEXT: Final[int] = lib.OIP_ID_TEXT
RECEIPT: Final = np.dtype(
    {
        "names": ["id", "request", "outputs", "owner", "flags"],
        "formats": ["V48", "V32", "V32", "<u4", "<u4"],
        "offsets": [0, 48, 80, 112, 116],
        "itemsize": ffi.sizeof("oip_receipt"),
    }
)
"""A digest receipt as `oip_receipt` lays it out."""
RING_BYTES: Final[int] = ffi.sizeof("oip_receipts")


class Numbers:
    """The numbers of a process's predictions: each is given once, to whichever thread asks.

    Args:
        last: The last number that was given.
    """

    __slots__ = ("block",)

    def __init__(self, last: int = 0) -> None:
        self.block: Any = ffi.new("uint64_t *", last)

    @property
    def last(self) -> int:
        """The last number that was given."""
        number: int = self.block[0]
        return number

    def next(self) -> int:
        """Take the next number."""
        number: int = lib.oip_next(self.block)
        return number


class Stats:
    """Totals and the latency histogram of one version, in memory that may be shared.

    Args:
        memory: Bytes, zero at first, as a buffer; kept while this object lives.
        at: Where in them the block's STATS_BYTES begin, aligned to 8.
    """

    __slots__ = ("_histogram", "_memory", "block", "buckets")

    def __init__(self, memory: Any, at: int = 0) -> None:
        self._memory = _as_array(memory)[at : at + STATS_BYTES]
        self.block: Any = ffi.from_buffer("oip_stats *", self._memory, require_writable=True)
        self._histogram = self._memory[ffi.offsetof("oip_stats", "recorded") :]
        self.buckets: NDArray[np.uint64] = self._memory[ffi.offsetof("oip_stats", "buckets") :].view(np.uint64)

    def record(self, nanoseconds: int) -> None:
        """Count a latency."""
        lib.oip_record(self.block, nanoseconds)

    def count(self, rows: int, started: int, read: int, ran: int, now: int) -> None:
        """Count an answered request by its moments in nanoseconds."""
        lib.oip_count(self.block, rows, started, read, ran, now)

    def latencies(self) -> dict[int, int]:
        """Return count by index of the histogram's buckets, without empty ones."""
        used = np.flatnonzero(self.buckets)
        return dict(zip((used + FIRST_BUCKET).tolist(), self.buckets[used].tolist(), strict=True))

    def forget_latencies(self) -> None:
        """Empty the histogram."""
        self._histogram.fill(0)


class Labels:
    """INT64 labels of predictions until they are taken.

    Args:
        limit: Most predictions held; 0 holds none and counts none as dropped.
        size: Most bytes of labels held.
    """

    __slots__ = ("_ids", "_owners", "_rows", "_values", "block")

    def __init__(self, limit: int, size: int) -> None:
        self._ids = np.zeros((limit, ID_BYTES), np.uint8)
        self._owners = np.zeros(limit, np.uint32)
        self._rows = np.zeros(limit, np.uint32)
        self._values = np.zeros(size // 8 if limit else 0, np.int64)
        self.block: Any = ffi.new("oip_labels *")
        self.block.limit, self.block.capacity = limit, len(self._values)
        self.block.ids = ffi.from_buffer("uint8_t[]", self._ids)
        self.block.owners = ffi.from_buffer("uint32_t[]", self._owners)
        self.block.rows = ffi.from_buffer("uint32_t[]", self._rows)
        self.block.values = ffi.from_buffer("int64_t[]", self._values)

    def held(self) -> "HeldLabels":
        """Return a copy of what is held."""
        count, used = self.block.count, self.block.used
        return HeldLabels(
            self._ids[:count].copy(), self._owners[:count].copy(), self._rows[:count].copy(), self._values[:used].copy()
        )

    def forget(self) -> None:
        """Hold none."""
        self.block.count = self.block.used = 0


@dataclass(frozen=True, slots=True)
class HeldLabels:
    """Labels of predictions in order: id, owner and number of labels of each, and the labels of all."""

    ids: NDArray[np.uint8]
    owners: NDArray[np.uint32]
    rows: NDArray[np.uint32]
    values: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> "HeldLabels":
        """Return those of so many predictions at most."""
        rows = self.rows[:count]
        return HeldLabels(self.ids[:count], self.owners[:count], rows, self.values[: int(rows.sum())])

    def by_owner(self) -> list[tuple[int, list[str], list[int], bytes]]:
        """Return owner, ids as 64 characters, numbers of labels, and all labels of the predictions of each owner."""
        found = []
        for owner in np.unique(self.owners).tolist():
            mine = self.owners == owner
            text = base64.urlsafe_b64encode(self.ids[mine].tobytes()).decode()
            ids = [text[start : start + ID_TEXT] for start in range(0, len(text), ID_TEXT)]
            found.append((owner, ids, self.rows[mine].tolist(), self.values[np.repeat(mine, self.rows)].tobytes()))
        return found


class Receipts:
    """Digest receipts until they are taken; what finds no room is dropped and counted.

    Args:
        capacity: Most receipts held.
        memory: RING_BYTES bytes for the counters, zero, where they shall outlive the process; kept while this lives.
    """

    __slots__ = ("_memory", "_records", "block")

    def __init__(self, capacity: int, memory: Any = None) -> None:
        self._records = np.zeros(capacity, RECEIPT)
        self._memory = _as_array(bytearray(RING_BYTES) if memory is None else memory)
        self.block: Any = ffi.from_buffer("oip_receipts *", self._memory, require_writable=True)
        self.block.capacity = capacity
        self.block.records = ffi.cast("oip_receipt *", ffi.from_buffer(self._records))

    def __len__(self) -> int:
        waiting: int = self.block.written - self.block.taken
        return waiting

    @property
    def dropped(self) -> int:
        """How many receipts found no room."""
        count: int = self.block.dropped
        return count

    def take(self) -> NDArray[Any]:
        """Return the receipts held, in order, as a new array of RECEIPT; another thread may be writing more."""
        written = self.block.written
        order = np.arange(self.block.taken, written, dtype=np.uint64) % max(len(self._records), 1)
        taken = self._records[order.astype(np.intp)]
        self.block.taken = written
        return taken


def _as_array(memory: Any) -> NDArray[np.uint8]:
    """Return memory as an array, which C may point into.

    A memoryview that the garbage collector finds in a cycle while something points into it makes CPython 3.11 crash.
    """
    return np.frombuffer(memory, np.uint8)
