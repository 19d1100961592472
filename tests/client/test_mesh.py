"""The mesh through both clients, against a real registry."""

from __future__ import annotations

import asyncio

import pytest

from neuralmesh import AsyncClient, Client, exceptions, rollout
from neuralmesh.mesh.v1 import mesh_service_pb2 as pb
from neuralmesh.registry.v1 import resources_pb2 as resources


async def test_assignments_have_their_methods(registry):
    """An assignment is set, replaced, listed, asked for as a state, and deleted, by a named actor."""
    limits = resources.LimitPolicy(max_running=2)
    async with AsyncClient(registry=registry, actor="ada") as client:
        for data in (b"1", b"2"):
            await client.push("m", files={"w": data}, kind="test")
        await client.promote("m", 1)
        first = (await client.mesh.set_assignment("tier=edge", "m", limits=limits, reason="room")).assignment
        again = await client.mesh.set_assignment("tier=edge", "m", "production", pinned_version=2)
        assert again.previous_assignment == first
        assert [one async for one in client.mesh.list_assignments()] == [again.assignment]
        state = await client.mesh.get_desired_state({"tier": "edge"}, node="edge-1")
        assert [alias.state.version for alias in state.models[0].aliases] == [2]
        assert not (await client.mesh.get_desired_state()).models
        assert await client.mesh.delete_assignment(first.name) == again.assignment
        with pytest.raises(exceptions.NotFoundError):
            await client.mesh.delete_assignment(first.name.removeprefix("assignments/"))
        events = [event async for event in client.registry.list_events("m")]
        assert (events[2].actor.id, events[2].reason) == ("ada", "room")


async def forgotten(client: AsyncClient, node: str) -> None:
    """Return when a node is forgotten: the registry has yet to see that it left."""
    while True:
        try:
            found = await client.mesh.forget_node(node)
        except exceptions.FailedPreconditionError as error:
            assert error.reason == "NODE_CONNECTED"  # noqa: PT017 - not until it left
            await asyncio.sleep(0.01)
        else:
            assert found.node == node
            return


async def test_a_node_follows_through_the_client(registry):
    """Sync takes requests and gives states, and the fleet shows the node; the synchronous client reads the same."""
    async with AsyncClient(registry=registry) as client:

        async def requests():
            yield pb.SyncRequest(hello=pb.Hello(node="edge-1", labels={"tier": "edge"}, id_key=b"k" * 32))
            await asyncio.Event().wait()

        steps = client.mesh.sync(requests())
        assert (await anext(steps)).whole
        nodes = [node async for node in client.mesh.list_nodes("tier=edge")]
        with Client(registry=registry) as plain:
            same = await asyncio.to_thread(lambda: list(plain.mesh.list_nodes()))
        assert [node.node for node in nodes] == [node.node for node in same] == ["edge-1"]
        await steps.aclose()
        async with asyncio.timeout(20):
            await forgotten(client, "edge-1")
        assert [node async for node in client.mesh.list_nodes()] == []


@pytest.mark.parametrize(
    ("shares", "parts"), [([0.1, 1], [100_000, 1_000_000]), ([0.5], [500_000, 1_000_000]), ([], [1_000_000])]
)
async def test_a_promotion_in_waves(registry, shares, parts):
    """Shares are fractions, and the last one stands for all nodes whether it is given or not."""
    async with AsyncClient(registry=registry) as client:
        await client.push("m", files={"w": b"1"}, kind="test")
        await client.promote("m", 1, waves=rollout.waves(shares, hold_seconds=3))
        moves = [e.alias_moved async for e in client.registry.list_events("m") if e.HasField("alias_moved")]
        assert (list(moves[0].waves.shares_ppm), moves[0].waves.hold_seconds) == (parts, 3)


def test_a_share_that_is_none_is_refused():
    """A share beyond the whole raises ValueError."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        rollout.waves([2])
