"""Waves over a real log with a clock that the test moves: who is waited for, what holds a wave, and what ends it."""

from __future__ import annotations

import pytest

from neuralmesh_server.registry.mesh.desired import reaches
from neuralmesh_server.registry.mesh.fleet import Fleet
from neuralmesh_server.registry.mesh.hub import Hub
from neuralmesh_server.registry.mesh.nodes import Figures, Hello, Outcome, Report
from neuralmesh_server.registry.mesh.waves import RETURN_SECONDS, Waves
from neuralmesh_server.registry.records import AliasMoved, AliasState
from neuralmesh_server.registry.records_mesh import Assignment, WavePlan, WaveReached
from neuralmesh_server.registry.tracing import Tracer
from tests.registry.mesh.test_desired import ANN, Log, clock

PLAN = WavePlan((200_000, 600_000, 1_000_000), hold_seconds=10)
NAMES = [f"edge-{number}" for number in range(20)]


class NothingKept:
    async def load(self):
        return []

    async def save(self, nodes):
        pass

    async def delete(self, name):
        pass


class Kept(NothingKept):
    """What another world knew of its nodes."""

    def __init__(self, fleet: Fleet) -> None:
        self.nodes = list(fleet)

    async def load(self):
        return self.nodes


class World:
    """A log, a hub, nodes that are joined by hand, and a clock; it knows nodes of before where some were kept."""

    def __init__(self, log: Log, kept=None) -> None:
        self.log = log
        self.now = 1000.0
        self.fleet = Fleet(kept or NothingKept(), clock, lambda: self.now)
        self.hub = Hub(log.store, Tracer(log.store, clock), self.fleet, 10.0)
        self.waves = Waves(log.store, self.hub, self.fleet, clock, lambda: self.now)
        self.sessions = {}

    async def start(self) -> World:
        await self.fleet.open()
        await self.hub.start()
        self.waves.start()
        return self

    async def join(self, *names: str) -> None:
        for name in names:
            hello = Hello(name, {"tier": "edge"}, 0, b"", name.encode().ljust(32, b"."))
            self.sessions[name] = await self.hub.join(hello, ANN)

    def apply(self, *names: str, outcome: Outcome = Outcome.APPLIED, **figures) -> None:
        """Let nodes report what they are to hold."""
        for name in names:
            digest = self.fleet.node(name).desired_digest
            report = Report(outcome, self.hub.revision, digest, "", Figures(**figures))
            self.sessions[name].report(report)

    async def promote(self, version: int, waves: WavePlan | None = PLAN) -> int:
        move = await self.log.promotions.promote("digits", "production", AliasState(version), "", ANN, waves=waves)
        await self.hub.refresh()
        return move.alias.revision

    async def shares(self) -> list[int]:
        """Return what waves reached, by the log."""
        events = await self.log.promotions.history("digits", "production", 2**53 - 1, 1000)
        return [event.change.share_ppm for event in reversed(events) if isinstance(event.change, WaveReached)]

    def holds(self, name: str) -> int:
        """Return the version that a node is to hold."""
        (alias,) = self.hub._plan.state({"tier": "edge"}, name).models["digits"].aliases
        return alias.state.version

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, and look before and after."""
        await self.waves.advance()
        self.now += seconds
        await self.waves.advance()


@pytest.fixture
async def log(tmp_path):
    opened = Log(str(tmp_path))
    await opened.open()
    yield opened
    opened.store.close()


@pytest.fixture
async def world(log):
    """Return a world in which version 1 is everywhere and everybody has applied it."""
    await log.assignments.set(Assignment("tier=edge", "digits", "production"), ANN)
    made = await World(log).start()
    await made.promote(1, None)
    await made.join(*NAMES)
    made.apply(*NAMES)
    return made


def reached(share: int, revision: int) -> list[str]:
    return [name for name in NAMES if reaches(share, revision, name)]


async def test_a_promotion_reaches_wave_after_wave(world):
    """Only reached nodes hold the new version; each wave waits for its nodes and its time; in the end all hold it."""
    revision = await world.promote(2)
    first, second = reached(200_000, revision), reached(600_000, revision)
    assert 0 < len(first) < len(second) < len(NAMES), "the names are no good for this test"
    assert [name for name in NAMES if world.holds(name) == 2] == first
    await world.pass_time(60)
    assert await world.shares() == [], "the first wave has not applied it"
    world.apply(*first)
    await world.pass_time(9)
    assert await world.shares() == [], "the time to hold is not over"
    await world.pass_time(1)
    assert await world.shares() == [600_000]
    assert [name for name in NAMES if world.holds(name) == 2] == second
    world.apply(*second)
    await world.pass_time(10)
    assert await world.shares() == [600_000, 1_000_000]
    assert {world.holds(name) for name in NAMES} == {2}
    assert world.hub.waves == ()
    world.apply(*NAMES)
    await world.pass_time(100)
    assert await world.shares() == [600_000, 1_000_000]


async def test_the_registry_is_the_actor(world):
    """The event of a wave names the registry and the move, and history of the alias lists it."""
    revision = await world.promote(2)
    world.apply(*reached(200_000, revision))
    await world.pass_time(10)
    event = (await world.log.promotions.history("digits", "production", 2**53 - 1, 1))[0]
    assert (event.actor.id, event.actor.authenticated) == ("registry", False)
    assert event.change == WaveReached("digits", "production", revision, 600_000)


@pytest.mark.parametrize("trouble", ["refused", "pending", "failing"])
async def test_one_node_that_is_not_well_holds_the_wave(world, trouble):
    """A node that refuses, still fetches or cannot load a version holds it, and its time begins again afterwards."""
    revision = await world.promote(2)
    first = reached(200_000, revision)
    world.apply(*first)
    await world.pass_time(9)
    if trouble == "failing":
        world.apply(first[0], failures=("digits/2: golden set",))
    else:
        world.apply(first[0], outcome=Outcome(trouble))
    await world.pass_time(100)
    assert await world.shares() == []
    world.apply(first[0])
    await world.pass_time(9)
    assert await world.shares() == []
    await world.pass_time(1)
    assert await world.shares() == [600_000]


async def test_nodes_that_are_offline_are_not_waited_for(world):
    """A wave goes on without nodes that left, which get what holds when they come back."""
    revision = await world.promote(2)
    first = reached(200_000, revision)
    world.hub.leave(world.sessions[first[0]])
    world.apply(*first[1:])
    await world.pass_time(10)
    assert await world.shares() == [600_000]
    await world.join(first[0])
    assert world.holds(first[0]) == 2
    world.apply(*(name for name in reached(600_000, revision) if name != first[0]))
    await world.pass_time(100)
    assert await world.shares() == [600_000], "the node that came back is waited for like all others"


async def test_a_node_that_is_pinned_is_not_waited_for(world):
    """Nodes that do not follow the alias say nothing about it."""
    await world.log.assignments.set(Assignment("tier", "digits", "production", pinned_version=3), ANN)
    revision = await world.promote(2)
    assert {world.holds(name) for name in reached(1_000_000, revision)} == {3}
    await world.pass_time(10)
    await world.pass_time(10)
    assert await world.shares() == [600_000, 1_000_000]


async def test_a_rollback_ends_the_waves(world):
    """After a rollback every node holds what it says, and no further wave comes."""
    revision = await world.promote(2)
    world.apply(*reached(200_000, revision))
    await world.log.promotions.rollback("digits", "production", 0, "", ANN)
    await world.hub.refresh()
    assert {world.holds(name) for name in NAMES} == {1}
    world.apply(*NAMES)
    await world.pass_time(100)
    assert (await world.shares(), world.hub.waves) == ([], ())


async def test_a_further_promotion_leaves_the_unreached_where_they_were(world):
    """What the first move had not reached holds neither of the two until the second reaches it."""
    one = await world.promote(2)
    two = await world.promote(3)
    first, second = reached(200_000, one), reached(200_000, two)
    assert set(first) - set(second), "the names are no good for this test"
    for name in NAMES:
        assert world.holds(name) == (3 if name in second else 2 if name in first else 1)
    world.apply(*NAMES)
    await world.pass_time(10)
    assert await world.shares() == [600_000], "only the newest move goes on"
    event = (await world.log.promotions.history("digits", "production", 2**53 - 1, 1))[0]
    assert event.change.move_revision == two
    for _ in range(3):
        world.apply(*NAMES)
        await world.pass_time(10)
    assert {world.holds(name) for name in NAMES} == {3}
    assert world.hub.waves == ()


async def test_a_promotion_without_waves_is_everywhere_at_once(world):
    """It ends the waves before it."""
    await world.promote(2)
    await world.promote(3, None)
    assert {world.holds(name) for name in NAMES} == {3}
    assert world.hub.waves == ()


async def test_the_same_promotion_without_waves_brings_them_to_their_end(world):
    """Whoever does not want to wait any longer promotes again; the same waves again change nothing."""
    revision = await world.promote(2)
    assert await world.promote(2) == revision
    assert len({world.holds(name) for name in NAMES}) == 2
    assert await world.promote(2, None) == revision, "it is no new move"
    assert {world.holds(name) for name in NAMES} == {2}
    assert world.hub.waves == ()
    event = (await world.log.promotions.history("digits", "production", 2**53 - 1, 1))[0]
    assert event.actor == ANN.actor
    assert event.change == WaveReached("digits", "production", revision, 1_000_000)
    await world.promote(2, None)
    assert await world.shares() == [1_000_000]


async def test_a_version_that_takes_its_process_down_holds_the_wave(world):
    """A node that was started again has to say again that it applied its state, and the time begins anew."""
    revision = await world.promote(2)
    first = reached(200_000, revision)
    world.apply(*first)
    await world.pass_time(9)
    name = first[0]
    digest = world.fleet.node(name).desired_digest
    for life in range(1, 4):
        world.hub.leave(world.sessions[name])
        hello = Hello(name, {"tier": "edge"}, 0, digest, name.encode().ljust(32, b"."), epoch_ms=life)
        world.sessions[name] = await world.hub.join(hello, ANN)
        await world.pass_time(9)
    assert await world.shares() == []
    world.apply(name)
    await world.pass_time(10)
    assert await world.shares() == [600_000]


async def test_the_first_promotion_of_an_alias_may_come_in_waves(log):
    """Nodes that it has not reached have the model without the alias."""
    await log.assignments.set(Assignment("*", "faces", "production"), ANN)
    world = await World(log).start()
    move = await log.promotions.promote("faces", "production", AliasState(1), "", ANN, waves=PLAN)
    await world.hub.refresh()
    for name in NAMES:
        aliases = world.hub._plan.state({}, name).models["faces"].aliases
        assert len(aliases) == reaches(200_000, move.alias.revision, name)


async def test_a_wave_goes_on_after_a_restart(world):
    """A registry that starts waits for nodes to come back before it counts them, then goes on from the log."""
    revision = await world.promote(2)
    world.apply(*reached(200_000, revision))
    await world.pass_time(10)
    again = World(world.log)
    again.now = world.now + 5
    await again.start()
    assert [(wave.revision, wave.share_ppm) for wave in again.hub.waves] == [(revision, 600_000)]
    second = reached(600_000, revision)
    await again.pass_time(RETURN_SECONDS - 1)
    assert await again.shares() == [600_000], "no node came back yet"
    await again.join(*second)
    again.apply(*second)
    await again.pass_time(1)
    assert await again.shares() == [600_000], "they are not healthy for long enough"
    await again.pass_time(10)
    assert await again.shares() == [600_000, 1_000_000]


async def test_a_wave_of_a_registry_that_just_started_waits_for_nodes_that_it_knows(world):
    """Those that a move reaches have their time to come back, and one that does not holds nothing up for longer."""
    again = World(world.log, Kept(world.fleet))
    await again.start()
    revision = await again.promote(2)
    first, second = reached(200_000, revision), reached(600_000, revision)
    await again.join(*set(NAMES) - set(first))
    await again.pass_time(RETURN_SECONDS - 1)
    assert await again.shares() == [], "those that it reached have not come back"
    await again.join(*first[1:])
    again.apply(*first[1:])
    await again.pass_time(11)
    assert await again.shares() == [600_000], "the time to come back is over"
    again.apply(*second[: len(second)] if first[0] not in second else [name for name in second if name != first[0]])
    await again.pass_time(10)
    assert await again.shares() == [600_000, 1_000_000]


async def test_a_wave_begins_when_all_that_are_known_are_back(world):
    """Where every node that a move reaches is back and well, nothing waits for the time to come back."""
    again = World(world.log, Kept(world.fleet))
    await again.start()
    revision = await again.promote(2)
    first = reached(200_000, revision)
    await again.join(*first)
    again.apply(*first)
    await again.pass_time(10)
    assert await again.shares() == [600_000]


async def test_two_looks_move_a_wave_once(world):
    """A wave that moved on since it was looked at is not moved again."""
    revision = await world.promote(2)
    world.apply(*reached(200_000, revision))
    (wave,) = world.hub.waves
    await world.waves._reach(wave, 1)
    await world.waves._reach(wave, 1)
    assert await world.shares() == [600_000]


async def test_the_log_keeps_the_plan(world):
    """The event of the move holds its waves, and a plan of one wave is none."""
    await world.promote(2)
    event = (await world.log.promotions.history("digits", "production", 2**53 - 1, 1))[0]
    assert isinstance(event.change, AliasMoved)
    assert event.change.waves == PLAN
    await world.promote(3, WavePlan((1_000_000,)))
    assert world.hub.waves == ()
    assert {world.holds(name) for name in NAMES} == {3}
