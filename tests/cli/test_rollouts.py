"""`neuralmesh rollouts`: what arms did, as a table and as JSON."""

from __future__ import annotations

from neuralmesh.metrics.v1 import metrics_service_pb2 as pb
from neuralmesh_server.cli.rollouts import arm_rows
from tests.processes import until

MODEL = "split"


def test_a_rollout_shows_its_arms(suite, liam_model, onnx_model):
    """Requests that a canary answered arrive in the table and in the JSON document, under the alias's revision."""
    assert "no rollouts yet" in suite.run("rollouts", MODEL).stdout
    for path in (liam_model, onnx_model):
        suite.run("push", MODEL, path)
    moved = suite.json("promote", MODEL, 1, "--canary", 2, "--share", "100%")["alias"]
    for version in (1, 2):
        suite.wait_ready(MODEL, version)
    for _ in range(3):
        assert suite.json("predict", MODEL, "--input", "input=[[1, 0, 0, 0]]")["version"] == 2
    steps = []

    def are_counted() -> bool:
        steps[:] = suite.json("rollouts", MODEL)
        return bool(steps) and steps[0]["canary"]["requests"] >= 3

    until(are_counted, "the metrics service knows three requests")
    (step,) = steps
    assert (step["alias"], step["revision"], step["share_ppm"]) == ("production", moved["revision"], 1_000_000)
    assert (step["canary"]["units"], step["canary"]["failures"], step["unassigned"]) == (3, 0, 0)
    shown = suite.run("rollouts").stdout
    assert "split@production" in shown
    assert "canary" in shown
    assert "NAME_INVALID" in suite.error("rollouts", "No", code=2)


def test_every_count_has_its_cell():
    """A step has a row for each arm, for its shadow, and for what no arm was given."""
    step = pb.RolloutMetrics(
        model="m", alias="a", revision=7, stable_version=1, canary_version=2, share_ppm=125_000,
        stable=pb.ArmDelta(requests=1000, units=900, failures=8, failed_units=7),
        canary=pb.ArmDelta(requests=60, units=50, failures=4, failed_units=3),
        shadow=pb.ShadowDelta(version=3, compared=8, agreed=7, failed=2, dropped=1, max_output_difference=0.5),
        unassigned=11,
    )  # fmt: skip
    assert list(arm_rows(step)) == [
        ("m@a", "7", "stable", "1", "87.5%", "1,000", "900", "8", "7", "", "", ""),
        ("m@a", "7", "canary", "2", "12.5%", "60", "50", "4", "3", "", "", ""),
        ("m@a", "7", "shadow", "3", "", "10", "", "2", "", "87.5 %", "0.5", "1"),
        ("m@a", "7", "none", "", "", "11", "", "", "", "", "", ""),
    ]
    assert [row[2] for row in arm_rows(pb.RolloutMetrics(stable_version=1, shadow=pb.ShadowDelta(version=3)))] == [
        "stable",
        "shadow",
    ]
