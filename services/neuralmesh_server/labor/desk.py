"""What hands out work and takes results, as engines see it: in this process, or over gRPC through WorkerService.

Engines are never trusted for order or for doing a thing once. An engine may lose work, do it twice, or return nonsense;
whoever implements this keeps the promises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class WorkerCard:
    """Who asks for work.

    Attributes:
        name: Its name; one process at a time has it.
        incarnation: Random token of the process: another one with the name takes the name over.
        host: For people.
        slots: Shards that it runs at once.
        numerics: What it runs, by kind of version, as plans name it.
    """

    name: str
    incarnation: str
    host: str
    slots: int
    numerics: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to commit the result of a shard; see ShardLease in the contract."""

    token: int
    job: str
    shard: int
    action_digest: str
    file: str
    first_row: int
    rows: int
    input_digest: str


class Desk(Protocol):
    """Every method raises NeuralMeshError; LEASE_LOST and WORKER_QUARANTINED are what engines must expect."""

    lease_seconds: float

    async def lease(self, worker: WorkerCard, limit: int, wait: float) -> Sequence[Lease]:
        """Return up to `limit` leases, as soon as there is one; none after `wait` seconds."""

    async def renew(self, worker: WorkerCard, tokens: Sequence[int]) -> Sequence[int]:
        """Keep leases; returns the tokens of those that are lost."""

    async def context(self, job: str) -> bytes:
        """Return what all shards of a job have in common: canonical JSON, see `neuralmesh_server.labor.context`."""

    async def store(self, worker: WorkerCard, digest: str, path: Path) -> None:
        """Store the bytes of an output, which are those of the digest; the file may be moved away."""

    async def complete(self, worker: WorkerCard, token: int, result: bytes, seconds: float) -> None:
        """Commit the canonical result of a shard, whose output is stored; raises LEASE_LOST."""

    async def fail(self, worker: WorkerCard, token: int, reason: str, message: str, *, retryable: bool) -> None:
        """Give a lease back; not retryable means that any worker would fail alike."""

    async def leave(self, worker: WorkerCard) -> None:
        """Give everything back."""
