"""The node service's methods, one for each RPC: receipts, replays and proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh._async.pages import pages
from neuralmesh.inference.v1 import node_service_pb2 as pb
from neuralmesh.registry.v1 import resources_pb2 as resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh._async.connection import AsyncConnection
    from neuralmesh.inference.v1 import receipt_pb2


class AsyncNode:
    """What an inference node offers beside predictions. Every method raises `neuralmesh.exceptions`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @property
    def address(self) -> str:
        """Where the calls go, `host:port`."""
        return self._connection.address

    @property
    def timeout(self) -> float:
        """Seconds that a call may take where it does not say otherwise."""
        return self._connection.timeout

    async def get_receipt(self, prediction_id: str) -> receipt_pb2.Receipt:
        """Return the receipt of a prediction that this node made."""
        request = pb.GetReceiptRequest(prediction_id=prediction_id)
        return (await self._connection.unary("GetReceipt", pb.GetReceiptResponse, request)).receipt

    def list_receipts(self, model: str, version: int = 0) -> AsyncIterator[receipt_pb2.Receipt]:
        """Yield receipts of a model, or of one of its versions, newest first, without payloads."""
        request = pb.ListReceiptsRequest(model=model, version=version, page_size=1000)
        return pages(self._connection, "ListReceipts", pb.ListReceiptsResponse, request, "receipts")

    async def list_receipts_page(
        self, model: str, version: int = 0, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListReceiptsResponse:
        """Return one page of receipts, with the number of those that the node has lost."""
        request = pb.ListReceiptsRequest(model=model, version=version, page_size=page_size, page_token=page_token)
        return await self._connection.unary("ListReceipts", pb.ListReceiptsResponse, request)

    async def replay_prediction(
        self,
        prediction_id: str = "",
        *,
        receipt: receipt_pb2.Receipt | None = None,
        version: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server as the deadline
    ) -> pb.ReplayPredictionResponse:
        """Run a recorded request again and compare the answers.

        Args:
            prediction_id: A prediction whose receipt the node keeps; or else give `receipt`.
            receipt: A receipt that the caller kept.
            version: Another version to run it on; 0 for the one that answered.
            timeout: Seconds until the deadline, when not the client's own.
        """
        request = pb.ReplayPredictionRequest(version=version)
        if receipt is not None:
            request.receipt.CopyFrom(receipt)
        else:
            request.prediction_id = prediction_id
        return await self._connection.unary("ReplayPrediction", pb.ReplayPredictionResponse, request, timeout=timeout)

    async def prove_candidate(
        self,
        model: str,
        candidate: int,
        *,
        baseline: int = 0,
        source: resources.Proof.Source = resources.Proof.SOURCE_UNSPECIFIED,
        max_requests: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109 - it travels to the server as the deadline
    ) -> resources.Proof:
        """Run a candidate beside the current version; returns the node's sealed report.

        Args:
            model: Name of the model.
            candidate: Version that would answer.
            baseline: Version that answers today; 0 for the one that `production` names.
            source: Golden set or recorded requests; unspecified takes the golden set where there is one.
            max_requests: Most requests; 0 stands for 1,000.
            timeout: Seconds until the deadline, when not the client's own.
        """
        request = pb.ProveCandidateRequest(
            model=model,
            baseline_version=baseline,
            candidate_version=candidate,
            source=source,
            max_requests=max_requests,
        )
        answer = await self._connection.unary("ProveCandidate", pb.ProveCandidateResponse, request, timeout=timeout)
        return answer.proof
