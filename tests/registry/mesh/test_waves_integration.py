"""Waves through a real registry."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from neuralmesh.registry.v1 import resources_pb2 as resources
from tests.registry.mesh.nodes import Node

PLAN = resources.WavePlan(shares_ppm=[300_000, 1_000_000])


async def test_nodes_take_a_promotion_in_waves(mesh):
    """The registry moves on by itself as nodes report, stops for one that refuses, and history tells the waves."""
    await mesh.versions(2)
    await mesh.promote(1)
    await mesh.assign("*")
    nodes = [Node(f"edge-{number}") for number in range(8)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node.following(mesh.mesh))
        await mesh.until(lambda known: all(node.converged for node in known.values()))
        for node in nodes:
            node.refuses = True
        move = await mesh.promote(2, waves=PLAN)
        known = await mesh.until(lambda known: any(node.reason for node in known.values()))
        first = [name for name, node in known.items() if node.desired_revision >= move.alias.revision]
        assert 0 < len(first) < len(nodes), "the names are no good for this test"
        assert [event.WhichOneof("change") for event in await mesh.events()][-1] == "alias_moved"
        for node in nodes:
            node.refuses = False
            if node.name in first:
                node.models["digits"] = (await mesh.desired(node.name)).models[0]
                node.say(1)
        await asyncio.gather(*(node.until(lambda node=node: node.alias() == 2) for node in nodes))
    last = (await mesh.events())[-1]
    assert (last.wave_reached.move_revision, last.wave_reached.share_ppm) == (move.alias.revision, 1_000_000)
    assert (last.wave_reached.alias, last.actor.id) == ("models/digits/aliases/production", "registry")


@pytest.mark.parametrize("shares", [[], [0, 1_000_000], [500_000], [5, 5, 1_000_000], [2, 1, 1_000_000], [1] * 17])
async def test_a_plan_that_is_none_is_refused(mesh, shares):
    """Shares ascend from 1 to all nodes."""
    await mesh.versions(1)
    failure = await mesh.failure(mesh.promote(1, waves=resources.WavePlan(shares_ppm=shares)))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "waves.shares_ppm")
