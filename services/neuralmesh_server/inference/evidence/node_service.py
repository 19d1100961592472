"""The edge of the node service: receipts, their replay, and proofs."""

from __future__ import annotations

import base64
import binascii
import struct
import time
from typing import TYPE_CHECKING, Any

from neuralmesh.inference.v1 import node_service_pb2 as pb
from neuralmesh_server import names
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.inference.evidence import convert_node, replay
from neuralmesh_server.inference.request import Caller

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

    from neuralmesh_server.inference.evidence.prove import Proofs
    from neuralmesh_server.inference.evidence.recorder import Recorder
    from neuralmesh_server.inference.evidence.replay import Replays
    from neuralmesh_server.runtime.handlers import Call

SERVICE: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["NodeService"]

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
DEFAULT_REQUESTS = 1000
LARGEST_REQUESTS = 100_000

_TOKEN = struct.Struct(">Q")


class NodeServicer:
    """Answers the service's methods.

    Args:
        recorder: What keeps receipts.
        replays: What runs them again.
        proofs: What compares versions.
        node: Name of this node.
    """

    def __init__(self, *, recorder: Recorder, replays: Replays, proofs: Proofs, node: str) -> None:
        self._recorder = recorder
        self._replays = replays
        self._proofs = proofs
        self._node = node

    async def get_receipt(self, request: Any, call: Call) -> Any:
        """Return the receipt of a prediction."""
        del call
        found = await self._replays.receipt(request.prediction_id)
        return pb.GetReceiptResponse(receipt=convert_node.receipt(found, self._node))

    async def list_receipts(self, request: Any, call: Call) -> Any:
        """List a model's receipts, newest first."""
        del call
        names.check_model(request.model)
        if request.version:
            names.check_version(request.version)
        limit = _page_size(request.page_size)
        found = await self._recorder.page(request.model, request.version, _below(request.page_token), limit + 1)
        page = found[:limit]
        return pb.ListReceiptsResponse(
            receipts=[convert_node.receipt(one, self._node) for one in page],
            next_page_token=_token(page[-1].number) if len(found) > limit else "",
            lost_receipts=self._recorder.lost,
        )

    async def replay_prediction(self, request: Any, call: Call) -> Any:
        """Run a recorded request again and compare."""
        kind = request.WhichOneof("source")
        if kind is None:
            raise InvalidArgumentError("FIELD_INVALID", "there is neither an id nor a receipt", field="source")
        if request.version:
            names.check_version(request.version)
        if kind == "receipt":
            receipt = convert_node.read_receipt(request.receipt)
            replay.check_request(receipt)
        else:
            receipt = await self._replays.receipt(request.prediction_id)
        done = await self._replays.replay(receipt, request.version, _caller(call))
        return convert_node.replayed(done, self._node)

    async def prove_candidate(self, request: Any, call: Call) -> Any:
        """Run a candidate beside the current version."""
        names.check_model(request.model)
        names.check_version(request.candidate_version)
        if request.baseline_version:
            names.check_version(request.baseline_version)
        made = await self._proofs.prove(
            request.model,
            baseline=request.baseline_version,
            candidate=request.candidate_version,
            source=convert_node.source(request.source),
            limit=min(request.max_requests or DEFAULT_REQUESTS, LARGEST_REQUESTS),
            caller=_caller(call),
        )
        return pb.ProveCandidateResponse(proof=convert_node.proof(made))


def _caller(call: Call) -> Caller:
    remaining = call.time_remaining()
    return Caller(deadline=None if remaining is None else time.monotonic() + remaining)


def _page_size(size: int) -> int:
    if size < 0:
        raise InvalidArgumentError("FIELD_INVALID", f"page size {size} is negative", field="page_size", value=size)
    return min(size or DEFAULT_PAGE, LARGEST_PAGE)


def _token(number: int) -> str:
    return base64.urlsafe_b64encode(_TOKEN.pack(number)).decode()


def _below(token: str) -> int:
    """Return the number below which a page goes on; 0 for the first page."""
    if not token:
        return 0
    try:
        (number,) = _TOKEN.unpack(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, ValueError):
        number = 0
    if not number:
        raise InvalidArgumentError("PAGE_TOKEN_INVALID", "the page token is not one that this method gave")
    return int(number)
