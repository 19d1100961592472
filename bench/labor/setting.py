"""What the rows of the labor array's table share: a registry, the packed network, data, arrays with their engines."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bench.labor.duration import Duration
from bench.processes import ROOT, START_SECONDS, ProcessError, ServerProcess
from bench.setting import Setting
from neuralmesh import Client
from neuralmesh.labor.v1 import resources_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROWS = 10_000_000
FILES = 8
WIDTH = 64
PIXELS = 17
"""Pixels of the digits run from 0 to 16."""

SHARD_ROWS = 131_072
EMBEDDED, OWN, DASK = "embedded", "own workers", "Dask"
MODEL = "packed"


@dataclass
class Array:
    """A labor service and what works for it.

    Attributes:
        address: Where it listens.
        client: A client of it.
        stack: Ends it.
    """

    address: str
    client: Client
    stack: ExitStack = field(default_factory=ExitStack)

    def ready(self, workers: int) -> None:
        """Wait until so many slots ask for work."""
        deadline = time.monotonic() + START_SECONDS
        while sum(each.slots for each in self.client.labor.list_workers() if each.live) < workers:
            if time.monotonic() > deadline:
                raise ProcessError(f"no {workers} workers in {START_SECONDS:.0f} s")
            time.sleep(0.05)

    def run(self, side: str, spec: pb.JobSpec) -> Duration:
        """Run a job; its seconds count from the moment that its plan is known, without the planning."""
        asked = time.time()
        job = self.client.labor.submit_job(spec)
        events = list(self.client.labor.watch_job(job.name))
        last = events[-1]
        if last.state != pb.JOB_STATE_COMMITTED:
            raise ProcessError(f"the job ended as {pb.JobState.Name(last.state)}: {last.error.message}")
        began = _seconds(events[0].time)
        return Duration(
            side,
            max(_seconds(last.time) - began, 1e-3),
            job.plan.rows,
            job.plan.shards,
            planning=max(began - asked, 0.0),
        )


@dataclass
class LaborSetting(Setting):
    """See `Setting`; only the registry runs, and labor services of its own for each side."""

    _numbers: int = 0

    @cached_property
    def registry(self) -> str:
        """Address of a registry with the packed network as version 1."""
        folder = self.fresh_folder("registry")
        env = {"NEURALMESH_REGISTRY_LISTEN": "127.0.0.1:0", "NEURALMESH_REGISTRY_DATA": str(folder / "data")}
        process = ServerProcess(["-m", "neuralmesh_server", "registry"], env, folder / "log")
        self.stack.callback(process.end)
        address = process.listening("registry")
        with Client(registry=address, actor="bench") as client:
            client.push(MODEL, self.models.packed, kind="liam.binary_network")
            client.promote(MODEL, 1)
        return address

    @cached_property
    def data(self) -> Path:
        """Folder of ten million rows of pixels as bytes; a fiftieth of them where it has to be quick."""
        return self.rows_of(ROWS // 50 if self.quick else ROWS, FILES)

    def rows_of(self, rows: int, files: int) -> Path:
        """Return a folder of random rows."""
        folder = self.fresh_folder("rows")
        for number in range(files):
            count = rows // files
            pixels = np.random.default_rng(number).integers(0, PIXELS, (count, WIDTH), dtype=np.uint8)
            np.save(folder / f"part-{number:03}.npy", pixels)
        return folder

    def spec(self, data: Path, rows_per_shard: int) -> pb.JobSpec:
        """Return a wish for the labels of all rows."""
        return pb.JobSpec(
            kind=pb.JOB_KIND_INFER,
            version=f"{MODEL}/1",
            data=str(data),
            rows_per_shard=rows_per_shard,
            outputs=["label"],
        )

    def fresh_spec(self) -> pb.JobSpec:
        """Return a wish over the ten million rows that has not been run: its shards are a little smaller each time."""
        self._numbers += 1
        return self.spec(self.data, SHARD_ROWS - 64 * self._numbers)

    def bare(self, spec: pb.JobSpec, processes: int) -> float:
        """Return the seconds of a bare loop in so many processes over the shards of a job."""
        arguments = [str(self.data), str(self.models.packed), str(spec.rows_per_shard), str(processes)]
        return float(measured("bare", arguments))

    def array(self, engine: str, workers: int) -> Array:
        """Start a labor service with so many workers of an engine; they are ready when it returns."""
        folder = self.fresh_folder("labor")
        stack = ExitStack()
        self.stack.callback(stack.close)
        env = {
            "NEURALMESH_LABOR_LISTEN": "127.0.0.1:0",
            "NEURALMESH_LABOR_DATA": str(folder / "data"),
            "NEURALMESH_REGISTRY": self.registry,
            "NEURALMESH_LABOR_WORKERS": "0" if engine == OWN else str(workers),
            "NEURALMESH_LABOR_DASK": "local" if engine == DASK else "",
        }
        process = ServerProcess(["-m", "neuralmesh_server", "labor", "serve"], env, folder / "log")
        stack.callback(process.end)
        address = process.listening("labor")
        for number in range(workers if engine == OWN else 0):
            command = ["-m", "neuralmesh_server", "labor", "worker", "--labor", address, "--registry", self.registry]
            command += ["--name", f"worker-{number}", "--slots", "1", "--store", str(folder / "store")]
            stack.callback(ServerProcess(command, {}, folder / f"worker-{number}.log").end)
        client = stack.enter_context(Client(labor=address, registry=self.registry, actor="bench", timeout=600.0))
        array = Array(address, client, stack)
        array.ready(workers)
        array.run("warm-up", self.spec(self.small, 64))  # versions are fetched and opened
        return array

    @cached_property
    def small(self) -> Path:
        """Folder of a few rows."""
        return self.rows_of(1024, 1)


def measured(script: str, arguments: Sequence[str]) -> str:
    """Return what a program of this folder prints."""
    run = subprocess.run(
        [sys.executable, "-m", f"bench.labor.{script}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise ProcessError(run.stderr[-2000:])
    return run.stdout


def _seconds(stamp: object) -> float:
    return stamp.seconds + stamp.nanos / 1e9  # type: ignore[attr-defined]
