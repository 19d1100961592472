"""`client.labor.run` in both colours: whole jobs over a real service, its processes and a registry, all on free ports."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import numpy as np
import pytest

from neuralmesh import AsyncClient, Client, exceptions
from neuralmesh._async import labor_run as async_run
from neuralmesh._sync import labor_run as sync_run
from tests.labor.whole import Whole
from tests.labor_engines.test_service import service
from tests.processes import Service

ROWS = 200


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A registry with versions, and labelled data."""
    folder = tmp_path_factory.mktemp("client")
    registry = Service("registry", folder).start()
    yield Whole(folder, registry.address, ROWS)
    registry.kill()


@pytest.fixture(scope="module")
def labor(whole):
    """Return the address of a service with two processes."""
    with service(whole, "running", workers=2) as (_, address):
        yield address


def run_sync(whole, address, version="digits@production", **wish):
    """Run a job with the synchronous client."""
    with Client(registry=whole.registry, labor=address, actor="me") as client:
        return client.labor.run(version, **wish)


def run_async(whole, address, version="digits@production", **wish):
    """Run a job with the asynchronous client."""

    async def work():
        async with AsyncClient(registry=whole.registry, labor=address, actor="me") as client:
            return await client.labor.run(version, **wish)

    return asyncio.run(work())


BOTH = pytest.mark.parametrize("run", [run_sync, run_async])


@BOTH
def test_a_job_from_its_wish_to_its_folder(whole, labor, run, tmp_path) -> None:
    """The committed job comes back, its events were told, its folder is whole, and its figures stand with the version."""
    events = []
    wish = {"data": whole.data, "job": "evaluate", "label": "label", "rows_per_shard": 20}
    job = run(whole, labor, out=tmp_path / "out", progress=events.append, **wish)
    assert job.actor == "me"
    assert [event.event for event in events] == list(range(1, len(events) + 1))
    assert events[-1].progress.done_shards == job.progress.shards == 10
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["plan"] == job.plan.plan_digest
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 10
    with Client(registry=whole.registry) as client:
        checks = [
            check for check in client.registry.list_checks("digits", 1) if check.output_digest == job.output_digest
        ]
    assert [check.kind for check in checks] == ["evaluation"]
    again = run(whole, labor, out=tmp_path / "out", **wish)
    assert again.output_digest == job.output_digest


@BOTH
def test_both_colours_give_one_job(whole, labor, run, tmp_path) -> None:
    """A comparison asked for with either client is the same job, with the same output."""
    wish = {"data": whole.data, "job": "compare", "baseline": "digits-onnx@production", "rows_per_shard": 50}
    wish["inputs"] = {"input": ["input"]}
    job = run(whole, labor, record=False, **wish)
    assert job.output_digest == run_sync(whole, labor, record=False, **wish).output_digest


@BOTH
def test_a_job_that_fails_is_an_error(whole, labor, run, tmp_path) -> None:
    """A label that is no column, and a version that there is not, are raised; no folder is written."""
    wish = {"data": whole.data, "out": tmp_path / "out"}
    with pytest.raises(exceptions.FailedPreconditionError, match="has no column 'lable'"):
        run(whole, labor, job="evaluate", label="lable", **wish)
    with pytest.raises(exceptions.NotFoundError):
        run(whole, labor, "digits@nowhere", **wish)
    assert not (tmp_path / "out").exists()


@BOTH
def test_a_job_that_is_cancelled_is_an_error(whole, run, tmp_path) -> None:
    """Whoever waits for a job that somebody else cancels hears of it."""
    np.save(tmp_path / "rows.npy", np.zeros((100, 64), np.uint8))
    with service(whole, f"cancelled-{run.__name__}") as (_, address), Client(labor=address) as other:

        def cancel(event) -> None:
            other.labor.cancel_job(next(iter(other.labor.list_jobs())).name)

        with pytest.raises(exceptions.CancelledError, match="was cancelled"):
            run(whole, address, data=tmp_path / "rows.npy", progress=cancel)


@pytest.fixture(params=[(run_sync, sync_run, "pause_sync"), (run_async, async_run, "pause_async")])
def pausing(request, monkeypatch):
    """Return how a job is run in either colour, a list of its pauses, and one of what is done in the first.

    Pauses are skipped where nothing is done in them.
    """
    run, module, name = request.param
    original = getattr(module, name)
    pauses, first = [], []

    def note(seconds):
        if not pauses:
            for work in first:
                work()
        pauses.append(seconds)
        return seconds if first else 0.0

    async def pause_async(seconds):
        await original(note(seconds))

    monkeypatch.setattr(module, name, (lambda seconds: original(note(seconds))) if run is run_sync else pause_async)
    return run, pauses, first


def test_a_service_that_is_not_there_yet_is_waited_for(whole, pausing, tmp_path) -> None:
    """A wish submitted while the service is away becomes a job as soon as it is back on its port."""
    run, pauses, first = pausing
    name = f"away-{run.__name__}"
    with service(whole, name) as (process, address):
        process.kill()
    with ExitStack() as stack:
        first.append(lambda: stack.enter_context(service(whole, name, listen=address, workers=1)))
        job = run(whole, address, data=whole.data, inputs={"input": ["input"]}, rows_per_shard=100)
    assert pauses
    assert job.progress.done_shards == 2


def test_a_service_that_stays_away_is_given_up(whole, pausing) -> None:
    """After as many attempts as for any other call, the caller hears that the service cannot be reached."""
    run, pauses, _ = pausing
    with service(whole, f"gone-{run.__name__}") as (process, address):
        process.kill()
    with pytest.raises(exceptions.UnavailableError, match=f"{address} cannot be reached"):
        run(whole, address, data=whole.data)
    assert len(pauses) == sync_run.ATTEMPTS - 1
