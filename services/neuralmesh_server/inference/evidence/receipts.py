"""Receipts as values: what is recorded of a prediction, which ones are, and where they are kept.

`recorder` keeps them, `store_receipts` writes them, `replay` runs them again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from neuralmesh_server import canonical
from neuralmesh_server.inference.policy import MILLION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.execution import Output
    from neuralmesh_server.inference.policy import Receipts
    from neuralmesh_server.inference.request import Request

DIGEST_RECORD_BYTES = 112
"""Id, request digest and outputs digest of a receipt without payloads."""

BITS, BUILD, UNVERIFIED = "bits", "build", "unverified"
"""How near a second run comes; see `backend.Model.exact`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What answered: the same for all receipts of a version under one runtime."""

    model: str
    uid: int
    version: int
    digest: str
    runtime: str


@dataclass(frozen=True, slots=True)
class Answerer:
    """A version as the hot path remembers it, which may be longer than it is loaded."""

    model: str
    uid: int
    version: int
    digest: str
    kind: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A recorded prediction.

    Attributes:
        id: The 48 bytes of the prediction id.
        exact: How near a second run comes: "bits", "build" or "unverified".
        request_digest: SHA-256 of the request's bytes.
        outputs_digest: SHA-256 of the outputs, as the contract's Receipt defines it.
        request: The ModelInferRequest; None where only digests are kept.
        response: The ModelInferResponse; None where only digests are kept.
        number: Counts the node's receipts in the order of keeping; 0 while it is not kept.
        node: The process that made the prediction, where it was another one of this node; else empty.
    """

    id: bytes
    subject: Subject
    exact: str
    request_digest: bytes
    outputs_digest: bytes
    request: bytes | None = None
    response: bytes | None = None
    number: int = 0
    node: str = ""


@dataclass(frozen=True, slots=True)
class Digests:
    """Receipts without payloads, of one subject and one epoch; DIGEST_RECORD_BYTES each."""

    subject: Subject
    exact: str
    records: bytes

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.records) // DIGEST_RECORD_BYTES


class Ledger(Protocol):
    """Counters that outlive a kill of the process; belongs to the loop.

    Attributes:
        gap: Receipts that earlier processes lost without having counted them.
    """

    gap: int

    @property
    def lost(self) -> int:
        """Receipts that were ever lost."""

    def owe(self) -> None:
        """Note that one more receipt is due."""

    def lose(self, count: int) -> None:
        """Count receipts that were due and will not be kept."""


class Archive(Protocol):
    """Where receipts are kept; every method blocks."""

    def write(self, entries: Sequence[Receipt | Digests], limits: Receipts) -> None:
        """Keep receipts of one model, all or none; raises OSError."""

    def sync(self) -> None:
        """Bring what was written onto the disk; raises OSError."""

    def trim(self, limits: Callable[[str], Receipts]) -> None:
        """Remove what is beyond a model's limits; raises OSError."""

    def find(self, identity: bytes) -> Receipt | None:
        """Return the receipt of a prediction, with what is kept of it."""

    def page(self, model: str, version: int, below: int, limit: int) -> list[Receipt]:
        """Return receipts of a model with a number less than `below`, newest first, without payloads; see `newest`."""

    def newest(self, model: str, limit: int) -> list[Receipt]:
        """Return the newest receipts of a model that have payloads, newest first."""


class Neighbours(Protocol):
    """The receipts of other processes of this node; blocks."""

    def find(self, node: str, identity: bytes) -> Receipt | None:
        """Return the receipt of a prediction that a neighbour made under a name, with what is kept of it."""


class HotPath(Protocol):
    """The codec's receipts; belongs to the loop."""

    def drain_receipts(self) -> NDArray[Any]:
        """Return the records since the last call: id, request digest, outputs digest, owner, flags, 8 more bytes."""

    def answerer(self, owner: int) -> Answerer:
        """Return what a record's owner stands for."""


def is_sampled(sample_ppm: int, identity: bytes) -> bool:
    """Say whether a prediction belongs to a share: its id's keyed checksum is as good as drawn by lot."""
    return sample_ppm >= MILLION or int.from_bytes(identity[40:48], "big") < threshold(sample_ppm)


def threshold(sample_ppm: int) -> int:
    """Return what the checksums of a share's predictions are below; 2^64 - 1 stands for all of them."""
    return (2**64 - 1) * sample_ppm // MILLION


def wanted_outputs(request: Request, outputs: Sequence[Output]) -> Sequence[Output]:
    """Return the outputs that a request asks for, in the order of the answer."""
    if not request.outputs:
        return outputs
    by_name = {output.name: output for output in outputs}
    return [by_name[output.name] for output in request.outputs]


def outputs_digest(outputs: Iterable[Output]) -> bytes:
    """Return the SHA-256 of outputs as the contract's Receipt.outputs_digest defines it."""
    content = hashlib.sha256()
    for output in outputs:
        header: dict[str, canonical.Fact] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.shape),
            "bytes": len(output.raw),
        }
        content.update(canonical.encode(header) + b"\n")
        content.update(output.raw)
    return content.digest()
