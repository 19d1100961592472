"""An edge node follows its desired state, says what became of it, and refuses what is wrong."""

from __future__ import annotations

import asyncio
import time

import pytest

from neuralmesh import exceptions
from neuralmesh_server.errors import FailedPreconditionError
from neuralmesh_server.inference.holding.follower import NodeNameTakenError
from tests.inference import models
from tests.inference.conftest import PATIENCE, when_settled
from tests.inference.edge.conftest import Site, answer
from tests.inference.edge.fakes import Outcome, digest_of


async def test_a_node_applies_what_it_is_sent_and_answers(site: Site) -> None:
    """The first state is fetched, loaded and acknowledged with its digest."""
    node = await site.start()
    report = await site.registry.applied()
    assert report.state_digest == site.registry.digest()
    await when_settled(node)
    assert (await answer(site.client(node))).version == 1
    hello = site.registry.hellos[0]
    assert (hello.node, dict(hello.labels), hello.applied_revision, hello.state_digest) == (
        "edge-1",
        {"tier": "edge"},
        0,
        b"",
    )
    assert len(hello.id_key) == 32


async def test_a_promotion_is_pending_until_it_is_loaded(site: Site) -> None:
    """While artifacts come the node says PENDING and the old version answers; then APPLIED and the new one does."""
    node = await site.start()
    await site.registry.applied()
    client = site.client(node)
    number = site.registry.push("digits", models.digits_onnx(2))
    gate = site.registry.gates[site.registry.digest_of("digits", number)] = asyncio.Event()
    revision = await site.registry.promote("digits", number)
    pending = await site.registry.reported(
        lambda one: one.outcome == Outcome.OUTCOME_PENDING and one.revision == revision
    )
    assert "digits/2" in pending.reason
    assert (await answer(client)).version == 1
    gate.set()
    await site.registry.applied(revision)
    assert (await answer(client)).version == 2


@pytest.mark.parametrize("what", ["replica", "memory"])
async def test_a_state_is_applied_when_it_is_on_the_disk(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Before, nothing but the disk is missing, and the node says so."""
    node = await site.start()
    await site.registry.applied()

    def full(content: object) -> None:
        raise OSError(28, "No space left on device")

    store = node._keeper._store if what == "replica" else node._edge._memory._store
    with monkeypatch.context() as patch:
        patch.setattr(store, "save", full)
        await site.registry.promote("digits", site.registry.push("digits", models.digits_onnx(2)))
        told = await site.registry.reported(lambda one: "written to the disk" in one.reason)
        assert (told.outcome, told.state_digest) == (Outcome.OUTCOME_PENDING, site.registry.digest())
        assert (await answer(site.client(node))).version == 2
        await asyncio.sleep(0.1)
        assert site.registry.reports[-1].outcome == Outcome.OUTCOME_PENDING
    await site.registry.applied()


async def test_a_version_that_cannot_be_loaded_is_refused_and_the_old_one_answers(site: Site) -> None:
    """The registry hears why, and the version before goes on though the new state no longer names it."""
    node = await site.start()
    await site.registry.applied()
    client = site.client(node)
    number = site.registry.push("digits", b"no model")
    revision = await site.registry.promote("digits", number)
    refused = await site.registry.reported(lambda one: one.outcome == Outcome.OUTCOME_REFUSED)
    assert (refused.revision, "digits/2: failed to load" in refused.reason) == (revision, True)
    assert refused.figures.failures[0].startswith("digits/2: ")
    # Two promotions later version 1 is neither named nor below.
    await site.registry.promote("digits", site.registry.push("digits", b"neither"))
    await site.registry.reported(lambda one: one.outcome == Outcome.OUTCOME_REFUSED and one.revision == revision + 1)
    assert (await answer(client)).version == 1
    await site.registry.promote("digits", site.registry.push("digits", models.digits_onnx(4)))
    await site.registry.applied()
    assert (await answer(client)).version == 4
    assert ("digits", 1) not in node._replica.versions


async def test_a_version_that_answers_outlives_a_restart_though_the_state_has_it_no_more(site: Site) -> None:
    """What is carried beside the state is kept with it, and answers after a restart with the line cut."""
    node = await site.start()
    await site.registry.applied()
    await site.registry.promote("digits", site.registry.push("digits", b"no model"))
    await site.registry.promote("digits", site.registry.push("digits", b"neither"))
    await site.registry.reported(lambda one: one.outcome == Outcome.OUTCOME_REFUSED and one.revision == 3)
    await site.stop_node(node)
    await site.registry.stop()
    node = await site.start()
    await when_settled(node)
    assert (await answer(site.client(node))).version == 1
    assert node._replica.digest() == site.registry.digest()


async def test_a_lower_revision_is_refused_whoever_sends_it(site: Site) -> None:
    """A replayed older state changes nothing, and the registry is told why."""
    node = await site.start()
    await site.registry.applied()
    old = site.registry.whole()
    site.registry.push("digits", models.digits_onnx(2))
    await site.registry.promote("digits", 2)
    await site.registry.applied()
    await site.registry.say(old)
    refused = await site.registry.reported(lambda one: one.outcome == Outcome.OUTCOME_REFUSED)
    assert refused.revision == 1
    assert "has applied revision 2" in refused.reason
    assert refused.state_digest == site.registry.digest()
    again = await site.registry.greeted(2)
    assert (again.applied_revision, again.state_digest) == (2, site.registry.digest())
    assert (await answer(site.client(node))).version == 2


async def test_a_wrong_digest_is_refused_and_the_whole_asked_for(site: Site) -> None:
    """A state that does not have its digest is not applied; the next hello asks for everything, which heals."""
    node = await site.start()
    await site.registry.applied()
    site.registry.push("digits", models.digits_onnx(2))
    true = site.registry.digest()
    forged = site.registry.models["digits"].aliases[0]
    state = site.registry._told("digits")
    state.versions.append(site.registry.models["digits"].versions[1])
    state.aliases[0].state.version = 2
    await site.registry.say(site.registry.response(state, revision=2, digest=true))
    refused = await site.registry.reported(lambda one: one.outcome == Outcome.OUTCOME_REFUSED)
    assert (refused.revision, refused.state_digest) == (2, true)
    assert "digest" in refused.reason
    assert (await site.registry.greeted(2)).state_digest == b""
    assert forged.state.version == 1
    assert (await answer(site.client(node))).version == 1


@pytest.mark.parametrize("flaw", ["missing", "stranger", "twice", "undigested", "name"])
async def test_a_state_that_contradicts_itself_is_refused(site: Site, flaw: str) -> None:
    """Whatever its digest says: an alias without its version, another model's record, a repetition, a bad name."""
    node = await site.start()
    await site.registry.applied()
    state = site.registry._told("digits")
    digest = b""
    if flaw == "missing":
        state.aliases[0].state.version = 9
    elif flaw == "stranger":
        state.versions.add().CopyFrom(state.versions[0])
        state.versions[1].name = "models/other/versions/2"
    elif flaw == "twice":
        state.versions.add().CopyFrom(state.versions[0])
    elif flaw == "name":
        state.model.name = "models/../x"
    else:
        digest = bytes(1)
    response = site.registry.response(state, revision=7, digest=digest or digest_of([state]))
    if flaw == "undigested":
        response.state_digest = b""
    await site.registry.say(response)
    refused = await site.registry.reported(lambda one: one.outcome == Outcome.OUTCOME_REFUSED)
    assert refused.revision == 7
    assert refused.reason
    assert node._replica.revision == 1
    assert (await site.registry.greeted(2)).applied_revision == 1


async def test_a_repeated_step_changes_nothing(site: Site) -> None:
    """The same message again is applied again, and nothing is loaded anew."""
    node = await site.start()
    await site.registry.applied()
    held = node._loader._loaded["digits", 1]
    await site.registry.say(site.registry.whole())
    await site.registry.tell("digits")
    site.registry.revision = 5
    await site.registry.tell()
    await site.registry.applied(5)
    assert node._loader._loaded["digits", 1] is held
    assert len(site.registry.hellos) == 1


async def test_a_model_is_let_go(site: Site) -> None:
    """What is no longer assigned is unloaded; the rest stays as it is."""
    site.registry.push("other", models.digits_onnx(9))
    await site.registry.promote("other", 1)
    node = await site.start()
    await site.registry.applied()
    del site.registry.models["other"]
    site.registry.revision += 1
    response = site.registry.response()
    response.removed_models.append("other")
    await site.registry.say(response)
    await site.registry.applied()
    assert set(node._replica.models) == {"digits"}
    with pytest.raises(exceptions.NotFoundError, match="other"):
        await answer(site.client(node), "other")


async def test_nothing_is_loaded_anew_when_the_line_comes_back(site: Site) -> None:
    """After a cut the hello names what is held, and everything stays where it was."""
    node = await site.start()
    await site.registry.applied()
    held, bytes_before = node._loader._loaded["digits", 1], dict(site.registry.served)
    await site.registry.stop()
    assert (await answer(site.client(node))).version == 1
    await site.registry.start()
    hello = await site.registry.greeted(2)
    assert (hello.applied_revision, hello.state_digest) == (1, site.registry.digest())
    await site.registry.reported(lambda one: len(site.registry.hellos) == 2 and one.outcome == Outcome.OUTCOME_APPLIED)
    assert node._loader._loaded["digits", 1] is held
    assert site.registry.served == bytes_before


async def test_a_node_that_starts_with_the_line_down_serves_what_it_has(site: Site) -> None:
    """After a restart offline the last good state answers, and the first answer comes quickly."""
    node = await site.start()
    await site.registry.applied()
    await site.stop_node(node)
    await site.registry.stop()
    began = time.monotonic()
    node = await site.start()
    await when_settled(node)
    assert (await answer(site.client(node))).version == 1
    assert time.monotonic() - began < 2.0
    status = await site.client(node).edge.get_edge_status()
    assert (status.connected, status.applied_revision) == (False, 1)
    assert "cannot be reached" in status.disconnected_reason


async def test_a_registry_that_is_behind_is_not_followed(site: Site) -> None:
    """A registry restored from an older backup is told apart; the node goes on serving and says so."""
    site.registry.push("digits", models.digits_onnx(2))
    await site.registry.promote("digits", 2)
    node = await site.start()
    await site.registry.applied()
    await site.registry.stop()
    site.registry.revision = 1
    await site.registry.start()
    await site.registry.greeted(3)
    client = site.client(node)
    assert (await answer(client)).version == 2
    status = await client.edge.get_edge_status()
    assert (status.connected, "behind this node" in status.disconnected_reason) == (False, True)
    assert status.applied_revision == 2


async def test_the_highest_revision_outlives_a_damaged_replica(site: Site) -> None:
    """A node whose state file is damaged asks for everything, but takes no older state than it ever had."""
    site.registry.push("digits", models.digits_onnx(2))
    await site.registry.promote("digits", 2)
    node = await site.start()
    await site.registry.applied()
    await site.stop_node(node)
    path = site.folder / "edge-1" / "replica.json"
    path.write_bytes(path.read_bytes()[:-20])
    site.registry.revision = 1
    node = await site.start()
    await site.registry.greeted(3)
    assert (site.registry.hellos[-1].applied_revision, site.registry.hellos[-1].state_digest) == (2, b"")
    assert node._replica.revision == 0
    site.registry.revision = 3
    await site.registry.applied(3)


async def test_a_name_that_another_node_has_ends_the_process(site: Site) -> None:
    """A node whose name is known with another key cannot go on."""
    taken = FailedPreconditionError("NODE_KEY_CONFLICT", "another key")
    site.registry.refusal = taken
    node = await site.start()
    assert node.failure is not None
    with pytest.raises(NodeNameTakenError, match="edge-1"):
        await asyncio.wait_for(asyncio.shield(node.failure), PATIENCE)
