"""Jobs on whole arrays, with kinds of versions, engines and faults to choose from; what the short and the long form share."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from neuralmesh import Client, exceptions
from neuralmesh.labor.v1 import resources_pb2 as pb
from neuralmesh_server.labor_engines.local import LocalLabor
from tests.labor_engines import setting
from tests.labor_engines.test_service import Array, service, worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.processes import ServerProcess

SHARD_ROWS = 20
LEASE_SECONDS = "5"
"""Long enough that a worker on a machine that does ten other things is not taken for gone."""


class Whole(Array):
    """An array with a packed network, an ONNX model, and true labels.

    Args:
        folder: Where everything is kept.
        registry: Where versions are.
        rows: How many.
    """

    def __init__(self, folder: Path, registry: str, rows: int) -> None:
        self.rows = rows
        super().__init__(folder, registry)
        self.data = folder / "labelled"
        self.data.mkdir()
        draw = np.random.default_rng(3)
        half = rows // 2
        for name, count in (("a.npz", half), ("b.npz", rows - half)):
            self.write(name, draw.integers(0, 17, (count, 64)).astype(np.uint8), draw.integers(0, 10, count))
        (folder / "model.onnx").write_bytes(setting.content(setting.ONNX, folder))
        with Client(registry=registry, actor="test") as client:
            client.push("digits-onnx", folder / "model.onnx", kind=setting.ONNX)
            client.promote("digits-onnx", 1)

    def write(self, name: str, rows: np.ndarray, labels: np.ndarray) -> None:
        """Write a file of the data."""
        np.savez(self.data / name, input=rows, label=labels)

    def spec(self, **changes: object) -> pb.JobSpec:
        """Return a wish for an evaluation, unless told otherwise."""
        wish = {
            "kind": pb.JOB_KIND_EVALUATE,
            "version": "digits@production",
            "data": str(self.data),
            "columns": pb.ColumnMapping(label="label"),
            "rows_per_shard": SHARD_ROWS,
        }
        return pb.JobSpec(**{**wish, **changes})

    @property
    def shards(self) -> int:
        """Shards of a job over all rows."""
        return 2 * (self.rows // 2 // SHARD_ROWS)

    @contextmanager
    def local(self, name: str, workers: int, dask: str = "") -> Iterator[str]:
        """Give the address of an array within this process."""
        with LocalLabor(self.folder / name, self.registry, workers=workers, dask=dask) as labor:
            yield labor.address

    @contextmanager
    def workers(self, name: str, count: int, **more: str) -> Iterator[tuple[str, Crew]]:
        """Give the address of a service, and the workers that pull from it."""
        with service(self, name, NEURALMESH_LABOR_LEASE_SECONDS=LEASE_SECONDS) as (_, labor), ExitStack() as stack:
            crew = Crew(self, labor, stack, name, more)
            for _ in range(count):
                crew.hire()
            yield labor, crew


class Crew:
    """Workers of a service, which can be killed and replaced."""

    def __init__(self, array: Whole, labor: str, stack: ExitStack, name: str, more: dict[str, str]) -> None:
        self._array = array
        self._labor = labor
        self._stack = stack
        self._name = name
        self.more = more
        self._hired = 0
        self.running: list[ServerProcess] = []
        self.killed = 0

    def hire(self) -> None:
        """Start one more."""
        name = f"{self._name}-{self._hired}"
        self._hired += 1
        self.running.append(self._stack.enter_context(worker(self._array, self._labor, name, **self.more)))

    def kill(self, share: float, draw: random.Random) -> None:
        """Kill a share of them with -9, at least one, and start as many others."""
        for victim in draw.sample(self.running, max(1, round(share * len(self.running)))):
            victim.kill()
            self.running.remove(victim)
            self.killed += 1
            self.hire()


def run_killing(array: Whole, labor: str, crew: Crew, draw: random.Random, times: int) -> pb.Job:
    """Run a job; so many times on its way, evenly over its shards, three workers of ten are killed."""
    with Client(registry=array.registry, labor=labor, actor="test") as client:
        job = client.labor.submit_job(array.spec())
        killed = 0
        for progress in moments(client, job.name):
            if killed < times and progress.done_shards * times >= killed * progress.shards:
                crew.kill(0.3, draw)
                killed += 1
        return client.labor.get_job(job.name)


def cancelled_at(array: Whole, labor: str, shards: int, spec: pb.JobSpec) -> pb.Job:
    """Submit a job, cancel it when so many shards are done, and return it as it ended."""
    with Client(registry=array.registry, labor=labor, actor="test") as client:
        job = client.labor.submit_job(spec)
        for progress in moments(client, job.name):
            if progress.done_shards >= shards:
                break
        with suppress(exceptions.FailedPreconditionError):  # it was faster
            client.labor.cancel_job(job.name)
        return client.labor.get_job(job.name)


def moments(client: Client, name: str) -> Iterator[pb.JobProgress]:
    """Yield how far a job is, again and again until it has ended; events come too seldom for what is over so soon."""
    while True:
        job = client.labor.get_job(name)
        if job.state != pb.JOB_STATE_RUNNING:
            return
        yield job.progress
        time.sleep(0.01)
