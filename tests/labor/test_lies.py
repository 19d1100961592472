"""What happens to results that differ: alarms, votes, quarantine, and bytes that end right."""

from __future__ import annotations

import pytest

from neuralmesh_server.errors import AbortedError, NeuralMeshError, PermissionDeniedError
from neuralmesh_server.labor.plan import UNVERIFIED
from neuralmesh_server.labor.records import Vote
from neuralmesh_server.labor.verdicts import judge
from tests.labor.array_bench import expected_output, make_card, make_plan

LIAR, ONE, TWO = make_card("liar"), make_card("one"), make_card("two")
LIES = {"liar": " but not these"}
ALL = 1_000_000


async def test_an_audit_finds_the_lie_and_a_third_worker_decides(bench) -> None:
    """A lie that was committed first is found by the audit, outvoted, and the output is the honest one."""
    plan = make_plan(6)
    await bench.submit(plan, audit_ppm=ALL)
    (lease,) = await bench.lease(LIAR)
    await bench.deliver(LIAR, lease, "a lie")
    await bench.work(ONE, TWO)
    view = await bench.view(plan)
    assert view.job.output_digest == expected_output(plan)
    assert view.progress.audited == 6
    (alarm,) = await bench.desk.jobs.alarms(10)
    assert (alarm.first_worker, alarm.quarantined) == ("liar", "liar")
    assert alarm.second_worker in {"one", "two"}
    with pytest.raises(PermissionDeniedError):
        await bench.lease(LIAR)


async def test_an_alarm_blames_one_of_those_that_it_names(bench) -> None:
    """Two workers that lie in two ways about one shard: each alarm says of its own liar that it is quarantined."""
    other = make_card("other")
    plan = make_plan(1)
    await bench.submit(plan, audit_ppm=ALL)
    for card, lie in ((ONE, ""), (LIAR, "a lie"), (other, "another lie"), (TWO, "")):
        (lease,) = await bench.lease(card)
        await bench.deliver(card, lease, lie)
    await bench.settle()
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)
    alarms = await bench.desk.jobs.alarms(10)
    assert {(alarm.second_worker, alarm.quarantined) for alarm in alarms} == {("liar", "liar"), ("other", "other")}


async def test_what_a_liar_alone_has_vouched_for_is_run_again(bench) -> None:
    """When a worker is found to lie once, everything that only it has given is forgotten, in all jobs that run."""
    plans = [make_plan(5, name=name) for name in "ab"]
    await bench.submit(plans[0])
    await bench.submit(plans[1], audit_ppm=ALL, priority=-1)
    for _ in range(7):
        (lease,) = await bench.lease(LIAR)
        await bench.deliver(LIAR, lease, "a lie")
    assert (await bench.view(plans[0])).job.state == "committed"
    await bench.work(ONE, TWO)
    assert (await bench.view(plans[1])).job.output_digest == expected_output(plans[1])
    again = make_plan(6, name="a")
    await bench.submit(again)
    assert (await bench.view(again)).progress.cached == 0
    await bench.work(ONE)
    assert (await bench.view(again)).job.output_digest == expected_output(again)


async def test_without_a_third_worker_the_job_fails_and_names_both(bench) -> None:
    """Two workers that contradict each other end the job after some patience; a third lets it go on."""
    plan = make_plan(3)
    await bench.submit(plan, audit_ppm=ALL)
    await bench.work(LIAR, ONE, lies=LIES)
    assert (await bench.view(plan)).job.state == "running"
    for _ in range(3):
        await bench.pass_time(9)
        await bench.desk.renew(ONE, [])
        await bench.desk.renew(LIAR, [])
    job = (await bench.view(plan)).job
    assert (job.state, job.problem.reason) == ("failed", "NONDETERMINISTIC")
    assert "shard 0 (rows.npy, rows 0 to 9)" in job.problem.message
    assert "'liar', 'one'" in job.problem.message
    await bench.submit(plan, audit_ppm=ALL)
    await bench.work(TWO, ONE)
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_a_dispute_outlives_a_restart(bench) -> None:
    """What workers do not agree on is still disputed after a restart, and nobody takes it from the cache."""
    plan = make_plan(2)
    await bench.submit(plan, audit_ppm=ALL)
    await bench.work(LIAR, ONE, lies=LIES)
    await bench.restart()
    other = make_plan(3)
    await bench.submit(other, priority=-1)
    assert (await bench.view(other)).progress.cached == 0
    await bench.work(TWO, ONE)
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)
    assert (await bench.view(other)).job.output_digest == expected_output(other)
    assert {alarm.quarantined for alarm in await bench.desk.jobs.alarms(10)} == {"liar"}


async def test_a_late_result_is_compared(bench) -> None:
    """The result of a lost lease is not taken, but where it differs there is an alarm, and a third worker decides."""
    plan = make_plan(2)
    await bench.submit(plan)
    (late,) = await bench.lease(ONE)
    await bench.pass_time(11)
    (lie,) = await bench.lease(LIAR, 1)
    assert lie.shard == late.shard
    await bench.deliver(LIAR, lie, "a lie")
    with pytest.raises(AbortedError):
        await bench.deliver(ONE, late)
    assert len(await bench.desk.jobs.alarms(10)) == 1
    await bench.work(TWO, ONE)
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_a_committed_job_stays_and_its_cache_is_doubted(bench) -> None:
    """A contradiction after the commit leaves the job, but nobody takes the result from the cache any more."""
    plan = make_plan(1)
    await bench.submit(plan)
    (late,) = await bench.lease(ONE)
    await bench.pass_time(11)
    (lie,) = await bench.lease(LIAR, 1)
    await bench.deliver(LIAR, lie, "a lie")
    await bench.settle()
    assert (await bench.view(plan)).job.state == "committed"
    with pytest.raises(AbortedError):
        await bench.deliver(ONE, late)
    larger = make_plan(2)
    await bench.submit(larger)
    assert (await bench.view(larger)).progress.cached == 0
    await bench.work(TWO, ONE)
    assert (await bench.view(larger)).job.output_digest == expected_output(larger)
    assert [alarm.quarantined for alarm in await bench.desk.jobs.alarms(10)] == ["liar"]


async def test_where_nothing_is_promised_nobody_is_accused(bench) -> None:
    """With unverified numerics another result is an alarm, and the first one stays."""
    plan = make_plan(3, level=UNVERIFIED)
    await bench.submit(plan, audit_ppm=ALL)
    await bench.work(LIAR, ONE, lies=LIES)
    assert (await bench.view(plan)).job.state == "committed"
    assert len(await bench.desk.jobs.alarms(10)) == 3
    assert not any(view.worker.quarantined for view in await bench.desk.workers.list())


async def test_a_worker_alone_audits_itself_after_some_patience(bench) -> None:
    """Audits wait for another worker, and then the only one that lives runs the shards a second time."""
    plan = make_plan(2)
    await bench.submit(plan, audit_ppm=ALL)
    await bench.work(ONE)
    assert (await bench.view(plan)).job.state == "running"
    for _ in range(2):
        await bench.pass_time(9)
        await bench.desk.renew(ONE, [])
    await bench.work(ONE)
    view = await bench.view(plan)
    assert (view.job.state, view.progress.audited) == ("committed", 2)


async def test_a_worker_does_not_confirm_itself_by_repeating(bench) -> None:
    """The late result of a lease that was lost and given to the same worker again is no audit."""
    plan = make_plan(1)
    await bench.submit(plan, audit_ppm=ALL)
    (late,) = await bench.lease(LIAR)
    await bench.pass_time(11)
    (lease,) = await bench.lease(LIAR)
    await bench.deliver(LIAR, lease, "a lie")
    with pytest.raises(AbortedError):
        await bench.deliver(LIAR, late, "a lie")
    await bench.settle()
    assert (await bench.view(plan)).progress.audited == 0
    await bench.work(ONE, TWO)
    assert (await bench.view(plan)).job.output_digest == expected_output(plan)


async def test_a_released_worker_works_again(bench) -> None:
    """A worker in quarantine gets work again once it is released, also after a restart."""
    plan = make_plan(2)
    await bench.submit(plan, audit_ppm=ALL)
    await bench.work(LIAR, ONE, TWO, lies=LIES)
    await bench.restart()
    with pytest.raises(NeuralMeshError):
        await bench.lease(LIAR)
    await bench.desk.workers.release("liar")
    await bench.submit(make_plan(1, name="next"))
    assert len(await bench.lease(LIAR)) == 1


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        ("a1 b2", None),
        ("a1 b2 c1", ("1", {"a", "c"})),
        ("a1 b2 c3", None),
        ("a1 b2 c3 d2", ("2", {"b", "d"})),
        ("a1 b2 c1 d2", None),
        ("a1 a2 b1", ("1", {"b"})),
        ("a1 a2 b1 b2", None),
        ("a1 b1 a2 b3", None),
    ],
)
def test_votes(votes, winner) -> None:
    """A digest wins with more voters than any other, two at least, one of whom gave no other digest."""
    cast = [Vote(text[0], text[1], b"") for text in votes.split()]
    assert judge(cast) == (None if winner is None else (winner[0], frozenset(winner[1])))
