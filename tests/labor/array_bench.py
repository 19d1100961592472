"""A coordinator on a real store with a clock of its own, plans of any size, and workers that are told what to do."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.labor.coordinator import Coordinator
from neuralmesh_server.labor.desk import WorkerCard
from neuralmesh_server.labor.plan import (
    EXACT,
    INFER,
    Columns,
    DataFile,
    FilePin,
    Numerics,
    Plan,
    Recipe,
    Shard,
    VersionPin,
)
from neuralmesh_server.labor.records import Options, Submission
from neuralmesh_server.labor.results import ActionResult, Skipped
from neuralmesh_server.labor.shelf import Shelf
from neuralmesh_server.labor.store_sqlite import SqliteStore
from neuralmesh_server.labor.timing import Timing

NUMERICS = {"liam.binary_network": "liam/1"}
TIMING = Timing(lease_seconds=10.0, silent_seconds=45.0, patience_seconds=10.0)


def digest(text: str | bytes) -> str:
    """Return a digest of something."""
    return "sha256:" + hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def make_recipe(*, level: str = EXACT, version: int = 1, kind: str = INFER, bad_rows: str = "fail") -> Recipe:
    """Return a recipe of one version."""
    pin = VersionPin(
        model="digits",
        version=version,
        kind="liam.binary_network",
        digest=digest(f"version {version}"),
        files=(FilePin("model.safetensors", 10, digest("file")),),
        numerics=Numerics("liam/1", level),
    )
    return Recipe(kind, (pin,), Columns(), (), "parquet", "writer/1", bad_rows, 0)


def make_plan(shards: int = 4, *, rows: int = 10, name: str = "data", costs=None, **said) -> Plan:
    """Return a plan of one file with so many shards."""
    costs = costs or [rows * 8] * shards
    file = DataFile("rows.npy", shards * rows * 8, digest(name), shards * rows)
    made = tuple(
        Shard(0, number * rows, rows, f"blake3:{digest(f'{name} {number}')[7:]}", costs[number])
        for number in range(shards)
    )
    return Plan(make_recipe(**said), (file,), rows, made)


def make_card(name: str = "one", incarnation: str = "a", slots: int = 1, numerics=None) -> WorkerCard:
    """Return a worker."""
    return WorkerCard(name, incarnation, "host", slots, NUMERICS if numerics is None else numerics)


def output_of(action: str, lie: str = "") -> bytes:
    """Return the bytes that an action gives."""
    return f"output of {action}{lie}".encode()


def result_of(lease, lie: str = "", skipped: int = 0) -> bytes:
    """Return the result that an action gives, or another one."""
    data = output_of(lease.action_digest, lie)
    rows = (Skipped(0, skipped, "bad"),) if skipped else ()
    return ActionResult(lease.rows - skipped, digest(data), len(data), rows).encode()


async def _once(data):
    yield data


class Bench:
    """A coordinator, the time that it sees, and what is needed to start it again.

    Attributes:
        now: Its monotonic time.
    """

    def __init__(self, folder, timing=TIMING, max_pages=None) -> None:
        self.folder = folder
        self.timing = timing
        self.max_pages = max_pages
        self.now = 1000.0

    async def open(self) -> None:
        """Start the service."""
        self.store = SqliteStore(self.folder / "store", max_pages=self.max_pages)
        self.content = ContentStore(self.folder / "content")
        self.shelf = Shelf(self.content)
        self.desk = Coordinator(
            self.store, self.shelf, timing=self.timing, clock=lambda: self.now, wall=lambda: 1_700_000_000 + self.now
        )
        await self.desk.start()

    async def close(self) -> None:
        """Stop the service."""
        await self.desk.stop()
        self.shelf.close()
        self.store.close()

    async def restart(self) -> None:
        """Stop it and start it again in the same folder."""
        await self.close()
        await self.open()

    async def submit(self, plan, **options):
        """Submit a plan."""
        return await self.desk.jobs.submit(Submission(plan, "/data", options=Options(**options), actor="me"))

    async def lease(self, card, limit=1):
        """Return leases that there are now."""
        return list(await self.desk.lease(card, limit, 0))

    async def deliver(self, card, lease, lie: str = "", skipped: int = 0) -> None:
        """Store what a lease gives, or a lie, and commit it."""
        data = output_of(lease.action_digest, lie)
        await self.desk.store_pieces(card, digest(data), len(data), _once(data))
        await self.desk.complete(card, lease.token, result_of(lease, lie, skipped), 0.1)

    async def work(self, *cards, lies=None, limit=1) -> None:
        """Let workers run one shard after the other until none gets any; `lies` are what some return instead."""
        busy = True
        while busy:
            busy = False
            for card in cards:
                try:
                    leases = await self.lease(card, limit)
                    for lease in leases:
                        await self.deliver(card, lease, (lies or {}).get(card.name, ""))
                except NeuralMeshError as error:
                    if error.reason not in {"LEASE_LOST", "WORKER_QUARANTINED"}:
                        raise
                    leases = [error]
                    if error.reason == "WORKER_QUARANTINED":
                        leases = []
                busy = busy or bool(leases)
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that is due."""
        await self.desk.tick()
        await self.desk.settled()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due."""
        self.now += seconds
        await self.settle()

    async def view(self, plan):
        """Return the job of a plan."""
        return await self.desk.jobs.get(plan.job)


@asynccontextmanager
async def running(folder, **options):
    """Give a bench whose service runs."""
    bench = Bench(folder, **options)
    await bench.open()
    try:
        yield bench
    finally:
        await bench.close()


def expected_output(plan) -> str:
    """Return the output digest of an honest run."""
    from neuralmesh_server.labor.results import manifest

    results = []
    for action, shard in zip(plan.actions(), plan.shards, strict=True):
        data = output_of(action)
        results.append(ActionResult(shard.rows, digest(data), len(data)))
    return digest(manifest(plan.digest, results, None))
