"""Arms of a rollout: an exact share, the same on every node, and for a unit as long as the canary lasts."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from neuralmesh import oip
from neuralmesh_server import prediction_id
from neuralmesh_server.inference.holding.records import Arm, StickyKey, StickySource
from neuralmesh_server.inference.policy import DEFAULT
from neuralmesh_server.inference.publishing import publish
from neuralmesh_server.inference.request import Caller
from neuralmesh_server.inference.serving import Serving
from neuralmesh_server.inference.traffic.rollout import CANARY, STABLE, Assigner, unit_hash, unit_key, unit_of, within
from tests.inference.rollouts import Gate, Node, replica, request, version

MILLION = 1_000_000


def is_canary(model: str, alias: str, canary: int, share_ppm: int, unit: bytes) -> bool:
    """Say which arm answers a unit, by the definition and without the code under test."""
    key = hashlib.blake2s(b"%s/%s/%d" % (model.encode(), alias.encode(), canary)).digest()
    hashed = int.from_bytes(hashlib.blake2s(unit, key=key, digest_size=8).digest(), "big")
    return hashed / 2**64 < share_ppm / MILLION


def canary(share_ppm: int, stable: int = 1, candidate: int = 2, **more: Any) -> dict[str, Any]:
    """Return the state of an alias with a canary."""
    return {"version": stable, "canary": {"version": candidate, "share_ppm": share_ppm}, **more}


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node that serves nothing yet."""
    node = Node()
    yield node
    await node.close()


async def answered(node: Node, **fields: Any) -> tuple[int, dict[str, str]]:
    """Return the version that answers, and the parameters of the answer as they go over the wire."""
    metadata = fields.pop("metadata", {})
    answer = await node.answering.answer(request(**fields), Caller(metadata=metadata.get))
    message = oip.ModelInferResponse.FromString(answer.data)
    return int(message.model_version), {name: value.string_param for name, value in message.parameters.items()}


async def test_the_share_is_the_set_that_the_hash_says(node: Node) -> None:
    """Of 2,000 units exactly those meet the canary that an independent calculation names."""
    node.serve(replica(9, 2, canary(100_000)), version(1), version(2))
    units = [f"user-{number}" for number in range(2_000)]
    met = {unit for unit in units if (await answered(node, id=unit))[0] == 2}
    assert met == {unit for unit in units if is_canary("m", "production", 2, 100_000, unit.encode())}
    assert 150 < len(met) < 250


async def test_every_node_and_every_step_assigns_a_unit_alike() -> None:
    """Name, epoch and revision of a node and of the alias's move do not count."""
    one, other = Node(name="one"), Node(name="other")
    one.serve(replica(9, 2, canary(300_000)), version(1), version(2))
    other.serve(replica(700, 2, canary(300_000), moved=600), version(1), version(2))
    for number in range(200):
        assert (await answered(one, id=str(number)))[0] == (await answered(other, id=str(number)))[0]
    await one.close()
    await other.close()


@given(st.integers(0, MILLION), st.integers(0, MILLION), st.binary(max_size=20), st.integers(1, 9))
def test_a_unit_stays_in_a_canary_that_grows(first: int, second: int, unit: bytes, candidate: int) -> None:
    """What the canary answers at a share, it answers at every greater one."""
    low, high = sorted((first, second))
    hashed = unit_hash(unit_key("m", "production", candidate), unit)
    assert not within(hashed, low) or within(hashed, high)
    assert within(hashed, MILLION)
    assert not within(hashed, 0)


@given(st.integers(0, 2**64 - 1), st.integers(0, MILLION))
def test_shares_are_exact(hashed: int, share_ppm: int) -> None:
    """A hash is within a share if it is below that part of 2^64, in whole numbers."""
    assert within(hashed, share_ppm) == (hashed < -(-share_ppm * 2**64 // MILLION))


@pytest.mark.parametrize(
    ("sticky", "fields"),
    [
        (None, {"id": "unit"}),
        ({"source": 3, "key": ""}, {"id": "unit"}),
        ({"source": 1, "key": "user"}, {"id": "other", "parameters": {"user": "unit"}}),
        ({"source": 2, "key": "x-user"}, {"id": "other", "metadata": {"x-user": "unit"}}),
    ],
)
async def test_the_sticky_key_decides(node: Node, sticky: Any, fields: dict[str, Any]) -> None:
    """The value of the alias's sticky key is the unit, wherever the request carries it."""
    state = canary(500_000) if sticky is None else canary(500_000, sticky_key=sticky)
    node.serve(replica(9, 2, state), version(1), version(2))
    for number in range(40):
        unit = f"unit-{number}"
        sent = {name: _replaced(value, unit) for name, value in fields.items()}
        expected = 2 if is_canary("m", "production", 2, 500_000, unit.encode()) else 1
        assert (await answered(node, **sent))[0] == expected


def _replaced(value: Any, unit: str) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(value, unit)
    return unit if value == "unit" else value


@pytest.mark.parametrize(
    ("value", "text"), [(True, b"true"), (7, b"7"), (1.5, b"1.5"), ("7", b"7"), ("é", b"\xc3\xa9")]
)
def test_the_text_of_a_parameter_is_the_unit(value: Any, text: bytes) -> None:
    """Numbers and booleans count as their text, so that clients which send one or the other mean the same unit."""
    sticky = StickyKey(StickySource.PARAMETER, "user")
    assert unit_of(sticky, request(parameters={"user": value}), Caller()) == text


async def test_a_request_without_a_key_is_a_unit_of_its_own(node: Node) -> None:
    """Without a value each request is drawn anew, and counts as one unit."""
    node.serve(replica(9, 2, canary(500_000)), version(1), version(2))
    met = [(await answered(node))[0] for _ in range(200)]
    assert set(met) == {1, 2}
    (report,) = node.rollouts.reports()
    assert (report.counts.stable.units, report.counts.canary.units) == (met.count(1), met.count(2))


async def test_the_answer_says_its_arm_only_where_there_are_arms(node: Node) -> None:
    """`arm` stands in answers that a rollout with a canary assigned, and in no others."""
    node.serve(replica(9, 2, canary(MILLION)), version(1), version(2))
    assert (await answered(node))[1]["arm"] == CANARY
    assert (await answered(node, model_version="production"))[1]["arm"] == CANARY
    assert "arm" not in (await answered(node, model_version="1"))[1]
    node.serve(replica(10, 2, canary(0)), version(1), version(2))
    assert (await answered(node))[1]["arm"] == STABLE
    node.serve(replica(11, 2, {"version": 1}), version(1), version(2))
    assert "arm" not in (await answered(node))[1]


async def test_a_version_number_goes_past_the_rollout(node: Node) -> None:
    """A request that names a version gets it, and counts for no arm."""
    node.serve(replica(9, 2, canary(MILLION)), version(1), version(2))
    assert (await answered(node, model_version="1"))[0] == 1
    assert node.rollouts.reports() == ()


async def test_the_prediction_id_names_the_version_that_answered(node: Node) -> None:
    """An id from the canary carries the canary's version and digest, and the revision that was in force."""
    node.serve(replica(9, 2, canary(MILLION)), version(1), version(2))
    parsed = prediction_id.parse((await answered(node))[1]["prediction_id"])
    assert (parsed.version, parsed.revision) == (2, 9)
    assert parsed.matches_digest(version(2).digest)


@pytest.mark.parametrize(("ready", "answers"), [((1,), 1), ((1, 3), 1)])
async def test_without_the_canary_nothing_is_assigned(node: Node, ready: tuple[int, ...], answers: int) -> None:
    """While the canary is not ready here, stable answers everything and neither arm counts it."""
    node.serve(replica(9, 3, canary(MILLION)), *(version(number) for number in ready))
    found, parameters = await answered(node, id="a")
    assert (found, "arm" in parameters) == (answers, False)
    (report,) = node.rollouts.reports()
    assert (report.counts.unassigned, report.counts.stable.requests, report.counts.canary.requests) == (1, 0, 0)


async def test_without_the_stable_version_the_last_one_answers(node: Node) -> None:
    """While stable loads, the version before it answers everything, though the canary is ready."""
    node.serve(replica(9, 3, {"version": 3}), version(3))
    node.serve(replica(10, 3, canary(MILLION)), version(3), version(2))
    assert (await answered(node))[0] == 3
    (report,) = node.rollouts.reports()
    assert report.counts.unassigned == 1


@pytest.mark.parametrize(
    ("left", "code"), [(None, "CANCELLED"), (60.0, "CANCELLED"), (0.01, "DEADLINE_EXCEEDED")], ids=str
)
async def test_a_call_that_is_cut_at_its_deadline_counts_against_the_version(left: float | None, code: str) -> None:
    """A passed deadline cancels a call as a caller does that goes away; only the latter is the caller's fault."""
    node, gate = Node(), Gate()
    loaded = version(2, gate, threaded=True)
    node.serve(replica(9, 2, canary(MILLION)), version(1), loaded)
    deadline = None if left is None else time.monotonic() + left
    call = asyncio.ensure_future(node.answering.answer(request(id="unit"), Caller(deadline)))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert loaded.activity.errors == {code: 1}
    (report,) = node.rollouts.reports()
    assert report.counts.canary.failures == (code != "CANCELLED")
    gate.open()
    await node.close()


class Moves(RuleBasedStateMachine):
    """An alias that moves among four versions while they come and go on a node."""

    def __init__(self) -> None:
        super().__init__()
        self.serving = Serving()
        self.assigner = Assigner("local", 1)
        self.ready: set[int] = {1}
        self.state: dict[str, Any] = {"version": 1}
        self.revision = 1
        self.requests = 0

    @initialize()
    def begin(self) -> None:
        """Serve version 1."""
        self._publish()

    @rule(stable=st.integers(1, 4), other=st.integers(1, 4), share=st.sampled_from([0, 1, 500_000, 999_999, MILLION]))
    def move(self, stable: int, other: int, share: int) -> None:
        """Move the alias, with a canary when the versions differ."""
        self.state = {"version": stable} if stable == other else canary(share, stable, other)
        self.revision += 1
        self._publish()

    @rule(number=st.integers(1, 4))
    def load(self, number: int) -> None:
        """Make a version ready."""
        self.ready.add(number)
        self._publish()

    @rule(number=st.integers(1, 4))
    def lose(self, number: int) -> None:
        """Let a version go that neither the alias names nor answers for it."""
        named = {self.state["version"], self.state.get("canary", {}).get("version")}
        if number not in named | {self.serving.snapshot().resolve("m", "production").loaded.version}:
            self.ready.discard(number)
            self._publish()

    @invariant()
    def only_arms_answer(self) -> None:
        """Nothing answers but the two arms while both are ready, and else the one version of the ordinary rule."""
        snapshot = self.serving.current
        if snapshot is None:
            return
        route = snapshot.route("m", "production")
        arms = [self.state["version"], self.state.get("canary", {}).get("version")]
        share = self.state.get("canary", {}).get("share_ppm", 0)
        both = None not in arms and self.ready.issuperset(arms)
        for _ in range(20):
            self.requests += 1
            unit = str(self.requests)
            chosen = self.assigner.assign(route.served, route.rollout, request(id=unit), Caller())
            found = chosen.served.loaded.version
            if both:
                assert found == arms[is_canary("m", "production", arms[1], share, unit.encode())]
                assert chosen.arm == (CANARY if found == arms[1] else STABLE)
            elif arms[0] in self.ready:
                assert (found, chosen.arm) == (arms[0], "")
            else:
                assert (found, chosen.arm) == (snapshot.aliases["m", "production"], "")

    def _publish(self) -> None:
        before = self.serving.current
        loaded = {("m", number): version(number) for number in self.ready}
        held = replica(self.revision, 4, self.state)
        assert held.policies.get("m", DEFAULT) is DEFAULT
        self.serving.replace(publish(held, loaded, {}, dict(before.aliases) if before else {}, before))


TestMoves = Moves.TestCase
"""A node never answers an alias with a version that is no arm of it, however the alias moves."""


def test_the_record_of_an_alias_names_its_arms() -> None:
    """What a node needs for an alias is the stable version, then the canary's, then the shadow's."""
    state = canary(5, shadow={"version": 3, "share_ppm": 7})
    record = replica(9, 3, state).aliases["m", "production"]
    assert record.versions() == (1, 2, 3)
    assert record.canary == Arm(2, 5)
