"""The engine on Dask: a real scheduler and real worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuralmesh_server.labor_engines.dask_engine import DaskEngine
from tests.labor_engines import setting
from tests.labor_engines.setting import NETWORK, ONNX, Files, MemoryDesk
from tests.labor_engines.test_pool import digest, job

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextlib.asynccontextmanager
async def cluster(
    folder: Path, desk: MemoryDesk, files: Files, workers: int = 2, **how: object
) -> AsyncIterator[DaskEngine]:
    """Run the engine within the block."""
    engine = DaskEngine(desk, setting.versions(folder, files), folder / "dask", workers=workers, **how)
    run = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run


@pytest.mark.parametrize("kind", [NETWORK, ONNX])
async def test_dask_gives_the_bytes_of_the_embedded_engine(tmp_path: Path, kind: str) -> None:
    """The same job on a cluster and in processes of our own: equal in every byte."""
    files = Files()
    work = job(tmp_path, files, kind, shard=100)
    desk = MemoryDesk(work)
    async with cluster(tmp_path, desk, files) as engine:
        await desk.finished()
        assert len(engine.stations) == 2
    assert desk.failures == []
    assert desk.output() == await digest(tmp_path, work, files, 2)


async def test_every_shard_twice_is_run_twice(tmp_path: Path) -> None:
    """Both workers of the cluster run a shard that is audited, although Dask could answer from what it knows."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files, shard=200), every=2)
    async with cluster(tmp_path, desk, files):
        await desk.finished()
    assert desk.disagreed == []
    assert all(len(set(names)) == 2 for names in desk.by.values())


async def test_threads_of_a_worker_do_not_share_what_is_for_one(tmp_path: Path) -> None:
    """A worker with several threads, as Dask starts them unless told otherwise, runs every shard once and right."""
    files = Files()
    work = job(tmp_path, files, shard=4)
    desk = MemoryDesk(work)
    import distributed

    async with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=4,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            asynchronous=True,
        ) as there,
        cluster(tmp_path, desk, files, address=there.scheduler_address),
    ):
        await desk.finished()
    assert desk.failures == []
    assert desk.disagreed == []
    assert desk.output() == await digest(tmp_path, work, files, 2)


async def test_killed_workers_lose_nothing(tmp_path: Path) -> None:
    """A worker of the cluster is ended with -9: its leases go back, and what is missing is run elsewhere."""
    files = Files()
    work = job(tmp_path, files, shard=10)
    desk = MemoryDesk(work)
    import distributed

    async with cluster(tmp_path, desk, files) as engine:
        await desk.until(lambda: len(desk.results) >= 10)
        async with distributed.Client(
            distributed.default_client().scheduler.address, asynchronous=True, set_as_default=False
        ) as client:
            pids = await client.run(os.getpid)
        address, pid = min(pids.items())
        name = engine.stations[address].card.name
        os.kill(pid, signal.SIGKILL)
        await desk.finished()
    assert name in desk.left
    assert desk.disagreed == []
    assert desk.output() == await digest(tmp_path, work, files, 2)


async def test_a_cluster_of_ones_own_needs_no_port_of_others(tmp_path: Path) -> None:
    """Where somebody has the port on which Dask shows itself, a cluster starts all the same, without a warning."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files, shard=500))
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        with contextlib.suppress(OSError):  # then another cluster has it
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        async with cluster(tmp_path, desk, files, workers=1):
            await desk.finished()
    assert desk.failures == []
