"""Assignments, the fleet and waves from the command line."""

from __future__ import annotations

import asyncio
import time

import pytest

from neuralmesh import AsyncClient
from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh_server.cli.fleet import detail_text, node_row, told
from tests.processes import PATIENCE

MODEL = "edges"


@pytest.fixture(scope="module")
def pushed(suite, tmp_path_factory):
    """Return the commands with a model of two versions that nothing executes."""
    folder = tmp_path_factory.mktemp("edges")
    for number in (1, 2):
        path = folder / f"{number}.bin"
        path.write_bytes(b"edge %d" % number)
        suite.run("push", MODEL, path, "--kind", "nothing")
    return suite


def test_assignments_are_made_listed_and_deleted(pushed):
    """What options say arrives, is told in a line and in the history, and is gone after `unassign`."""
    options = ("--pin", 2, "--max-running", 3, "--max-wait", "50ms", "--stale", "refuse", "--stale-after", "2m")
    told = pushed.run("assign", "tier=edge,site", f"{MODEL}@blue", *options, "--reason", "trial").stdout
    for part in ("site,tier=edge holds edges@blue pinned to 2", "at most 3 running, 50 ms waiting", "refuse after 2 m"):
        assert part in told
    (found,) = [one for one in pushed.json("assignments") if one["alias"] == "blue"]
    assert (found["selector"], found["pinned_version"]) == ("site,tier=edge", 2)
    assert found["limits"] == {"max_running": 3, "max_queued": 0, "max_wait_ms": 50}
    assert found["staleness"] == {"action": "ACTION_REFUSE", "after_seconds": 120}
    assert " already (revision" in pushed.run("assign", "site,tier=edge", f"{MODEL}@blue", *options).stdout
    name = found["name"].removeprefix("assignments/")
    table = pushed.run("assignments").stdout
    assert all(part in table for part in (name, "edges@blue", "site,tier=edge", "refuse after 2 m"))
    assert "no longer holds edges@blue" in pushed.run("unassign", name, "--reason", "over").stdout
    assert "ASSIGNMENT_NOT_FOUND" in pushed.error("unassign", name, code=3)
    history = pushed.run("history", MODEL, "--alias", "blue").stdout
    assert "site,tier=edge holds edges@blue pinned to 2" in history
    assert "site,tier=edge no longer holds edges@blue" in history


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("assign", "a=b=c", MODEL), "'a=b=c'"),
        (("assign", "*", MODEL, "--stale", "panic"), "not serve, flag or refuse"),
        (("assign", "*", MODEL, "--stale-after", "3s"), "--stale-after needs --stale"),
        (("assign", "*", MODEL, "--pin", "x"), "VERSION_INVALID"),
        (("assign", "*", f"{MODEL}@3"), "NAME_INVALID"),
        (("promote", MODEL, 1, "--wave-hold", "3s"), "--wave-hold needs --waves"),
        (("promote", MODEL, 1, "--waves", "10,x"), "a share"),
        (("promote", MODEL, 1, "--waves", "50,10"), "waves.shares_ppm"),
        (("fleet", "--selector", "a=b=c"), "'a=b=c'"),
    ],
)
def test_what_makes_no_sense_is_refused(pushed, arguments, why):
    """Wrong usage is told in one line, and nothing is changed."""
    before = pushed.json("history", MODEL)
    assert why in pushed.error(*arguments, code=2)
    assert pushed.json("history", MODEL) == before


def test_a_promotion_in_waves_is_told_in_the_history(pushed):
    """Shares are percentages, the last is all nodes where it is not given; with no node the waves go on at once."""
    pushed.run("promote", MODEL, 1, "--alias", "wavy")
    pushed.run("promote", MODEL, 2, "--alias", "wavy", "--waves", "10%,50", "--wave-hold", "0s")
    with pushed.client() as client:
        for event in client.registry.list_events(MODEL, "wavy"):
            if event.HasField("alias_moved") and event.alias_moved.HasField("waves"):
                assert list(event.alias_moved.waves.shares_ppm) == [100_000, 500_000, 1_000_000]
    told = pushed.run("history", MODEL, "--alias", "wavy").stdout
    assert "edge nodes in waves of 10%, 50%, 100%" in told


def test_the_fleet_shows_a_node(pushed):
    """A node that follows is connected and converged in the table and in the JSON document."""

    async def follow() -> str:
        async with AsyncClient(registry=pushed.env["NEURALMESH_REGISTRY"]) as client:
            said: asyncio.Queue[api.SyncRequest] = asyncio.Queue()

            async def requests():
                while True:
                    yield await said.get()

            hello = api.Hello(node="edge-cli", labels={"tier": "cli", "site": "oslo"}, id_key=b"c" * 32)
            said.put_nowait(api.SyncRequest(hello=hello))
            steps = client.mesh.sync(requests())
            step = await anext(steps)
            figures = api.NodeFigures(cache_bytes=2048, cache_limit_bytes=4096, forwarded=7, forward_failures=1)
            report = api.Report(outcome=1, revision=step.revision, state_digest=step.state_digest, figures=figures)
            said.put_nowait(api.SyncRequest(report=report))
            end = time.monotonic() + PATIENCE
            while not (await anext(client.mesh.list_nodes("tier=cli"))).converged:
                assert time.monotonic() < end, "the node is not converged"
                await asyncio.sleep(0.01)
            table = await asyncio.to_thread(pushed.run, "fleet", "--selector", "tier=cli")
            (node,) = await asyncio.to_thread(pushed.json, "fleet", "--selector", "tier=cli")
            assert (node["node"], node["connected"], node["converged"]) == ("edge-cli", True, True)
            assert node["labels"] == {"site": "oslo", "tier": "cli"}
            await steps.aclose()
            return table.stdout

    table = asyncio.run(follow())
    for part in ("edge-cli", "site=oslo,tier=cli", "yes", "converged", "2.0 KiB of 4.0 KiB", "7 (1 failed)"):
        assert part in table


def test_nobody_cannot_be_forgotten(pushed):
    """What is not known cannot be forgotten."""
    assert "NODE_NOT_FOUND" in pushed.error("fleet", "--forget", "nobody", code=3)


def test_the_detail_of_a_node_says_why_it_has_not_converged():
    """A reason, another state, an alias that is set aside and versions that do not load each have their words."""
    other = api.Node(state_digest=b"a", desired_digest=b"b", desired_revision=9, applied_revision=4)
    assert (node_row(other)[4], detail_text(other)) == ("5", "holds another state")
    assert detail_text(api.Node(state_digest=b"a", desired_digest=b"b", reason="disk full")) == "disk full"
    assert detail_text(api.Node()) == "has not reported yet"
    aside = api.LocalOverride(model="m", alias="a", version=3, actor="ann", reason="wrong since noon")
    assert (
        detail_text(api.Node(figures=api.NodeFigures(overrides=[aside])))
        == "set aside: m@a is 3 by ann: wrong since noon"
    )
    failing = api.NodeFigures(failures=["m/2: no"])
    assert detail_text(api.Node(converged=True, figures=failing)) == "cannot load m/2: no"
    gone = api.Node(node="n", silence={"seconds": 90})
    assert node_row(gone)[2] == "no, for 90 s"


def test_columns_without_a_count_are_left_out():
    """A table of nodes that forward, hedge and hold nothing is as wide as what it says."""
    idle = api.Node(node="n", converged=True)
    busy = api.Node(node="m", figures=api.NodeFigures(forwarded=1))
    assert told([node_row(idle)]) == (
        ["node", "labels", "connected", "revision>", "converged", "detail"],
        [["n", "", "no, for 0 us", "0", "yes", ""]],
    )
    columns, rows = told([node_row(idle), node_row(busy)])
    assert "forwards>" in columns
    assert "hedges>" not in columns
    assert [row[columns.index("forwards>")] for row in rows] == ["0", "1"]
