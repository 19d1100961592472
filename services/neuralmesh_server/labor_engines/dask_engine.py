"""The engine on Dask.distributed: each worker of the cluster is a worker of the array, and runs what it is given.

Dask carries bytes and says who lives; it decides nothing. A shard is pinned to the worker that its lease was given to,
never stolen and never retried, and a worker that goes away is noticed by its absence: its leases are given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import distributed
import structlog

from neuralmesh_server.labor_engines.dask_task import Keeper
from neuralmesh_server.labor_engines.pool import card, empty_folder
from neuralmesh_server.labor_engines.station import Station

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.labor.desk import Desk
    from neuralmesh_server.labor_engines.versions import Versions

log = structlog.get_logger()

PLUGIN = "neuralmesh-labor"
CONNECT_SECONDS = 10.0
"""Longest wait for a scheduler."""

LOOK_SECONDS = 0.25
"""Between two looks at who lives."""

CONFIGURATION = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.allowed-failures": 0,
    # Without the malloc threshold that Dask sets: with it every shard's arrays are new pages, cleared by the kernel.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
}
"""What a cluster that is started here is told."""


class KeeperPlugin(distributed.WorkerPlugin):  # type: ignore[misc]  # Dask has no types
    """Gives each worker a keeper."""

    name = PLUGIN

    def setup(self, worker: distributed.Worker) -> None:
        """Begin with nothing."""
        worker.neuralmesh_labor = Keeper()


def keep(digest: str, data: bytes, dask_worker: Any = None) -> None:
    """Keep a file of a version on the worker that runs this."""
    dask_worker.neuralmesh_labor.keep(digest, data)


def run(text: str, lease: list[Any]) -> tuple[str, bytes] | tuple[str, str, bool]:
    """Run a shard on the worker that runs this; see `Keeper.run`."""
    keeper: Keeper = distributed.get_worker().neuralmesh_labor
    return keeper.run(text, lease)


class DaskEngine:
    """Runs shards on a cluster of Dask; belongs to the loop.

    Args:
        desk: Where work comes from and results go.
        versions: Where files of versions are.
        folder: For files of results on their way.
        address: Of a scheduler; empty to start a cluster in processes of this machine.
        workers: Processes of the cluster that is started.
        name: What the names of the workers begin with.

    Attributes:
        stations: The workers, by their addresses in the cluster.
    """

    def __init__(
        self, desk: Desk, versions: Versions, folder: Path, *, address: str = "", workers: int = 2, name: str = "dask"
    ) -> None:
        empty_folder(folder)
        self.stations: dict[str, Station] = {}
        self._desk = desk
        self._versions = versions
        self._folder = folder
        self._address = address
        self._workers = workers
        self._card = card(name)

    async def run(self) -> None:
        """Work until cancelled; raises OSError where there is no scheduler at the address."""
        async with contextlib.AsyncExitStack() as stack:
            where: Any = self._address
            if not where:
                stack.enter_context(dask.config.set(CONFIGURATION))
                where = await stack.enter_async_context(
                    distributed.LocalCluster(
                        n_workers=self._workers,
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address=None,
                        # Without a dashboard the scheduler still has an HTTP server, on 8787 unless it is told another.
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                        asynchronous=True,
                    )
                )
            client = await stack.enter_async_context(
                distributed.Client(where, asynchronous=True, timeout=CONNECT_SECONDS)
            )
            await client.register_plugin(KeeperPlugin())
            await self._follow(client)

    async def _follow(self, client: distributed.Client) -> None:
        """Have a station for every worker that lives."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                known = (await client.scheduler.identity())["workers"]
                for address in known.keys() - tasks.keys():
                    station = self._station(client, address, known[address]["nthreads"])
                    self.stations[address] = station
                    tasks[address] = asyncio.create_task(station.run())
                for address in tasks.keys() - known.keys():
                    log.warning("labor_dask_worker_gone", worker=self.stations.pop(address).card.name)
                    tasks[address].cancel()
                    await asyncio.gather(tasks.pop(address), return_exceptions=True)
                for task in tasks.values():
                    if task.done():
                        task.result()  # a defect ends the engine
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _station(self, client: distributed.Client, address: str, threads: int) -> Station:
        name = f"{self._card.name}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"
        own = replace(self._card, name=name, host=address, slots=threads)

        async def start() -> DaskProcess:
            return DaskProcess(client, address, self._folder)

        return Station(self._desk, own, self._versions, self._folder, start)


class DaskProcess:
    """A thread of a worker in the cluster; see `seat.Process`."""

    pid = 0

    def __init__(self, client: distributed.Client, address: str, folder: Path) -> None:
        self._client = client
        self._address = address
        self._folder = folder
        self._said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._jobs: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._kept: set[str] = set()
        self._how = "left the cluster"
        self._numbers = itertools.count(1)
        self._said.put_nowait({"ready": 0})

    def send(self, message: Fact) -> None:
        """Take a message."""
        assert isinstance(message, dict)
        ((kind, said),) = message.items()
        if kind == "open":
            assert isinstance(said, dict)
            opened: Any = said
            giving = asyncio.create_task(self._give(opened["context"], opened["files"]))
            self._jobs[opened["job"]] = opened["context"], giving
        elif kind == "run":
            lease: Any = said
            self._tasks[lease[0]] = asyncio.create_task(self._run(lease))
        elif kind == "drop":
            token: Any = said
            if token in self._tasks:
                self._tasks[token].cancel()

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message."""
        return await self._said.get()

    async def ended(self) -> str:
        """Return how it ended."""
        return self._how

    async def end(self) -> None:
        """Cancel what is under way."""
        tasks = [*self._tasks.values(), *(giving for _, giving in self._jobs.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _give(self, text: str, files: list[Mapping[str, str]]) -> None:
        """Give the worker the files of a job's versions, in the order of its context."""
        del text
        for path in {path for named in files for path in named.values()}:
            digest = "sha256:" + Path(path).name  # the store names files by their digests
            if digest not in self._kept:
                data = await asyncio.to_thread(Path(path).read_bytes)
                await self._client.run(keep, digest, data, workers=[self._address])
                self._kept.add(digest)

    async def _run(self, lease: list[Any]) -> None:
        token, job, action = lease[0], lease[1], lease[3]
        text, giving = self._jobs[job]
        loop = asyncio.get_running_loop()
        try:
            await asyncio.shield(giving)
            started = loop.time()
            future = self._client.submit(
                run,
                text,
                lease,
                key=f"action:{action}-{token}",  # an audit is another task, or Dask would not run it
                workers=[self._address],
                allow_other_workers=False,
                retries=0,
                pure=False,
            )
            try:
                answer = await future
            finally:
                future.release()
        except asyncio.CancelledError:
            self._said.put_nowait({"failed": [token, "CANCELLED", "its lease was lost", True]})
            raise
        except (OSError, distributed.scheduler.KilledWorker, distributed.client.FutureCancelledError) as error:
            self._how = f"was lost: {error}"
            self._said.put_nowait(None)
            return
        finally:
            self._tasks.pop(token, None)
        self._said.put_nowait(await self._answered(token, answer, loop.time() - started))

    async def _answered(self, token: int, answer: tuple[Any, ...], seconds: float) -> dict[str, Any]:
        if len(answer) != 2:
            return {"failed": [token, *answer]}
        result, data = answer
        name = f"{hashlib.sha256(self._address.encode()).hexdigest()[:12]}-{token}"
        await asyncio.to_thread((self._folder / name).write_bytes, data)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        return {
            "done": {
                "token": token,
                "result": result,
                "digest": digest,
                "file": name,
                "nanoseconds": max(1, int(seconds * 1e9)),
            }
        }
