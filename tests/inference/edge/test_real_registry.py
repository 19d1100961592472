"""Edge nodes of the real registry: assigned, converged, cut off, moved, restored."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from neuralmesh import AsyncClient
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.settings import EdgeSettings, SettingsError
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready, when_settled
from tests.inference.edge.conftest import answer

OSLO = EdgeSettings(labels={"site": "oslo", "tier": "edge"})


async def edge_node(suite: Suite, name: str = "edge-1", edge: EdgeSettings = OSLO) -> InferenceApp:
    """Start an edge node of the suite's registry."""
    return await suite.start_node(name, edge=edge, keep_newest=0)


async def assigned(suite: Suite, *seeds: int, **assignment: Any) -> AsyncClient:
    """Return a client of the registry, with versions pushed, the last one promoted, and one assignment."""
    client = suite.client()
    for seed in seeds or (1,):
        await client.promote("digits", await push_digits(client, models.digits_onnx(seed)))
    await client.mesh.set_assignment("tier=edge", "digits", **assignment)
    return client


async def fleet(client: AsyncClient, condition: Callable[[Any], bool], name: str = "edge-1") -> Any:
    """Return a node of the fleet as soon as a condition holds for it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async for node in client.mesh.list_nodes():
                if node.node == name and condition(node):
                    return node
            await asyncio.sleep(0.01)  # the fleet has no event to wait for


async def test_an_assigned_model_converges_and_answers(suite: Suite) -> None:
    """The registry says that the node holds exactly what it is to hold."""
    client = await assigned(suite, 1, 2)
    await push_digits(client, models.digits_onnx(3), model="other")
    await client.promote("other", 1)
    node = await edge_node(suite)
    found = await fleet(client, lambda one: one.converged)
    assert (dict(found.labels), found.reason, found.state_digest) == (OSLO.labels, "", found.desired_digest)
    assert set(node._replica.models) == {"digits"}
    assert (await answer(suite.client(node))).version == 2
    await when_ready(node, "digits", 1, 2)


async def test_a_rollback_on_the_node_shows_in_the_fleet_until_it_is_overtaken(suite: Suite) -> None:
    """Not converged while an alias is set aside; the registry's next word ends that."""
    client = await assigned(suite, 1, 2)
    node = await edge_node(suite)
    await fleet(client, lambda one: one.converged)
    await when_ready(node, "digits", 1, 2)
    await suite.client(node).edge.override_alias("digits", reason="smells")
    found = await fleet(client, lambda one: not one.converged and one.figures.overrides)
    assert found.figures.overrides[0].reason == "smells"
    await client.promote("digits", await push_digits(client, models.digits_onnx(3)))
    await fleet(client, lambda one: one.converged)
    assert (await answer(suite.client(node))).version == 3


async def test_a_promotion_while_the_node_was_off_is_there_when_it_is_back(suite: Suite) -> None:
    """A node reboots with the line cut, serves, and converges when it hears the registry."""
    client = await assigned(suite)
    node = await edge_node(suite)
    await fleet(client, lambda one: one.converged)
    suite._apps.remove(node)
    await node.stop()
    await client.promote("digits", await push_digits(client, models.digits_onnx(2)))
    await suite.stop_registry()
    node = await edge_node(suite)
    await when_settled(node)
    assert (await answer(suite.client(node))).version == 1
    await suite.start_registry()
    await when(node, lambda snapshot: snapshot.aliases["digits", "production"] == 2)
    await fleet(client, lambda one: one.converged)


async def test_pins_limits_and_staleness_arrive(suite: Suite) -> None:
    """What the assignment says beside the alias is part of the state and of its digest."""
    staleness = resources.StalenessPolicy(action=resources.StalenessPolicy.ACTION_FLAG, after_seconds=30)
    limits = resources.LimitPolicy(max_running=1, max_queued=7)
    client = await assigned(suite, 1, 2, pinned_version=1, staleness=staleness, limits=limits)
    node = await edge_node(suite)
    await fleet(client, lambda one: one.converged)
    assert (await answer(suite.client(node))).version == 1
    assert node._replica.staleness["digits"].after_seconds == 30
    assert node._replica.policies["digits"].limits.max_queued == 7


async def test_what_is_unassigned_is_let_go(suite: Suite) -> None:
    """A node whose selector matches nothing any more holds nothing, and has converged."""
    client = await assigned(suite)
    node = await edge_node(suite)
    await fleet(client, lambda one: one.converged)
    async for one in client.mesh.list_assignments():
        await client.mesh.delete_assignment(one.name)
    await when(node, lambda snapshot: not snapshot.models)
    found = await fleet(client, lambda one: one.converged)
    assert (node._replica.models, node._replica.versions) == ({}, {})
    assert found is None or found.state_digest == node._replica.digest()


async def test_a_registry_from_an_older_backup_is_not_followed(suite: Suite) -> None:
    """The node refuses to go back, keeps serving, and follows again when the registry is ahead of it."""
    client = await assigned(suite)
    backup = suite.folder / "backup"
    await suite.stop_registry()
    shutil.copytree(suite.folder / "registry", backup)
    await suite.start_registry()
    await client.promote("digits", await push_digits(client, models.digits_onnx(2)))
    node = await edge_node(suite)
    await fleet(client, lambda one: one.converged)
    await suite.stop_registry()
    shutil.rmtree(suite.folder / "registry")
    shutil.copytree(backup, suite.folder / "registry")
    await suite.start_registry()
    mine = suite.client(node)
    async with asyncio.timeout(PATIENCE):
        while "behind this node" not in (status := await mine.edge.get_edge_status()).disconnected_reason:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # a status has no event to wait for
    assert not status.connected
    assert (await answer(mine)).version == 2


async def test_another_node_of_the_same_name_cannot_run(suite: Suite) -> None:
    """Its key is not the one that the registry knows."""
    client = await assigned(suite)
    await edge_node(suite)
    await fleet(client, lambda one: one.converged)
    second = await suite.start_node("edge-1", folder="elsewhere", edge=OSLO, keep_newest=0)
    assert second.failure is not None
    with pytest.raises(SettingsError, match="edge-1"):
        await asyncio.wait_for(asyncio.shield(second.failure), PATIENCE)
