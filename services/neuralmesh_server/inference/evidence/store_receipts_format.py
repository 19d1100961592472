"""How receipts stand in a segment file: frames that end where their checksum fails.

A segment begins with `NMRCPT01` and the number of receipts that the node had kept before it. Then frames follow: length
and CRC-32 of a body, each 4 bytes, little-endian like everything here but the prediction ids. A body begins with its
kind:

    subject   1 | canonical JSON: what the receipts after it are about; subjects count from 0 within the segment
    payload   2 | exact 1 | subject 2 | number 8 | id 48 | request hash 32 | outputs hash 32 | n 4 | request n | answer
    digests   3 | exact 1 | subject 2 | number 8 | count 4 | count times id 48, request hash 32, outputs hash 32

`number` counts the node's receipts from 1 in the order of keeping; in a block it is that of the first. This module does
no input or output.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh_server import canonical
from neuralmesh_server.inference.evidence.receipts import DIGEST_RECORD_BYTES, Digests, Receipt, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

HEADER = struct.Struct("<8sQ")
MAGIC = b"NMRCPT01"
FRAME = struct.Struct("<II")
MAX_SUBJECTS = 65_536

SUBJECT, PAYLOAD, DIGESTS = 1, 2, 3
EXACT = ("", "bits", "build", "unverified")

_PAYLOAD = struct.Struct("<BBHQ48s32s32sI")
_DIGESTS = struct.Struct("<BBHQI")
_ID_BYTES = 48


@dataclass(frozen=True, slots=True)
class Moment:
    """Where prediction ids stand: epoch, lowest and highest sequence in it, and latest time in ms since 1970."""

    uid: int
    epoch: int
    low: int
    high: int
    first_ms: int
    last_ms: int


def frame(body: bytes) -> bytes:
    """Return the frame of a body."""
    return FRAME.pack(len(body), zlib.crc32(body)) + body


def subject_body(subject: Subject) -> bytes:
    """Return the body that introduces a subject."""
    fact: dict[str, canonical.Fact] = {
        "model": subject.model,
        "uid": subject.uid,
        "version": subject.version,
        "digest": subject.digest,
        "runtime": subject.runtime,
    }
    return bytes([SUBJECT]) + canonical.encode(fact)


def read_subject(body: memoryview) -> Subject:
    """Return the subject of a body of its kind."""
    return Subject(**json.loads(bytes(body[1:])))


def entry_body(entry: Receipt | Digests, subject: int, number: int) -> bytes:
    """Return the body of what is kept; `number` is that of its first receipt."""
    exact = EXACT.index(entry.exact)
    if isinstance(entry, Digests):
        head = _DIGESTS.pack(DIGESTS, exact, subject, number, entry.count)
        return head + entry.records
    assert entry.request is not None
    assert entry.response is not None
    head = _PAYLOAD.pack(
        PAYLOAD, exact, subject, number, entry.id, entry.request_digest, entry.outputs_digest, len(entry.request)
    )
    return head + entry.request + entry.response


def frames(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the end of each sound frame and its body, from behind the header to the first that is torn."""
    at = HEADER.size
    while at + FRAME.size <= len(data):
        length, checksum = FRAME.unpack_from(data, at)
        end = at + FRAME.size + length
        if length == 0 or end > len(data):
            return
        body = data[at + FRAME.size : end]
        if zlib.crc32(body) != checksum:
            return
        at = end
        yield at, body


def numbers(body: memoryview) -> tuple[int, int, int]:
    """Return subject, number of the first receipt, and count of receipts of a body that is no subject's."""
    if body[0] == DIGESTS:
        _, _, subject, number, count = _DIGESTS.unpack_from(body)
        return subject, number, count
    _, _, subject, number, *_ = _PAYLOAD.unpack_from(body)
    return subject, number, 1


def moment(body: memoryview, uid: int) -> Moment:
    """Return when the predictions of a body were made. All ids of a block are of one epoch."""
    if body[0] == DIGESTS:
        ids = np.frombuffer(body, np.uint8, offset=_DIGESTS.size).reshape(-1, DIGEST_RECORD_BYTES)[:, :17]
    else:
        ids = np.frombuffer(body, np.uint8, offset=12, count=17).reshape(1, 17)
    epoch = int.from_bytes(ids[0, :6].tobytes(), "big")
    offsets, sequences = _wide(ids[:, 6:11]), _wide(ids[:, 11:17])
    return Moment(
        uid,
        epoch,
        int(sequences.min()),
        int(sequences.max()),
        epoch + int(offsets.min()),
        epoch + int(offsets.max()),
    )


def receipts(body: memoryview, subjects: list[Subject], *, payloads: bool) -> Iterator[Receipt]:
    """Yield the receipts of a body that is no subject's, newest first; without payloads unless they are wanted."""
    if body[0] == PAYLOAD:
        _, exact, subject, number, identity, request, outputs, size = _PAYLOAD.unpack_from(body)
        asked = answered = None
        if payloads:
            asked, answered = bytes(body[_PAYLOAD.size :][:size]), bytes(body[_PAYLOAD.size + size :])
        yield Receipt(identity, subjects[subject], EXACT[exact], request, outputs, asked, answered, number)
        return
    _, exact, subject, number, count = _DIGESTS.unpack_from(body)
    for index in range(count - 1, -1, -1):
        at = _DIGESTS.size + index * DIGEST_RECORD_BYTES
        record = bytes(body[at : at + DIGEST_RECORD_BYTES])
        yield Receipt(
            record[:48], subjects[subject], EXACT[exact], record[48:80], record[80:112], None, None, number + index
        )


def holds(body: memoryview, identity: bytes) -> bool:
    """Say whether a body that is no subject's is about a prediction id of 48 bytes."""
    if body[0] == PAYLOAD:
        return body[12 : 12 + _ID_BYTES] == identity
    return identity in bytes(body[_DIGESTS.size :])


def _wide(columns: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return big-endian numbers of a few bytes as uint64."""
    wide = np.zeros((len(columns), 8), np.uint8)
    wide[:, 8 - columns.shape[1] :] = columns
    return wide.reshape(-1).view(">u8")
