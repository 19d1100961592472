"""The labor service over gRPC: a real server, real data, a client, and workers that pull."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import replace

import apsw
import numpy as np
import pytest

from neuralmesh import AsyncClient, exceptions
from neuralmesh._async import labor_run
from neuralmesh.labor.v1 import labor_service_pb2 as api
from neuralmesh.labor.v1 import resources_pb2 as pb
from neuralmesh_server.errors import UnavailableError
from neuralmesh_server.labor import convert_spec, store_sqlite_queries
from neuralmesh_server.labor import plan as plans
from neuralmesh_server.labor.app import LaborApp
from neuralmesh_server.labor.desk import WorkerCard
from neuralmesh_server.labor.planner import Planner
from neuralmesh_server.labor.results import ActionResult
from neuralmesh_server.labor.spec import JobSpec
from neuralmesh_server.settings import Endpoint, ServerSettings
from neuralmesh_server.settings_labor import LaborSettings
from tests.labor.known_versions import KnownVersions, sha
from tests.labor_engines.setting import eventually

LOOPBACK = Endpoint("127.0.0.1", 0)
NUMERICS = {"liam.binary_network": "liam/1"}


@pytest.fixture
def versions():
    """Versions that jobs may name."""
    return KnownVersions()


@pytest.fixture
def settings(tmp_path):
    """Settings of a service in a folder of its own, on free ports."""
    return LaborSettings(ServerSettings(LOOPBACK, drain_seconds=1.0), tmp_path / "labor", http=LOOPBACK)


@pytest.fixture
async def app(settings, versions):
    """A running labor service."""
    running = LaborApp(settings, versions=versions)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def client(app):
    """A client of the running service."""
    async with AsyncClient(labor=str(app.endpoint), actor="me") as made:
        yield made


@pytest.fixture
def spec(tmp_path):
    """A wish over 100 rows in ten shards."""
    data = tmp_path / "rows.npy"
    np.save(data, np.arange(800, dtype=np.float32).reshape(100, 8))
    return pb.JobSpec(kind=pb.JOB_KIND_INFER, version="digits@production", data=str(data), rows_per_shard=10)


async def pull(client, name="one", *, incarnation="a", limit=4, wait=0.0):
    """Return leases for a worker."""
    response = await client.labor_worker.lease_shards(
        name, incarnation, numerics=NUMERICS, host="here", limit=limit, wait=wait
    )
    return list(response.leases)


async def deliver(client, lease, name="one", *, incarnation="a", inline=True):
    """Give the result of a lease."""
    output = f"output of {lease.action_digest}".encode()
    result = ActionResult(lease.rows, sha(output), len(output)).encode()
    if not inline:
        await client.labor_worker.upload_result(name, sha(output), output)
    await client.labor_worker.complete_shard(
        name, incarnation, lease.token, result, output=output if inline else b"", elapsed=0.1
    )


async def work(client, name="one"):
    """Run everything that there is."""
    while leases := await pull(client, name):
        for number, lease in enumerate(leases):
            await deliver(client, lease, name, inline=number % 2 == 0)


async def committed(client, job):
    """Follow a job to its end; returns it and its events."""
    events = [event async for event in client.labor.watch_job(job)]
    return await client.labor.get_job(job), events


async def test_a_job_from_wish_to_results(client, spec) -> None:
    """A wish becomes a plan, a job, leases, results, a manifest, and bytes that can be downloaded."""
    planned = await client.labor.plan_job(spec)
    assert (planned.plan.shards, planned.plan.rows, planned.plan.cached_shards) == (10, 100, 0)
    assert planned.plan.numerics_level == pb.NUMERICS_LEVEL_EXACT
    job = await client.labor.submit_job(spec)
    assert job.plan.plan_digest == planned.plan.plan_digest
    assert job.name == f"jobs/{planned.plan.plan_digest.removeprefix('sha256:')[:16]}"
    assert (job.state, job.actor, job.spec) == (pb.JOB_STATE_RUNNING, "me", spec)
    await work(client)
    ended, events = await committed(client, job.name)
    assert ended.state == pb.JOB_STATE_COMMITTED
    assert events[-1].state == pb.JOB_STATE_COMMITTED
    assert events[-1].progress.done_shards == 10
    pieces = [piece.data async for piece in client.labor.get_job_document(job.name, api.JOB_DOCUMENT_MANIFEST)]
    manifest = b"".join(pieces)
    assert sha(manifest) == ended.output_digest
    digest, size, rows, _ = json.loads(manifest)["shards"][3]
    output = b"".join([piece.data async for piece in client.labor.download_result(digest, offset=7)])
    assert (len(output), rows) == (size - 7, 10)
    assert output == f"of {planned.shards[3].action_digest}".encode()
    plan = b"".join([piece.data async for piece in client.labor.get_job_document(job.name, api.JOB_DOCUMENT_PLAN)])
    assert sha(plan) == planned.plan.plan_digest
    assert (await client.labor.plan_job(spec)).plan.cached_shards == 10
    assert [one.name async for one in client.labor.list_jobs()] == [job.name]


async def test_a_job_is_listed_while_it_is_planned(client, spec, versions) -> None:
    """A submitted wish is listed ahead of all jobs, as being planned and without a name, until it has become a job."""
    await client.labor.submit_job(pb.JobSpec(kind=pb.JOB_KIND_INFER, version="digits/2", data=spec.data))
    versions.answers.clear()
    versions.asked.clear()
    submitting = asyncio.create_task(client.labor.submit_job(spec))
    await versions.asked.wait()
    first, second = [one async for one in client.labor.list_jobs()]
    assert (first.name, first.spec, first.state, first.actor) == ("", spec, pb.JOB_STATE_PLANNING, "me")
    assert first.HasField("planning")
    assert not first.HasField("plan")
    assert first.create_time.seconds > 0
    assert second.state == pb.JOB_STATE_RUNNING
    versions.answers.set()
    job = await submitting
    assert not job.HasField("planning")
    assert [one.name async for one in client.labor.list_jobs()] == [job.name, second.name]


async def test_a_submission_outlives_a_restart_of_the_service(app, client, spec, versions, settings) -> None:
    """A service that stops while it makes a plan, and comes back on its port, is given the wish again."""
    versions.answers.clear()
    submitting = asyncio.create_task(labor_run.submit(client.labor, spec))
    await versions.asked.wait()
    await app.stop()
    versions.answers.set()
    again = LaborApp(replace(settings, server=replace(settings.server, listen=app.endpoint)), versions=versions)
    await again.start()
    job = await submitting
    assert job.state == pb.JOB_STATE_RUNNING
    assert (await client.labor.submit_job(spec)).name == job.name
    await again.stop()


async def test_what_the_service_cannot_reach_is_said_at_once(client, spec, versions, monkeypatch) -> None:
    """A registry that is away is no reason to submit again and again: the caller hears of it."""

    async def unreachable(reference: str) -> None:
        raise UnavailableError("PEER_UNREACHABLE", f"the registry could not be asked for {reference}")

    monkeypatch.setattr(versions, "resolve", unreachable)
    with pytest.raises(exceptions.UnavailableError, match="the registry could not be asked"):
        await labor_run.submit(client.labor, spec)


async def test_rows_that_the_version_does_not_take_are_said_at_once(client, spec, tmp_path) -> None:
    """Data of another width than the version takes is refused with file and shapes, planned or submitted; no job is made."""
    np.save(tmp_path / "rows.npy", np.zeros((100, 7), np.float32))
    for call in (client.labor.plan_job, client.labor.submit_job):
        with pytest.raises(exceptions.FailedPreconditionError) as raised:
            await call(spec)
        assert raised.value.reason == "DATASET_INVALID"
        assert raised.value.message == "'rows.npy': every row has the shape [7]; input 'input' takes [8]"
    assert [one async for one in client.labor.list_jobs()] == []


async def test_a_service_removes_what_is_too_old(settings, versions, spec) -> None:
    """Started with a time for which results are kept, it removes those that are older, and computes them again if asked."""
    app = LaborApp(settings, versions=versions)
    await app.start()
    async with AsyncClient(labor=str(app.endpoint)) as client:
        job = await client.labor.submit_job(spec)
        await work(client)
        first, _ = await committed(client, job.name)
    await app.stop()
    content = settings.data / "content" / "sha256"
    for path in content.glob("*/*"):
        os.utime(path, (0, 0))
    database = apsw.Connection(str(settings.data / "labor.sqlite3"))
    database.execute("UPDATE jobs SET ended_ms = ended_ms - 61000")
    database.close()
    app = LaborApp(replace(settings, keep_seconds=60.0), versions=versions)
    await app.start()
    async with AsyncClient(labor=str(app.endpoint)) as client:
        await eventually(lambda: not list(content.glob("*/*")))
        assert (await client.labor.get_job(job.name)).output_digest == first.output_digest
        with pytest.raises(exceptions.NotFoundError, match=f"what {job.name} gave is not kept any more"):
            [piece async for piece in client.labor.get_job_document(job.name, api.JOB_DOCUMENT_MANIFEST)]
        again = await client.labor.submit_job(spec)
        assert (again.state, again.progress.done_shards) == (pb.JOB_STATE_RUNNING, 0)
        await work(client)
        assert (await committed(client, job.name))[0].output_digest == first.output_digest
    await app.stop()


async def test_a_wish_that_cannot_be_planned_leaves_nothing(client, spec) -> None:
    """A wish over data that is not there is an error of its call, and is not listed after it."""
    spec.data += ".gone"
    with pytest.raises(exceptions.FailedPreconditionError):
        await client.labor.submit_job(spec)
    assert [one async for one in client.labor.list_jobs()] == []


async def test_equal_wishes_share_a_plan_and_both_hear_how_far_it_is(spec, versions) -> None:
    """Whoever joins a plan that is being made is told of it as well: up to all bytes of the data, read twice."""
    planner = Planner(versions)
    wish = convert_spec.spec_from(spec)
    with planner.pending.hold(b"", "one") as one, planner.pending.hold(b"", "two") as two:
        first, second = await asyncio.gather(planner.plan(wish, one.note), planner.plan(wish, two.note))
        assert first is second
        total = 2 * first.files[0].size
        assert one.progress == two.progress == (total, total)
        assert planner.pending.newest_first() == [two, one]
    assert planner.pending.newest_first() == []
    await planner.close()


async def test_a_service_that_stops_reads_no_data_to_its_end(tmp_path, versions) -> None:
    """A plan that is being made ends with the service: its caller is told at once, and its thread with the next piece."""
    rows = np.zeros((64, 8), np.float32)
    (tmp_path / "data").mkdir()
    for number in range(50):
        np.save(tmp_path / "data" / f"{number:02}.npy", rows)
    planner = Planner(versions)
    began, go_on = threading.Event(), threading.Event()
    told = []

    def note(done: int, total: int) -> None:
        told.append(done)
        began.set()
        assert go_on.wait(30)

    wish = JobSpec(plans.INFER, "digits/1", str(tmp_path / "data"))
    planning = asyncio.create_task(planner.plan(wish, note))
    await asyncio.to_thread(began.wait, 30)
    await planner.close()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await planning
    await asyncio.to_thread(planner._threads.shutdown)
    assert len(told) <= 2


async def test_a_moved_alias_is_another_job(client, spec, versions) -> None:
    """An alias is resolved once; after it moved, the same wish is another plan."""
    first = await client.labor.submit_job(spec)
    versions.production = 2
    second = await client.labor.submit_job(spec)
    assert second.name != first.name
    assert (await client.labor.get_job(first.name)).plan.version == "models/digits/versions/1"
    assert second.plan.version == "models/digits/versions/2"


async def test_misses_are_explained(client, spec, versions) -> None:
    """A shard that is not in the cache names what differs from the nearest action that is."""
    await client.labor.submit_job(spec)
    await work(client)
    versions.production = 2
    explained = await client.labor.explain_misses(spec, limit=3)
    assert (len(explained.misses), explained.total) == (3, 10)
    (difference,) = explained.misses[0].differences
    assert difference.field == "versions[0].digest"
    assert (difference.cached, difference.wanted) == (sha(b"version 1"), sha(b"version 2"))


async def test_the_service_goes_on_after_a_restart(settings, versions, spec) -> None:
    """A job that was running when the service stopped is taken up with all results that it had."""
    first = LaborApp(settings, versions=versions)
    await first.start()
    async with AsyncClient(labor=str(first.endpoint)) as client:
        job = await client.labor.submit_job(spec)
        leases = await pull(client)
        await deliver(client, leases[0])
        await first.stop()
    second = LaborApp(settings, versions=versions)
    await second.start()
    async with AsyncClient(labor=str(second.endpoint)) as client:
        assert (await client.labor.get_job(job.name)).progress.done_shards == 1
        with pytest.raises(exceptions.AbortedError, match="LEASE_LOST"):
            await deliver(client, leases[1])
        await work(client, "two")
        ended, events = await committed(client, job.name)
        assert ended.state == pb.JOB_STATE_COMMITTED
        assert [event.event for event in events] == list(range(1, len(events) + 1))
    await second.stop()


async def test_waiting_workers_get_work_when_it_comes(client, spec) -> None:
    """A worker that asks before there is work gets it as soon as a job is submitted."""
    waiting = asyncio.create_task(pull(client, limit=2, wait=30.0))
    await pull(client, "two")  # answered after the other call was accepted
    await client.labor.submit_job(spec)
    assert len(await waiting) == 2
    worker = (await client.labor.list_workers())[0]
    assert (worker.name, worker.live, dict(worker.numerics)) == ("one", True, NUMERICS)


async def test_a_lie_is_an_alarm_and_quarantines(client, spec) -> None:
    """Where two workers agree against a third, that one is named, refused, and can be released again."""
    spec.audit_ppm = 1_000_000
    job = await client.labor.submit_job(spec)
    (lease,) = await pull(client, "liar", limit=1)
    lie = ActionResult(lease.rows, sha(b"lie"), 3).encode()
    await client.labor_worker.complete_shard("liar", "a", lease.token, lie, output=b"lie")
    for _ in range(2):
        await work(client, "one")
        await work(client, "two")
    ended, events = await committed(client, job.name)
    assert ended.state == pb.JOB_STATE_COMMITTED
    (alarm,) = await client.labor.list_alarms()
    assert (alarm.quarantined_worker, alarm.shard, alarm.job) == ("liar", lease.shard, job.name)
    assert {alarm.first_worker, alarm.second_worker} == {"liar", "one"}
    assert [event.alarm.shard for event in events if event.HasField("alarm")] == [lease.shard]
    with pytest.raises(exceptions.PermissionDeniedError, match="WORKER_QUARANTINED"):
        await pull(client, "liar")
    assert not (await client.labor.release_worker("liar")).quarantined
    assert await pull(client, "liar") == []


async def test_cancel_and_failures_over_grpc(client, spec) -> None:
    """A cancelled job tells its state; a failed one its reason and message."""
    job = await client.labor.submit_job(spec)
    assert (await client.labor.cancel_job(job.name)).state == pb.JOB_STATE_CANCELLED
    await client.labor.submit_job(spec)
    (lease,) = await pull(client, limit=1)
    await client.labor_worker.fail_shard(
        "one", "a", lease.token, reason="DATASET_INVALID", message="row 3 of rows.npy is bad", retryable=False
    )
    await work(client)
    ended, events = await committed(client, job.name)
    assert (ended.state, ended.error.reason) == (pb.JOB_STATE_FAILED, "DATASET_INVALID")
    assert ended.error.message == events[-1].error.message == "row 3 of rows.npy is bad"
    await client.labor_worker.leave_array("one", "a")
    assert not (await client.labor.list_workers())[0].live


async def test_what_is_not_there_is_named(client, spec) -> None:
    """Absent jobs, documents, models, data and nonsense are refused with their reason."""
    job = await client.labor.submit_job(spec)
    absent = "jobs/0123456789abcdef"
    with pytest.raises(exceptions.NotFoundError, match="JOB_NOT_FOUND"):
        await client.labor.get_job(absent)
    with pytest.raises(exceptions.NotFoundError, match="JOB_NOT_FOUND"):
        [event async for event in client.labor.watch_job(absent)]
    with pytest.raises(exceptions.NotFoundError, match="ARTIFACT_NOT_FOUND"):
        [piece async for piece in client.labor.get_job_document(job.name, api.JOB_DOCUMENT_MANIFEST)]
    with pytest.raises(exceptions.NotFoundError, match="MODEL_NOT_FOUND"):
        await client.labor.plan_job(pb.JobSpec(kind=1, version="other/1", data=spec.data))
    with pytest.raises(exceptions.FailedPreconditionError, match="DATASET_INVALID"):
        await client.labor.plan_job(pb.JobSpec(kind=1, version="digits/1", data=spec.data + "x"))
    with pytest.raises(exceptions.InvalidArgumentError, match="kind"):
        await client.labor.plan_job(pb.JobSpec(kind=99, version="digits/1", data=spec.data))
    with pytest.raises(exceptions.InvalidArgumentError, match="worker"):
        await pull(client, "No Name")
    with pytest.raises(exceptions.FailedPreconditionError, match="DIGEST_MISMATCH"):
        await client.labor_worker.upload_result("one", sha(b"other"), b"these")


async def test_the_placement_is_told(client, spec) -> None:
    """The log of live slots and assignments comes over gRPC."""
    job = await client.labor.submit_job(spec)
    await pull(client, "one", limit=1)
    await pull(client, "two", limit=1)
    epochs = await client.labor.get_schedule(job.name)
    assert [list(epoch.slots) for epoch in epochs] == [["one/0"], ["one/0", "two/0"]]
    assert [len(epoch.pending) for epoch in epochs] == [10, 10]


async def test_a_long_log_of_the_placement_comes_in_parts(client, spec, monkeypatch) -> None:
    """However many workers came and went over however many shards, no answer is larger than a message may be."""
    job = await client.labor.submit_job(spec)
    for number in range(5):
        await pull(client, f"w{number}", limit=1)
    whole = await client.labor.get_schedule(job.name)
    monkeypatch.setattr(store_sqlite_queries, "ANSWER_BYTES", 100)
    connection = client.labor._connection
    request = api.GetScheduleRequest(name=job.name, after_epoch=1)
    part = await connection.unary("GetSchedule", api.GetScheduleResponse, request)
    assert [epoch.epoch for epoch in part.epochs] == [2, 3]
    assert await client.labor.get_schedule(job.name) == whole
    assert [epoch.epoch for epoch in whole] == [1, 2, 3, 4, 5]
    request = api.GetScheduleRequest(name=job.name, after_epoch=-1)
    with pytest.raises(exceptions.InvalidArgumentError, match="after_epoch"):
        await connection.unary("GetSchedule", api.GetScheduleResponse, request)


async def test_figures_for_prometheus(app, client, spec) -> None:
    """Jobs by state, shards, leases and alarms are served over HTTP."""
    await client.labor.submit_job(spec)
    await work(client)
    reader, writer = await asyncio.open_connection(app.http_endpoint.host, app.http_endpoint.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    assert 'neuralmesh_labor_shards_total{source="worker"} 10.0' in text
    assert 'neuralmesh_labor_leases_total{end="given"} 10.0' in text
    assert "neuralmesh_labor_nondeterminism_total 0.0" in text
    assert "neuralmesh_labor_workers_live 1.0" in text


class InlineEngine:
    """Runs shards in the service's own loop, and asks for more as soon as it is answered."""

    def __init__(self, desk, folder) -> None:
        self.desk = desk
        self.folder = folder
        self.card = WorkerCard("inline", "a", "here", 1, NUMERICS)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            for lease in await self.desk.lease(self.card, 4, 30.0):
                output = f"output of {lease.action_digest}".encode()
                path = self.folder / "output"
                path.write_bytes(output)
                await self.desk.store(self.card, sha(output), path)
                result = ActionResult(lease.rows, sha(output), len(output)).encode()
                await self.desk.complete(self.card, lease.token, result, 0.1)


async def test_an_engine_works_within_the_service(settings, versions, spec, tmp_path) -> None:
    """What runs shards in the service's process gets the same desk, and the service stops while it waits for work."""
    app = LaborApp(settings, [lambda desk: InlineEngine(desk, tmp_path)], versions)
    await app.start()
    async with AsyncClient(labor=str(app.endpoint)) as client:
        job = await client.labor.submit_job(spec)
        ended, _ = await committed(client, job.name)
    assert ended.state == pb.JOB_STATE_COMMITTED
    await app.stop()


async def test_a_defect_of_an_engine_ends_the_service(settings, versions) -> None:
    """An engine that ends with an error is the end of the service, which says so."""

    class Broken:
        def __init__(self, desk) -> None:
            self.desk = desk

        async def run(self) -> None:
            raise RuntimeError("broken")

    app = LaborApp(settings, [Broken], versions)
    await app.start()
    with pytest.raises(RuntimeError, match="broken"):
        await app.failure
    await app.stop()


async def test_a_service_that_stops_ends_calls_that_wait(settings, versions, spec) -> None:
    """Workers that wait for work are told at once that the service stops, and watches end."""
    app = LaborApp(settings, versions=versions)
    await app.start()
    async with AsyncClient(labor=str(app.endpoint)) as client:
        job = await client.labor.submit_job(spec)
        while await pull(client, limit=64):
            pass  # half of what waits at a time, so that workers finish together
        waiting = asyncio.create_task(pull(client, "two", wait=30.0))
        watching = asyncio.create_task(committed(client, job.name))
        await pull(client, "three")
        await app.stop()
        with pytest.raises(exceptions.UnavailableError):
            await waiting
        with pytest.raises(exceptions.UnavailableError):
            await watching
