"""One job, one output: the short form of `make test-labor`. Real services, real workers, real files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import Client, exceptions
from neuralmesh.labor.v1 import resources_pb2 as pb
from tests.labor.whole import SHARD_ROWS, Whole, cancelled_at, run_killing
from tests.processes import Service


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A registry with two models, and data."""
    folder = tmp_path_factory.mktemp("array")
    registry = Service("registry", folder).start()
    try:
        yield Whole(folder, registry.address, 4000)
    finally:
        registry.kill()


@pytest.fixture(scope="module")
def expected(array: Whole) -> str:
    """The output of the job on one process in peace."""
    with array.local("quiet", 1) as labor:
        return array.run(labor).output_digest


def test_workers_die_again_and_again(array: Whole, expected: str) -> None:
    """Three times on the way a worker of three is killed with -9: the output is that of a quiet run."""
    with array.workers("dying", 3) as (labor, crew):
        job = run_killing(array, labor, crew, random.Random(1), 3)
    assert crew.killed
    assert (job.state, job.output_digest) == (pb.JOB_STATE_COMMITTED, expected), job.error


def test_one_byte_is_one_action(array: Whole) -> None:
    """With one byte of the data changed, exactly one action is another one, and every other shard is in the cache."""
    with array.local("bytes", 2) as labor, Client(registry=array.registry, labor=labor, actor="test") as client:
        array.run(labor)
        before = client.labor.plan_job(array.spec())
        with np.load(array.data / "a.npz") as arrays:
            rows, labels = arrays["input"], arrays["label"]
        changed = rows.copy()
        changed[123, 45] ^= 1
        array.write("a.npz", changed, labels)
        after = client.labor.plan_job(array.spec())
        array.write("a.npz", rows, labels)
        again = client.labor.plan_job(array.spec())
    actions = [[shard.action_digest for shard in plan.shards] for plan in (before, after)]
    assert [n for n, (one, other) in enumerate(zip(*actions, strict=True)) if one != other] == [123 // SHARD_ROWS]
    assert after.plan.cached_shards == array.shards - 1
    assert before.plan.plan_digest != after.plan.plan_digest
    assert again == before


def test_data_that_changes_meanwhile_is_never_used(array: Whole, expected: str) -> None:
    """A file that is replaced between plan and run fails the job by name; put back, the same wish gives the same output."""
    spec = array.spec(rows_per_shard=SHARD_ROWS, audit_ppm=0, skip_cache=True)
    with np.load(array.data / "b.npz") as arrays:
        rows, labels = arrays["input"], arrays["label"]
    with array.workers("changing", 0) as (labor, crew), Client(labor=labor, actor="test") as client:
        job = client.labor.submit_job(spec)
        array.write("b.npz", rows[::-1], labels)
        crew.hire()
        with pytest.raises(exceptions.NeuralMeshError, match=r"b\.npz") as failed:
            client.labor.finish(job.name)
        assert failed.value.reason == "DATASET_CHANGED"
        array.write("b.npz", rows, labels)
        assert array.run(labor, spec).output_digest == expected


@pytest.mark.parametrize("shards", [0, 10, 120])
def test_a_cancelled_job_shows_nothing_and_goes_on(array: Whole, expected: str, tmp_path: Path, shards: int) -> None:
    """Cancelled early or late, a job has no output and no folder; submitted again it ends as ever."""
    with array.local(f"cancelled-{shards}", 2) as labor:
        job = cancelled_at(array, labor, shards, array.spec())
        with Client(registry=array.registry, labor=labor, actor="test") as client:
            if job.state == pb.JOB_STATE_CANCELLED:
                assert job.output_digest == ""
                with pytest.raises(exceptions.CancelledError):
                    client.labor.finish(job.name, out=tmp_path / "out")
                assert list(tmp_path.iterdir()) == []
            assert array.run(labor).output_digest == expected
