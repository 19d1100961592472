"""The methods by which workers of the labor array get work and give results, one for each RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import duration_pb2

from neuralmesh._labor_upload import upload_requests
from neuralmesh._resource import job_name
from neuralmesh.labor.v1 import worker_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from neuralmesh._async.connection import AsyncConnection


class AsyncLaborWorker:
    """Leases and results of shards. Every method raises `neuralmesh.exceptions`.

    `worker` is the worker's name and `incarnation` a random token of its process.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @property
    def address(self) -> str:
        """Where the calls go, `host:port`."""
        return self._connection.address

    async def lease_shards(
        self,
        worker: str,
        incarnation: str,
        *,
        numerics: Mapping[str, str],
        host: str = "",
        slots: int = 1,
        limit: int = 1,
        wait: float = 0.0,
    ) -> pb.LeaseShardsResponse:
        """Return up to `limit` leases as soon as there is one, none after `wait` seconds, and how long they hold."""
        request = pb.LeaseShardsRequest(
            worker=worker,
            incarnation=incarnation,
            host=host,
            slots=slots,
            numerics=dict(numerics),
            limit=limit,
            wait=_duration(wait),
        )
        timeout = self._connection.timeout + wait
        return await self._connection.unary("LeaseShards", pb.LeaseShardsResponse, request, timeout=timeout)

    async def renew_leases(self, worker: str, incarnation: str, tokens: Sequence[int]) -> list[int]:
        """Keep leases; returns the tokens of those that are lost."""
        request = pb.RenewLeasesRequest(worker=worker, incarnation=incarnation, tokens=tokens)
        return list((await self._connection.unary("RenewLeases", pb.RenewLeasesResponse, request)).lost_tokens)

    async def get_job_context(self, job: str) -> bytes:
        """Return what all shards of a job have in common, as canonical JSON."""
        request = pb.GetJobContextRequest(job=job_name(job))
        stream = self._connection.stream("GetJobContext", pb.GetJobContextResponse, request)
        return b"".join([response.data async for response in stream])

    async def upload_result(self, worker: str, digest: str, source: Path | bytes) -> None:
        """Store the bytes of an output, which are those of the digest."""
        requests = upload_requests(worker, digest, source)
        await self._connection.upload("UploadResult", pb.UploadResultResponse, requests)

    async def complete_shard(
        self, worker: str, incarnation: str, token: int, result: bytes, *, output: bytes = b"", elapsed: float = 0.0
    ) -> None:
        """Commit the result of a shard; AbortedError (LEASE_LOST) where the lease does not hold.

        Args:
            worker: The worker.
            incarnation: Its process.
            token: The lease.
            result: The canonical result.
            output: Bytes of the output, where they were not uploaded; at most 1 MiB.
            elapsed: Seconds that it took.
        """
        request = pb.CompleteShardRequest(
            worker=worker,
            incarnation=incarnation,
            token=token,
            result=result,
            output=output,
            elapsed=_duration(elapsed),
        )
        await self._connection.unary("CompleteShard", pb.CompleteShardResponse, request)

    async def fail_shard(
        self, worker: str, incarnation: str, token: int, *, reason: str, message: str, retryable: bool
    ) -> None:
        """Give a lease back whose shard could not be run."""
        request = pb.FailShardRequest(
            worker=worker, incarnation=incarnation, token=token, reason=reason, message=message, retryable=retryable
        )
        await self._connection.unary("FailShard", pb.FailShardResponse, request)

    async def leave_array(self, worker: str, incarnation: str) -> None:
        """Give everything back."""
        request = pb.LeaveArrayRequest(worker=worker, incarnation=incarnation)
        await self._connection.unary("LeaveArray", pb.LeaveArrayResponse, request)


def _duration(seconds: float) -> duration_pb2.Duration:
    nanos = round(seconds * 1e9)
    return duration_pb2.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
