"""The desk over gRPC, for workers that pull: the client's methods with the domain's errors.

A service that is away for a moment is asked again. Small outputs travel with their results.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from neuralmesh import exceptions
from neuralmesh_server import errors
from neuralmesh_server.labor.desk import Lease
from neuralmesh_server.labor.results import parse_result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from neuralmesh import AsyncClient
    from neuralmesh_server.labor.desk import WorkerCard

T = TypeVar("T")

INLINE_BYTES = 1024 * 1024
"""Largest output that travels with its result."""

MAX_LEASES = 64
FIRST_LEASE_SECONDS = 10.0
"""How long leases are taken to hold until the service has said it."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0

_PASSING = (exceptions.UnavailableError, exceptions.DeadlineExceededError, exceptions.CancelledError)

_KINDS: dict[type[exceptions.NeuralMeshError], type[errors.NeuralMeshError]] = {
    exceptions.InvalidArgumentError: errors.InvalidArgumentError,
    exceptions.NotFoundError: errors.NotFoundError,
    exceptions.AlreadyExistsError: errors.AlreadyExistsError,
    exceptions.AbortedError: errors.AbortedError,
    exceptions.FailedPreconditionError: errors.FailedPreconditionError,
    exceptions.UnavailableError: errors.UnavailableError,
    exceptions.ResourceExhaustedError: errors.ResourceExhaustedError,
    exceptions.DeadlineExceededError: errors.DeadlineExceededError,
    exceptions.NotSupportedError: errors.NotSupportedError,
    exceptions.UnauthenticatedError: errors.UnauthenticatedError,
    exceptions.PermissionDeniedError: errors.PermissionDeniedError,
    exceptions.DataLossError: errors.DataLossError,
    exceptions.InternalError: errors.InternalError,
    exceptions.CancelledError: errors.UnavailableError,
}


class GrpcDesk:
    """See neuralmesh_server.labor.desk.Desk.

    Args:
        client: Where the service is.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._service = client.labor_worker
        self.lease_seconds = FIRST_LEASE_SECONDS
        self._small: dict[str, bytes] = {}
        self._uses: Counter[str] = Counter()

    async def lease(self, worker: WorkerCard, limit: int, wait: float) -> Sequence[Lease]:
        """See Desk."""
        try:
            response = await self._service.lease_shards(
                worker.name,
                worker.incarnation,
                numerics=worker.numerics,
                host=worker.host,
                slots=worker.slots,
                limit=min(limit, MAX_LEASES),
                wait=wait,
            )
        except exceptions.NeuralMeshError as error:
            raise domain_error(error) from error
        self.lease_seconds = response.lease.ToTimedelta().total_seconds() or FIRST_LEASE_SECONDS
        return [
            Lease(
                token=lease.token,
                job=lease.job.removeprefix("jobs/"),
                shard=lease.shard,
                action_digest=lease.action_digest,
                file=lease.file,
                first_row=lease.first_row,
                rows=lease.rows,
                input_digest=lease.input_digest,
            )
            for lease in response.leases
        ]

    async def renew(self, worker: WorkerCard, tokens: Sequence[int]) -> Sequence[int]:
        """See Desk."""
        try:
            return await self._service.renew_leases(worker.name, worker.incarnation, tokens)
        except exceptions.NeuralMeshError as error:
            raise domain_error(error) from error

    async def context(self, job: str) -> bytes:
        """See Desk."""
        return await self._patiently(lambda: self._service.get_job_context(job))

    async def store(self, worker: WorkerCard, digest: str, path: Path) -> None:
        """See Desk."""
        data = await asyncio.to_thread(_small, path)
        if data is None:
            await self._patiently(lambda: self._service.upload_result(worker.name, digest, path))
            return
        self._small[digest] = data
        self._uses[digest] += 1  # shards may have the same output

    async def complete(self, worker: WorkerCard, token: int, result: bytes, seconds: float) -> None:
        """See Desk."""
        digest = parse_result(result).output_digest
        output = self._small.get(digest, b"")
        try:
            await self._patiently(
                lambda: self._service.complete_shard(
                    worker.name, worker.incarnation, token, result, output=output, elapsed=seconds
                )
            )
        finally:
            self._uses[digest] -= 1
            if self._uses[digest] <= 0:
                del self._uses[digest]
                self._small.pop(digest, None)

    async def fail(self, worker: WorkerCard, token: int, reason: str, message: str, *, retryable: bool) -> None:
        """See Desk."""
        await self._patiently(
            lambda: self._service.fail_shard(
                worker.name, worker.incarnation, token, reason=reason, message=message, retryable=retryable
            )
        )

    async def leave(self, worker: WorkerCard) -> None:
        """See Desk."""
        try:
            await self._service.leave_array(worker.name, worker.incarnation)
        except exceptions.NeuralMeshError as error:
            raise domain_error(error) from error

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a call returns; while the service is away it is repeated, for as long as a lease could hold."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self.lease_seconds, FIRST_PAUSE_SECONDS
        while True:
            try:
                return await call()
            except exceptions.NeuralMeshError as error:
                if not isinstance(error, _PASSING) or loop.time() + pause > until:
                    raise domain_error(error) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def domain_error(error: exceptions.NeuralMeshError) -> errors.NeuralMeshError:
    """Return the domain's error for a client's."""
    kind = _KINDS.get(type(error), errors.InternalError)
    return kind(error.reason or "INTERNAL", error.message, **error.metadata)


def _small(path: Path) -> bytes | None:
    """Return the bytes of a file that travels with its result; None for a larger one."""
    return path.read_bytes() if path.stat().st_size <= INLINE_BYTES else None
