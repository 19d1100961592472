"""No room: a job says so, nothing that was acknowledged is lost, and it is taken up when there is room again."""

from __future__ import annotations

import errno
import os

import apsw
import pytest

from neuralmesh_server import content_store
from neuralmesh_server.errors import AbortedError, ResourceExhaustedError
from neuralmesh_server.labor import schedule
from neuralmesh_server.labor.store_sqlite import FILE_NAME
from tests.labor.array_bench import Bench, expected_output, make_card, make_plan, running

ONE = make_card("one")


async def run_until_full(bench) -> None:
    """Run shards until there is no room."""

    async def run() -> None:
        while leases := await bench.lease(ONE):
            await bench.deliver(ONE, leases[0])

    with pytest.raises((ResourceExhaustedError, AbortedError)):
        await run()
    await bench.desk.settled()


async def test_a_full_database_fails_the_job_and_keeps_its_results(tmp_path) -> None:
    """Without a page left, the job fails with STORAGE_FULL; with room again, it goes on where it stood."""
    plan = make_plan(600)
    bench = Bench(tmp_path, max_pages=120)
    await bench.open()
    await bench.submit(plan)
    await run_until_full(bench)
    view = await bench.view(plan)
    assert (view.job.state, view.job.problem.reason) == ("failed", "STORAGE_FULL")
    assert 0 < view.progress.done < 600
    events = [event async for event in bench.desk.jobs.watch(plan.job, 0)]
    assert (events[-1].state, events[-1].problem.reason) == ("failed", "STORAGE_FULL")
    assert await bench.lease(ONE) == []
    done = view.progress.done
    bench.max_pages = None
    await bench.restart()
    await bench.submit(plan)
    assert (await bench.view(plan)).progress.done == done
    await bench.work(ONE)
    view = await bench.view(plan)
    assert (view.job.state, view.job.output_digest) == ("committed", expected_output(plan))
    await bench.close()
    assert apsw.Connection(str(tmp_path / "store" / FILE_NAME)).pragma("integrity_check") == "ok"


async def test_the_end_of_a_job_is_stored_when_there_is_room_again(tmp_path, monkeypatch) -> None:
    """An end that could not be stored is told at once, to watchers too, and stored by a later tick."""
    plan = make_plan(3)
    async with running(tmp_path) as bench:
        await bench.submit(plan)
        (lease,) = await bench.lease(ONE)

        async def full(work):
            raise ResourceExhaustedError("STORAGE_FULL", "no space is left to store the change; nothing was changed")

        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "write", full)
            with pytest.raises(ResourceExhaustedError):
                await bench.deliver(ONE, lease)
            assert (await bench.view(plan)).job.problem.reason == "STORAGE_FULL"
            events = [event async for event in bench.desk.jobs.watch(plan.job, 0)]
            assert events[-1].problem.reason == "STORAGE_FULL"
            with pytest.raises(ResourceExhaustedError):
                await bench.submit(plan)
        await bench.settle()
        assert bench.desk.journal.unsaved == {}
        await bench.restart()
        assert (await bench.view(plan)).job.problem.reason == "STORAGE_FULL"
        await bench.submit(plan)
        await bench.work(ONE)
        assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_the_log_of_the_placement_has_no_gap(tmp_path, monkeypatch) -> None:
    """An epoch that could not be recorded for want of room is recorded before the next one."""
    plan = make_plan(8)
    async with running(tmp_path) as bench:
        await bench.submit(plan)
        await bench.lease(ONE)
        await bench.lease(make_card("two"))

        async def full(work):
            raise ResourceExhaustedError("STORAGE_FULL", "no space is left to store the change; nothing was changed")

        bench.desk.roster.leave("two")
        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "write", full)
            with pytest.raises(ResourceExhaustedError):
                await bench.lease(ONE)
        await bench.lease(make_card("three"))
        epochs = await bench.desk.jobs.schedule(plan.job)
        assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
        log = [(epoch.slots, epoch.pending) for epoch in epochs]
        assert schedule.replay([shard.cost for shard in plan.shards], list(plan.actions()), log) == epochs


async def test_a_full_content_store_is_a_failure_of_the_job(tmp_path, monkeypatch) -> None:
    """Where outputs cannot be stored, their worker is told, and what it says ends the job until it is submitted again."""
    plan = make_plan(3)
    bench = Bench(tmp_path)
    await bench.open()
    await bench.submit(plan)
    (lease,) = await bench.lease(ONE)

    def full(file, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(content_store, "_write_all", full)
        with pytest.raises(ResourceExhaustedError) as raised:
            await bench.deliver(ONE, lease)
        await bench.desk.fail(ONE, lease.token, raised.value.reason, raised.value.message, retryable=True)
    job = (await bench.view(plan)).job
    assert (job.state, job.problem.reason) == ("failed", "STORAGE_FULL")
    await bench.submit(plan)
    await bench.work(ONE)
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)
    await bench.close()


async def test_a_full_disk_of_a_worker_is_its_own(tmp_path) -> None:
    """A worker that has no space itself fails its shard, not the job."""
    plan = make_plan(1)
    async with running(tmp_path) as bench:
        await bench.submit(plan)
        await bench.lease(make_card("two"), 0)
        (lease,) = await bench.lease(ONE)
        await bench.desk.fail(ONE, lease.token, "STORAGE_FULL", "no space left on /scratch", retryable=True)
        await bench.work(make_card("two"))
        view = await bench.view(plan)
        assert (view.job.state, view.progress.retries) == ("committed", 1)


async def test_a_manifest_without_room_fails_the_job(tmp_path, monkeypatch) -> None:
    """Where the output manifest cannot be stored, the job fails with STORAGE_FULL and keeps all results."""
    plan = make_plan(2)
    bench = Bench(tmp_path)
    await bench.open()
    await bench.submit(plan)
    leases = await bench.lease(ONE) + await bench.lease(ONE)
    await bench.deliver(ONE, leases[0])
    original = content_store._write_all

    def full(file, data):
        if b"labor_output" in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(content_store, "_write_all", full)
        await bench.deliver(ONE, leases[1])
        await bench.settle()
    view = await bench.view(plan)
    assert (view.job.state, view.job.problem.reason, view.progress.done) == ("failed", "STORAGE_FULL", 2)
    await bench.submit(plan)
    await bench.settle()
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)
    await bench.close()
