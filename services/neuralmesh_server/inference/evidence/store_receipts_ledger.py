"""How many receipts a node owes: a few counters in memory that a kill of the process leaves behind.

A receipt is due from the moment its prediction is answered; it is kept when it stands in a segment. The difference is
what was lost, and it can be told after a kill only if the first number outlives the process. So both are in a file that
is mapped into memory: to count costs one store, and the system keeps the page whatever happens to the process. A power
failure may take the last second of it.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()

MAGIC = b"NMLEDGR1"
BYTES = 4096

_RINGS = (slice(0, 64), slice(128, 192))
"""Where an `oip_receipts` of native/include/oip.h stands for each codec, the loop's and the front's."""
_WRITTEN, _DROPPED = 8, 24
"""Fields of it."""
_HEAD = struct.Struct("<8sQQQ")
_HEAD_AT = 64
_COUNTER = struct.Struct("<Q")
_DUE, _KEPT, _COUNTED = _HEAD_AT + 8, _HEAD_AT + 16, _HEAD_AT + 24


class Ledger:
    """The counters of a node's folder since it was made; one process has it open.

    Args:
        path: The file; it is made where it is missing.
        kept: Receipts that are known to have been kept, from the segments.

    Attributes:
        gap: Receipts that earlier processes lost without having counted them.
        rings: Memory for the counters of the ring of each codec, the loop's and the front's, so that what is due there
            outlives the process as well.
    """

    def __init__(self, path: Path, kept: int) -> None:
        due, noted, counted = _read(path)
        self._kept = max(kept, noted)
        self._due = max(due, self._kept + counted)
        self.gap = self._due - self._kept - counted
        self._counted = counted + self.gap
        head = _HEAD.pack(MAGIC, self._due, self._kept, self._counted)
        _replace(path, (bytes(_HEAD_AT) + head).ljust(BYTES, b"\0"))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), BYTES)
        self.rings = tuple(memoryview(self._page)[ring] for ring in _RINGS)

    @property
    def kept(self) -> int:
        """Receipts that were ever kept."""
        return self._kept

    @property
    def lost(self) -> int:
        """Receipts that were ever lost and counted, those of the rings included."""
        return self._counted + _sum(self._page, _DROPPED)

    def owe(self) -> None:
        """Note that one more receipt is due."""
        self._due += 1
        _COUNTER.pack_into(self._page, _DUE, self._due)

    def lose(self, count: int) -> None:
        """Count receipts that were due and will not be kept."""
        self._counted += count
        _COUNTER.pack_into(self._page, _COUNTED, self._counted)

    def keep(self, kept: int) -> None:
        """Note how many were ever kept."""
        self._kept = kept
        _COUNTER.pack_into(self._page, _KEPT, kept)


def _read(path: Path) -> tuple[int, int, int]:
    """Return due, kept and counted as an earlier process left them."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0, 0, 0
    if len(content) != BYTES or not content.startswith(MAGIC, _HEAD_AT):
        log.error("receipt_ledger_damaged", path=str(path))
        return 0, 0, 0
    _, due, kept, counted = _HEAD.unpack_from(content, _HEAD_AT)
    written, dropped = _sum(content, _WRITTEN), _sum(content, _DROPPED)
    return due + written + dropped, kept, counted + dropped


def _sum(page: bytes | mmap.mmap, field: int) -> int:
    """Return the sum of a field of all rings; those that nobody wrote are zero."""
    return sum(int(_COUNTER.unpack_from(page, ring.start + field)[0]) for ring in _RINGS)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".tmp")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
