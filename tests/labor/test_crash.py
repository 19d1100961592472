"""kill -9 of a real labor service at any moment: the same wish again ends in the same output digest.

NEURALMESH_CRASH_ROUNDS sets how many kills there are; the default is short enough for every test run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys

import apsw
import numpy as np

from neuralmesh import AsyncClient, exceptions
from neuralmesh.labor.v1 import resources_pb2 as pb
from neuralmesh_server.labor.results import ActionResult
from tests.labor.known_versions import sha
from tests.labor_engines.setting import eventually

ROUNDS = int(os.environ.get("NEURALMESH_CRASH_ROUNDS", "5"))
SHARDS = 400
NUMERICS = {"liam.binary_network": "liam/1"}
CUT = (exceptions.UnavailableError, exceptions.CancelledError)

RUNNER = """
import sys
from pathlib import Path
from neuralmesh_server.runtime import transport
transport.configure()
from neuralmesh_server.labor.app import LaborApp
from neuralmesh_server.runtime import logs, process
from neuralmesh_server.settings import Endpoint, ServerSettings
from neuralmesh_server.settings_labor import LaborSettings
from tests.labor.known_versions import KnownVersions
keep = float(sys.argv[2]) if len(sys.argv) > 2 else None
settings = LaborSettings(ServerSettings(Endpoint("127.0.0.1", 0)), Path(sys.argv[1]), keep_seconds=keep)
logs.configure()
process.run(lambda: LaborApp(settings, versions=KnownVersions()))
"""


async def start(data, *keep):
    """Start a service, which may keep results for some seconds only; returns its process and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUNNER,
        str(data),
        *map(str, keep),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(["", *sys.path])},
    )
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode()
    assert line.startswith("listening labor "), line
    return process, line.split()[-1]


class Witness:
    """What clients were told: the shards whose results were acknowledged, and the largest token before the last kill."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.newest = 0
        self.before = 0

    def killed(self) -> None:
        """From now on, tokens must be larger than all so far."""
        self.before = self.newest


async def work(client, name, witness, incarnation) -> None:
    """Run shards until there are none or the line is cut."""
    while True:
        response = await client.labor_worker.lease_shards(name, incarnation, numerics=NUMERICS, limit=3, wait=0.2)
        if not response.leases:
            return
        for lease in response.leases:
            assert lease.shard not in witness.acknowledged, "a shard whose result was acknowledged is run again"
            assert lease.token > witness.before
            witness.newest = max(witness.newest, lease.token)
            output = f"output of {lease.action_digest}".encode()
            result = ActionResult(lease.rows, sha(output), len(output)).encode()
            await client.labor_worker.complete_shard(name, incarnation, lease.token, result, output=output)
            witness.acknowledged.add(lease.shard)


async def turn(address, spec, witness, number) -> pb.Job | None:
    """Submit the wish and work on it; returns the job where it could be done to its end."""
    async with AsyncClient(labor=address) as client:
        try:
            job = await client.labor.submit_job(spec)
            assert job.progress.done_shards >= len(witness.acknowledged)
            workers = [work(client, f"w{worker}", witness, f"turn{number}") for worker in range(3)]
            for outcome in await asyncio.gather(*workers, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            async for _ in client.labor.watch_job(job.name):
                pass
            return await client.labor.get_job(job.name)
        except CUT:
            return None


async def finished(data, spec, *keep) -> pb.Job:
    """Return the job of a wish after a service has run it to its end and was stopped."""
    process, address = await start(data, *keep)
    job = await turn(address, spec, Witness(), "whole")
    process.terminate()
    assert await process.wait() == 0
    assert job.state == pb.JOB_STATE_COMMITTED
    return job


async def test_a_service_killed_while_it_removes_results_harms_no_job(tmp_path) -> None:
    """Killed each time that old results begin to go, a job that shares half of them ends in its output, with every byte."""
    rows = np.arange(SHARDS * 24, dtype=np.float32).reshape(SHARDS * 3, 8)
    specs = []
    for name, part in (("old.npy", rows[: SHARDS * 2]), ("new.npy", rows[SHARDS:])):
        np.save(tmp_path / name, part)
        data = str(tmp_path / name)
        specs.append(pb.JobSpec(kind=pb.JOB_KIND_INFER, version="digits/1", data=data, rows_per_shard=2))
    data = tmp_path / "labor"
    await finished(data, specs[0])
    content = data / "content" / "sha256"
    old = set(content.glob("*/*"))
    for path in old:
        os.utime(path, (0, 0))
    database = apsw.Connection(str(data / "labor.sqlite3"))
    database.execute("UPDATE jobs SET ended_ms = ended_ms - 61000")
    database.close()
    witness = Witness()
    for number in range(ROUNDS):
        process, address = await start(data, 60)
        doing = asyncio.create_task(turn(address, specs[1], witness, number))
        left = len(set(content.glob("*/*")) & old)
        while not doing.done() and len(set(content.glob("*/*")) & old) == left:
            await asyncio.wait([doing], timeout=0.001)
        process.kill()
        await process.wait()
        await doing
        witness.killed()
    process, address = await start(data, 60)
    job = await turn(address, specs[1], witness, "last")
    assert job.output_digest == (await finished(tmp_path / "other", specs[1])).output_digest
    manifest = (content / job.output_digest[7:9] / job.output_digest[7:]).read_bytes()
    needed = {job.output_digest, job.plan.plan_digest, *(shard[0] for shard in json.loads(manifest)["shards"])}
    unwanted = {path for path in old if f"sha256:{path.name}" not in needed}
    await eventually(lambda: not any(path.exists() for path in unwanted))
    process.terminate()
    assert await process.wait() == 0
    assert needed <= {f"sha256:{path.name}" for path in content.glob("*/*")}
    assert apsw.Connection(str(data / "labor.sqlite3")).pragma("integrity_check") == "ok"


async def test_a_killed_service_ends_with_the_same_output(tmp_path) -> None:
    """Killed again and again, the job loses no acknowledged shard and is committed once, with the expected digest."""
    chance = random.Random(7)
    rows = tmp_path / "rows.npy"
    np.save(rows, np.arange(SHARDS * 16, dtype=np.float32).reshape(SHARDS * 2, 8))
    spec = pb.JobSpec(kind=pb.JOB_KIND_INFER, version="digits/1", data=str(rows), rows_per_shard=2)
    witness = Witness()
    data, kills = tmp_path / "labor", 0
    moments = []
    while True:
        process, address = await start(data)
        doing = asyncio.create_task(turn(address, spec, witness, kills))
        if kills < ROUNDS:
            await asyncio.wait([doing], timeout=chance.uniform(0.0, 0.6))
            process.kill()
            await process.wait()
            kills += 1
            await doing
            witness.killed()
            moments.append(len(witness.acknowledged))
            continue
        job = await doing
        process.terminate()
        assert await process.wait() == 0
        break
    assert any(0 < moment < SHARDS for moment in moments), "no kill came while shards were run"
    assert (job.state, job.progress.done_shards) == (pb.JOB_STATE_COMMITTED, SHARDS)
    fresh, address = await start(tmp_path / "other")
    once = await turn(address, spec, Witness(), "fresh")
    fresh.terminate()
    assert await fresh.wait() == 0
    assert once.output_digest == job.output_digest
    assert apsw.Connection(str(data / "labor.sqlite3")).pragma("integrity_check") == "ok"
