"""The embedded engine: real processes, ended at random, lying, crashing, out of disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liam_core import capabilities
from neuralmesh_server.errors import AbortedError, ResourceExhaustedError, UnavailableError
from neuralmesh_server.labor import plan
from neuralmesh_server.labor_engines.pool import Pool, card, starter
from neuralmesh_server.labor_engines.station import Station
from tests.labor_engines import setting
from tests.labor_engines.setting import NETWORK, ONNX, Files, MemoryDesk, Work


def job(folder: Path, files: Files, kind: str = NETWORK, shard: int = 40, rows: int = 1000, **changes: object) -> Work:
    """Return a job over random digits."""
    pin = files.pin(kind, setting.content(kind, folder))
    data = setting.digits_data(folder, rows, dtype="uint8" if kind == NETWORK else "float32")
    return Work(data, setting.recipe(pin, **changes), {"rows.npy": rows}, shard)


@contextlib.asynccontextmanager
async def working(
    folder: Path, desk: MemoryDesk, files: Files, processes: int = 2, **how: object
) -> AsyncIterator[Pool]:
    """Run a pool within the block; a defect of it fails the test."""
    pool = Pool(desk, setting.versions(folder, files), folder / "results", processes, **how)
    run = asyncio.create_task(pool.run())
    try:
        yield pool
    finally:
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run


async def digest(folder: Path, work: Work, files: Files, processes: int, **how: object) -> str:
    """Return the digest over all results of a job that so many processes ran."""
    desk = MemoryDesk(work)
    async with working(folder, desk, files, processes, **how):
        await desk.finished()
    assert desk.failures == []
    return desk.output()


@pytest.mark.parametrize("kind", [NETWORK, ONNX])
async def test_results_do_not_depend_on_processes(tmp_path: Path, kind: str) -> None:
    """One, two and three processes give the same results of all shards."""
    files = Files()
    work = job(tmp_path, files, kind)
    assert len({await digest(tmp_path, work, files, processes) for processes in (1, 2, 3)}) == 1


async def test_results_do_not_depend_on_simd_levels(tmp_path: Path) -> None:
    """Processes forced to each level that this machine has give the same results."""
    files = Files()
    work = job(tmp_path, files)
    levels = capabilities().supported
    found = {
        await digest(tmp_path, work, files, 1, environment=setting.environment(LIAM_SIMD=level)) for level in levels
    }
    assert len(found) == 1
    assert len(levels) > 1


async def test_killed_processes_lose_nothing(tmp_path: Path) -> None:
    """Processes are ended with -9 at random while they work: every shard has its result, with the bytes of a quiet run."""
    files = Files()
    work = job(tmp_path, files, shard=10)
    quiet = await digest(tmp_path, work, files, 2)
    desk = MemoryDesk(work)
    chosen = random.Random(4)
    async with working(tmp_path, desk, files, 2) as pool:
        for done in range(10, 91, 20):
            await desk.until(lambda done=done: len(desk.results) >= done)
            pids = pool.pids
            if pids:
                os.kill(chosen.choice(pids), signal.SIGKILL)
        await desk.finished()
    assert desk.output() == quiet
    assert desk.failures == []
    assert desk.disagreed == []


async def test_every_shard_twice(tmp_path: Path) -> None:
    """Run by both processes, each shard gives the same bytes both times."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files), every=2)
    async with working(tmp_path, desk, files):
        await desk.finished()
    assert desk.disagreed == []
    assert all(sorted(names) == ["local-1", "local-2"] for names in desk.by.values())


async def test_lies_are_seen(tmp_path: Path) -> None:
    """A process that returns other bytes is told by the results of another one."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files, shard=100), every=2)
    async with working(tmp_path, desk, files, 1, name="honest"), contextlib.AsyncExitStack() as stack:
        liar = working(tmp_path / "liar", desk, files, 1, name="liar", module="tests.labor_engines.liar")
        (tmp_path / "liar").mkdir()
        await stack.enter_async_context(liar)
        await desk.finished()
    assert len(desk.disagreed) == 10


async def test_quarantined_workers_rest(tmp_path: Path) -> None:
    """A worker in quarantine runs nothing, says so, and leaves the work to others."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files))
    desk.quarantined.add("local-1")
    async with working(tmp_path, desk, files) as pool:
        await desk.finished()
        assert pool.stations[0].quarantined
        assert not pool.stations[1].quarantined
    assert {name for names in desk.by.values() for name in names} == {"local-2"}


async def test_shards_that_take_processes_down_are_given_back(tmp_path: Path) -> None:
    """After a number of deaths over one shard its lease is given back with the reason, and the pool says that it crashes."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files, shard=1000))
    desk.retry = False
    async with working(tmp_path, desk, files, 1, module="tests.labor_engines.crasher"):
        await desk.until(lambda: desk.failures)
    ((_, shard, reason, message, retryable),) = desk.failures
    assert (shard, reason, retryable) == (0, "MODEL_FAILED", True)
    assert message == "shard 0 took 3 processes down; the last one was ended by SIGKILL"


async def test_processes_that_cannot_start_are_reported(tmp_path: Path) -> None:
    """With an environment in which nothing starts, the pool says why, and gives everything back."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files))
    async with working(tmp_path, desk, files, 1, environment=setting.environment(LIAM_SIMD="abacus")) as pool:
        await setting.eventually(lambda: pool.crashing)
        assert "status 1" in pool.crashing
        await desk.until(lambda: "local-1" in desk.left)


async def test_bad_rows_fail_for_good(tmp_path: Path) -> None:
    """A shard whose data changed is no matter for another worker; its failure names the file."""
    files = Files()
    work = job(tmp_path, files)
    setting.digits_data(tmp_path, 1000, seed=9)
    desk = MemoryDesk(work)
    async with working(tmp_path, desk, files):
        await desk.until(lambda: len(desk.failures) == 25)
    assert {(reason, retryable) for _, _, reason, _, retryable in desk.failures} == {("DATASET_CHANGED", False)}
    assert all("'rows.npy' has changed" in message for *_, message, _ in desk.failures)


async def test_data_that_changes_while_running_is_seen(tmp_path: Path) -> None:
    """Rows that change in the middle of a job: shards of before keep their results, those of later are refused."""
    files = Files()
    work = job(tmp_path, files, shard=5)
    desk = MemoryDesk(work)
    async with working(tmp_path, desk, files):
        await desk.until(lambda: len(desk.results) >= 20)
        setting.digits_data(tmp_path, 1000, seed=9)
        await desk.until(lambda: len(desk.results) + len(desk.failures) == 200)
    assert {reason for _, _, reason, _, _ in desk.failures} == {"DATASET_CHANGED"}
    assert len(desk.results) >= 20


async def test_a_full_disk_gives_the_shard_back(tmp_path: Path) -> None:
    """Where there is no room for results, the shard is given back as something that may go better; nothing is left."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files, shard=500))
    desk.retry = False
    async with working(tmp_path, desk, files, 1, module="tests.labor_engines.cramped"):
        await desk.until(lambda: len(desk.failures) == 2)
    assert {(reason, retryable) for _, _, reason, _, retryable in desk.failures} == {("STORAGE_FULL", True)}
    assert list((tmp_path / "results").iterdir()) == []


async def test_a_full_store_gives_the_shard_back(tmp_path: Path) -> None:
    """Where the store has no room, the shard is given back, and it goes on when there is."""

    class FullDesk(MemoryDesk):
        full = 3

        async def store(self, worker, digest, path) -> None:
            if self.full:
                self.full -= 1
                raise ResourceExhaustedError("STORAGE_FULL", "no space is left", digest=digest)
            await super().store(worker, digest, path)

    files = Files()
    desk = FullDesk(job(tmp_path, files))
    async with working(tmp_path, desk, files):
        await desk.finished()
    assert [(reason, retryable) for _, _, reason, _, retryable in desk.failures] == [("STORAGE_FULL", True)] * 3
    assert list((tmp_path / "results").iterdir()) == []


async def test_a_result_that_another_upload_holds_up_is_given_back(tmp_path: Path) -> None:
    """A desk that cannot take an output just now hears of it at once: the lease does not end unheard, and counts no loss."""

    class BusyDesk(MemoryDesk):
        busy = 2

        async def store(self, worker, digest, path) -> None:
            if self.busy:
                self.busy -= 1
                raise AbortedError("UPLOAD_IN_PROGRESS", "another upload is running", digest=digest)
            await super().store(worker, digest, path)

    files = Files()
    desk = BusyDesk(job(tmp_path, files))
    async with working(tmp_path, desk, files):
        await desk.finished()
    assert [(reason, retryable) for _, _, reason, _, retryable in desk.failures] == [("UPLOAD_IN_PROGRESS", True)] * 2


async def test_a_desk_that_is_away_costs_no_job(tmp_path: Path) -> None:
    """What the desk cannot hear or say is never the shard's fault: it is given back as something that may go better."""

    class AwayDesk(MemoryDesk):
        away = 4

        async def context(self, job: str) -> bytes:
            if self.away > 2:
                self.away -= 1
                raise UnavailableError("NOT_SERVING", "the service restarts")
            return await super().context(job)

        async def complete(self, worker, token, result, seconds) -> None:
            if self.away:
                self.away -= 1
                raise UnavailableError("NOT_SERVING", "the service restarts")
            await super().complete(worker, token, result, seconds)

    files = Files()
    desk = AwayDesk(job(tmp_path, files))
    async with working(tmp_path, desk, files, 1):
        await desk.finished()
    assert len(desk.failures) > 2
    assert {(reason, retryable) for _, _, reason, _, retryable in desk.failures} == {("NOT_SERVING", True)}


async def test_lost_leases_are_dropped(tmp_path: Path) -> None:
    """What the desk says is lost is not delivered, and its process goes on with other work."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files, shard=500))
    desk.lease_seconds = 0.3
    folder = _folder(tmp_path)
    station = Station(
        desk,
        card("alone"),
        setting.versions(tmp_path, files),
        folder,
        starter(folder, module="tests.labor_engines.sleeper"),
    )
    run = asyncio.create_task(station.run())
    await desk.until(lambda: len(desk.leases) == 2)
    desk.lost.update(desk.leases)
    await setting.eventually(lambda: not station._held and not station._underway())
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run
    assert desk.results == {}
    assert desk.failures == []


async def test_files_are_fetched_again_when_the_line_is_back(tmp_path: Path) -> None:
    """A registry that is away for a moment costs a moment."""
    files = Files()
    work = job(tmp_path, files)
    files.cut = 2
    await digest(tmp_path, work, files, 1)
    assert files.cut == 0


async def test_damaged_files_are_never_run(tmp_path: Path) -> None:
    """Bytes that are not those of the version's digest are refused before anything opens them."""
    files = Files()
    work = job(tmp_path, files)
    (pin,) = work.recipe.versions
    files.known[pin.files[0].digest] = files.known[pin.files[0].digest][:-1] + b"x"
    desk = MemoryDesk(work)
    desk.retry = False
    async with working(tmp_path, desk, files, 1):
        await desk.until(lambda: desk.failures)
    assert {reason for _, _, reason, _, _ in desk.failures} == {"DIGEST_MISMATCH"}


async def test_a_worker_outlives_files_that_it_cannot_have(tmp_path: Path) -> None:
    """Shards of a version whose files do not come are given back and not dealt out; once they come, the job is done."""
    files = Files()
    work = job(tmp_path, files)
    (pin,) = work.recipe.versions
    sound = files.known[pin.files[0].digest]
    files.known[pin.files[0].digest] = sound[:-1] + b"x"
    desk = MemoryDesk(work)
    async with working(tmp_path, desk, files, 1) as pool:
        await setting.eventually(lambda: pool.pids)
        await desk.until(lambda: len(desk.failures) >= 2)
        files.known[pin.files[0].digest] = sound
        await desk.finished()
    assert {reason for _, _, reason, _, _ in desk.failures} == {"DIGEST_MISMATCH"}


async def test_idle_workers_end(tmp_path: Path) -> None:
    """A worker that is told to returns when there was nothing to do for a while, and says goodbye."""
    files = Files()
    desk = MemoryDesk(job(tmp_path, files))
    folder = _folder(tmp_path)
    station = Station(
        desk, card("once", 2), setting.versions(tmp_path, files), folder, starter(folder), idle_seconds=0.3
    )
    async with asyncio.timeout(setting.PATIENCE):
        await station.run()
    assert desk.done
    assert desk.left == ["once"]
    assert station.pids == []


async def test_two_jobs_share_a_pool(tmp_path: Path) -> None:
    """Jobs over different versions run in the same processes."""
    files = Files()
    one = job(tmp_path, files)
    pin = files.pin(NETWORK, setting.content(NETWORK, tmp_path, 1), 2)
    made = setting.recipe(pin, format=plan.SAFETENSORS)
    other = Work(tmp_path / "data", made, {"rows.npy": 1000}, 100, "fedcba9876543210")
    desk = MemoryDesk(one, other)
    async with working(tmp_path, desk, files):
        await desk.finished()
    assert desk.failures == []
    assert len(desk.outcome("fedcba9876543210")) == 10


def _folder(folder: Path) -> Path:
    place = folder / "results"
    place.mkdir(exist_ok=True)
    return place
