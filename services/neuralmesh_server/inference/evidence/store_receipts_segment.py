"""One segment file: appended to by its writer, summarised, sealed, and read by any thread as far as it is sound."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from neuralmesh_server.inference.evidence import store_receipts_format as form

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from neuralmesh_server.inference.evidence.receipts import Receipt, Subject

log = structlog.get_logger()

_SUFFIX = ".summary"


@dataclass(eq=False, slots=True)
class Segment:
    """A segment and what is known of it.

    Attributes:
        size: Bytes that are sound, the header included.
        first: Receipts that the node had kept before it.
        last: Number of its last receipt; `first` while it has none.
        first_ms: When its earliest prediction was made, ms since 1970; 0 while it has none.
        last_ms: When its latest prediction was made; while it has none, when it was begun.
        ranges: For each model number and epoch the lowest and the highest sequence.
        subjects: What its receipts are about, in order.
    """

    path: Path
    size: int
    first: int
    last: int
    first_ms: int = 0
    last_ms: int = 0
    ranges: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    subjects: list[Subject] = field(default_factory=list)
    numbers: dict[Subject, int] = field(default_factory=dict)

    @property
    def index(self) -> int:
        """Position among the model's segments."""
        return int(self.path.stem)

    @classmethod
    def begin(cls, path: Path, kept: int) -> Segment:
        """Make a segment; raises OSError."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(file, form.HEADER.pack(form.MAGIC, kept))
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        return cls(path, form.HEADER.size, kept, kept)

    def append(self, data: bytes) -> None:
        """Write behind what is sound; raises OSError, and then `cut` is due."""
        file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.lseek(file, self.size, os.SEEK_SET)
            _write_all(file, data)
        finally:
            os.close(file)

    def cut(self) -> bool:
        """Cut the file to what is sound; returns whether that succeeded."""
        try:
            os.truncate(self.path, self.size)
        except OSError as error:
            log.warning("receipt_segment_torn", path=str(self.path), why=str(error))
            return False
        return True

    def sync(self) -> None:
        """Bring the segment onto the disk; raises OSError."""
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(file)
        finally:
            os.close(file)

    def take(self, data: memoryview) -> None:
        """Summarise sound frames that stand behind what is summarised."""
        at = 0
        while at < len(data):
            length, _ = form.FRAME.unpack_from(data, at)
            self._add(data[at + form.FRAME.size : at + form.FRAME.size + length])
            at += form.FRAME.size + length
        self.size += len(data)

    def _add(self, body: memoryview) -> None:
        if body[0] == form.SUBJECT:
            subject = form.read_subject(body)
            self.numbers[subject] = len(self.subjects)
            self.subjects.append(subject)
            return
        place, number, count = form.numbers(body)
        moment = form.moment(body, self.subjects[place].uid)
        low, high = self.ranges.get((moment.uid, moment.epoch), (moment.low, moment.high))
        self.ranges[moment.uid, moment.epoch] = (min(low, moment.low), max(high, moment.high))
        self.last = number + count - 1
        self.first_ms = min(self.first_ms or moment.first_ms, moment.first_ms)
        self.last_ms = max(self.last_ms, moment.last_ms)

    def may_hold(self, identity: bytes) -> bool:
        """Say whether the receipt of a prediction id of 48 bytes could be here."""
        number = int.from_bytes
        found = self.ranges.get((number(identity[23:27], "big"), number(identity[:6], "big")))
        return found is not None and found[0] <= number(identity[11:17], "big") <= found[1]

    def find(self, identity: bytes, size: int) -> Receipt | None:
        """Return the receipt of a prediction, with its payloads, if it is within the first `size` bytes."""
        for _, body in form.frames(self._read(size)):
            if body[0] != form.SUBJECT and form.holds(body, identity):
                for receipt in form.receipts(body, self.subjects, payloads=True):
                    if receipt.id == identity:
                        return receipt
        return None

    def backwards(self, size: int, *, payloads: bool) -> Iterator[Receipt]:
        """Yield the receipts within the first `size` bytes, newest first."""
        bodies = [body for _, body in form.frames(self._read(size)) if body[0] != form.SUBJECT]
        for body in reversed(bodies):
            yield from form.receipts(body, self.subjects, payloads=payloads)

    def seal(self) -> None:
        """Write the summary beside the segment, which nothing is added to any more; raises OSError."""
        summary = {
            "size": self.size,
            "first": self.first,
            "last": self.last,
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "ranges": [[*key, *bounds] for key, bounds in self.ranges.items()],
            "subjects": [bytes(form.subject_body(subject)[1:]).decode() for subject in self.subjects],
        }
        beside = self.path.with_suffix(".tmp")
        beside.write_text(json.dumps(summary))
        beside.rename(self.path.with_suffix(_SUFFIX))

    def remove(self) -> None:
        """Delete the segment; raises OSError."""
        self.path.with_suffix(_SUFFIX).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _read(self, size: int) -> memoryview:
        try:
            with self.path.open("rb") as file:
                return memoryview(file.read(size))
        except FileNotFoundError:  # its time was over a moment ago
            return memoryview(b"")


def rebuilt(path: Path) -> Segment:
    """Return a segment that an earlier process left, from its summary or from what is sound in it, which is sealed."""
    return _summarised(path) or _recovered(path)


def _summarised(path: Path) -> Segment | None:
    try:
        said = json.loads(path.with_suffix(_SUFFIX).read_bytes())
        subjects = [form.read_subject(memoryview(b"\0" + text.encode())) for text in said["subjects"]]
        ranges = {(uid, epoch): (low, high) for uid, epoch, low, high in said["ranges"]}
        segment = Segment(
            path, said["size"], said["first"], said["last"], said["first_ms"], said["last_ms"], ranges, subjects
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        log.warning("receipt_summary_damaged", path=str(path))
        return None
    segment.numbers = {subject: place for place, subject in enumerate(subjects)}
    return segment if path.stat().st_size == segment.size else None


def observed(path: Path) -> Segment:
    """Return a segment that another process may be writing, as far as it is sound now; it is left as it is.

    Raises:
        FileNotFoundError: It is gone.
    """
    return _summarised(path) or _scanned(path, path.read_bytes())


def _scanned(path: Path, data: bytes) -> Segment:
    """Read a segment as far as it is sound."""
    first, sound = 0, form.HEADER.size
    if len(data) >= sound and data.startswith(form.MAGIC):
        _, first = form.HEADER.unpack_from(data)
        sound = max((end for end, _ in form.frames(memoryview(data))), default=sound)
    segment = Segment(path, form.HEADER.size, first, first)
    segment.take(memoryview(data)[form.HEADER.size : sound])
    return segment


def _recovered(path: Path) -> Segment:
    """Read a segment without a summary, cut it where it is torn, and seal it."""
    data = path.read_bytes()
    segment = _scanned(path, data)
    if segment.size != len(data):
        log.warning("receipt_segment_torn", path=str(path), bytes_cut=len(data) - segment.size)
        segment.cut()
    if not segment.last_ms:
        segment.last_ms = path.stat().st_mtime_ns // 1_000_000
    segment.seal()
    return segment


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
