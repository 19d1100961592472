"""Nodes that follow a real registry over both listeners."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from tests.registry.conftest import Failure
from tests.registry.mesh.nodes import SECONDS, Node, digest_of


async def test_a_node_gets_what_is_assigned_and_follows_it(mesh):
    """The first state is whole, a move sends one model, an assignment that goes takes its model away."""
    await mesh.versions(3)
    await mesh.promote(1)
    async with Node("edge-1", site="oslo").following(mesh.mesh) as node:
        assert (node.messages[0].whole, node.models) == (True, {})
        assigned = await mesh.assign("site=oslo")
        await node.until(lambda: node.alias() == 1)
        await mesh.promote(2)
        await node.until(lambda: node.alias() == 2)
        assert [version.version for version in node.models["digits"].versions] == [1, 2]
        assert not node.messages[-1].whole
        await mesh.rollback()
        await node.until(lambda: node.alias() == 1)
        await mesh.mesh.DeleteAssignment(api.DeleteAssignmentRequest(name=assigned.assignment.name))
        await node.until(lambda: not node.models)
        nodes = await mesh.until(lambda nodes: nodes["edge-1"].converged)
        assert nodes["edge-1"].applied_revision == node.revision
        assert (nodes["edge-1"].connected, dict(nodes["edge-1"].labels)) == (True, {"site": "oslo"})
    assert not (await mesh.until(lambda nodes: not nodes["edge-1"].connected))["edge-1"].connected


async def test_a_node_that_comes_back_hears_that_nothing_changed(mesh):
    """When the digests are equal the first message carries nothing; else the whole state comes."""
    await mesh.versions(2)
    await mesh.promote(1)
    await mesh.assign("*")
    node = Node("edge-1")
    async with node.following(mesh.mesh):
        assert node.alias() == 1
    await mesh.model("elsewhere")
    async with node.following(mesh.mesh):
        last = node.messages[-1]
        assert (last.whole, len(last.models), last.state_digest) == (False, 0, node.digest)
    await mesh.promote(2)
    async with node.following(mesh.mesh):
        assert (node.messages[-1].whole, node.alias()) == (True, 2)


async def test_the_state_of_a_node_can_be_asked_for(mesh):
    """GetDesiredState says for any labels what such a node is sent, and its digest is that of the models."""
    await mesh.versions(2)
    await mesh.promote(1)
    await mesh.assign("tier=edge,site!=oslo")
    there, elsewhere = await mesh.desired(tier="edge"), await mesh.desired(tier="edge", site="oslo")
    assert ([state.model.name for state in there.models], len(elsewhere.models)) == (["models/digits"], 0)
    for state in (there, elsewhere):
        assert state.state_digest == digest_of(state.models)
        assert state.revision == len(await mesh.events())


async def test_heartbeats_carry_the_newest_revision(serving, tmp_path):
    """A node hears of the registry while nothing of its own changes."""
    data = tmp_path / "data"
    async with serving(data, heartbeat=0.05) as mesh, Node("edge-1").following(mesh.mesh) as node:
        before = node.revision
        await mesh.model()
        await node.until(lambda: node.revision > before)
        assert not node.messages[-1].whole


async def test_a_second_stream_of_a_node_ends_the_first(mesh):
    """The same name and key takes the place of the stream before, which ends without an error."""
    node, again = Node("edge-1"), Node("edge-1")
    first = asyncio.create_task(node.run(mesh.mesh))
    await node.until(lambda: node.messages, first)
    async with again.following(mesh.mesh):
        async with asyncio.timeout(SECONDS):
            await first
        assert (await mesh.nodes())["edge-1"].connected


async def test_another_key_is_refused(mesh):
    """A name that registered one key cannot be used with another, and the first stream goes on."""
    async with Node("edge-1").following(mesh.mesh) as node:
        failure = await mesh.failure(Node("edge-1", key=b"x" * 32).run(mesh.mesh))
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NODE_KEY_CONFLICT")
        await mesh.model()
        await mesh.assign("*")
        await node.until(lambda: "digits" in node.models)


async def test_a_node_from_the_future_is_refused(mesh):
    """A registry that has not reached the node's revision says so and sends nothing."""
    node = Node("edge-1")
    failure = await mesh.failure(node.run(mesh.mesh, applied_revision=9))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REVISION_AHEAD")
    assert (node.messages, await mesh.nodes(), await mesh.events()) == ([], {}, [])


async def test_what_was_refused_is_offered_again(serving, tmp_path):
    """A refused state comes again, whole, with the next heartbeat, and the fleet shows why it was refused."""
    async with serving(tmp_path / "data", heartbeat=0.2) as mesh:
        await mesh.versions(2)
        await mesh.promote(1)
        await mesh.assign("*")
        async with Node("edge-1").following(mesh.mesh) as node:
            node.refuses = True
            await mesh.promote(2)
            nodes = await mesh.until(lambda nodes: nodes["edge-1"].reason == "full")
            assert not nodes["edge-1"].converged
            assert node.alias() == 1
            node.refuses = False
            await node.until(lambda: node.alias() == 2)
            assert node.messages[-1].whole
            assert (await mesh.until(lambda nodes: nodes["edge-1"].converged))["edge-1"].reason == ""


@pytest.mark.parametrize(
    ("first", "field"),
    [
        (api.SyncRequest(), "hello"),
        (api.SyncRequest(report=api.Report()), "hello"),
        (api.SyncRequest(hello=api.Hello(node="edge-1")), "id_key"),
        (api.SyncRequest(hello=api.Hello(node="edge-1", id_key=b"k" * 32, labels={"Tier": "edge"})), "labels"),
        (api.SyncRequest(hello=api.Hello(node="edge-1", id_key=b"k" * 32, labels={"tier": "a b"})), "labels[tier]"),
        (api.SyncRequest(hello=api.Hello(node="edge-1", id_key=b"k" * 32, state_digest=b"x")), "hello.state_digest"),
    ],
)
async def test_a_hello_that_is_none_is_refused(mesh, first, field):
    """The error names the field, and nothing is known of the node."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(mesh.mesh.Sync(iter([first]))))
    failure = Failure(caught.value)
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", field)
    assert await mesh.nodes() == {}


async def test_a_report_that_is_none_ends_the_stream(mesh):
    """A wrong report is answered with what is wrong about it."""
    node = Node("edge-1")
    task = asyncio.create_task(node.run(mesh.mesh))
    await node.until(lambda: node.messages, task)
    node.say(77)
    failure = await mesh.failure(task)
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "report.outcome")


async def test_a_registry_that_stops_tells_its_nodes(serving, tmp_path):
    """Streams end with UNAVAILABLE, which says that a retry is safe."""
    node = Node("edge-1")
    async with serving(tmp_path / "data") as mesh:
        task = asyncio.create_task(node.run(mesh.mesh))
        await node.until(lambda: node.messages, task)
        await mesh.app.stop()
        assert (await mesh.failure(task)).reason == "NOT_SERVING"
