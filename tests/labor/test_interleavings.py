"""Any order of leases, results, failures, losses, lies and restarts ends in the one output digest."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralmesh_server.errors import AbortedError, NeuralMeshError
from neuralmesh_server.labor import schedule
from neuralmesh_server.labor.timing import Timing
from tests.labor.array_bench import expected_output, make_card, make_plan, running

WORKERS = ("ada", "bob", "cyd", "liar")
EXPECTED = {"LEASE_LOST", "WORKER_QUARANTINED", "JOB_ENDED"}
PATIENT = Timing(lease_seconds=10.0, silent_seconds=45.0, patience_seconds=1e9)

STEPS = st.one_of(
    st.tuples(st.just("lease"), st.integers(0, 3), st.integers(1, 3)),
    st.tuples(st.just("deliver"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("fail"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("renew"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("time"), st.sampled_from([1, 4, 11]), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("crash"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
    st.tuples(st.just("cancel"), st.just(0), st.just(0)),
    st.tuples(st.just("submit"), st.just(0), st.just(0)),
)


class Story:
    """Workers and their leases, the lost ones included, while one thing after the other happens."""

    def __init__(self, bench, plan) -> None:
        self.bench = bench
        self.plan = plan
        self.cards = [make_card(name, slots=2) for name in WORKERS]
        self.leases = []
        self.committed = ""

    async def submit(self):
        """Submit the plan, with every shard audited."""
        await self.bench.submit(self.plan, audit_ppm=1_000_000)

    async def happen(self, what, number, extra) -> None:
        """Let one thing happen; refusals that the contract names are part of it."""
        try:
            await getattr(self, f"_{what}")(number, extra)
        except NeuralMeshError as error:
            if error.reason not in EXPECTED:
                raise
        await self.bench.desk.settled()
        job = (await self.bench.view(self.plan)).job
        if self.committed:
            assert (job.state, job.output_digest) == ("committed", self.committed)
        self.committed = job.output_digest

    async def _lease(self, worker, limit):
        card = self.cards[worker]
        self.leases += [(card, lease) for lease in await self.bench.lease(card, limit)]

    async def _deliver(self, number, _):
        if not self.leases:
            return
        card, lease = self.leases[number % len(self.leases)]
        held = self.bench.desk.leases.get(lease.token) is not None
        before = (await self.bench.view(self.plan)).progress.done
        try:
            await self.bench.deliver(card, lease, "a lie" if card.name == "liar" else "")
        except AbortedError:
            assert not held
            assert (await self.bench.view(self.plan)).progress.done == before
            raise
        assert held

    async def _fail(self, number, _):
        if self.leases:
            card, lease = self.leases[number % len(self.leases)]
            await self.bench.desk.fail(card, lease.token, "INTERNAL", "it broke", retryable=True)

    async def _renew(self, worker, _):
        tokens = [lease.token for card, lease in self.leases if card == self.cards[worker]]
        await self.bench.desk.renew(self.cards[worker], tokens)

    async def _time(self, seconds, _):
        await self.bench.pass_time(seconds)

    async def _leave(self, worker, _):
        await self.bench.desk.leave(self.cards[worker])

    async def _crash(self, worker, _):
        name, incarnation = self.cards[worker].name, self.cards[worker].incarnation
        self.cards[worker] = make_card(name, incarnation + "x", slots=2)

    async def _restart(self, *_):
        await self.bench.restart()

    async def _cancel(self, *_):
        await self.bench.desk.jobs.cancel(self.plan.job, "me")

    async def _submit(self, *_):
        await self.submit()

    async def end(self):
        """Let honest workers finish; returns the job."""
        for _ in range(8):
            job = (await self.bench.view(self.plan)).job
            if job.state == "committed":
                break
            if job.state == "failed":
                assert job.problem.reason in {"INTERNAL", "MODEL_FAILED"}
                assert "shard" in job.problem.message
            await self.submit()
            await self.bench.work(*self.cards[:3])
            await self.bench.pass_time(11)
        return (await self.bench.view(self.plan)).job


@settings(max_examples=int(os.environ.get("LABOR_STORIES", "50")), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=40), st.integers(1, 4))
def test_every_interleaving_ends_in_the_one_output(steps, shards) -> None:
    """Whatever happens, honest workers end with the digest that the plan gives, and a committed job stays as it is."""

    async def tell() -> None:
        plan = make_plan(shards, costs=[10 + 7 * number for number in range(shards)])
        with tempfile.TemporaryDirectory() as folder:
            async with running(Path(folder), timing=PATIENT) as bench:
                story = Story(bench, plan)
                await story.submit()
                for step in steps:
                    await story.happen(*step)
                job = await story.end()
                assert (job.state, job.output_digest) == ("committed", expected_output(plan))
                await _check_history(bench, plan)

    asyncio.run(tell())


async def _check_history(bench, plan) -> None:
    """Events have no gaps, and the placement follows from its log."""
    events = [event async for event in bench.desk.jobs.watch(plan.job, 0)]
    assert [event.event for event in events] == list(range(1, len(events) + 1))
    epochs = await bench.desk.jobs.schedule(plan.job)
    costs, actions = [shard.cost for shard in plan.shards], list(plan.actions())
    assert schedule.replay(costs, actions, [(epoch.slots, epoch.pending) for epoch in epochs]) == epochs
