"""The edge of the labor array towards workers that pull over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh.labor.v1 import worker_service_pb2 as api
from neuralmesh_server import names
from neuralmesh_server.labor import convert, validate
from neuralmesh_server.labor.desk import WorkerCard
from neuralmesh_server.labor.results import parse_result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.labor.coordinator import Coordinator
    from neuralmesh_server.runtime.handlers import Call


class WorkerServicer:
    """Answers the RPCs of WorkerService; the contract describes them."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def lease_shards(self, request: Any, call: Call) -> Any:
        """Hand out shards."""
        del call
        wait = validate.lease(request)
        card = WorkerCard(request.worker, request.incarnation, request.host, request.slots, dict(request.numerics))
        leases = await self._coordinator.lease(card, request.limit, wait)
        return api.LeaseShardsResponse(
            leases=[convert.lease_to(lease) for lease in leases],
            lease=convert.duration_to(self._coordinator.lease_seconds),
        )

    async def renew_leases(self, request: Any, call: Call) -> Any:
        """Keep leases."""
        del call
        validate.within("tokens", len(request.tokens), 0, validate.MAX_TOKENS)
        return api.RenewLeasesResponse(lost_tokens=await self._coordinator.renew(_card(request), request.tokens))

    async def get_job_context(self, request: Any, call: Call) -> AsyncIterator[Any]:
        """Stream what all shards of a job have in common."""
        del call
        data = await self._coordinator.context(validate.job(request.job, "job"))
        for start in range(0, len(data), validate.MAX_PIECE_BYTES):
            yield api.GetJobContextResponse(data=data[start : start + validate.MAX_PIECE_BYTES])

    async def upload_result(self, requests: AsyncIterator[Any], call: Call) -> Any:
        """Store an output."""
        del call
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("part") != "header":
            raise validate.invalid("header", "is missing; it has to come first")
        header = first.header
        names.check_digest(header.digest)
        validate.at_least("header.size", header.size, 0)
        if not names.NODE.fullmatch(header.worker):
            raise validate.invalid("header.worker", "has to match [a-z][a-z0-9-]{0,62}")
        card = WorkerCard(header.worker, "", "", 0, {})
        await self._coordinator.store_pieces(card, header.digest, header.size, _pieces(requests))
        return api.UploadResultResponse()

    async def complete_shard(self, request: Any, call: Call) -> Any:
        """Commit the result of a shard."""
        del call
        card = _card(request)
        elapsed = validate.seconds("elapsed", request.elapsed, 10**9)
        if request.output:
            await self._store(card, request)
        await self._coordinator.complete(card, request.token, request.result, elapsed)
        return api.CompleteShardResponse()

    async def fail_shard(self, request: Any, call: Call) -> Any:
        """Give a lease back."""
        del call
        card = _card(request)
        reason = validate.line("reason", request.reason)
        message = request.message[: validate.MESSAGE_BYTES]
        await self._coordinator.fail(card, request.token, reason, message, retryable=request.retryable)
        return api.FailShardResponse()

    async def leave_array(self, request: Any, call: Call) -> Any:
        """Give everything back."""
        del call
        await self._coordinator.leave(_card(request))
        return api.LeaveArrayResponse()

    async def _store(self, card: WorkerCard, request: Any) -> None:
        """Store an output that came with its result."""
        validate.within("output", len(request.output), 0, validate.MAX_PIECE_BYTES)
        try:
            result = parse_result(request.result)
        except ValueError as error:
            raise validate.invalid("result", f"cannot be read: {error}") from error
        names.check_digest(result.output_digest)
        await self._coordinator.store_pieces(card, result.output_digest, result.output_size, _one(request.output))


def _card(request: Any) -> WorkerCard:
    """Return who asks, as far as the request says it."""
    validate.worker(request)
    return WorkerCard(request.worker, request.incarnation, "", 0, {})


async def _pieces(requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise validate.invalid("data", "is missing; there is one header only")
        validate.within("data", len(request.data), 0, validate.MAX_PIECE_BYTES)
        yield request.data


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
