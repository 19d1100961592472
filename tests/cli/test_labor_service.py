"""`neuralmesh labor` against a service and its workers: every command that asks one."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from neuralmesh import Client
from neuralmesh.exceptions import InvalidArgumentError
from neuralmesh.labor.v1 import resources_pb2 as pb
from neuralmesh.labor_spec import job_spec
from neuralmesh_server.cli import labor_narration
from tests.cli.conftest import Commands
from tests.cli.processes import PROGRAM

ROWS = np.random.default_rng(12).choice([-1, 1], (120, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def labor(suite, onnx_model, tmp_path_factory):
    """Return commands against the suite and a labor service with two processes, and a folder with data of two versions."""
    folder = tmp_path_factory.mktemp("service")
    suite.run("push", "served", onnx_model)
    suite.run("promote", "served", 1)
    np.save(folder / "rows.npy", ROWS)
    command = [*PROGRAM, "labor", "serve", "--listen", "127.0.0.1:0", "--data", folder / "labor", "--workers", "2"]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=suite.env
    )
    assert process.stdout is not None
    address = next(line.split()[2] for line in process.stdout if line.startswith("listening labor"))
    yield Commands({**suite.env, "NEURALMESH_LABOR": address}), folder
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def ended(labor):
    """Return a job that the service ran, as `run --service --json` said it."""
    commands, folder = labor
    return json.loads(run(commands, folder, "first", "--json").stdout)


def run(commands, folder, out, *flags):
    wish = ("served", "--data", folder / "rows.npy", "--rows-per-shard", 10, "--service")
    return commands.run("labor", "run", *wish, "--out", folder / out, *flags)


def test_the_service_runs_what_this_program_would(labor, ended):
    """The output is that of the same job within the program, and a second folder is fetched byte for byte."""
    commands, folder = labor
    name = ended["name"].removeprefix("jobs/")
    local = commands.json(
        *("labor", "run", "served", "--data", folder / "rows.npy", "--rows-per-shard", 10),
        *("--out", folder / "local", "--cache", folder / "cache"),
    )
    assert local["output_digest"] == ended["output_digest"]
    commands.run("labor", "fetch", name, "--out", folder / "second")
    for part in (folder / "first").iterdir():
        assert (folder / "second" / part.name).read_bytes() == part.read_bytes()
    assert commands.json("labor", "verify", folder / "second", "--data", folder / "rows.npy")["wrong"] == []


def test_jobs_are_listed_shown_and_watched(labor, ended):
    """A job stands in the list, says what it is, and its events end with its commit."""
    commands, _ = labor
    name = ended["name"].removeprefix("jobs/")
    assert ended["name"] in [job["name"] for job in commands.json("labor", "jobs")]
    assert name in commands.run("labor", "jobs").stdout
    shown = commands.run("labor", "show", name).stdout
    assert all(text in shown for text in (name, "committed", "served@1", ended["output_digest"], "12 of 12 shards"))
    events = [json.loads(line) for line in commands.run("labor", "watch", name, "--json").stdout.splitlines()]
    assert [event["event"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["state"] == "JOB_STATE_COMMITTED"
    assert "committed" in commands.run("labor", "watch", name).stdout
    assert "JOB_NOT_FOUND" in commands.error("labor", "show", "0" * 16, code=3)
    assert "JOB_ENDED" in commands.error("labor", "cancel", name, code=1)


def test_a_job_that_is_planned_says_how_much_is_read():
    """Of a job without a plan the list says how much of the data is read; of others, how many shards are done."""
    planning = pb.PlanningProgress(bytes=800, done_bytes=602)
    assert labor_narration.done_text(pb.Job(planning=planning)) == "75% of the data read and hashed"
    assert labor_narration.done_text(pb.Job(planning=pb.PlanningProgress())) == "the data is looked at"
    running = pb.Job(progress=pb.JobProgress(shards=4, done_shards=3))
    assert labor_narration.done_text(running) == "3 of 4 shards"


def test_plans_say_what_is_cached(labor, ended):
    """A plan of a job that was run has all shards in the cache, one of other parameters none; misses say what differs."""
    commands, folder = labor
    wish = ("served", "--data", folder / "rows.npy", "--rows-per-shard", 10, "--service")
    known = commands.json("labor", "plan", *wish, "--dry-run")
    assert (known["plan"]["plan_digest"], known["plan"]["cached_shards"]) == (ended["plan"]["plan_digest"], 12)
    assert all(shard["cached"] for shard in known["shards"])
    shown = commands.run("labor", "plan", *wish, "--output", "label").stdout
    assert "12, of which 0 are in the cache" in shown
    assert "every shard is in the cache" in commands.run("labor", "explain-miss", *wish).stdout
    missed = commands.json("labor", "explain-miss", *wish, "--output", "label")
    assert missed["total"] == 12
    assert [one["field"] for one in missed["misses"][0]["differences"]] == ["outputs"]
    assert "outputs" in commands.run("labor", "explain-miss", *wish, "--output", "label").stdout


def test_a_plan_needs_no_service(labor):
    """Without --service the program plans by itself, with its own cache."""
    commands, folder = labor
    flags = ("--data", folder / "rows.npy", "--rows-per-shard", 10, "--cache", folder / "planned")
    assert commands.json("labor", "plan", "served", *flags)["plan"]["cached_shards"] == 0
    commands.run("labor", "run", "served", *flags, "--out", folder / "planned-out")
    assert commands.json("labor", "plan", "served", *flags)["plan"]["cached_shards"] == 12


def test_the_schedule_replays(labor, ended):
    """The assignments of a job follow from its plan and the log of live workers."""
    commands, _ = labor
    name = ended["name"].removeprefix("jobs/")
    said = commands.json("labor", "replay-schedule", name)
    assert said["different"] == []
    assert said["epochs"]
    assert "the same" in commands.run("labor", "replay-schedule", name).stdout


def test_workers_and_alarms(labor, ended):
    """The workers of the service are listed with what they compute; there are no alarms; a name nobody has is refused."""
    commands, _ = labor
    found = commands.json("labor", "workers")
    assert [worker["name"] for worker in found] == ["local-1", "local-2"]
    assert all(worker["live"] and "onnx" in worker["numerics"] for worker in found)
    assert sum(worker["done_shards"] for worker in found) >= 12
    assert "local-1" in commands.run("labor", "workers").stdout
    assert commands.json("labor", "alarms") == []
    assert "no alarms" in commands.run("labor", "alarms").stdout
    assert commands.json("labor", "release", "local-1")["quarantined"] is False
    assert "was ever heard" in commands.error("labor", "release", "nobody", code=2)


def test_a_place_that_is_taken_is_refused_before_anything_runs(labor, ended):
    """A folder of other things, or one within the data, ends `run` and the client's `run` before a job is submitted."""
    commands, folder = labor
    before = commands.json("labor", "jobs")
    assert "something else" in commands.error(
        *("labor", "run", "served", "--service", "--data", folder / "rows.npy", "--rows-per-shard", 7),
        *("--out", folder),
        code=1,
    )
    with Client(labor=commands.env["NEURALMESH_LABOR"]) as client:
        with pytest.raises(FileExistsError):
            client.labor.run("served", data=folder / "rows.npy", rows_per_shard=7, out=folder)
        with pytest.raises(InvalidArgumentError, match="within the data"):
            client.labor.run("served", data=folder, rows_per_shard=7, out=folder / "within")
        with pytest.raises(InvalidArgumentError, match="data: is empty"):
            client.labor.run("served", data="", out=folder / "new")
    assert commands.json("labor", "jobs") == before


def test_what_ended_is_not_said_to_be_left_to_do(labor, ended):
    """A job says how far it is and not what was ahead of it when it was planned; an empty list says so in words."""
    commands, folder = labor
    shown = commands.run("labor", "show", ended["name"]).stdout
    assert "left to do" not in shown
    assert "in the cache" not in shown
    with started(
        [*PROGRAM, "labor", "serve", "--listen", "127.0.0.1:0", "--data", folder / "idle"], commands.env
    ) as one:
        address = next(line.split()[2] for line in one.stdout if line.startswith("listening labor"))
        assert "no jobs yet" in commands.run("labor", "jobs", "--labor", address).stdout
        assert "no worker was ever heard" in commands.run("labor", "workers", "--labor", address).stdout


def test_a_watch_goes_on_over_a_restart_of_the_service(suite, labor, tmp_path):
    """`labor watch` survives that the service stops and starts again: every event once, to the end of the job."""
    commands, folder = labor

    @contextmanager
    def serving(*flags):
        command = [*PROGRAM, "labor", "serve", "--data", tmp_path / "labor", *flags]
        with started(command, suite.env) as process:
            yield next(line.split()[2] for line in process.stdout if line.startswith("listening labor"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0

    with ExitStack() as stack:
        with serving("--listen", "127.0.0.1:0") as address:
            with Client(registry=suite.env["NEURALMESH_REGISTRY"], labor=address, actor="test") as client:
                job = client.labor.submit_job(job_spec("served", folder / "rows.npy", rows_per_shard=10)).name
            command = [*PROGRAM, "labor", "watch", job, "--labor", address, "--json"]
            watch = stack.enter_context(started(command, commands.env))
            first = json.loads(watch.stdout.readline())
        with serving("--listen", address, "--workers", "1"):
            rest, errors = watch.communicate(timeout=60)
    events = [first, *map(json.loads, rest.splitlines())]
    assert watch.returncode == 0, errors
    assert [event["event"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["state"] == "JOB_STATE_COMMITTED"


@contextmanager
def started(command, env):
    """Give a process that runs, which ends with the block at the latest."""
    words = list(map(str, command))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()
