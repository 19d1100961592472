"""The labor array's story: one job, four times, on other workers with other fates, and the same bytes each time.

Every figure that is printed comes from this run. Each step checks what it claims; the first that does not hold ends the
demo with a non-zero status.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from neuralmesh.labor_spec import job_spec
from neuralmesh_server.demo import digits
from neuralmesh_server.demo.labor.array import Array
from neuralmesh_server.demo.stage import check, until

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from neuralmesh import Client

MODEL = "digits"
FILES, FILE_ROWS = 4, 750_000
SHARD_ROWS = 12_500


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the job: on what, how long, and what came out."""

    title: str
    seconds: float
    job: Any


@dataclass(slots=True)
class Story:
    """One run of the demo.

    Attributes:
        client: Connected to registry, inference node and metrics service.
        console: Where people read along.
        folder: Where everything is written.
    """

    client: Client
    console: Console
    folder: Path
    _runs: list[Run] = field(default_factory=list)

    def run(self) -> None:
        """Tell the story; raises DemoError at the first step that does not hold."""
        self._heading("Train a packed network, and write three million rows of digits")
        data = self._prepare()
        self._heading("Evaluate it on them, as a batch job")
        self._once("one worker", ["ann"], data)
        self._once("two workers", ["ann", "bob"], data)
        killed = self._once("two workers, one killed with -9", ["ann", "bob"], data, kill="bob")
        dask = self._once("Dask with three workers", [], data, dask=3)
        self._heading("The same job, the same bytes")
        self._table()
        self._heading("The folder of results, held against itself without any service")
        self._verify(killed, dask, data)
        self._heading("What the registry knows of the version now")
        self._recorded()

    def _prepare(self) -> Path:
        split = digits.load()
        network = digits.train_network(split, lambda *_: None)
        digits.write_network(network, self.folder / "bits.safetensors")
        version = self.client.push(MODEL, self.folder / "bits.safetensors", kind="liam.binary_network", reason="demo")
        self.client.promote(MODEL, version.version, reason="demo")
        data = self.folder / "rows"
        data.mkdir()
        draw = np.random.default_rng(digits.SEED)
        for number in range(FILES):
            chosen = draw.integers(0, len(split.held_out_images), FILE_ROWS)
            np.savez(
                data / f"rows-{number}.npz",
                input=split.held_out_images[chosen].astype(np.uint8),
                digit=split.held_out_labels[chosen].astype(np.uint8),
            )
        self._say(f"version {version.version}, {version.digest}")
        size = sum(path.stat().st_size for path in data.iterdir())
        self._say(f"{FILES * FILE_ROWS:,} rows in {FILES} files, {size / 2**20:,.0f} MiB")
        return data

    def _once(self, title: str, names: list[str], data: Path, *, kill: str = "", dask: int = 0) -> Path:
        """Run the job on an array of its own; returns the folder of results."""
        number = len(self._runs)
        out = self.folder / f"results-{number}"
        with Array(self.folder / f"array-{number}", self.client.registry.address, dask) as array:
            for name in names:
                array.employ(name)
            wanted = len(names) or dask
            until(lambda: len(array.present()) == wanted, f"{wanted} workers are there", 60.0)
            labor = array.client.labor
            spec = job_spec(MODEL, data, job="evaluate", label="digit", rows_per_shard=SHARD_ROWS, outputs=["label"])
            plan = labor.plan_job(spec).plan
            if not number:
                self._say(f"plan {plan.plan_digest}")
                self._say(f"{plan.shards} shards, computed by {plan.numerics_id}")
            job = labor.submit_job(spec).name
            started = time.perf_counter()
            if kill:
                until(lambda: labor.get_job(job).progress.done_shards > plan.shards // 3, "a third is done", 60.0)
                array.kill(kill)
            ended = labor.finish(job, record=True)
            seconds = time.perf_counter() - started
            labor.finish(job, out=out)
        self._runs.append(Run(title, seconds, ended))
        retries = f", {ended.progress.retries} shards run again" if ended.progress.retries else ""
        self._say(f"{title}: {seconds:.1f} s, {ended.progress.rows / seconds:,.0f} rows/s{retries}")
        self._say(f"output {ended.output_digest}")
        return out

    def _table(self) -> None:
        table = Table()
        table.add_column("run")
        for column in ("seconds", "speed-up"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("output digest", no_wrap=True)
        for run in self._runs:
            speed = self._runs[0].seconds / run.seconds
            table.add_row(run.title, f"{run.seconds:.1f}", f"{speed:.2f}", run.job.output_digest[:23] + "…")
        self.console.print(table)
        outputs = {run.job.output_digest for run in self._runs}
        check(len(outputs) == 1, f"there are {len(outputs)} different outputs")
        self._say("all output digests are equal")

    def _verify(self, killed: Path, dask: Path, data: Path) -> None:
        names = sorted(path.name for path in killed.iterdir())
        check(
            names == sorted(path.name for path in dask.iterdir())
            and all((killed / name).read_bytes() == (dask / name).read_bytes() for name in names),
            "the folders of two runs differ",
        )
        self._say(f"both folders have the same {len(names)} files, byte for byte")
        command = [sys.executable, "-m", "neuralmesh_server", "labor", "verify", str(dask), "--data", str(data)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        for line in done.stdout.splitlines():
            self._say(line)
        check(done.returncode == 0, f"the folder does not hold: {done.stderr}")
        part = next(dask.glob("part-*"))
        part.chmod(0o600)
        part.write_bytes(part.read_bytes()[:-1])
        done = subprocess.run(command[:-2], capture_output=True, text=True, check=False)  # noqa: S603 - as above
        check(done.returncode == 1, "a part that lost its last byte was not noticed")
        self._say(f"and with one byte less: {done.stderr.strip().removeprefix('error: ')}")

    def _recorded(self) -> None:
        (found,) = list(self.client.registry.list_checks(MODEL))
        report = json.loads(self._runs[0].job.report)
        check(found.figures["accuracy"] == report["accuracy"], "the registry has another accuracy than the report")
        self._say(f"{found.kind} of {found.version}: accuracy {report['accuracy']} on {report['rows']:,} rows")
        self._say(f"recorded once, for four runs of plan {found.plan_digest}")

    def _heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]")

    def _say(self, text: str) -> None:
        self.console.print("  " + text, highlight=False, soft_wrap=True, markup=False)
