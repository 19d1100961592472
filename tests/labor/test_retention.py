"""What is removed of old jobs, and what never is: whatever a job needs that runs or is kept."""

from __future__ import annotations

import asyncio
import json
import os
import random

import pytest

from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.errors import NotFoundError
from neuralmesh_server.labor.cache import Cache
from neuralmesh_server.labor.retention import YOUNG_SECONDS
from neuralmesh_server.labor.shelf import Shelf
from tests.labor.array_bench import digest, expected_output, make_card, make_plan, output_of, result_of, running

ONE, TWO, THREE = (make_card(name) for name in ("one", "two", "three"))
HOUR = 3600.0
KEEP = 10 * HOUR


def files(bench) -> set[str]:
    """Return everything that is stored."""
    return set(bench.content.older_than(float("inf")))


def stamp(bench) -> None:
    """Make all files as old as the bench's clock says that they are when they are written now."""
    wall = 1_700_000_000 + bench.now
    for path in (bench.folder / "content").glob("*/**/*"):
        if path.is_file() and path.stat().st_mtime > wall:
            os.utime(path, (wall, wall))


async def later(bench, seconds: float) -> None:
    """Let time pass, for files as well."""
    stamp(bench)
    await bench.pass_time(seconds)


async def done(bench, plan) -> str:
    """Run a job to its end; returns its output digest."""
    await bench.submit(plan)
    await bench.work(ONE)
    job = (await bench.view(plan)).job
    assert job.state == "committed"
    return job.output_digest


async def stands(bench, plan) -> bool:
    """Say whether a job is committed with all of its bytes."""
    job = (await bench.view(plan)).job
    return job.state == "committed" and await Cache(bench.store, bench.shelf).stands(job)


async def test_old_results_go_and_kept_ones_stay(tmp_path) -> None:
    """Of a job that ended too long ago nothing is left but its record; one that ended later keeps every byte."""
    old, new = make_plan(name="old"), make_plan(name="new")
    async with running(tmp_path) as bench:
        await done(bench, old)
        await later(bench, 6 * HOUR)
        await done(bench, new)
        await later(bench, 5 * HOUR)
        before = files(bench)
        assert await bench.desk.retention.collect(KEEP) == 6  # plan, manifest, four outputs
        assert len(before - files(bench)) == 6
        assert await stands(bench, new)
        assert not await stands(bench, old)
        job = (await bench.view(old)).job
        assert (job.state, job.output_digest) == ("committed", expected_output(old))
        with pytest.raises(NotFoundError):
            await bench.shelf.get(job.output_digest)
        assert await bench.desk.jobs.cached(old) == []
        assert await bench.desk.jobs.cached(new) == [0, 1, 2, 3]
        assert await bench.desk.retention.collect(KEEP) == 0


async def test_a_job_whose_results_are_gone_is_run_again(tmp_path) -> None:
    """Submitted again, it runs all of its shards and gives the output of before, also after a restart."""
    plan = make_plan()
    async with running(tmp_path) as bench:
        first = await done(bench, plan)
        await later(bench, KEEP + HOUR)
        assert await bench.desk.retention.collect(KEEP) > 0
        assert files(bench) == set()
        await bench.restart()
        assert await done(bench, plan) == first
        assert await stands(bench, plan)


async def test_what_two_jobs_share_stays_for_the_newer(tmp_path) -> None:
    """Results that a kept job took out of the cache stay, whoever computed them."""
    old, new = make_plan(4), make_plan(6)  # the first four rows' results are the same
    async with running(tmp_path) as bench:
        await done(bench, old)
        await later(bench, 6 * HOUR)
        await done(bench, new)
        assert (await bench.view(new)).progress.cached == 4
        await later(bench, 5 * HOUR)
        assert await bench.desk.retention.collect(KEEP) == 2  # the old plan and manifest
        assert await stands(bench, new)


async def test_a_job_that_is_submitted_again_is_kept_from_then_on(tmp_path) -> None:
    """A job that stands is new again for whoever submits it."""
    plan = make_plan()
    async with running(tmp_path) as bench:
        await done(bench, plan)
        await later(bench, 6 * HOUR)
        await bench.submit(plan)
        await later(bench, 6 * HOUR)
        assert await bench.desk.retention.collect(KEEP) == 0
        assert await stands(bench, plan)
        await later(bench, 6 * HOUR)
        assert await bench.desk.retention.collect(KEEP) == 6


async def test_a_job_that_runs_loses_nothing(tmp_path) -> None:
    """However long it takes, the results of its shards stay, and it ends without one being run again."""
    plan = make_plan(5)
    async with running(tmp_path) as bench:
        await bench.submit(plan)
        for lease in await bench.lease(ONE, 3):
            await bench.deliver(ONE, lease)
        count = len(files(bench))
        await later(bench, 2 * KEEP)
        assert await bench.desk.retention.collect(KEEP) == 0
        assert len(files(bench)) == count
        await bench.restart()
        ran = 0
        while leases := await bench.lease(TWO):
            ran += len(leases)
            await bench.deliver(TWO, leases[0])
        await bench.settle()
        assert ran == 5 - (count - 1)
        assert (await bench.view(plan)).job.output_digest == expected_output(plan)
        assert await stands(bench, plan)


async def test_a_cancelled_job_keeps_its_results_for_as_long(tmp_path) -> None:
    """Within the time it goes on where it stood; after it, it begins anew, with the same output."""
    plan = make_plan(4)
    async with running(tmp_path) as bench:
        await bench.submit(plan)
        await bench.deliver(ONE, (await bench.lease(ONE))[0])
        await bench.desk.jobs.cancel(plan.job, "me")
        await later(bench, KEEP - HOUR)
        assert await bench.desk.retention.collect(KEEP) == 0
        assert (await bench.submit(plan)).progress.done == 1
        await bench.desk.jobs.cancel(plan.job, "me")
        await later(bench, KEEP + HOUR)
        assert await bench.desk.retention.collect(KEEP) == 2
        assert (await bench.submit(plan)).progress.done == 0
        await bench.work(ONE)
        assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_young_files_stay(tmp_path) -> None:
    """Bytes that nothing names yet stay while they are young, and so do older ones that came a second time."""
    plan = make_plan(2)
    async with running(tmp_path) as bench:
        await bench.submit(plan)
        first, second = [*await bench.lease(ONE), *await bench.lease(TWO)]
        for card, lease in ((ONE, first), (TWO, second)):
            data = output_of(lease.action_digest)
            await bench.desk.store_pieces(card, digest(data), len(data), _pieces(data))
        stamp(bench)
        bench.now += YOUNG_SECONDS + 1
        data = output_of(second.action_digest)
        await bench.desk.store_pieces(TWO, digest(data), len(data), _pieces(data))  # the worker repeats its call
        assert await bench.desk.retention.collect(KEEP) == 1
        assert not await bench.shelf.has(digest(output_of(first.action_digest)), len(data))
        assert await bench.shelf.has(digest(data), len(data))
        await bench.desk.complete(TWO, second.token, result_of(second), 0.1)


async def test_a_result_that_is_disputed_stays(tmp_path) -> None:
    """While workers do not agree, all of what they gave stays, also where the job is old."""
    plan = make_plan(1)
    async with running(tmp_path) as bench:
        await bench.submit(plan, audit_ppm=1_000_000)
        await bench.work(ONE, TWO, lies={"two": "lie"})
        await bench.desk.jobs.cancel(plan.job, "me")
        await later(bench, KEEP + HOUR)
        assert await bench.desk.retention.collect(KEEP) == 1  # the plan
        assert len(files(bench)) == 2
        await bench.submit(plan, audit_ppm=1_000_000)
        await bench.work(THREE)
        assert (await bench.view(plan)).job.output_digest == expected_output(plan)


@pytest.mark.parametrize("survive", [0, 1, 3])
async def test_a_crash_between_forgetting_and_removing(tmp_path, monkeypatch, survive) -> None:
    """What the cache has forgotten and the disk has not is found by the next start, and no job is the worse for it."""
    old, new = make_plan(name="old"), make_plan(name="new")
    async with running(tmp_path) as bench:
        await done(bench, old)
        await later(bench, 6 * HOUR)
        await done(bench, new)
        await later(bench, 5 * HOUR)
        remove, left = ContentStore.remove, survive

        def cut(store, name, before):
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError("the power is gone")
            return remove(store, name, before)

        monkeypatch.setattr(ContentStore, "remove", cut)
        with pytest.raises(OSError, match="the power is gone"):
            await bench.desk.retention.collect(KEEP)
        monkeypatch.setattr(ContentStore, "remove", remove)
        await bench.restart()
        assert await bench.desk.jobs.cached(old) == []
        assert await stands(bench, new)
        assert await bench.desk.retention.collect(KEEP) == 6 - survive
        assert await stands(bench, new)
        assert await done(bench, old) == expected_output(old)


async def test_a_job_that_is_taken_up_while_files_are_looked_at(tmp_path, monkeypatch) -> None:
    """A submission that comes after the look at the jobs, and before the removal, keeps its job whole."""
    plan = make_plan()
    async with running(tmp_path) as bench:
        await done(bench, plan)
        await later(bench, KEEP + HOUR)
        older_than = Shelf.older_than

        async def look(shelf, before):
            found = await older_than(shelf, before)
            await bench.submit(plan)
            return found

        monkeypatch.setattr(Shelf, "older_than", look)
        assert await bench.desk.retention.collect(KEEP) == 0
        assert await stands(bench, plan)


@pytest.mark.parametrize("seed", range(12))
async def test_any_story_ends_in_the_outputs_of_an_honest_run(tmp_path, seed) -> None:
    """However jobs that share results are run, restarted and aged, none that is kept loses a byte, and all end right."""
    chance = random.Random(seed)
    plans = [make_plan(shards, name=name) for name in ("a", "b") for shards in (2, 3, 5)]
    async with running(tmp_path) as bench:

        async def step() -> None:
            plan = chance.choice(plans)
            what = chance.randrange(6)
            if what <= 1:
                await bench.submit(plan)
            elif what == 2:
                for lease in await bench.lease(ONE, 2):
                    await bench.deliver(ONE, lease)
            elif what == 3:
                await asyncio.gather(bench.desk.retention.collect(KEEP), bench.work(ONE, TWO))
            elif what == 4:
                await later(bench, chance.choice([HOUR, 4 * HOUR, KEEP]))
            elif (await bench.store.read(lambda view: view.job(plan.job))) is not None:
                await bench.restart()
            await bench.settle()

        for _ in range(40):
            await step()
            await bench.desk.retention.collect(KEEP)
            for job in await bench.desk.jobs.list_jobs(0, 100):
                kept = job.job.ended_ms >= (1_700_000_000 + bench.now - KEEP) * 1000
                if job.job.state == "committed" and kept:
                    assert await Cache(bench.store, bench.shelf).stands(job.job)
        for plan in plans:
            await bench.submit(plan)
        await bench.work(ONE)
        for plan in plans:
            assert (await bench.view(plan)).job.output_digest == expected_output(plan)
            assert await stands(bench, plan)


async def test_cut_uploads_go_when_nobody_goes_on_with_them(tmp_path) -> None:
    """The beginning of an upload stays while it is young or open, and is removed after that."""
    data = os.urandom(1000)
    async with running(tmp_path) as bench:
        for seconds, left in ((0, 10), (YOUNG_SECONDS + 1, 0)):
            with bench.content.open_upload(digest(data), len(data)) as upload:
                upload.write(data[upload.offset : 10])
                stamp(bench)
                bench.now += seconds
                await bench.desk.retention.collect(KEEP)
                assert bench.content.committed(digest(data)) == 10
            await bench.desk.retention.collect(KEEP)
            assert bench.content.committed(digest(data)) == left


async def test_a_manifest_that_is_damaged_stops_nothing(tmp_path) -> None:
    """A kept job whose manifest is damaged is whole again after it is submitted again; others are collected meanwhile."""
    old, new = make_plan(name="old"), make_plan(name="new")
    async with running(tmp_path) as bench:
        await done(bench, old)
        await later(bench, 6 * HOUR)
        output = await done(bench, new)
        bench.content.path(output).write_bytes(json.dumps({"shards": []}).encode())
        await later(bench, 5 * HOUR)
        assert await bench.desk.retention.collect(KEEP) >= 6
        assert await done(bench, new) == output
        assert await stands(bench, new)


async def _pieces(data):
    yield data
