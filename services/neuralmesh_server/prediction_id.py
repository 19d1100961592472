"""Prediction ids: what made an answer, in the answer's own name.

`nm1.{node}.{64 characters}`, where the characters are the URL-safe base64 of 48 bytes, big-endian:

    0   6  start of the node process, ms since 1970 (the epoch)
    6   5  when the prediction was made, ms since that start
    11  6  number of the prediction within the epoch, from 1
    17  6  registry revision that the node had applied
    23  4  number of the model
    27  4  number of the version
    31  9  first bytes of the version's digest
    40  8  keyed checksum: BLAKE2s-64 with the node's 32-byte key over `nm1.{node}.` and bytes 0 to 39

Nothing has to be stored to resolve an id, and an id that no registered node issued is refused: to guess a checksum
takes 2^63 tries on average. The format never changes; another one gets another prefix.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from liam_core.oip import Numbers

PREFIX = "nm1"
KEY_BYTES = 32
DIGEST_PREFIX_BYTES = 9

_TEXT_CHARACTERS = 64
_BYTES = 48
_VERSION = slice(27, 31)
_STANDARD = bytes.maketrans(b"-_+/", b"+/!!")  # the URL-safe alphabet to the standard one, whose own two are refused
_FORM = re.compile(r"nm1\.([a-z][a-z0-9-]{0,62})\.([A-Za-z0-9_-]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PredictionId:
    """The parts of an id; `checksum` is not verified by parsing."""

    node: str
    epoch_ms: int
    offset_ms: int
    sequence: int
    revision: int
    model_uid: int
    version: int
    digest_prefix: bytes
    checksum: bytes

    def verify(self, key: bytes) -> bool:
        """Say whether the node that holds `key` issued this id."""
        return hmac.compare_digest(self.checksum, _checksum(key, self.node, self._body()))

    def matches_digest(self, digest: str) -> bool:
        """Say whether a version's digest (`sha256:...`) begins as the id says."""
        return bytes.fromhex(digest.removeprefix("sha256:"))[:DIGEST_PREFIX_BYTES] == self.digest_prefix

    def _body(self) -> bytes:
        moment = _moment(self.epoch_ms, self.offset_ms, self.sequence)
        return moment + _subject(self.revision, self.model_uid, self.version, self.digest_prefix)


def parse(text: str) -> PredictionId:
    """Read an id without verifying its checksum; anything else raises PREDICTION_ID_INVALID."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise invalid(text, "it is not of the form nm1.{node}.{64 characters}")
    try:
        data = base64.b64decode(match[2], altchars=b"-_", validate=True)
    except binascii.Error:
        raise invalid(text, "its last part is not base64") from None
    number = int.from_bytes
    return PredictionId(
        node=match[1],
        epoch_ms=number(data[0:6], "big"),
        offset_ms=number(data[6:11], "big"),
        sequence=number(data[11:17], "big"),
        revision=number(data[17:23], "big"),
        model_uid=number(data[23:27], "big"),
        version=number(data[27:31], "big"),
        digest_prefix=data[31:40],
        checksum=data[40:48],
    )


def text(node: str, data: bytes) -> str:
    """Return the id of a node in its 48 bytes."""
    return f"{PREFIX}.{node}.{base64.urlsafe_b64encode(data).decode()}"


def is_issued_for(text: str, head: str, version: bytes) -> bool:
    """Say whether an id is of the form, begins with `head` (`nm1.{node}.`) and names a version (4 bytes, big-endian).

    The quick half of `parse`, for nodes' reports, which hold thousands: False asks for `parse` to say what is wrong.
    """
    if len(text) != len(head) + _TEXT_CHARACTERS or not text.startswith(head) or not text.isascii():
        return False
    try:
        data = binascii.a2b_base64(text[len(head) :].encode().translate(_STANDARD), strict_mode=True)
    except binascii.Error:
        return False
    return len(data) == _BYTES and data[_VERSION] == version


def invalid(text: str, why: str) -> InvalidArgumentError:
    """Return the error for an id that is not one."""
    shown = ascii(text if len(text) <= 160 else text[:160] + "...")
    return InvalidArgumentError("PREDICTION_ID_INVALID", f"no node issued prediction id {shown}: {why}", id=shown)


class Issuer:
    """Issues ids of one node process. Belongs to the event loop; other threads may issue ids beside it.

    Args:
        node: Name of the node.
        key: The node's secret, 32 bytes.
        epoch_ms: Start of the process, ms since 1970; greater than that of any earlier process of this node.
        numbers: Where numbers come from, for whoever else issues ids of this process as well.

    Attributes:
        started_ns: When the epoch began, on the monotonic clock.
    """

    __slots__ = ("_epoch", "_hash", "_head", "epoch_ms", "key", "node", "numbers", "started_ns")

    def __init__(self, node: str, key: bytes, epoch_ms: int, numbers: Numbers) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes instead of {KEY_BYTES}")
        self.node, self.key, self.epoch_ms, self.numbers = node, key, epoch_ms, numbers
        self.started_ns = time.monotonic_ns()
        self._epoch = epoch_ms.to_bytes(6, "big")
        self._head = f"{PREFIX}.{node}."
        self._hash = hashlib.blake2s(self._head.encode(), key=key, digest_size=8)

    def issue(self, subject: bytes, offset_ms: int) -> str:
        """Return the next id.

        Args:
            subject: What answered, made once by `subject`.
            offset_ms: Milliseconds since the epoch began, on the monotonic clock.
        """
        number = self.numbers.next().to_bytes(6, "big")
        body = self._epoch + offset_ms.to_bytes(5, "big") + number + subject
        checksum = self._hash.copy()
        checksum.update(body)
        return self._head + base64.urlsafe_b64encode(body + checksum.digest()).decode()


def subject(revision: int, model_uid: int, version: int, digest: str) -> bytes:
    """Return the part of an id that is the same for all answers of one version under one applied revision."""
    return _subject(revision, model_uid, version, bytes.fromhex(digest.removeprefix("sha256:"))[:DIGEST_PREFIX_BYTES])


def _subject(revision: int, model_uid: int, version: int, digest_prefix: bytes) -> bytes:
    return revision.to_bytes(6, "big") + model_uid.to_bytes(4, "big") + version.to_bytes(4, "big") + digest_prefix


def _moment(epoch_ms: int, offset_ms: int, sequence: int) -> bytes:
    return epoch_ms.to_bytes(6, "big") + offset_ms.to_bytes(5, "big") + sequence.to_bytes(6, "big")


def _checksum(key: bytes, node: str, body: bytes) -> bytes:
    return hashlib.blake2s(f"{PREFIX}.{node}.".encode() + body, key=key, digest_size=8).digest()
