"""Replay: a recorded request runs again on the very bytes that answered it, and the answers are compared.

What is compared is the outputs; what differs between any two predictions, such as the id, is left out. On another
version than the recorded one a replay says what that version would have answered.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from neuralmesh_server import prediction_id
from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from neuralmesh_server.inference.evidence import differences
from neuralmesh_server.inference.evidence.receipts import BITS, BUILD, UNVERIFIED, outputs_digest, wanted_outputs
from neuralmesh_server.inference.evidence.rerun import check_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuralmesh_server.inference.backends.execution import Output
    from neuralmesh_server.inference.evidence.differences import Difference
    from neuralmesh_server.inference.evidence.receipts import Neighbours, Receipt
    from neuralmesh_server.inference.evidence.recorder import Recorder
    from neuralmesh_server.inference.evidence.rerun import Rerun
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel


class Verdict(Enum):
    """What a comparison says."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A second run.

    Attributes:
        verdict: BROKEN where the version promises the same bits and gave others.
        loaded: What ran.
        exact: How near a second run comes.
        runtime: What ran it.
        outputs_digest: SHA-256 of the new outputs.
        outputs: The new outputs that the request asks for.
        differences: Empty where the recorded answer was not kept.
    """

    verdict: Verdict
    receipt: Receipt
    loaded: LoadedModel
    request: Request
    exact: str
    runtime: str
    outputs_digest: bytes
    outputs: Sequence[Output]
    differences: Sequence[Difference]


class Codec(Protocol):
    """Between recorded bytes and values."""

    def read_request(self, data: bytes) -> Request:
        """Return the request of a ModelInferRequest; REQUEST_MALFORMED."""

    def read_outputs(self, data: bytes) -> list[Output]:
        """Return the outputs of a ModelInferResponse with raw contents; REQUEST_MALFORMED."""


class Replays:
    """Replays receipts; belongs to the loop.

    Args:
        recorder: Where receipts are kept.
        rerun: What opens and runs versions.
        codec: What reads recorded bytes.
        runtimes: What runs a version here, by its kind.
        neighbours: The receipts of other processes of this node.
    """

    def __init__(
        self,
        *,
        recorder: Recorder,
        rerun: Rerun,
        codec: Codec,
        runtimes: Mapping[str, str],
        neighbours: Neighbours,
    ) -> None:
        self._recorder = recorder
        self._neighbours = neighbours
        self._rerun = rerun
        self._codec = codec
        self._runtimes = runtimes

    async def receipt(self, text: str) -> Receipt:
        """Return the receipt of a prediction; raises PREDICTION_ID_INVALID or RECEIPT_NOT_FOUND."""
        parsed = prediction_id.parse(text)
        identity = base64.b64decode(text[-64:], altchars=b"-_")
        found = await self._recorder.find(identity)
        if found is None:
            found = await asyncio.to_thread(self._neighbours.find, parsed.node, identity)
        if found is None:
            raise NotFoundError(
                "RECEIPT_NOT_FOUND",
                f"this node keeps no receipt of prediction {text}, which node {parsed.node!r} made",
                id=text,
                node=parsed.node,
            )
        return found

    async def replay(self, receipt: Receipt, version: int, caller: Caller) -> Replayed:
        """Run a receipt's request again and compare.

        Args:
            receipt: What was recorded.
            version: Another version to run it on; 0 for the one that answered.
            caller: Who waits.

        Raises:
            NeuralMeshError: RECEIPT_INCOMPLETE, DIGEST_MISMATCH, what `Rerun.open` raises, or why the version refuses
                the request.
        """
        if receipt.request is None:
            raise FailedPreconditionError(
                "RECEIPT_INCOMPLETE",
                "the receipt keeps digests only; give the request, if somebody kept it, to run it again",
                model=receipt.subject.model,
                version=receipt.subject.version,
            )
        request = self._codec.read_request(receipt.request)
        record = self._rerun.record(receipt.subject.model, version or receipt.subject.version)
        same = record.version == receipt.subject.version
        if same:
            check_digest(record, receipt.subject.digest)
        async with self._rerun.turn(caller):
            loaded = await self._rerun.open(record)
            result = await self._rerun.run(loaded, request, caller)
        outputs = wanted_outputs(request, result.outputs)
        found = outputs_digest(outputs)
        runtime = self._runtimes.get(loaded.kind, "")
        compared: list[Difference] = []
        if receipt.response is not None:
            compared = differences.compare(self._codec.read_outputs(receipt.response), outputs)
        verdict = Verdict.IDENTICAL
        if found != receipt.outputs_digest:
            broken = same and is_promised(result.exact, receipt, runtime)
            verdict = Verdict.BROKEN if broken else Verdict.DIFFERENT
        return Replayed(verdict, receipt, loaded, request, result.exact, runtime, found, outputs, compared)


def is_promised(exact: str, receipt: Receipt, runtime: str) -> bool:
    """Say whether a second run of the recorded version has to give the recorded bits."""
    if receipt.exact == UNVERIFIED:
        return False
    return exact == BITS or (exact == BUILD and bool(runtime) and receipt.subject.runtime == runtime)


def check_request(receipt: Receipt) -> None:
    """Raise FIELD_INVALID when a receipt that somebody else kept has another request than its digest says."""
    if receipt.request is not None and hashlib.sha256(receipt.request).digest() != receipt.request_digest:
        raise InvalidArgumentError(
            "FIELD_INVALID", "the receipt's request does not have the digest that it names", field="request_digest"
        )
