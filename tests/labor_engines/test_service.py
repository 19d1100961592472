"""The whole array: a registry, the service, and every engine; real processes, real files, one output."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import structlog

from bench.processes import ServerProcess
from liam_core import capabilities
from neuralmesh import Client, exceptions
from neuralmesh.labor.v1 import resources_pb2 as pb
from neuralmesh_server.cli.exit_codes import CommandError
from neuralmesh_server.cli.labor_local import local_array
from neuralmesh_server.labor_engines import dask_engine
from neuralmesh_server.labor_engines.local import LocalLabor
from tests.labor_engines import setting
from tests.processes import Service, until

ROWS = 4000
PATIENCE = 90.0


class Array:
    """A registry with one model, data, and what it takes to run jobs over it."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.folder = folder
        self.registry = registry
        self.data = setting.digits_data(folder, ROWS)
        (folder / "model.safetensors").write_bytes(setting.content(setting.NETWORK, folder))
        with Client(registry=registry, actor="test") as client:
            client.push("digits", folder / "model.safetensors", kind=setting.NETWORK)
            client.promote("digits", 1)

    def spec(self, **changes: object) -> pb.JobSpec:
        """Return a wish over all rows."""
        wish = {"kind": pb.JOB_KIND_INFER, "version": "digits@production", "data": str(self.data), "rows_per_shard": 50}
        return pb.JobSpec(**{**wish, **changes})

    def run(self, address: str, spec: pb.JobSpec | None = None) -> pb.Job:
        """Run a job to its end."""
        with Client(registry=self.registry, labor=address, actor="test") as client:
            job = client.labor.submit_job(spec or self.spec())
            ended = client.labor.finish(job.name)
        assert ended.state == pb.JOB_STATE_COMMITTED, ended.error
        return ended


@contextmanager
def worker(
    array: Array, labor: str, name: str, *, slots: int = 1, idle: float = 0.0, **more: str
) -> Iterator[ServerProcess]:
    """Run `neuralmesh labor worker` within the block."""
    command = ["-m", "neuralmesh_server", "labor", "worker", "--labor", labor, "--registry", array.registry]
    command += ["--name", name, "--slots", str(slots), "--store", str(array.folder / "store"), "--once-idle", str(idle)]
    process = ServerProcess(command, more, array.folder / f"{name}.log")
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def service(
    array: Array, folder: str = "labor", *, listen: str = "127.0.0.1:0", workers: int = 0, **more: str
) -> Iterator[tuple[ServerProcess, str]]:
    """Run `neuralmesh labor serve` within the block."""
    command = ["-m", "neuralmesh_server", "labor", "serve", "--listen", listen, "--registry", array.registry]
    command += ["--data", str(array.folder / folder), "--workers", str(workers)]
    process = ServerProcess(command, {"NEURALMESH_LABOR_LEASE_SECONDS": "2", **more}, array.folder / f"{folder}.log")
    try:
        yield process, process.listening("labor")
    finally:
        process.kill()


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Array]:
    """A registry with one model, and data."""
    folder = tmp_path_factory.mktemp("array")
    registry = Service("registry", folder).start()
    try:
        yield Array(folder, registry.address)
    finally:
        registry.kill()


@pytest.fixture(scope="module")
def expected(array: Array) -> str:
    """The output of a job that one process ran in peace."""
    with LocalLabor(array.folder / "quiet", array.registry, workers=1) as labor:
        return array.run(labor.address).output_digest


def test_one_output_for_any_number_of_processes(array: Array, expected: str) -> None:
    """Embedded, two, three and five processes: the same output digest."""
    for workers in (2, 3, 5):
        with LocalLabor(array.folder / f"local-{workers}", array.registry, workers=workers) as labor:
            assert array.run(labor.address).output_digest == expected


def test_results_are_there_for_the_next_program(array: Array) -> None:
    """A second program on the folder finds everything in the cache, also under another job."""
    spec = array.spec(outputs=["label"])
    with LocalLabor(array.folder / "twice", array.registry, workers=2) as labor:
        first = array.run(labor.address, spec)
    with LocalLabor(array.folder / "twice", array.registry, workers=2) as labor:
        again = array.run(labor.address, spec)
    assert again.output_digest == first.output_digest
    assert first.progress.cached_shards == 0


def test_workers_over_grpc_at_every_level(array: Array, expected: str) -> None:
    """Workers that pull, each forced to another SIMD level, work on one job: the same output."""
    levels = capabilities().supported
    with service(array, "grpc") as (_, labor), ExitStack() as stack:
        for number, level in enumerate(levels):
            stack.enter_context(worker(array, labor, f"w-{number}", LIAM_SIMD=level))
        assert array.run(labor).output_digest == expected
        with Client(labor=labor) as client:
            assert {each.name for each in client.labor.list_workers()} <= {
                f"w-{number}" for number in range(len(levels))
            }


def test_workers_are_killed_at_random(array: Array, expected: str) -> None:
    """Workers are ended with -9 and started again while the job runs: it finishes with the same output."""
    chosen = random.Random(8)
    with service(array, "killed") as (_, labor), ExitStack() as stack:
        running = [stack.enter_context(worker(array, labor, f"k-{number}", slots=2)) for number in range(3)]
        with Client(labor=labor, actor="test") as client:
            job = client.labor.submit_job(array.spec())
            killed = 0
            for event in client.labor.watch_job(job.name):
                if killed < 3 and event.progress.done_shards >= 10 * (killed + 1):
                    victim = chosen.randrange(3)
                    running[victim].kill()
                    running[victim] = stack.enter_context(worker(array, labor, f"k-{victim}", slots=2))
                    killed += 1
            ended = client.labor.get_job(job.name)
    assert killed
    assert (ended.state, ended.output_digest) == (pb.JOB_STATE_COMMITTED, expected)


def test_the_service_is_killed_and_restarted(array: Array, expected: str) -> None:
    """The service is ended with -9 in the middle and started on the same port: its workers find it again, and the job ends as ever."""
    with service(array, "restarted") as (process, labor), worker(array, labor, "patient", slots=2):
        with Client(labor=labor, actor="test") as client:
            job = client.labor.submit_job(array.spec())
            for event in client.labor.watch_job(job.name):
                if event.progress.done_shards >= 10:
                    break
        process.kill()
        with service(array, "restarted", listen=labor):
            assert array.run(labor).output_digest == expected


def test_every_shard_is_audited(array: Array, expected: str) -> None:
    """Two processes, each shard run by both: no alarm, the same output."""
    with LocalLabor(array.folder / "audited", array.registry, workers=2) as labor:
        job = array.run(labor.address, array.spec(audit_ppm=1_000_000))
        with Client(labor=labor.address) as client:
            assert client.labor.list_alarms() == []
    assert job.output_digest == expected
    assert job.progress.audited_shards == ROWS // 50


def test_a_lie_is_found_and_the_liar_named(array: Array, expected: str) -> None:
    """One of three workers returns other bytes: it is outvoted and quarantined, and the output is that of the honest ones."""
    with service(array, "lied") as (_, labor), ExitStack() as stack:
        for name in ("honest-1", "honest-2"):
            stack.enter_context(worker(array, labor, name))
        command = ["-m", "tests.labor_engines.lying_worker", labor, array.registry, str(array.folder / "lying")]
        liar = ServerProcess(command, {"PYTHONPATH": os.pathsep.join(sys.path)}, array.folder / "liar.log")
        stack.callback(liar.kill)
        job = array.run(labor, array.spec(audit_ppm=1_000_000))
        with Client(labor=labor) as client:
            until(lambda: any(each.quarantined for each in client.labor.list_workers()), "somebody is in quarantine")
            assert [each.name for each in client.labor.list_workers() if each.quarantined] == ["liar"]
            assert {alarm.quarantined_worker for alarm in client.labor.list_alarms()} >= {"liar"}
    assert job.output_digest == expected


def test_batch_workers_end_when_there_is_nothing_left(array: Array) -> None:
    """`--once-idle`: the worker runs the job, waits a moment, and ends with status 0."""
    with service(array, "batch") as (_, labor), worker(array, labor, "batch-worker", slots=2, idle=1.0) as process:
        array.run(labor)
        until(lambda: not process.running, "the worker has ended", PATIENCE)
        assert process.returncode == 0


def breaking(folder: Path) -> str:
    """Return a path for modules on which every process that is to run shards ends as it starts."""
    broken = "import sys\nif 'neuralmesh_server.labor_engines.child' in sys.orig_argv:\n    raise SystemExit\n"
    (folder / "sitecustomize.py").write_text(broken)
    return os.pathsep.join([str(folder), *sys.path])


def test_batch_workers_whose_processes_do_not_start_say_so(array: Array, tmp_path: Path) -> None:
    """`--once-idle`: where an environment ends every process that is to run shards, the worker ends with an error and status 1."""
    path = breaking(tmp_path)
    with (
        service(array, "broken") as (_, labor),
        worker(array, labor, "broken-worker", slots=2, idle=1.0, PYTHONPATH=path) as process,
        Client(labor=labor) as client,
    ):
        until(lambda: not process.running, "the worker has ended", PATIENCE)
        assert process.returncode == 1
        assert all(each.done_shards == 0 for each in client.labor.list_workers())
    said = (array.folder / "broken-worker.log").read_text()
    assert "error: no process of worker 'broken-worker' becomes ready for work: 5 in a row did not" in said
    assert "ended with status 1" in said


def test_an_array_within_a_program_ends_where_no_process_starts(
    array: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an environment ends every process that is to run shards, the array ends and says why, and its caller hears."""
    monkeypatch.setenv("PYTHONPATH", breaking(tmp_path))
    options = {"registry": array.registry, "actor": "test", "tls": None, "token": "", "timeout": 10.0}
    why = "no process of worker 'local-.' becomes ready for work: 5 in a row did not, the last one ended with status 1"
    try:
        with pytest.raises(CommandError, match=why), local_array(tmp_path / "labor", options, workers=2) as client:
            client.labor.finish(client.labor.submit_job(array.spec()).name, attempts=1)
    finally:
        structlog.reset_defaults()  # the array within a program is quiet


def test_a_job_that_names_bad_rows_fails_for_good(array: Array, tmp_path: Path) -> None:
    """Data of another width: the job fails and names file and row."""
    np.save(tmp_path / "rows.npy", np.zeros((100, 63), np.uint8))
    with (
        LocalLabor(tmp_path / "labor", array.registry, workers=2) as labor,
        Client(labor=labor.address, actor="test") as client,
    ):
        job = client.labor.submit_job(array.spec(data=str(tmp_path / "rows.npy")))
        for _ in client.labor.watch_job(job.name):
            pass
        ended = client.labor.get_job(job.name)
    assert (ended.state, ended.error.reason) == (pb.JOB_STATE_FAILED, "DATASET_INVALID")
    assert ended.error.message.startswith("row 0 of 'rows.npy'")


def test_dask_gives_the_same_output(array: Array, expected: str) -> None:
    """The service with a cluster of Dask instead of its own processes: the same output."""
    with LocalLabor(array.folder / "dask", array.registry, workers=2, dask="local") as labor:
        assert array.run(labor.address).output_digest == expected


def test_an_engine_that_cannot_work_is_no_reason_to_wait(
    array: Array, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody listens as scheduler, the array ends, and whoever waits for a job hears of it."""
    monkeypatch.setattr(dask_engine, "CONNECT_SECONDS", 1.0)
    with (
        LocalLabor(tmp_path / "labor", array.registry, dask="tcp://127.0.0.1:1") as labor,
        Client(labor=labor.address, actor="test") as client,
    ):
        job = client.labor.submit_job(array.spec())
        with pytest.raises(exceptions.UnavailableError):
            client.labor.finish(job.name, attempts=1)
