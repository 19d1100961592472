"""Aliases that are moved on a node alone: durable, at once, until the registry moves them."""

from __future__ import annotations

import pytest

from neuralmesh import AsyncClient, exceptions
from neuralmesh_server.inference.app import InferenceApp
from tests.inference import models
from tests.inference.conftest import when_ready, when_settled
from tests.inference.edge.conftest import Site, answer
from tests.inference.edge.fakes import Outcome


async def promoted(site: Site, *seeds: int) -> None:
    """Push and promote further versions."""
    for seed in seeds:
        await site.registry.promote("digits", site.registry.push("digits", models.digits_onnx(seed)))


async def moved_on_site(site: Site) -> tuple[InferenceApp, AsyncClient]:
    """Return a node that holds versions 1 and 2 and was moved back to 1, and a client of it."""
    await promoted(site, 2)
    node = await site.start()
    await site.registry.applied()
    await when_ready(node, "digits", 1, 2)
    client = site.client(node)
    await client.edge.override_alias("digits")
    return node, client


async def test_a_rollback_on_the_node_works_with_the_line_cut_and_outlives_a_restart(site: Site) -> None:
    """The version before answers at once, after a restart too, and the registry's one when the move is cleared."""
    await promoted(site, 2)
    node = await site.start()
    await site.registry.applied()
    await when_ready(node, "digits", 1, 2)
    await site.registry.stop()
    client = site.client(node)
    done = await client.edge.override_alias("digits", reason="smells")
    assert (done.previous_version, done.override.version, done.override.alias_revision) == (2, 1, 2)
    assert (done.override.actor, done.override.reason) == ("tester", "smells")
    assert (await answer(client)).version == 1
    assert (await answer(client, version="production")).version == 1
    assert (await answer(client, version=2)).version == 2
    await site.stop_node(node)
    node = await site.start()
    await when_settled(node)
    client = site.client(node)
    assert (await answer(client)).version == 1
    (held,) = (await client.edge.get_edge_status()).figures.overrides
    assert held == done.override
    assert (await client.edge.clear_override("digits")).override == done.override
    assert (await answer(client)).version == 2
    with pytest.raises(exceptions.NotFoundError, match="not set aside"):
        await client.edge.clear_override("digits")


async def test_a_revision_that_means_another_move_ends_a_move_on_the_node(site: Site) -> None:
    """A registry that was set back and gave a revision again says something newer, though its number is the same."""
    node, client = await moved_on_site(site)
    assert (await answer(client)).version == 1
    number = site.registry.push("digits", models.digits_onnx(3))
    (alias,) = site.registry.models["digits"].aliases
    alias.rollback_versions[:] = [alias.state.version]
    alias.state.version = number  # under the revision that the move on the node stands against
    site.registry.revision += 1
    await site.registry.tell("digits")
    await site.registry.applied()
    await when_ready(node, "digits", 3)
    assert not (await client.edge.get_edge_status()).figures.overrides
    assert (await answer(client)).version == 3


async def test_a_move_in_the_registry_ends_a_move_on_the_node(site: Site) -> None:
    """The registry is told of the move; another state of the same alias ends it, one of another alias does not."""
    node, client = await moved_on_site(site)
    told = await site.registry.reported(lambda one: one.figures.overrides)
    assert (told.figures.overrides[0].version, told.state_digest) == (1, site.registry.digest())
    await site.registry.promote("digits", 2, alias="staging")
    await site.registry.applied(3)
    assert (await answer(client)).version == 1
    await promoted(site, 3)
    await site.registry.applied(4)
    assert (await answer(client)).version == 3
    assert not (await client.edge.get_edge_status()).figures.overrides
    await site.stop_node(node)
    await site.registry.stop()
    node = await site.start()
    await when_settled(node)
    assert (await answer(site.client(node))).version == 3


async def test_a_move_that_the_registry_overtook_while_the_node_slept_ends(site: Site) -> None:
    """What was set aside before a restart holds until the newer word arrives."""
    await promoted(site, 2)
    node = await site.start()
    await site.registry.applied()
    await when_ready(node, "digits", 1, 2)
    await site.client(node).edge.override_alias("digits")
    await site.stop_node(node)
    await promoted(site, 3)
    node = await site.start()
    await site.registry.applied(3)
    client = site.client(node)
    assert (await answer(client)).version == 3
    assert not (await client.edge.get_edge_status()).figures.overrides


async def test_the_version_that_a_move_needs_is_held_though_the_registry_lets_it_go(site: Site) -> None:
    """A version that only another alias gave stays while a move on the node stands for it."""
    site.registry.push("digits", models.digits_onnx(2))
    await site.registry.promote("digits", 2, alias="staging")
    node = await site.start()
    await site.registry.applied()
    await when_ready(node, "digits", 1, 2)
    client = site.client(node)
    await client.edge.override_alias("digits", version=2)
    for seed in (3, 4):
        await site.registry.promote("digits", site.registry.push("digits", models.digits_onnx(seed)), alias="staging")
    await site.registry.applied()
    assert "digits/2" not in {version.name for version in site.registry._told("digits").versions}
    assert (await answer(client)).version == 2
    await client.edge.clear_override("digits")
    assert (await answer(client)).version == 1


async def test_moves_that_cannot_be_are_refused(site: Site) -> None:
    """Unknown names, versions that are not loaded here, and nothing below."""
    node = await site.start()
    await site.registry.applied()
    edge = site.client(node).edge
    for call, kind, reason in (
        (edge.override_alias("other"), exceptions.NotFoundError, "MODEL_NOT_FOUND"),
        (edge.override_alias("digits", "staging"), exceptions.NotFoundError, "ALIAS_NOT_FOUND"),
        (edge.override_alias("digits"), exceptions.FailedPreconditionError, "NOTHING_TO_ROLL_BACK"),
        (edge.override_alias("digits", version=7), exceptions.FailedPreconditionError, "VERSION_NOT_READY"),
        (edge.override_alias("../x"), exceptions.InvalidArgumentError, "NAME_INVALID"),
        (edge.override_alias("digits", reason="x" * 1025), exceptions.InvalidArgumentError, "FIELD_INVALID"),
    ):
        with pytest.raises(kind) as raised:
            await call
        assert raised.value.reason == reason
    assert not site.registry.reports[-1].figures.overrides
    assert site.registry.reports[-1].outcome == Outcome.OUTCOME_APPLIED


async def test_a_move_that_cannot_be_kept_changes_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full the answer says so, and the version before goes on answering."""
    await promoted(site, 2)
    node = await site.start()
    await site.registry.applied()
    await when_ready(node, "digits", 1, 2)
    client = site.client(node)
    monkeypatch.setattr(node._edge.overrides._store, "save", _full)
    with pytest.raises(exceptions.ResourceExhaustedError) as raised:
        await client.edge.override_alias("digits")
    assert raised.value.reason == "STORAGE_FULL"
    assert (await answer(client)).version == 2


async def test_a_move_ends_on_the_disk_after_the_state_that_ends_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the two leaves the move and not the version that somebody moved away from."""
    node, client = await moved_on_site(site)
    kept = site.folder / "edge-1" / "overrides.json"
    content = kept.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(node._keeper._store, "save", _full)
        await promoted(site, 3)
        told = await site.registry.reported(lambda one: "written to the disk" in one.reason)
        assert told.outcome == Outcome.OUTCOME_PENDING
        assert (await answer(client)).version == 3
        assert kept.read_bytes() == content
    node._keeper.mark()
    await site.registry.applied()
    await node._edge.overrides.settled()
    assert kept.read_bytes() == b"[]"


def _full(content: object) -> None:
    raise OSError(28, "No space left on device")
