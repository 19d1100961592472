"""The coordinator's promises about leases, results and jobs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os

import pytest

from neuralmesh_server.errors import AbortedError, DataLossError, NeuralMeshError
from tests.labor.array_bench import digest, expected_output, make_card, make_plan, output_of, result_of

ONE, TWO, THREE = make_card("one"), make_card("two"), make_card("three")


def reason(raised) -> str:
    """Return the reason of an error."""
    return raised.value.reason


async def test_a_job_is_committed_with_the_digest_of_its_results(bench) -> None:
    """A plan whose shards all have results is committed, with the output digest that the results give."""
    plan = make_plan(5)
    await bench.submit(plan)
    await bench.work(ONE, TWO)
    view = await bench.view(plan)
    assert view.job.state == "committed"
    assert view.job.output_digest == expected_output(plan)
    assert (view.progress.done, view.progress.done_rows, view.progress.running) == (5, 50, 0)


async def test_the_same_plan_again_is_the_same_job(bench) -> None:
    """A repeat of a submission returns the job that runs, and later the one that is committed."""
    plan = make_plan(2)
    first = await bench.submit(plan)
    again = await bench.submit(plan)
    assert again.job == first.job
    await bench.work(ONE)
    assert (await bench.submit(plan)).job.state == "committed"
    assert await bench.lease(ONE) == []


async def test_results_are_shared_between_jobs(bench) -> None:
    """A job whose actions all have results is committed without a worker."""
    await bench.submit(make_plan(3))
    await bench.work(ONE)
    larger = make_plan(4)
    await bench.submit(larger)
    assert (await bench.view(larger)).progress.cached == 3
    assert len(await bench.lease(ONE, 10)) == 1


async def test_skip_cache_runs_everything_again(bench) -> None:
    """With skip_cache nothing is taken from the cache, and the results are compared with it."""
    plan = make_plan(3)
    await bench.submit(plan)
    await bench.work(ONE)
    larger = make_plan(4)
    await bench.submit(larger, skip_cache=True)
    assert (await bench.view(larger)).progress.cached == 0
    await bench.work(TWO)
    view = await bench.view(larger)
    assert view.job.output_digest == expected_output(larger)
    assert view.progress.audited == 3


async def test_a_lease_that_is_not_renewed_is_given_to_another(bench) -> None:
    """A shard whose lease has ended is leased again under a larger token, and the old one cannot commit."""
    plan = make_plan(1)
    await bench.submit(plan)
    (old,) = await bench.lease(ONE)
    await bench.pass_time(10.1)
    (new,) = await bench.lease(TWO)
    assert new.token > old.token
    with pytest.raises(NeuralMeshError) as raised:
        await bench.deliver(ONE, old)
    assert reason(raised) == "LEASE_LOST"
    assert (await bench.view(plan)).progress.done == 0
    await bench.deliver(TWO, new)
    await bench.settle()
    assert (await bench.view(plan)).job.state == "committed"


async def test_a_renewed_lease_holds(bench) -> None:
    """A lease that is renewed in time holds for as long again."""
    await bench.submit(make_plan(1))
    (lease,) = await bench.lease(ONE)
    for _ in range(5):
        await bench.pass_time(8)
        assert await bench.desk.renew(ONE, [lease.token, 7]) == [7]
    assert await bench.lease(TWO) == []


async def test_another_process_of_the_name_takes_over(bench) -> None:
    """A new process under a worker's name gets its shards, and the old process has lost its leases."""
    await bench.submit(make_plan(1))
    (old,) = await bench.lease(ONE)
    successor = make_card("one", "b")
    (new,) = await bench.lease(successor)
    assert new.shard == old.shard
    assert await bench.desk.renew(ONE, [old.token]) == [old.token]
    with pytest.raises(NeuralMeshError) as raised:
        await bench.deliver(ONE, old)
    assert reason(raised) == "LEASE_LOST"
    with pytest.raises(NeuralMeshError) as raised:
        await bench.lease(ONE)
    assert reason(raised) == "LEASE_LOST"
    assert await bench.desk.renew(successor, [new.token]) == []


async def test_tokens_grow_over_restarts(bench) -> None:
    """A restart ends all leases, and its tokens are larger than all before."""
    plan = make_plan(2)
    await bench.submit(plan)
    (done,) = await bench.lease(ONE)
    await bench.deliver(ONE, done)
    (old,) = await bench.lease(ONE)
    await bench.restart()
    (new,) = await bench.lease(TWO)
    assert new.token > old.token
    assert new.shard == old.shard
    with pytest.raises(NeuralMeshError) as raised:
        await bench.deliver(ONE, old)
    assert reason(raised) == "LEASE_LOST"
    await bench.deliver(TWO, new)
    await bench.settle()
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_workers_get_only_what_they_compute_bit_for_bit(bench) -> None:
    """A worker with other numerics than the plan's gets none of its shards."""
    await bench.submit(make_plan(1))
    assert await bench.lease(make_card("other", numerics={"liam.binary_network": "liam/2"})) == []
    assert len(await bench.lease(ONE)) == 1


async def test_higher_priorities_come_first(bench) -> None:
    """Shards of the job with the higher priority are handed out first, of equals those of the older job."""
    low, old, new = (make_plan(1, name=name) for name in ("low", "old", "new"))
    await bench.submit(low, priority=-1)
    await bench.submit(old)
    await bench.submit(new)
    jobs = [lease.job for _ in range(3) for lease in await bench.lease(ONE)]
    assert jobs == [old.job, new.job, low.job]


async def test_failures_are_tried_again_on_another_worker_first(bench) -> None:
    """A shard that failed on one worker is given to another, and its job is committed."""
    plan = make_plan(1)
    await bench.submit(plan)
    assert await bench.lease(TWO, 0) == []
    (lease,) = await bench.lease(ONE)
    await bench.desk.fail(ONE, lease.token, "INTERNAL", "no memory", retryable=True)
    assert await bench.lease(ONE) == []
    await bench.work(TWO)
    view = await bench.view(plan)
    assert (view.job.state, view.progress.retries) == ("committed", 1)


async def test_failures_have_a_limit(bench) -> None:
    """A shard that fails five times ends the job with an error that names the shard, its file and its rows."""
    plan = make_plan(2)
    await bench.submit(plan)
    for _ in range(20):
        for lease in await bench.lease(ONE):
            if lease.shard == 1:
                await bench.desk.fail(ONE, lease.token, "INTERNAL", "no memory", retryable=True)
            else:
                await bench.deliver(ONE, lease)
    await bench.settle()
    job = (await bench.view(plan)).job
    assert job.state == "failed"
    assert job.problem.reason == "INTERNAL"
    assert job.problem.message == "shard 1 (rows.npy, rows 10 to 19) failed 5 times, at last: no memory"


async def test_a_shard_that_takes_its_workers_down_ends_the_job(bench) -> None:
    """A shard with which ten workers vanish is named, instead of taking down one after the other for ever."""
    plan = make_plan(2, costs=[10, 20])
    await bench.submit(plan)
    lost = 0
    for number in range(40):
        card = make_card("one", str(number))
        for lease in await bench.lease(card, 8):
            if lease.shard == 1:
                lost += 1
                break
            await bench.deliver(card, lease)
        await bench.settle()
        if (await bench.view(plan)).job.state == "failed":
            break
    job = (await bench.view(plan)).job
    assert job.state == "failed"
    assert "shard 1 (rows.npy, rows 10 to 19) was lost with its worker 10 times" in job.problem.message
    assert lost == 10


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
async def test_bad_data_gives_the_same_error_whatever_the_order(bench, order) -> None:
    """Of two shards with bad rows, the error of the first one is the job's, whoever fails first."""
    plan = make_plan(4)
    await bench.submit(plan)
    cards = [make_card(f"w{number}") for number in range(4)]
    leases = {}
    for card in cards:
        (lease,) = await bench.lease(card)
        leases[lease.shard] = (card, lease)
    for shard in order:
        card, lease = leases[shard]
        with contextlib.suppress(AbortedError):  # the job may have ended
            if shard in {1, 3}:
                said = f"row {lease.first_row + 1} of rows.npy has 3 values"
                await bench.desk.fail(card, lease.token, "DATASET_INVALID", said, retryable=False)
            else:
                await bench.deliver(card, lease)
    await bench.settle()
    job = (await bench.view(plan)).job
    assert job.state == "failed"
    assert (job.problem.reason, job.problem.message) == ("DATASET_INVALID", "row 11 of rows.npy has 3 values")


async def test_a_failed_job_goes_on_where_it_stood(bench) -> None:
    """A job that failed, submitted again, runs only what has no result."""
    plan = make_plan(3)
    await bench.submit(plan)
    (first,) = await bench.lease(ONE)
    await bench.deliver(ONE, first)
    (second,) = await bench.lease(ONE)
    await bench.desk.fail(ONE, second.token, "DATASET_CHANGED", "rows.npy has changed", retryable=False)
    await bench.work(ONE)
    assert (await bench.view(plan)).job.state == "failed"
    await bench.submit(plan)
    view = await bench.view(plan)
    assert (view.job.state, view.job.problem, view.progress.done) == ("running", None, 2 if second.shard else 1)
    await bench.work(ONE)
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_cancel_ends_a_job_and_takes_nothing_more(bench) -> None:
    """After a cancel no result is taken; submitted again, the job goes on."""
    plan = make_plan(2)
    await bench.submit(plan)
    (lease,) = await bench.lease(ONE)
    view = await bench.desk.jobs.cancel(plan.job, "me")
    assert view.job.state == "cancelled"
    assert (await bench.desk.jobs.cancel(plan.job, "me")).job == view.job
    assert await bench.desk.renew(ONE, [lease.token]) == [lease.token]
    with pytest.raises(NeuralMeshError) as raised:
        await bench.deliver(ONE, lease)
    assert reason(raised) == "LEASE_LOST"
    await bench.submit(plan)
    await bench.work(ONE)
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)
    with pytest.raises(NeuralMeshError) as raised:
        await bench.desk.jobs.cancel(plan.job, "me")
    assert reason(raised) == "JOB_ENDED"


async def test_a_job_that_is_cancelled_while_it_begins_is_not_handed_out(bench) -> None:
    """A cancel between the first trace of a job and the first lease ends it for good: nobody gets its shards."""
    for number in range(5):
        plan = make_plan(3, name=f"data {number}")
        submission = asyncio.create_task(bench.submit(plan))
        while await bench.store.read(lambda view, job=plan.job: view.job(job)) is None:
            pass
        await bench.desk.jobs.cancel(plan.job, "me")
        await submission
        assert (await bench.view(plan)).job.state == "cancelled"
        assert bench.desk.dispatcher.get(plan.job) is None
        assert await bench.lease(ONE) == []


async def test_what_is_no_result_counts_as_a_failure(bench) -> None:
    """Nonsense, a wrong number of rows or an output that is not stored is refused."""
    plan = make_plan(1)
    await bench.submit(plan)
    (lease,) = await bench.lease(ONE)
    with pytest.raises(NeuralMeshError) as raised:
        await bench.desk.complete(ONE, lease.token, result_of(lease), 0.1)
    assert reason(raised) == "ARTIFACT_MISSING"
    with pytest.raises(NeuralMeshError) as raised:
        await bench.desk.complete(ONE, lease.token, b"{}", 0.1)
    assert reason(raised) == "FIELD_INVALID"
    (lease,) = await bench.lease(ONE)
    few = make_plan(1, rows=3)
    await bench.shelf.put(output_of(lease.action_digest))
    wrong = result_of(lease).replace(b'"rows":10', b'"rows":3')
    with pytest.raises(NeuralMeshError) as raised:
        await bench.desk.complete(ONE, lease.token, wrong, 0.1)
    assert reason(raised) == "FIELD_INVALID"
    assert few.rows == 3
    await bench.work(ONE)
    view = await bench.view(plan)
    assert (view.job.state, view.progress.retries) == ("committed", 2)


async def test_what_a_process_holds_that_hangs_is_run_by_others(bench) -> None:
    """Where all that is left is late, a second worker runs it although most of the job is not done: one after the other."""
    plan = make_plan(4)
    await bench.submit(plan)
    await bench.lease(TWO, 0)
    stuck = [*await bench.lease(ONE), *await bench.lease(ONE)]
    for _ in range(2):
        (lease,) = await bench.lease(TWO)
        bench.now += 1
        await bench.deliver(TWO, lease)
    assert await bench.lease(TWO) == []  # they are not late yet
    for _ in range(8):
        await bench.desk.renew(ONE, [lease.token for lease in stuck])
        await bench.pass_time(1)
    assert (await bench.view(plan)).progress.done == 2
    await bench.work(TWO)
    view = await bench.view(plan)
    assert (view.job.state, view.job.output_digest) == ("committed", expected_output(plan))


async def test_stragglers_are_duplicated_and_the_first_result_wins(bench) -> None:
    """A shard that takes far longer than the others is run by a second worker; the first to commit wins."""
    plan = make_plan(8)
    await bench.submit(plan)
    (late,) = await bench.lease(ONE)
    for _ in range(7):
        (lease,) = await bench.lease(TWO)
        await bench.pass_time(1.0)
        await bench.desk.renew(ONE, [late.token])
        await bench.deliver(TWO, lease)
    assert len(await bench.lease(TWO)) == 1
    await bench.settle()
    (again,) = bench.desk.leases.of_worker("two")
    assert again.shard == late.shard
    await bench.deliver(ONE, late)
    await bench.settle()
    assert (await bench.view(plan)).job.state == "committed"
    with pytest.raises(NeuralMeshError) as raised:
        await bench.desk.complete(TWO, again.token, result_of(late), 0.1)
    assert reason(raised) == "LEASE_LOST"


async def test_a_worker_that_leaves_gives_everything_back(bench) -> None:
    """The leases of a worker that says goodbye are free at once and count against nobody."""
    plan = make_plan(1)
    await bench.submit(plan)
    for _ in range(15):
        assert len(await bench.lease(ONE)) == 1
        await bench.desk.leave(ONE)
    await bench.work(TWO)
    view = await bench.view(plan)
    assert (view.job.state, view.progress.retries) == ("committed", 0)


async def test_events_tell_a_monotone_history(bench) -> None:
    """Events are numbered without gaps, never count down, and end with the state; a watch begins after any of them."""
    plan = make_plan(6)
    await bench.submit(plan)
    for _ in range(3):
        (lease,) = await bench.lease(ONE)
        await bench.deliver(ONE, lease)
        await bench.pass_time(1)
    await bench.restart()
    await bench.work(ONE)
    events = [event async for event in bench.desk.jobs.watch(plan.job, 0)]
    assert [event.event for event in events] == list(range(1, len(events) + 1))
    done = [event.progress.done for event in events]
    assert done == sorted(done)
    assert (events[0].message, events[-1].state, done[-1]) == ("submitted", "committed", 6)
    assert [event async for event in bench.desk.jobs.watch(plan.job, 3)] == events[3:]


async def test_skipped_rows_are_counted(bench) -> None:
    """Rows without a result count as done and as skipped, where the job permits that there are any."""
    strict = make_plan(1)
    await bench.submit(strict, priority=1)
    (lease,) = await bench.lease(ONE)
    with pytest.raises(NeuralMeshError) as raised:
        await bench.deliver(ONE, lease, skipped=4)
    assert reason(raised) == "FIELD_INVALID"
    await bench.desk.jobs.cancel(strict.job, "me")
    plan = make_plan(2, bad_rows="skip")
    await bench.submit(plan)
    for skipped in (0, 4):
        (lease,) = await bench.lease(ONE)
        await bench.deliver(ONE, lease, skipped=skipped)
    await bench.settle()
    progress = (await bench.view(plan)).progress
    assert (progress.done_rows, progress.skipped_rows) == (20, 4)


async def test_the_placement_can_be_replayed(bench) -> None:
    """The log of live slots gives the same assignment again."""
    from neuralmesh_server.labor import schedule

    plan = make_plan(30, costs=[7 * number % 11 + 1 for number in range(30)])
    await bench.submit(plan)
    for card in (ONE, make_card("two", slots=2), THREE):
        for lease in await bench.lease(card, 2):
            await bench.deliver(card, lease)
    await bench.desk.leave(ONE)
    await bench.restart()
    await bench.work(TWO, THREE)
    epochs = await bench.desk.jobs.schedule(plan.job)
    assert len(epochs) > 4
    costs = [shard.cost for shard in plan.shards]
    log = [(epoch.slots, epoch.pending) for epoch in epochs]
    assert schedule.replay(costs, list(plan.actions()), log) == epochs


async def test_a_committed_job_whose_outputs_are_gone_is_made_whole(bench) -> None:
    """Submitted again, a committed job runs what is missing of its bytes, and has the same digest as before."""
    plan = make_plan(3)
    await bench.submit(plan, skip_cache=True)
    await bench.work(ONE)
    before = (await bench.view(plan)).job
    lost = digest(output_of(list(plan.actions())[1]))
    bench.content.path(lost).unlink()
    await bench.submit(plan, skip_cache=True)
    view = await bench.view(plan)
    assert (view.job.state, view.progress.done) == ("running", 2)
    await bench.work(ONE)
    after = (await bench.view(plan)).job
    assert (after.state, after.output_digest) == ("committed", before.output_digest)
    assert bench.content.has(lost)


@pytest.mark.parametrize(("which", "seen"), [("plan", True), ("manifest", True), ("manifest", False)])
async def test_a_committed_job_whose_documents_are_damaged_is_made_whole(bench, which: str, seen: bool) -> None:
    """Submitted again, a job has its plan and manifest again, whether somebody has seen the damage before or not."""
    plan = make_plan(3)
    await bench.submit(plan)
    await bench.work(ONE)
    before = (await bench.view(plan)).job
    lost = plan.digest if which == "plan" else before.output_digest
    with bench.content.path(lost).open("r+b") as file:
        file.write(b"[")
    if seen:
        with pytest.raises(DataLossError):
            await bench.shelf.get(lost)
    await bench.submit(plan)
    await bench.work(ONE)
    after = (await bench.view(plan)).job
    assert (after.state, after.output_digest) == ("committed", before.output_digest)
    assert digest(await bench.shelf.get(lost)) == lost


async def test_a_disk_that_fails_at_the_commit_fails_the_job(bench, monkeypatch) -> None:
    """An error of the disk that is no want of room ends the job with a message; submitted again, it is committed."""
    plan = make_plan(2)
    await bench.submit(plan)

    async def broken(data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(bench.shelf, "put", broken)
        await bench.work(ONE)
        job = (await bench.view(plan)).job
    assert (job.state, job.problem.reason) == ("failed", "INTERNAL")
    assert "Input/output error" in job.problem.message
    await bench.submit(plan)
    await bench.settle()
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_a_defect_at_the_commit_is_heard(bench, monkeypatch) -> None:
    """What nobody expected at the end of a job ends the service, which says so, instead of a job that never ends."""
    await bench.submit(make_plan(1))

    async def broken(data):
        raise ArithmeticError("no such thing")

    monkeypatch.setattr(bench.shelf, "put", broken)
    (lease,) = await bench.lease(ONE)
    await bench.deliver(ONE, lease)
    await bench.desk.settled()
    with pytest.raises(ArithmeticError):
        await bench.desk.tick()


async def test_workers_are_listed_with_when_they_were_heard(bench) -> None:
    """A worker that lives was heard when it called last; one that left, when it left."""
    await bench.submit(make_plan(2))
    await bench.deliver(ONE, (await bench.lease(ONE))[0])
    await bench.pass_time(5)
    await bench.desk.renew(ONE, [])
    await bench.pass_time(2)
    (view,) = await bench.desk.workers.list()
    assert (view.live, view.worker.done, view.worker.seen_ms) == (True, 1, 1_700_000_000_000 + 1_005_000)
    await bench.desk.leave(ONE)
    await bench.pass_time(3)
    (view,) = await bench.desk.workers.list()
    assert (view.live, view.worker.seen_ms) == (False, 1_700_000_000_000 + 1_007_000)
    await bench.lease(TWO, 0)
    await bench.pass_time(46)
    view = (await bench.desk.workers.list())[1]
    assert (view.live, view.worker.seen_ms) == (False, 1_700_000_000_000 + 1_010_000)


async def test_the_manifest_and_the_plan_are_kept(bench) -> None:
    """The plan and the output manifest are in the content store under their digests."""
    plan = make_plan(1)
    await bench.submit(plan)
    await bench.work(ONE)
    job = (await bench.view(plan)).job
    assert await bench.shelf.get(job.plan_digest) == plan.canonical
    assert digest(await bench.shelf.get(job.output_digest)) == job.output_digest


async def test_a_call_for_work_ends_when_it_is_cancelled_at_the_moment_of_a_wake(bench) -> None:
    """Whoever stops a worker of this program while jobs change waits for no call that goes on all the same."""
    plan = make_plan(1)
    asking = asyncio.create_task(bench.desk.lease(ONE, 1, 30))
    await bench.lease(TWO, 0)
    await bench.submit(plan)
    await asking
    waiting = asyncio.create_task(bench.desk.lease(TWO, 1, 30))
    for _ in range(20):  # nothing of it is stored, so that a few turns of the loop bring it to its wait
        await asyncio.sleep(0)
    present = bench.desk.roster.get("two")
    assert present.asking == 1
    await bench.desk.jobs.cancel(plan.job, "me")
    bench.desk._wake()
    waiting.cancel()
    done, _ = await asyncio.wait([waiting], timeout=5)
    assert done
    assert waiting.cancelled()
    assert not present.asking


async def test_a_result_whose_worker_goes_away_meanwhile_is_taken_in_silence(bench, caplog) -> None:
    """A call that is cancelled while its result is refused leaves no word of a task that nobody looked at."""
    plan = make_plan(1)
    await bench.submit(plan)
    (lease,) = await bench.lease(ONE)
    await bench.desk.store_pieces(ONE, digest(output_of(lease.action_digest)), *sized(output_of(lease.action_digest)))
    await bench.desk.jobs.cancel(plan.job, "me")
    before = asyncio.all_tasks()
    complete = asyncio.create_task(bench.desk.complete(ONE, lease.token, result_of(lease), 0.1))
    await asyncio.sleep(0)
    taking = asyncio.all_tasks() - before - {complete}
    complete.cancel()
    await asyncio.wait([complete, *taking])
    assert len(taking) == 1
    del complete, taking
    gc.collect()
    await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text


def sized(data: bytes):
    """Return the size of bytes and the pieces that they come in."""

    async def once():
        yield data

    return len(data), once()
