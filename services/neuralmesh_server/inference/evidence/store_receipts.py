"""Receipts on disk: segment files in one folder for each model, only ever appended to, removed whole.

A model's segments are its own, so that its age and its bytes are kept by deleting its oldest files. What finds a
receipt is a summary of each segment: the epochs, numbers and versions in it. A segment that is complete has its summary
in a file beside it; one without, such as the last before a kill, is read again and cut where its checksums end. There
is no database, and nothing is ever rewritten. docs/operations.md describes the files.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server import names
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.inference.evidence import store_receipts_format as form
from neuralmesh_server.inference.evidence.receipts import Digests
from neuralmesh_server.inference.evidence.store_receipts_ledger import Ledger
from neuralmesh_server.inference.evidence.store_receipts_segment import Segment, rebuilt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from neuralmesh_server.inference.evidence.receipts import Receipt
    from neuralmesh_server.inference.policy import Receipts

log = structlog.get_logger()

LARGEST_SEGMENT = 8 * 1024 * 1024
SMALLEST_SEGMENT = 64 * 1024
SEGMENTS = 8
"""Segments that a model's bytes are spread over; its age is spread over twice as many."""
LONGEST_SEGMENT_SECONDS = 3600.0
MOST_PAYLOAD_BYTES = 256 * 1024 * 1024
"""Most bytes of payloads that `newest` holds in memory."""


class ReceiptFolder:
    """See neuralmesh_server.inference.evidence.receipts.Archive. Safe from several threads; one of them writes.

    Args:
        folder: The folder; it is created with mode 0700.

    Attributes:
        ledger: The node's counters.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._segments: dict[str, list[Segment]] = {}
        self._open: dict[str, Segment] = {}
        self._unsynced: set[Segment] = set()
        for place in sorted(folder.iterdir()):
            if place.is_dir() and _is_model(place.name):
                self._segments[place.name] = [rebuilt(path) for path in sorted(place.glob("*.seg"))]
        every = [segment for segments in self._segments.values() for segment in segments]
        self.ledger = Ledger(folder / "ledger", max((segment.last for segment in every), default=0))
        self._kept = self.ledger.kept

    def write(self, entries: Sequence[Receipt | Digests], limits: Receipts) -> None:
        """Keep receipts of one model, all or none; raises OSError."""
        model = entries[0].subject.model
        segment = self._segment(model, limits)
        number = self._kept
        added: list[bytes] = []
        known = dict(segment.numbers)
        for entry in entries:
            if entry.subject not in known:
                known[entry.subject] = len(known)
                added.append(form.frame(form.subject_body(entry.subject)))
            added.append(form.frame(form.entry_body(entry, known[entry.subject], number + 1)))
            number += entry.count if isinstance(entry, Digests) else 1
        data = b"".join(added)
        try:
            segment.append(data)
        except OSError:
            if not segment.cut():  # what stands there now is torn; readers stop before it
                self._open.pop(model, None)
            raise
        with self._lock:
            segment.take(memoryview(data))
            self._unsynced.add(segment)
        self._kept = number
        self.ledger.keep(number)

    def sync(self) -> None:
        """Bring what was written onto the disk; raises OSError."""
        for segment in list(self._unsynced):
            segment.sync()
            self._unsynced.discard(segment)

    def trim(self, limits: Callable[[str], Receipts]) -> None:
        """Remove the oldest segments of models that are beyond their limits; raises OSError."""
        now = time.time_ns() // 1_000_000
        for model in list(self._segments):
            bounds = limits(model)
            while self._is_beyond(model, bounds, now):
                with self._lock:
                    segment = self._segments[model].pop(0)
                if self._open.get(model) is segment:
                    del self._open[model]
                self._unsynced.discard(segment)
                segment.remove()

    def find(self, identity: bytes) -> Receipt | None:
        """Return the receipt of a prediction, with what is kept of it."""
        with self._lock:
            candidates = [
                (segment, segment.size)
                for segments in self._segments.values()
                for segment in segments
                if segment.may_hold(identity)
            ]
        for segment, size in candidates:
            found = segment.find(identity, size)
            if found is not None:
                return found
        return None

    def page(self, model: str, version: int, below: int, limit: int) -> list[Receipt]:
        """Return receipts of a model with a number less than `below`, newest first, without payloads.

        Args:
            model: Name of the model.
            version: Only this version; 0 for all.
            below: 0 for no bound.
            limit: At most this many.
        """
        found: list[Receipt] = []
        for receipt in self._backwards(model, below, payloads=False):
            if version in (0, receipt.subject.version):
                found.append(receipt)
                if len(found) == limit:
                    break
        return found

    def newest(self, model: str, limit: int) -> list[Receipt]:
        """Return the newest receipts that have payloads, newest first; at most MOST_PAYLOAD_BYTES of them."""
        found: list[Receipt] = []
        left = MOST_PAYLOAD_BYTES
        for receipt in self._backwards(model, 0, payloads=True):
            if receipt.request is None or receipt.response is None:
                continue
            left -= len(receipt.request) + len(receipt.response)
            if left < 0:
                break
            found.append(receipt)
            if len(found) == limit:
                break
        return found

    def _backwards(self, model: str, below: int, *, payloads: bool) -> Iterator[Receipt]:
        with self._lock:
            segments = [(segment, segment.size) for segment in self._segments.get(model, ())]
        for segment, size in reversed(segments):
            if not below or segment.first < below - 1:
                for receipt in segment.backwards(size, payloads=payloads):
                    if not below or receipt.number < below:
                        yield receipt

    def _segment(self, model: str, limits: Receipts) -> Segment:
        """Return the segment that a model's next receipts go to."""
        segment = self._open.get(model)
        if segment is not None and self._is_full(segment, limits):
            segment.sync()
            segment.seal()
            self._unsynced.discard(segment)
            del self._open[model]
            segment = None
        if segment is None:
            place = self._folder / names.check_model(model)
            place.mkdir(mode=0o700, exist_ok=True)
            number = 1 + max((held.index for held in self._segments.get(model, ())), default=0)
            segment = Segment.begin(place / f"{number:08d}.seg", self._kept)
            with self._lock:
                self._segments.setdefault(model, []).append(segment)
            self._open[model] = segment
        return segment

    def _is_full(self, segment: Segment, limits: Receipts) -> bool:
        most = min(max(limits.max_bytes // SEGMENTS, SMALLEST_SEGMENT), LARGEST_SEGMENT)
        longest = min(max(limits.max_age_seconds / SEGMENTS / 2, 1.0), LONGEST_SEGMENT_SECONDS)
        aged = segment.first_ms and time.time_ns() // 1_000_000 - segment.first_ms > longest * 1000
        return segment.size >= most or bool(aged) or len(segment.subjects) >= form.MAX_SUBJECTS // 2

    def _is_beyond(self, model: str, limits: Receipts, now: int) -> bool:
        segments = self._segments[model]
        if not segments:
            return False
        if now - segments[0].last_ms > limits.max_age_seconds * 1000:
            return True
        return sum(segment.size for segment in segments) > limits.max_bytes


def _is_model(name: str) -> bool:
    try:
        names.check_model(name)
    except NeuralMeshError:
        return False
    return os.sep not in name
