"""`neuralmesh labor run` in the program itself: whole jobs, from a user's folder to the folder of results."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from neuralmesh_server import canonical
from tests.cli.processes import PROGRAM

ROWS = np.random.default_rng(11).choice([-1, 1], (200, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def job(suite, onnx_model, liam_model, tmp_path_factory):
    """Return a function that runs `labor run` on model `batch`, whose versions are an ONNX model and a packed network."""
    folder = tmp_path_factory.mktemp("jobs")
    suite.run("push", "batch", onnx_model)
    suite.run("push", "batch", liam_model)
    suite.run("promote", "batch", 1)
    np.savez(folder / "rows.npz", input=ROWS, digit=np.arange(200) % 3)

    def run(which, out, *flags, code=0):
        return suite.run(
            *("labor", "run", which, "--data", folder / "rows.npz", "--out", folder / out),
            *("--cache", folder / "cache", "--rows-per-shard", 32, "--input", "input=input", *flags),
            code=code,
        )

    run.folder = folder
    run.suite = suite
    return run


def content(path):
    return {entry.name: entry.read_bytes() for entry in path.iterdir()}


def test_a_job_is_run_verified_and_found_in_the_cache(job):
    """A folder holds, has every row once, and is the same byte for byte when nothing is computed again, or all of it."""
    first = json.loads(job("batch@1", "one", "--json").stdout)
    assert first["state"] == "JOB_STATE_COMMITTED"
    assert first["progress"]["done_shards"] == first["plan"]["shards"] == 7
    said = job.suite.json("labor", "verify", job.folder / "one", "--data", job.folder / "rows.npz")
    assert (said["wrong"], said["rows"]) == ([], 200)
    job("batch@1", "again")
    fresh = job.folder / "other-cache"
    job("batch@1", "anew", "--cache", fresh, "--workers", 1, "--no-cache")
    assert content(job.folder / "one") == content(job.folder / "again") == content(job.folder / "anew")


def test_an_evaluation_is_written_back_to_the_version(job):
    """The figures of the report stand in the registry, once, and `show` prints them; --no-record leaves them out."""
    flags = ("--job", "evaluate", "--label", "digit")
    job("batch@2", "unrecorded", *flags, "--no-record")
    assert job.suite.json("show", "batch@2")["checks"] == []
    shown = job("batch@2", "evaluated", *flags).stdout
    report = json.loads((job.folder / "evaluated" / "report.json").read_bytes())
    assert f"accuracy  {float(report['accuracy']):.6g}" in shown
    job("batch@2", "evaluated", *flags)
    (check,) = job.suite.json("show", "batch@2")["checks"]
    assert (check["kind"], check["figures"]["accuracy"]) == ("evaluation", report["accuracy"])
    manifest = (job.folder / "evaluated" / "manifest.json").read_bytes()
    assert check["output_digest"] == canonical.digest(json.loads(manifest))
    assert "accuracy" in job.suite.run("show", "batch").stdout
    assert "evaluation of version 2: accuracy" in job.suite.run("history", "batch").stdout


def test_two_versions_of_the_same_weights_agree(job):
    """A comparison of the ONNX model with the packed network of its weights finds no row that moved."""
    job("batch@2", "compared", "--job", "compare", "--baseline", "batch@1")
    report = json.loads((job.folder / "compared" / "report.json").read_bytes())
    assert (report["agreeing"], report["rows"], report["moved"]) == (200, 200, [])
    assert job.suite.json("labor", "verify", job.folder / "compared")["wrong"] == []


def test_a_folder_with_something_else_is_left_alone(job):
    """What is not of the job is refused, and stays."""
    (job.folder / "mine").mkdir()
    (job.folder / "mine" / "notes").write_text("mine")
    done = job("batch@1", "mine", code=1)
    assert "exists and holds something else" in done.stderr
    assert content(job.folder / "mine") == {"notes": b"mine"}


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--job", "guess"), 2, "none of infer, evaluate, compare"),
        (("--job", "evaluate"), 2, "needs the true labels"),
        (("--label", "nothing"), 1, "has no column 'nothing'"),
        (("--audit", "200%"), 2, "--audit"),
        (("--input", "input"), 2, "NAME=COLUMN"),
        (("--output", "nothing"), 1, "nothing"),
        (("--job", "compare", "--baseline", "batch@9"), 3, "no version 9"),
    ],
)
def test_a_wrong_wish_is_one_line(job, flags, code, said):
    """What cannot be done is said in one line with its exit code, and leaves nothing."""
    done = job("batch@1", "wrong", *flags, code=code)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (job.folder / "wrong").exists()


def test_bad_rows_are_named_or_skipped(job, tmp_path):
    """A row that is no number ends the job with file and row, or is left out and listed, the same on every run."""
    lines = ["a,b,c,d", *("1,-1,1,-1" for _ in range(50))]
    lines[23] = "1,x,1,-1"
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    flags = ("--data", tmp_path / "rows.csv", "--cache", tmp_path / "cache", "--rows-per-shard", 8)
    common = ("labor", "run", "batch@1", *flags)
    failed = job.suite.run(*common, "--out", tmp_path / "failed", code=1)
    assert "rows.csv" in failed.stderr
    assert "row 22" in failed.stderr
    for name in ("one", "two"):
        job.suite.run(*common, "--out", tmp_path / name, "--bad-rows", "skip", "--no-cache")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    said = job.suite.json("labor", "verify", tmp_path / "one")
    assert (said["rows"], said["skipped_rows"], said["wrong"]) == (49, 1, [])


def test_a_killed_run_leaves_nothing_and_goes_on(job, tmp_path):
    """Kill -9 in the middle of a job leaves no folder of results; the same command then gives what it would have given."""
    np.savez(tmp_path / "many.npz", input=np.tile(ROWS, (500, 1)))
    command = [*PROGRAM, "labor", "run", "batch@1", "--data", tmp_path / "many.npz", "--out", tmp_path / "out"]
    command += ["--cache", tmp_path / "cache", "--rows-per-shard", "64"]
    process = subprocess.Popen([str(part) for part in command], env=job.suite.env, stdout=subprocess.DEVNULL)
    from tests.processes import until

    content_store = tmp_path / "cache" / "content"
    until(lambda: len(list(content_store.rglob("*"))) > 40, "results come")
    process.kill()
    process.wait(timeout=30)
    assert not (tmp_path / "out").exists()
    job.suite.run(*command[len(PROGRAM) :])
    job.suite.run(
        "labor", "run", "batch@1", "--data", tmp_path / "many.npz", "--out", tmp_path / "whole", *command[-2:]
    )
    assert content(tmp_path / "out") == content(tmp_path / "whole")
