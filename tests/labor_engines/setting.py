"""Jobs for engines to run, and a small desk that hands them out: the first result of a shard counts, others are compared."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from neuralmesh_server import datasets
from neuralmesh_server.errors import AbortedError, PermissionDeniedError
from neuralmesh_server.inference.links import LinkError
from neuralmesh_server.labor import plan
from neuralmesh_server.labor.context import JobContext
from neuralmesh_server.labor.desk import Lease, WorkerCard
from neuralmesh_server.labor.plan import Columns, FilePin, Recipe, VersionPin
from neuralmesh_server.labor.results import ActionResult, parse_result
from neuralmesh_server.labor_engines.versions import Versions
from neuralmesh_server.numerics import numerics
from neuralmesh_server.writers import writer
from tests.inference import kinds, models

PATIENCE = 60.0
NETWORK, INDEX, TRANSFORM, ONNX = "liam.binary_network", "liam.binary_index", "liam.signal_transform", "onnx"


def sha256(data: bytes) -> str:
    """Return the digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Files:
    """Files of versions by their digests, as the registry gives them."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}
        self.cut = 0

    def pin(self, kind: str, content: bytes, version: int = 1, **more: bytes) -> VersionPin:
        """Return a version of the file `model` and others."""
        files = {"model": content, **{name.replace("_", "."): data for name, data in more.items()}}
        pins = []
        for name, data in sorted(files.items()):
            self.known[sha256(data)] = data
            pins.append(FilePin(name, len(data), sha256(data)))
        digest = sha256("".join(file.digest for file in pins).encode())
        return VersionPin("digits", version, kind, digest, tuple(pins), numerics(kind))

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Yield the bytes; a number of times the line is cut."""
        if self.cut:
            self.cut -= 1
            raise LinkError("PEER_UNREACHABLE", "the line is cut", unreachable=True)
        yield self.known[digest][offset:]


def content(kind: str, folder: Path, seed: int = 0) -> bytes:
    """Return a version's file of a kind."""
    if kind == NETWORK:
        return models.digits_liam(folder, seed)
    if kind == INDEX:
        return kinds.index(folder, seed)
    if kind == TRANSFORM:
        return kinds.transform(folder)
    return models.digits_onnx(seed, hidden=16)


def width(kind: str) -> int:
    """Return how many numbers a version of a kind takes for a row."""
    return kinds.WIDTH if kind in (INDEX, TRANSFORM) else 64


def recipe(*versions: VersionPin, **changes: object) -> Recipe:
    """Return a recipe that infers into Parquet, unless told otherwise."""
    made = Recipe(
        kind=plan.INFER,
        versions=versions,
        columns=Columns(),
        outputs=(),
        format=plan.PARQUET,
        writer="",
        bad_rows=plan.FAIL,
        micro_batch=0 if all(pin.numerics.level == plan.EXACT for pin in versions) else 16,
    )
    made = replace(made, **changes)
    return replace(made, writer=writer(made.format))


class Work:
    """A job: data cut into shards of some rows.

    Args:
        data: File or folder of the data.
        made: The recipe.
        files: Rows of each file, by path.
        rows: Most rows of a shard.
    """

    def __init__(
        self, data: Path, made: Recipe, files: dict[str, int], rows: int, name: str = "0123456789abcdef"
    ) -> None:
        self.name = name
        self.recipe = made
        self.context = JobContext(made, str(data)).encode()
        self.shards = []
        digest = made.digest()
        with datasets.Reader(str(data), made.columns) as reader:
            for path, count in files.items():
                for first in range(0, count, rows):
                    size = min(rows, count - first)
                    block = reader.read(path, first, size)
                    action = plan.action_digest(digest, block.digest, size)
                    self.shards.append((path, first, size, block.digest, action))

    def lease(self, shard: int, token: int = 1) -> Lease:
        """Return a lease of a shard."""
        path, first, rows, digest, action = self.shards[shard]
        return Lease(token, self.name, shard, action, path, first, rows, digest)


async def eventually(condition) -> None:
    """Wait until something holds that nobody announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


class MemoryDesk:
    """See neuralmesh_server.labor.desk.Desk. Nothing waits for time here: leases end when workers leave or are replaced."""

    def __init__(self, *works: Work, every: int = 1) -> None:
        self.lease_seconds = 3.0
        self.works = {work.name: work for work in works}
        self.every = every
        self.results: dict[tuple[str, int], list[bytes]] = {}
        self.stored: dict[str, bytes] = {}
        self.by: dict[tuple[str, int], list[str]] = {}
        self.failures: list[tuple[str, int, str, str, bool]] = []
        self.disagreed: list[tuple[str, int]] = []
        self.leases: dict[int, tuple[str, str, int]] = {}
        self.workers: dict[str, str] = {}
        self.quarantined: set[str] = set()
        self.lost: set[int] = set()
        self.left: list[str] = []
        self.renewed = 0
        self.retry = True
        self._tokens = 0
        self._waiting = [(work.name, shard) for work in works for shard in range(len(work.shards))] * every
        self.changed = asyncio.Condition()

    async def lease(self, worker: WorkerCard, limit: int, wait: float) -> Sequence[Lease]:
        """Hand out the next shards that this worker did not run yet."""
        assert limit > 0
        async with self.changed:
            if worker.name in self.quarantined:
                raise PermissionDeniedError("WORKER_QUARANTINED", "it lies", worker=worker.name)
            if self.workers.get(worker.name, worker.incarnation) != worker.incarnation:
                self._give_back(worker.name)
            self.workers[worker.name] = worker.incarnation
            try:
                async with asyncio.timeout(wait):
                    await self.changed.wait_for(lambda: self._able(worker))
            except TimeoutError:
                return []
            found = self._able(worker)[:limit]
            leases = []
            for job, shard in found:
                self._waiting.remove((job, shard))
                self._tokens += 1
                self.leases[self._tokens] = (worker.name, job, shard)
                leases.append(self.works[job].lease(shard, self._tokens))
            self.changed.notify_all()
            return leases

    def _able(self, worker: WorkerCard) -> list[tuple[str, int]]:
        found = dict.fromkeys(self._waiting)
        mine = {(job, shard) for owner, job, shard in self.leases.values() if owner == worker.name}
        return [key for key in found if worker.name not in self.by.get(key, ()) and key not in mine]

    def _give_back(self, name: str) -> None:
        for token, (owner, job, shard) in list(self.leases.items()):
            if owner == name:
                del self.leases[token]
                self._waiting.append((job, shard))

    async def renew(self, worker: WorkerCard, tokens: Sequence[int]) -> Sequence[int]:
        """Say which leases are lost."""
        self.renewed += 1
        return [token for token in tokens if token not in self.leases or token in self.lost]

    async def context(self, job: str) -> bytes:
        """Return the job's context."""
        return self.works[job].context

    async def store(self, worker: WorkerCard, digest: str, path: Path) -> None:
        """Keep the bytes of an output, which must be those of the digest."""
        data = await asyncio.to_thread(path.read_bytes)
        assert sha256(data) == digest
        self.stored[digest] = data

    async def complete(self, worker: WorkerCard, token: int, result: bytes, seconds: float) -> None:
        """Take a result."""
        assert seconds > 0
        async with self.changed:
            lease = self.leases.pop(token, None)
            if lease is None:
                raise AbortedError("LEASE_LOST", f"lease {token} is lost", token=token)
            _, job, shard = lease
            assert parse_result(result).output_digest in self.stored
            found = self.results.setdefault((job, shard), [])
            if found and found[0] != result:
                self.disagreed.append((job, shard))
            found.append(result)
            self.by.setdefault((job, shard), []).append(worker.name)
            self.changed.notify_all()

    async def fail(self, worker: WorkerCard, token: int, reason: str, message: str, *, retryable: bool) -> None:
        """Note a failure; what may go better is queued again, unless the test wants to see the failure alone."""
        async with self.changed:
            _, job, shard = self.leases.pop(token)
            self.failures.append((job, shard, reason, message, retryable))
            if retryable and self.retry:
                self._waiting.append((job, shard))
            self.changed.notify_all()

    async def leave(self, worker: WorkerCard) -> None:
        """Give the worker's shards to others."""
        async with self.changed:
            self.left.append(worker.name)
            self._give_back(worker.name)
            self.changed.notify_all()

    @property
    def done(self) -> bool:
        """True when every shard has all of its results."""
        wanted = sum(len(work.shards) for work in self.works.values()) * self.every
        return sum(map(len, self.results.values())) == wanted

    async def until(self, condition) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(condition)

    async def finished(self) -> None:
        """Wait until every shard has a result."""
        await self.until(lambda: self.done)

    def outcome(self, job: str = "") -> list[ActionResult]:
        """Return the results of a job in order."""
        name = job or next(iter(self.works))
        return [parse_result(self.results[name, shard][0]) for shard in range(len(self.works[name].shards))]

    def output(self) -> str:
        """Return a digest over all results of all jobs."""
        parts = [self.results[key][0] for key in sorted(self.results)]
        return sha256(b"\0".join(parts))


def digits_data(folder: Path, rows: int = 1000, seed: int = 1, dtype: str = "uint8") -> Path:
    """Write rows of 64 small numbers as an .npy file; returns its folder."""
    place = folder / "data"
    place.mkdir(exist_ok=True)
    np.save(place / "rows.npy", np.random.default_rng(seed).integers(0, 17, (rows, 64)).astype(dtype))
    return place


def versions(folder: Path, files: Files) -> Versions:
    """Return versions that come from these files."""
    return Versions(folder / "versions", files)


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment with changes."""
    return {**os.environ, **more}
