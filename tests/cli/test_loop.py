"""The whole loop from the command line: push, promote, predict, trace, roll back, history, top."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess

import numpy as np
import pytest

from neuralmesh_server.cli.predict import read_parameters
from tests.cli.processes import PROGRAM
from tests.processes import PATIENCE, until


@pytest.fixture(scope="module")
def pushed(suite, liam_model, onnx_model):
    """Return the commands with model `digits`: version 1 is ONNX, version 2 is packed; production is 2."""
    suite.run("push", "digits", onnx_model, "--reason", "first", "--metadata", "data=toy", "--description", "linear")
    suite.run("push", "digits", liam_model, "--reason", "second")
    for version in (1, 2):
        suite.wait_ready("digits", version)
        suite.run("promote", "digits", version, "--reason", f"to {version}")
    return suite


def test_push_reads_kind_and_signature_from_the_content(pushed):
    """Both kinds are told from the files, with one signature whose label output is found."""
    for version, kind, path in ((1, "onnx", "net.onnx"), (2, "liam.binary_network", "net.safetensors")):
        shown = pushed.json("show", f"digits@{version}")
        assert shown["kind"] == kind
        assert [file["path"] for file in shown["files"]] == [path]
        assert shown["signature"] == {
            "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [-1]},
                {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
            ],
            "label_output": "label",
        }
        assert shown["actor"]["id"] == "tester"
    assert pushed.json("show", "digits@1")["metadata"] == {"data": "toy"}


def test_the_same_content_again_is_the_same_version(pushed, onnx_model):
    """Pushing a file that the model has prints the version that holds it."""
    assert pushed.json("push", "digits", onnx_model)["version"] == 1
    assert [version["version"] for version in pushed.json("versions", "digits")] == [2, 1]


def test_reading_commands_print_tables_for_people(pushed):
    """models, versions, show and history name what they show, in columns."""
    assert "production=2" in pushed.run("models").stdout
    assert "liam.binary_network" in pushed.run("versions", "digits").stdout
    assert "tester (unproved)" in pushed.run("show", "digits@production").stdout
    shown = pushed.run("show", "digits").stdout
    assert "rollback goes through" in shown
    assert "production promoted: 1 -> 2" in pushed.run("history", "digits", "--alias", "production").stdout


@pytest.mark.parametrize(("version", "number"), [("1", 1), ("2", 2), ("production", 2), ("", 2)])
def test_predict_says_who_answered(pushed, version, number):
    """A prediction names its version, digest, node and id; JSON rows take the signature's datatype."""
    found = pushed.json("predict", "digits", "--input", "input=[1, -1, 1, -1]", "--version", version)
    assert (found["model"], found["version"], found["node"]) == ("digits", number, "local")
    assert found["digest"] == pushed.json("show", f"digits@{number}")["digest"]
    assert found["outputs"]["label"] == {"type": "int64", "shape": [1], "data": [0]}
    assert found["outputs"]["scores"]["shape"] == [1, 3]
    trace = pushed.json("trace", found["prediction_id"])
    assert trace["version"]["version"] == number
    assert trace["node"] == "local"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-7", -7),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("false", False),
        ('"7"', "7"),
        ("007", "007"),
        ("True", "True"),
        ("null", "null"),
        ("NaN", "NaN"),
        ("[1]", "[1]"),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_parameters_are_numbers_truths_or_text(text, value):
    """What reads as a JSON number, truth or string is sent as one, and anything else as it was typed."""
    (read,) = read_parameters([f"name={text}"]).values()
    assert (type(read), read) == (type(value), value)


def test_predict_reads_files(pushed, tmp_path):
    """Inputs come from .npy and .json files; only the outputs asked for are printed."""
    rows = np.array([[1, -1, 1, -1], [-1, 1, -1, 1]], dtype=np.float32)
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "rows.json").write_text(json.dumps(rows.tolist()))
    for name in ("rows.npy", "rows.json"):
        found = pushed.json("predict", "digits", "--input", f"input=@{tmp_path / name}", "--outputs", "label")
        assert found["outputs"] == {"label": {"type": "int64", "shape": [2], "data": [0, 1]}}
    text = pushed.run("predict", "digits", "--input", f"input=@{tmp_path / 'rows.npy'}").stdout
    assert "digits@2" in text
    assert "nm1.local." in text


def test_rollback_and_history_and_trace_tell_the_story(pushed):
    """After a rollback the history says who moved the alias and why, and the trace shows the promotion in force."""
    found = pushed.json("predict", "digits", "--input", "input=[1, 1, -1, -1]")
    moved = pushed.json("rollback", "digits", "--reason", "worse")
    assert (moved["previous_state"]["version"], moved["alias"]["state"]["version"]) == (2, 1)
    events = pushed.json("history", "digits", "--alias", "production")
    assert [(event["alias_moved"]["kind"], event["reason"]) for event in events] == [
        ("KIND_ROLLBACK", "worse"),
        ("KIND_PROMOTE", "to 2"),
        ("KIND_PROMOTE", "to 1"),
    ]
    assert {event["actor"]["id"] for event in events} == {"tester"}
    assert len(pushed.json("history", "digits", "--limit", 2)) == 2
    trace = pushed.json("trace", found["prediction_id"])
    assert trace["version"]["name"] == "models/digits/versions/2"
    assert [event["reason"] for event in trace["promotions"]] == ["to 2"]
    text = pushed.run("trace", found["prediction_id"]).stdout
    assert "to 2" in text
    assert "models/digits/versions/2" in text
    assert "production: 1 -> 2" in pushed.run("promote", "digits", 2).stdout.replace("models/digits/aliases/", "")


def test_top_shows_what_the_node_did(pushed):
    """The operations table has its rows, and the versions their requests, once the node's telemetry has arrived."""
    with pushed.client() as client:
        prediction = client.infer("digits", {"input": np.array([[1, -1, 1, -1]], np.float32)}, version=1)
        assert client.record_outcome(prediction.prediction_id, prediction.outputs["label"]).state

        def is_counted() -> bool:
            return any(one.version == 1 and one.correct for one in client.metrics.list_version_metrics("digits"))

        until(is_counted, "the outcome is counted")
    top = pushed.json("top")
    assert [row["key"] for row in top["rows"]][:3] == ["nodes_running", "uptime_percent", "work_done"]
    versions = {figures["version"]: figures for figures in top["versions"] if figures["model"] == "digits"}
    assert versions[1]["accuracy"] == 1.0
    assert versions[1]["requests"] >= 1
    assert "digits@1" in pushed.run("top").stdout


def test_push_can_promote_at_once(pushed, tmp_path):
    """--promote points the alias at the version; any other kind is stored without being opened."""
    (tmp_path / "notes.txt").write_text("anything")
    done = pushed.run("push", "notes", tmp_path / "notes.txt", "--kind", "text", "--promote", "--alias", "live")
    assert "models/notes/aliases/live -> 1" in done.stdout
    assert pushed.json("show", "notes@live")["signature"] is None


def test_push_shows_progress_only_on_a_terminal(pushed, tmp_path):
    """A bar with the file's name stands on standard error when that is a terminal; else standard error stays empty."""
    (tmp_path / "weights.bin").write_bytes(bytes(3 * 1024 * 1024))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "push", "large", str(tmp_path / "weights.bin"), "--kind", "raw"],
        env={**pushed.env, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    output, _ = process.communicate(timeout=PATIENCE)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "models/large/versions/1" in output
    assert "weights.bin" in shown
    (tmp_path / "weights.bin").write_bytes(bytes(3 * 1024 * 1024 + 1))
    assert pushed.run("push", "large", tmp_path / "weights.bin", "--kind", "raw").stderr == ""


@pytest.fixture
def heeded_interrupts():
    """Let children heed SIGINT, which they would not where the suite itself runs in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupts")
def test_watching_top_ends_with_ctrl_c(pushed):
    """`top --watch` shows the table again and again until it is interrupted."""
    process = subprocess.Popen(
        [*PROGRAM, "top", "--watch", "--interval", "0.1"],
        env={**pushed.env, "PYTHONUNBUFFERED": "1", "FORCE_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = 0
    for line in process.stdout:
        seen += "operation" in line
        if seen == 2:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "")


FAILURES = [
    (("show", "nothing"), 3, "MODEL_NOT_FOUND"),
    (("show", "digits@99"), 3, "VERSION_NOT_FOUND"),
    (("show", "digits@nowhere"), 3, "ALIAS_NOT_FOUND"),
    (("show", "digits@1abc"), 2, "VERSION_INVALID"),
    (("show", "digits@-1"), 2, "VERSION_INVALID"),
    (("show", "digits@ 1"), 2, "VERSION_INVALID"),
    (("show", "digits@"), 2, "VERSION_INVALID"),
    (("versions", "../etc"), 2, "NAME_INVALID"),
    (("versions", "a/b"), 2, "NAME_INVALID"),
    (("versions", "dіgits"), 2, "NAME_INVALID"),
    (("versions", "d" * 256), 2, "NAME_INVALID"),
    (("promote", "digits", "99"), 3, "VERSION_NOT_FOUND"),
    (("promote", "digits", "1", "--alias", "Big"), 2, "NAME_INVALID"),
    (("rollback", "digits", "--to", "99"), 1, "NEVER_PROMOTED"),
    (("rollback", "digits", "--alias", "nowhere"), 3, "ALIAS_NOT_FOUND"),
    (("trace", "nm1.local.x"), 2, "PREDICTION_ID_INVALID"),
    (("trace", "nm1.local." + "A" * 64), 2, "PREDICTION_ID_INVALID"),
    (("predict", "nothing", "--input", "input=[1]"), 3, "MODEL_NOT_FOUND"),
    (("predict", "digits", "--input", "[1]"), 2, "INPUT_INVALID"),
    (("predict", "digits", "--input", "other=[1]"), 2, "INPUT_INVALID"),
    (("predict", "digits", "--input", "input=[1"), 2, "INPUT_INVALID"),
    (("predict", "digits", "--input", 'input=["a"]'), 2, "INPUT_INVALID"),
    (("predict", "digits", "--input", "input=[1, 2]"), 2, "INPUT_INVALID"),
    (("predict", "digits", "--input", "input=[[1, 2], [3]]"), 2, "INPUT_INVALID"),
    (("predict", "digits", "--input", "input=[1,1,1,1]", "--outputs", "no"), 2, "OUTPUT_INVALID"),
    (("predict", "digits", "--input", "input=@/no/such.npy"), 2, "/no/such.npy"),
]


@pytest.mark.parametrize(("arguments", "code", "reason"), FAILURES)
def test_failures_are_one_line_with_a_reason(pushed, here, arguments, code, reason):
    """A command that fails prints one line that names the reason, no traceback, and the documented exit code."""
    ended, output, errors = here(*arguments, env=pushed.env)
    assert (ended, output) == (code, "")
    assert re.fullmatch(r"error: [^\n]+\n", errors)
    assert reason in errors


def test_files_that_are_no_model_are_refused(suite, tmp_path):
    """A push of a file that no backend opens, or of no known kind, says so and stores nothing."""
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    (tmp_path / "bad.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (tmp_path / "what.bin").write_bytes(b"?")
    (tmp_path / "empty").mkdir()
    assert "no valid ONNX" in suite.error("push", "bad", tmp_path / "bad.onnx", code=2)
    assert "no valid liam" in suite.error("push", "bad", tmp_path / "bad.safetensors", code=2)
    assert "--kind" in suite.error("push", "bad", tmp_path / "what.bin", code=2)
    suite.error("push", "bad", tmp_path / "empty", code=2)
    assert "MODEL_NOT_FOUND" in suite.error("show", "bad", code=3)
    suite.run("push", "bad", tmp_path / "bad.onnx", "--kind", "onnx", "--unchecked")
    assert suite.json("show", "bad@1")["kind"] == "onnx"


def test_the_doctor_sees_the_services(suite, tmp_path):
    """With the services up every check is well, and each service says what it holds."""
    findings = {item["check"]: item for item in suite.json("doctor", "--data", tmp_path)}
    for name in ("kernel", "sqlite", "transport", "registry", "inference", "metrics"):
        assert findings[name]["status"] == "ok", findings[name]
    assert "1 node running" in findings["metrics"]["detail"]


def test_predict_sends_parameters_and_shows_those_of_the_answer(pushed):
    """Parameters are typed, decide the arm of a rollout, and come back with what the answer says; the id is echoed."""
    pushed.run(
        "promote", "digits", 1, "--alias", "armed", "--canary", 2, "--share", "50%", "--sticky", "parameter:user"
    )
    arms = {}
    with pushed.client() as client:
        rows = {"input": np.array([[1, -1, 1, -1]], np.float32)}

        def has_arms() -> bool:
            return "arm" in client.infer("digits", rows, version="armed", parameters={"user": 1}).parameters

        until(has_arms, "the node has followed")
        for user in (7, 8, 9, 10, 11, "x"):
            found = client.infer("digits", rows, version="armed", parameters={"user": user}, request_id="me")
            arms[user] = found.parameters["arm"]
            assert found.parameters["digest"] == found.digest
    command = ("predict", "digits", "--version", "armed", "--input", "input=[1, -1, 1, -1]", "--id", "order 5")
    for user, arm in arms.items():
        found = pushed.json(*command, "--parameter", f"user={user}")
        assert (found["parameters"]["arm"], found["id"]) == (arm, "order 5")
        assert found["parameters"]["prediction_id"] == found["prediction_id"]
    assert any(
        line.split() == ["arm", arms[7]] for line in pushed.run(*command, "--parameter", "user=7").stdout.splitlines()
    )
    assert "PARAMETER_INVALID" in pushed.error(*command, "--parameter", "user", code=2)
