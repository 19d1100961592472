"""Receipts on disk: found again, cut where they are torn, removed when their time is over, counted when they are lost."""

from __future__ import annotations

import base64
import errno
import json
import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liam_core.oip import Numbers
from neuralmesh_server import prediction_id
from neuralmesh_server.inference.evidence import store_receipts, store_receipts_segment
from neuralmesh_server.inference.evidence.receipts import Digests, Receipt, Subject
from neuralmesh_server.inference.evidence.store_receipts import ReceiptFolder
from neuralmesh_server.inference.evidence.store_receipts_neighbours import ReceiptNeighbours
from neuralmesh_server.inference.policy import ReceiptMode, Receipts

LIMITS = Receipts(ReceiptMode.ALL, 1_000_000, payloads=True)
KEY = bytes(range(32))


class Maker:
    """Makes receipts as a node would, at any time."""

    def __init__(self, epoch_ms: int | None = None) -> None:
        self.issuer = prediction_id.Issuer("local", KEY, epoch_ms or time.time_ns() // 1_000_000, Numbers())

    def id(self, subject: Subject, offset_ms: int = 0) -> bytes:
        """Return the next prediction id."""
        part = prediction_id.subject(7, subject.uid, subject.version, subject.digest)
        return base64.urlsafe_b64decode(self.issuer.issue(part, offset_ms)[-64:])

    def payload(self, subject: Subject, size: int = 20, offset_ms: int = 0) -> Receipt:
        """Return a receipt with payloads."""
        return Receipt(
            self.id(subject, offset_ms), subject, "bits", os.urandom(32), os.urandom(32), os.urandom(size), b"answer"
        )

    def digests(self, subject: Subject, count: int) -> Digests:
        """Return receipts without payloads."""
        return Digests(subject, "build", b"".join(self.id(subject) + os.urandom(64) for _ in range(count)))


def subject(version: int = 1, model: str = "digits", uid: int = 3) -> Subject:
    """Return what answered."""
    return Subject(model, uid, version, f"sha256:{version:064x}", "some runtime")


def ids(entries: list[Receipt | Digests]) -> list[bytes]:
    """Return the prediction ids of entries, in order."""
    found: list[bytes] = []
    for entry in entries:
        if isinstance(entry, Digests):
            found += [entry.records[at : at + 48] for at in range(0, len(entry.records), 112)]
        else:
            found.append(entry.id)
    return found


def written(folder: ReceiptFolder, entries: list[Receipt | Digests], limits: Receipts = LIMITS) -> list[bytes]:
    """Write entries as a node would: each is owed first."""
    for _ in ids(entries):
        folder.ledger.owe()
    folder.write(entries, limits)
    return ids(entries)


def test_what_was_written_is_found_whole(tmp_path: Path) -> None:
    """Every receipt comes back with everything that was kept of it, before and after a restart."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    one, two = maker.payload(subject()), maker.payload(subject(2))
    many = maker.digests(subject(), 300)
    written(folder, [one, many])
    written(folder, [two])
    for reopened in (folder, ReceiptFolder(tmp_path), ReceiptFolder(tmp_path)):
        for kept in (one, two):
            found = reopened.find(kept.id)
            assert found is not None
            assert (found.subject, found.exact, found.request, found.response) == (
                kept.subject,
                "bits",
                kept.request,
                b"answer",
            )
            assert (found.request_digest, found.outputs_digest) == (kept.request_digest, kept.outputs_digest)
        for place, identity in enumerate(ids([many])):
            found = reopened.find(identity)
            assert found is not None
            record = many.records[place * 112 :][:112]
            assert (found.request_digest, found.outputs_digest) == (record[48:80], record[80:])
            assert (found.exact, found.request, found.response) == ("build", None, None)
        assert reopened.find(maker.id(subject())) is None
        assert (reopened.ledger.kept, reopened.ledger.lost) == (302, 0)


def test_pages_go_backwards_without_gaps_or_repeats(tmp_path: Path) -> None:
    """Pages of any size list every receipt once, newest first, also while more are written and after a restart."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    expected: list[bytes] = []
    for round_ in range(4):
        expected += written(folder, [maker.digests(subject(), 7), maker.payload(subject(2)), maker.payload(subject())])
        if round_ == 1:
            folder = ReceiptFolder(tmp_path)
    written(folder, [maker.payload(subject(1, "other", 4))])
    for size in (1, 4, 100):
        seen: list[bytes] = []
        below = 0
        while page := folder.page("digits", 0, below, size):
            seen += [receipt.id for receipt in page]
            below = page[-1].number
            if len(seen) == size:
                written(folder, [maker.payload(subject(1, "other", 4))])
        assert seen == expected[::-1]
    assert [receipt.subject.version for receipt in folder.page("digits", 2, 0, 100)] == [2] * 4
    assert [receipt.request is None for receipt in folder.page("digits", 0, 0, 100)] == [True] * 36
    newest = folder.newest("digits", 5)
    assert [receipt.subject.version for receipt in newest] == [1, 2, 1, 2, 1]
    assert all(receipt.request is not None for receipt in newest)
    assert folder.page("nothing", 0, 0, 10) == folder.newest("nothing", 10) == []


def test_a_segment_torn_anywhere_keeps_what_is_whole_and_counts_the_rest(tmp_path: Path) -> None:
    """Cut at every byte, a segment gives the frames before the cut, and kept + lost is what was due."""
    folder, maker = ReceiptFolder(tmp_path / "whole"), Maker()
    entries: list[Receipt | Digests] = [maker.payload(subject()), maker.digests(subject(), 3), maker.payload(subject())]
    due = [written(folder, [entry]) for entry in entries]
    (path,) = (tmp_path / "whole").glob("*/*.seg")
    content, ledger = path.read_bytes(), (tmp_path / "whole" / "ledger").read_bytes()
    # A kill takes what was not written; the ledger says what was due, and what was kept has yet to be found.
    ledger = ledger[:80] + bytes(8) + ledger[88:]
    for cut in range(len(content)):
        place = tmp_path / str(cut)
        (place / "digits").mkdir(parents=True)
        (place / "digits" / path.name).write_bytes(content[:cut])
        (place / "ledger").write_bytes(ledger)
        reopened = ReceiptFolder(place)
        there = [all(reopened.find(identity) is not None for identity in one) for one in due]
        assert there == sorted(there, reverse=True), "what is there is a beginning"
        kept = sum(len(one) for one, found in zip(due, there, strict=True) if found)
        assert (reopened.ledger.kept, reopened.ledger.gap) == (kept, 5 - kept)
        assert len(reopened.page("digits", 0, 0, 10)) == kept
        said = json.loads((place / "digits" / path.with_suffix(".summary").name).read_text())
        assert said["size"] == max((place / "digits" / path.name).stat().st_size, 16), "what is torn is cut off"
        again = written(reopened, [maker.payload(subject())])
        assert reopened.find(again[0]) is not None
        assert (ReceiptFolder(place).ledger.kept, ReceiptFolder(place).ledger.lost) == (kept + 1, 5 - kept)


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_segment_never_gives_a_wrong_receipt(tmp_path_factory, data: st.DataObject) -> None:
    """With any byte changed, what is still found is what was written."""
    place = tmp_path_factory.mktemp("damaged")
    folder, maker = ReceiptFolder(place), Maker()
    entries = [maker.payload(subject()) for _ in range(3)]
    written(folder, [*entries])
    (path,) = place.glob("*/*.seg")
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    reopened = ReceiptFolder(place)
    for entry in entries:
        found = reopened.find(entry.id)
        assert found is None or (found.request, found.response) == (entry.request, entry.response)


def test_damaged_summaries_and_ledgers_are_made_anew(tmp_path: Path) -> None:
    """A summary that is no summary, or of another size, and a ledger that is none are rebuilt from the segments."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    (identity,) = written(folder, [maker.payload(subject())])
    ReceiptFolder(tmp_path)
    (summary,) = tmp_path.glob("*/*.summary")
    good = summary.read_text()
    for bad in ("", "{", "[]", "{}", good.replace('"size": ', '"size": 1'), '{"size": 1}'):
        summary.write_text(bad)
        found = ReceiptFolder(tmp_path).find(identity)
        assert found is not None
        assert summary.read_text() == good
    (tmp_path / "ledger").write_bytes(b"not a ledger")
    reopened = ReceiptFolder(tmp_path)
    assert (reopened.ledger.kept, reopened.ledger.lost) == (1, 0)


def test_a_full_disk_keeps_nothing_of_the_write_and_everything_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that ends in its middle leaves no trace, and the next one that finds room is whole."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    before = written(folder, [maker.payload(subject())])
    whole = store_receipts_segment._write_all

    def full(file: int, data: bytes) -> None:
        os.write(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(store_receipts_segment, "_write_all", full)
    for entries in ([maker.payload(subject(5))], [maker.payload(subject(1, "other", 9))]):
        with pytest.raises(OSError, match="no space"):
            written(folder, [*entries])
        folder.ledger.lose(1)
    monkeypatch.setattr(store_receipts_segment, "_write_all", whole)
    after = written(folder, [maker.payload(subject(6))])
    for reopened in (folder, ReceiptFolder(tmp_path)):
        assert [receipt.id for receipt in reopened.page("digits", 0, 0, 10)] == [*after, *before]
        assert reopened.page("other", 0, 0, 10) == []
        assert (reopened.ledger.kept, reopened.ledger.lost) == (2, 2)


def test_receipts_of_a_failed_write_do_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that reached the file before a write failed stay lost, also behind later ones of the same length."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    written(folder, [maker.payload(subject())])
    whole = store_receipts_segment._write_all

    def late(file: int, data: bytes) -> None:
        whole(file, data)
        raise OSError(errno.EIO, "the disk failed")

    failed: list[Receipt | Digests] = [maker.payload(subject()), maker.payload(subject())]
    monkeypatch.setattr(store_receipts_segment, "_write_all", late)
    with pytest.raises(OSError, match="the disk failed"):
        written(folder, failed)
    folder.ledger.lose(2)
    monkeypatch.setattr(store_receipts_segment, "_write_all", whole)
    written(folder, [maker.payload(subject())])
    reopened = ReceiptFolder(tmp_path)
    assert [reopened.find(identity) for identity in ids(failed)] == [None, None]
    assert (reopened.ledger.kept, reopened.ledger.lost) == (2, 2)


def test_the_oldest_segments_go_when_a_model_has_too_many_bytes(tmp_path: Path) -> None:
    """A model keeps to its bytes, the newest receipts stay, other models are not touched, and nothing counts as lost."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    small = Receipts(ReceiptMode.ALL, 1_000_000, payloads=True, max_bytes=1_000_000)
    other = written(folder, [maker.payload(subject(1, "other", 4), 500_000)])
    mine: list[bytes] = []
    for _ in range(40):
        mine += written(folder, [maker.payload(subject(), 50_000)], small)
        folder.trim(lambda model: small if model == "digits" else LIMITS)
        assert sum(path.stat().st_size for path in tmp_path.glob("digits/*.seg")) <= small.max_bytes
    left = [identity for identity in mine if folder.find(identity) is not None]
    assert left == mine[-len(left) :]
    assert len(left) >= 15
    assert folder.find(other[0]) is not None
    assert ReceiptFolder(tmp_path).ledger.lost == 0
    folder.trim(lambda _: Receipts(max_bytes=0))
    assert list(tmp_path.glob("*/*")) == []
    assert (ReceiptFolder(tmp_path).ledger.kept, ReceiptFolder(tmp_path).ledger.lost) == (41, 0)


def test_receipts_beyond_their_age_go(tmp_path: Path) -> None:
    """Segments whose newest receipt is too old are removed; younger ones stay."""
    folder = ReceiptFolder(tmp_path)
    day = Receipts(ReceiptMode.ALL, 1_000_000, payloads=True, max_age_seconds=24 * 3600)
    now = time.time_ns() // 1_000_000
    old = written(folder, [Maker(now - 25 * 3600 * 1000).payload(subject())], day)
    young = written(folder, [Maker(now - 23 * 3600 * 1000).payload(subject())], day)
    assert len(list(tmp_path.glob("*/*.seg"))) == 2, "a segment is begun anew before its age blurs the limit"
    folder.trim(lambda _: day)
    assert folder.find(old[0]) is None
    assert folder.find(young[0]) is not None


def test_a_reader_of_a_removed_segment_finds_nothing(tmp_path: Path) -> None:
    """A segment that is removed under a reader is as if it had been removed before."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    (identity,) = written(folder, [maker.payload(subject())])
    for path in tmp_path.glob("*/*.seg"):
        path.unlink()
    assert folder.find(identity) is None
    assert folder.page("digits", 0, 0, 10) == []


def test_the_ledger_counts_what_a_killed_process_owed(tmp_path: Path) -> None:
    """What was owed and never written is a gap of the next process alone; the codec's counters take part."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    written(folder, [maker.payload(subject())])
    for _ in range(5):
        folder.ledger.owe()
    folder.ledger.lose(2)
    for ring, written_there, dropped in zip(folder.ledger.rings, (7, 3), (1, 3), strict=True):
        ring[8:16] = written_there.to_bytes(8, "little")
        ring[24:32] = dropped.to_bytes(8, "little")
    assert folder.ledger.lost == 6
    second = ReceiptFolder(tmp_path).ledger
    assert (second.gap, second.lost, second.kept) == (13, 19, 1)
    third = ReceiptFolder(tmp_path).ledger
    assert (third.gap, third.lost) == (0, 19)


def test_a_ledger_of_one_ring_is_read(tmp_path: Path) -> None:
    """A file of a release whose ledger had one ring says what was due and dropped there, and nothing of a second one."""
    ring = struct.pack("<QQQQQ", 65536, 10, 6, 4, 0x7F00DEADBEEF)
    head = struct.pack("<8sQQQ", b"NMLEDGR1", 20, 15, 2)
    (tmp_path / "ledger").write_bytes((ring.ljust(64, b"\0") + head).ljust(4096, b"\0"))
    ledger = ReceiptFolder(tmp_path).ledger
    assert (ledger.kept, ledger.gap, ledger.lost) == (15, 34 - 15 - 6, 34 - 15)


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    """Folders that are no model's, and files beside segments, are neither read nor removed."""
    (tmp_path / "Not A Model").mkdir()
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "note.txt").write_text("mine")
    folder = ReceiptFolder(tmp_path)
    written(folder, [Maker().payload(subject())])
    folder.trim(lambda _: Receipts(max_bytes=0))
    assert (tmp_path / "digits" / "note.txt").read_text() == "mine"


def test_segments_are_begun_anew_by_size(tmp_path: Path) -> None:
    """No segment grows much beyond an eighth of its model's bytes, so that removing one removes little."""
    folder, maker = ReceiptFolder(tmp_path), Maker()
    limits = Receipts(ReceiptMode.ALL, 1_000_000, payloads=False, max_bytes=8 * store_receipts.SMALLEST_SEGMENT)
    for _ in range(20):
        written(folder, [maker.digests(subject(), 100)], limits)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*/*.seg"))]
    assert len(sizes) == 4
    assert max(sizes) <= store_receipts.SMALLEST_SEGMENT + 100 * 112 + 300


def test_a_neighbour_is_read_and_left_alone(tmp_path: Path) -> None:
    """What another process of the node has written is found under its name, also while it writes, and nothing changes."""
    folder, maker = ReceiptFolder(tmp_path / "2"), Maker()
    neighbours = ReceiptNeighbours({"local-2": tmp_path / "2", "local-3": tmp_path / "missing"})
    first = maker.payload(subject())
    written(folder, [first])
    (path,) = tmp_path.glob("2/*/*.seg")
    torn = path.read_bytes() + b"half a frame"
    path.write_bytes(torn)
    found = neighbours.find("local-2", first.id)
    assert found is not None
    assert (found.node, found.request) == ("local-2", first.request)
    assert neighbours.find("local-2", maker.id(subject())) is None
    assert neighbours.find("local-3", first.id) is neighbours.find("local-4", first.id) is None
    assert path.read_bytes() == torn
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name]
