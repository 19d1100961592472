"""One job, one output digest: over every number of workers, engine, instruction set, fault and kill."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from liam_core import capabilities
from neuralmesh import Client, exceptions
from neuralmesh.labor.v1 import resources_pb2 as pb
from tests.labor.whole import LEASE_SECONDS, Whole, cancelled_at, moments, run_killing
from tests.labor_engines.test_service import service, worker

pytestmark = pytest.mark.timeout(900)

VERSIONS = ("digits@production", "digits-onnx@production")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("engine", ["embedded", "own", "dask"])
@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_number_and_kind_of_workers(
    array: Whole, expected: dict[str, str], version: str, engine: str, workers: int
) -> None:
    """Embedded processes, own workers over gRPC and Dask, 1 to 5 of them: the output is that of one in peace."""
    name = f"{engine}-{workers}-{version.partition('@')[0]}"
    spec = array.spec(version=version)
    if engine == "own":
        with array.workers(name, workers) as (labor, _):
            assert array.run(labor, spec).output_digest == expected[version]
        return
    with array.local(name, workers, "local" if engine == "dask" else "") as labor:
        assert array.run(labor, spec).output_digest == expected[version]


@pytest.mark.parametrize("level", capabilities().supported)
def test_instruction_sets(array: Whole, expected: dict[str, str], level: str) -> None:
    """A packed network on workers of each level alone."""
    with array.workers(f"level-{level}", 2, LIAM_SIMD=level) as (labor, _):
        assert array.run(labor).output_digest == expected[VERSIONS[0]]


def test_instruction_sets_mixed(array: Whole, expected: dict[str, str]) -> None:
    """A packed network on workers of all levels at once, every shard run twice: no alarm, the same output."""
    with array.workers("levels", 0) as (labor, crew):
        for level in capabilities().supported:
            crew.more = {"LIAM_SIMD": level}
            crew.hire()
        job = array.run(labor, array.spec(audit_ppm=1_000_000))
        with Client(labor=labor) as client:
            assert client.labor.list_alarms() == []
    assert job.output_digest == expected[VERSIONS[0]]
    assert job.progress.audited_shards == array.shards


@pytest.mark.parametrize("version", VERSIONS)
def test_every_shard_twice(array: Whole, expected: dict[str, str], version: str) -> None:
    """Three workers, each shard run by two of them."""
    with array.workers(f"twice-{version.partition('@')[0]}", 3) as (labor, _):
        job = array.run(labor, array.spec(version=version, audit_ppm=1_000_000))
    assert (job.output_digest, job.progress.audited_shards) == (expected[version], array.shards)


@pytest.mark.parametrize("seed", range(3))
def test_workers_killed_at_random(array: Whole, expected: dict[str, str], seed: int) -> None:
    """Five times on the way three of ten workers are killed with -9 and replaced."""
    with array.workers(f"killed-{seed}", 5) as (labor, crew):
        job = run_killing(array, labor, crew, random.Random(seed), 5)
    assert crew.killed >= 5
    assert (job.state, job.output_digest) == (pb.JOB_STATE_COMMITTED, expected[VERSIONS[0]]), job.error


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_service_killed(array: Whole, expected: dict[str, str], share: float) -> None:
    """The service is killed with -9 early, in the middle and late, and started again on its port."""
    name, environment = f"restarted-{share}", {"NEURALMESH_LABOR_LEASE_SECONDS": LEASE_SECONDS}
    with service(array, name, **environment) as (process, labor), ExitStack() as stack:
        for number in range(2):
            stack.enter_context(worker(array, labor, f"{name.replace('.', '')}-{number}"))
        with Client(registry=array.registry, labor=labor, actor="test") as client:
            job = client.labor.submit_job(array.spec())
            for progress in moments(client, job.name):
                if progress.done_shards >= share * progress.shards:
                    break
        process.kill()
        with service(array, name, listen=labor, **environment):
            assert array.run(labor).output_digest == expected[VERSIONS[0]]


@pytest.mark.parametrize("shards", [0, 1, 50, 300, 590])
def test_cancelled_at_any_moment(array: Whole, expected: dict[str, str], tmp_path: Path, shards: int) -> None:
    """A cancelled job has neither manifest nor folder; submitted again, it goes on to the same output."""
    with array.local(f"cancelled-{shards}", 2) as labor:
        job = cancelled_at(array, labor, shards, array.spec())
        with Client(registry=array.registry, labor=labor, actor="test") as client:
            if job.state == pb.JOB_STATE_CANCELLED:
                with pytest.raises(exceptions.CancelledError):
                    client.labor.finish(job.name, out=tmp_path / "out")
                with pytest.raises(exceptions.NotFoundError):
                    list(client.labor.get_job_document(job.name, 2))
            assert list(tmp_path.iterdir()) == []
            assert array.run(labor).output_digest == expected[VERSIONS[0]]


@pytest.mark.parametrize("engine", ["embedded", "dask"])
@pytest.mark.parametrize("workers", [1, 3])
def test_wrong_rows(array: Whole, tmp_path: Path, engine: str, workers: int) -> None:
    """A row of text among numbers is named, or skipped and listed: the same on every run."""
    data = tmp_path / "data"
    data.mkdir()
    draw = np.random.default_rng(1)
    lines = [",".join(map(str, row)) for row in draw.integers(0, 17, (200, 64)).tolist()]
    lines[77] = lines[77].replace(",", ",x", 1)
    lines[150] = lines[150].partition(",")[2]
    head = ",".join(f"p{n}" for n in range(64))
    (data / "rows.csv").write_text("\n".join([head, *lines]) + "\n")
    spec = pb.JobSpec(kind=pb.JOB_KIND_INFER, version="digits@production", data=str(data), rows_per_shard=20)
    with (
        array.local(f"wrong-{engine}-{workers}", workers, "local" if engine == "dask" else "") as labor,
        Client(registry=array.registry, labor=labor, actor="test") as client,
    ):
        job = client.labor.submit_job(spec)
        with pytest.raises(exceptions.NeuralMeshError, match=r"row 77 of 'rows\.csv'") as failed:
            client.labor.finish(job.name)
        assert failed.value.reason == "DATASET_INVALID"
        spec.bad_rows = pb.BAD_ROWS_SKIP
        skipped = array.run(labor, spec)
        out = client.labor.finish(skipped.name, out=tmp_path / "out")
    assert out.progress.skipped_rows == 2
    kept = array.folder / "skipped-output"
    if not kept.exists():
        kept.write_text(skipped.output_digest)
    assert skipped.output_digest == kept.read_text()


def test_unreadable_file(array: Whole, tmp_path: Path) -> None:
    """A file that is not what its suffix says is named before anything runs."""
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "a.npy", np.zeros((10, 64), np.uint8))
    (tmp_path / "data" / "b.npy").write_bytes(b"not an array")
    spec = pb.JobSpec(kind=pb.JOB_KIND_INFER, version="digits@production", data=str(tmp_path / "data"))
    with array.local("unreadable", 1) as labor, Client(labor=labor, actor="test") as client:
        with pytest.raises(exceptions.FailedPreconditionError, match=r"b\.npy"):
            client.labor.submit_job(spec)
        assert list(client.labor.list_jobs()) == []


def test_a_disk_that_is_full_shows_no_folder(array: Whole, expected: dict[str, str], tmp_path: Path) -> None:
    """Where the results have no room, fetching fails with a message and leaves nothing; with room it is whole."""
    with array.workers("full", 1) as (labor, _):
        job = array.run(labor)
        fetch = [sys.executable, "-m", "neuralmesh_server", "labor", "fetch", job.name.removeprefix("jobs/")]
        fetch += ["--labor", labor, "--out", str(tmp_path / "out")]

        def cramped() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        done = subprocess.run(fetch, capture_output=True, text=True, check=False, preexec_fn=cramped)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("error: ")
        assert list(tmp_path.iterdir()) == []
        subprocess.run(fetch, check=True, capture_output=True)
    verify = [
        sys.executable,
        "-m",
        "neuralmesh_server",
        "labor",
        "verify",
        str(tmp_path / "out"),
        "--data",
        str(array.data),
    ]
    subprocess.run(verify, check=True, capture_output=True)
    assert job.output_digest == expected[VERSIONS[0]]
