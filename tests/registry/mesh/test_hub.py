"""Sessions of the hub without a transport: what a session sends when, and what it costs."""

from __future__ import annotations

import asyncio

import pytest

from neuralmesh_server.errors import FailedPreconditionError, UnavailableError
from neuralmesh_server.registry.mesh import desired, hub
from neuralmesh_server.registry.mesh.nodes import Hello, Outcome, Report
from neuralmesh_server.registry.records import AliasState
from neuralmesh_server.registry.records_mesh import Assignment
from tests.registry.mesh.test_desired import ANN, Log
from tests.registry.mesh.test_waves import World


@pytest.fixture
async def world(tmp_path):
    log = Log(str(tmp_path))
    await log.open()
    await log.assignments.set(Assignment("tier=edge", "digits", "production"), ANN)
    await log.assignments.set(Assignment("tier=edge", "faces", "production"), ANN)
    made = await World(log).start()
    await made.promote(1, None)
    yield made
    log.store.close()


def applied(step) -> Report:
    return Report(Outcome.APPLIED, step.revision, step.state_digest)


def refused(step) -> Report:
    return Report(Outcome.REFUSED, step.revision, b"\1" * 32, "full")


async def test_a_slow_reader_gets_what_holds_now(world):
    """However many states pass while a node does not read, its next step is the one to the newest."""
    await world.join("edge-1")
    steps = world.sessions["edge-1"].steps()
    first = await anext(steps)
    for number in range(50):
        await world.promote(2 + number % 2, None)
    step = await anext(steps)
    assert (step.whole, [state.model.name for state in step.models]) == (False, ["digits"])
    assert step.state_digest == world.fleet.node("edge-1").desired_digest != first.state_digest
    assert step.revision == world.hub.revision
    await steps.aclose()


async def test_what_came_and_went_is_not_sent(world):
    """A state that is again what the node holds makes no step but the heartbeat."""
    await world.join("edge-1")
    steps = world.sessions["edge-1"].steps()
    await anext(steps)
    await world.log.assignments.set(Assignment("*", "faces", "staging"), ANN)
    await world.hub.refresh()
    await world.log.assignments.delete(Assignment("*", "faces", "staging").id, ANN)
    await world.hub.refresh()
    waiting = asyncio.ensure_future(anext(steps))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_state_that_comes_again_has_the_revision_that_made_it_come_again(world):
    """Steps are shared between nodes, but not over revisions: a node refuses one that is lower than its own."""
    await world.join("edge-1")
    steps = world.sessions["edge-1"].steps()
    await anext(steps)
    assignment = Assignment("*", "faces", "staging", pinned_version=1)
    revisions = []
    for _ in range(2):
        await world.log.assignments.set(assignment, ANN)
        await world.hub.refresh()
        step = await anext(steps)
        revisions.append((step.revision, world.hub.revision))
        await world.log.assignments.delete(assignment.id, ANN)
        await world.hub.refresh()
        step = await anext(steps)
        revisions.append((step.revision, world.hub.revision))
    assert all(sent == newest for sent, newest in revisions)
    await steps.aclose()


async def test_heartbeats_have_the_newest_revision(world):
    """Also when nothing changed that a node is to hold."""
    world.hub.heartbeat_seconds = 0.0
    await world.join("edge-1")
    steps = world.sessions["edge-1"].steps()
    for number in range(3):
        await anext(steps)
        await world.log.promotions.promote("faces", f"other-{number}", AliasState(1), "", ANN)
        await world.hub.refresh()
        step = await anext(steps)
        assert (step.models, step.revision) == ((), world.hub.revision)
    await steps.aclose()


async def test_a_refusal_that_comes_late_asks_for_the_whole_at_once(world):
    """When a step was sent on top of one that is refused, the whole state follows without waiting for a heartbeat."""
    await world.join("edge-1")
    session = world.sessions["edge-1"]
    steps = session.steps()
    session.report(applied(await anext(steps)))
    await world.promote(2, None)
    second = await anext(steps)
    await world.promote(3, None)
    third = await anext(steps)
    assert not third.whole
    session.report(refused(second))
    step = await anext(steps)
    assert (step.whole, step.state_digest) == (True, third.state_digest)
    session.report(refused(third))
    session.report(applied(step))
    assert world.fleet.node("edge-1").converged


async def test_a_registry_with_another_past_is_noticed_at_the_same_revision(world):
    """A node that came to the registry's revision by another event is refused; by the same one, or earlier, it is not."""
    await world.join("edge-1")  # so that its key is known
    await world.promote(2, None)
    revision, own = world.hub.revision, world.hub._picture.event_hash

    def hello(applied: int, event_hash: bytes) -> Hello:
        return Hello("edge-1", {"tier": "edge"}, applied, b"", b"edge-1".ljust(32, b"."), event_hash=event_hash)

    with pytest.raises(FailedPreconditionError, match="another history") as refusal:
        await world.hub.join(hello(revision, b"\1" * 32), ANN)
    assert refusal.value.reason == "REVISION_AHEAD"
    for applied, event_hash in ((revision, own), (revision, b""), (0, b""), (revision - 1, b"\1" * 32)):
        session = await world.hub.join(hello(applied, event_hash), ANN)
        steps = session.steps()
        step = await anext(steps)
        assert (step.event_hash, len(own)) == (own, 32)
        await steps.aclose()
    await world.promote(3, None)
    assert world.hub.revision > revision
    await world.hub.join(hello(revision, b"\1" * 32), ANN)


async def test_a_refusal_that_is_said_again_asks_for_nothing_more(world):
    """A state that a node refuses is offered once more, and not with every heartbeat at which it refuses it."""
    world.hub.heartbeat_seconds = 0.01
    await world.join("edge-1")
    session = world.sessions["edge-1"]
    steps = session.steps()
    first = await anext(steps)
    session.report(refused(first))
    again = await anext(steps)
    assert (again.whole, again.state_digest) == (True, first.state_digest)
    for _ in range(3):
        session.report(refused(first))
        assert not (await anext(steps)).whole
    await world.promote(2, None)
    step = await anext(steps)
    assert [state.model.name for state in step.models] == ["digits"]
    session.report(refused(step))
    assert (await anext(steps)).whole, "another refusal is another one"


async def test_a_node_that_holds_something_else_gets_the_whole_with_the_next_change(world):
    """A node that says it applied another state than it was sent is not sent changes of that state."""
    await world.join("edge-1")
    session = world.sessions["edge-1"]
    steps = session.steps()
    first = await anext(steps)
    session.report(Report(Outcome.APPLIED, first.revision, b"\2" * 32))
    assert not world.fleet.node("edge-1").converged
    await world.promote(2, None)
    assert (await anext(steps)).whole


async def test_nodes_that_nothing_tells_apart_cost_one_computation(world, monkeypatch):
    """A thousand nodes with labels of their own share a state and a step, and a move works out one model."""
    made = []
    model_state = desired._model_state
    monkeypatch.setattr(desired, "_model_state", lambda *arguments: made.append(1) or model_state(*arguments))
    names = [f"edge-{number}" for number in range(1000)]
    for name in names:
        hello = Hello(name, {"tier": "edge", "serial": name}, 0, b"", name.encode().ljust(32, b"."))
        world.sessions[name] = await world.hub.join(hello, ANN)
        await world.hub.refresh()
    await world.promote(2, None)
    steps = {id(await anext(world.sessions[name].steps())) for name in names}
    assert (len(steps), len(made)) == (1, 3), "two models at first, one after the move"


async def test_a_registry_that_was_set_back_sends_nothing(world):
    """A node that applied more than there is hears REVISION_AHEAD, with both revisions."""
    hello = Hello("edge-1", {}, world.hub.revision + 1, b"", b"k" * 32)
    with pytest.raises(FailedPreconditionError) as caught:
        await world.hub.join(hello, ANN)
    assert caught.value.reason == "REVISION_AHEAD"
    assert caught.value.metadata["appliedRevision"] == str(world.hub.revision + 1)


async def test_a_hello_finds_what_was_committed_before_it(world):
    """The log is read with the hello: a node may be ahead of what the hub had read, and its first step is the newest."""
    move = await world.log.promotions.promote("digits", "production", AliasState(2), "", ANN)
    hello = Hello("edge-1", {"tier": "edge"}, world.hub.revision + 1, b"", b"k" * 32)
    steps = (await world.hub.join(hello, ANN)).steps()
    step = await anext(steps)
    assert [state.aliases[0].revision for state in step.models if state.aliases] == [move.alias.revision]
    await steps.aclose()


async def test_a_node_that_says_nothing_is_let_go(world, monkeypatch):
    """Its stream ends, so that nobody takes a node that hangs for one that is well; a report keeps it open."""
    monkeypatch.setattr(hub, "SILENT_SECONDS", 0.2)
    world.hub.heartbeat_seconds = 0.05
    await world.join("edge-1")
    session, loop = world.sessions["edge-1"], asyncio.get_running_loop()
    said = began = loop.time()

    async def follow():
        nonlocal said
        async for step in session.steps():
            if loop.time() < began + 0.5:
                session.report(applied(step))
                said = loop.time()

    with pytest.raises(UnavailableError, match="said nothing for"):
        await follow()
    assert said >= began + 0.4
    assert loop.time() >= said + 0.2
