"""Desired state: a function of the log, labels and name, held against a plain second implementation and its own steps.

A random log is written into a real store; what nodes are to hold is computed from it in several ways.
"""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralmesh_server import state_digest
from neuralmesh_server.registry.catalog import Catalog, find_model
from neuralmesh_server.registry.mesh import picture, selectors
from neuralmesh_server.registry.mesh.assignments import Assignments
from neuralmesh_server.registry.mesh.desired import DesiredState, Picture, Plan, desired, place, reaches
from neuralmesh_server.registry.mesh.hub import _step
from neuralmesh_server.registry.policies import Policies
from neuralmesh_server.registry.promotion import Promotions
from neuralmesh_server.registry.records import Actor, AliasState, Arm, FileEntry, Manifest, Origin
from neuralmesh_server.registry.records_mesh import Assignment, StaleAction, StalenessPolicy, WavePlan
from neuralmesh_server.registry.records_policy import LimitPolicy, ModelPolicy
from neuralmesh_server.registry.store_sqlite import SqliteStore

ANN = Origin(Actor("ann"), "why")
MODELS = ("digits", "faces")
ALIASES = ("production", "staging")
SELECTORS = ("*", "tier=edge", "tier!=edge", "site", "!site", "site=oslo,tier=edge")
LABELS = ({}, {"tier": "edge"}, {"site": "oslo"}, {"site": "oslo", "tier": "edge"}, {"tier": "core", "other": "x"})
NODES = ("", "edge-1", "edge-2", "edge-3")
PLANS = (None, None, WavePlan((100_000, 500_000, 1_000_000)), WavePlan((500_000, 1_000_000), 30))

model, alias, version = st.sampled_from(MODELS), st.sampled_from(ALIASES), st.integers(1, 3)
ASSIGN = st.builds(
    Assignment,
    st.sampled_from(SELECTORS),
    model,
    alias,
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from([None, LimitPolicy(1, 2, 3), LimitPolicy(9, 0, 0)]),
    st.sampled_from([None, StalenessPolicy(StaleAction.FLAG, 5), StalenessPolicy(StaleAction.REFUSE)]),
)
CHANGES = st.one_of(
    st.tuples(st.just("assign"), ASSIGN),
    st.tuples(st.just("unassign"), st.integers(0, 9)),
    st.tuples(st.just("promote"), model, alias, version, st.sampled_from([0, 1, 2, 3]), st.sampled_from(PLANS)),
    st.tuples(st.just("rollback"), model, alias),
    st.tuples(st.just("policy"), model, st.sampled_from([1, 2])),
    st.tuples(st.just("other"), st.integers(0, 10**6)),
)


class EveryArtifact:
    async def sizes(self, digests):
        return dict.fromkeys(digests, 3)


def clock() -> int:
    return 1_700_000_000_000


class Log:
    """A registry's rules over a store in a folder."""

    def __init__(self, folder: str) -> None:
        self.store = SqliteStore(Path(folder) / "registry.sqlite")
        self.catalog = Catalog(self.store, EveryArtifact(), clock)
        self.promotions = Promotions(self.store, clock)
        self.assignments = Assignments(self.store, clock)
        self.policies = Policies(self.store, clock)

    async def open(self) -> None:
        for index, name in enumerate(MODELS):
            await self.catalog.create_model(name, "", ANN)
            for number in range(3):
                file = FileEntry("m", 3, f"sha256:{10 * index + number:064x}")
                await self.catalog.create_version(name, Manifest("onnx", (file,)), ANN)

    async def apply(self, change: tuple) -> None:
        kind, *given_ = change
        if kind == "assign":
            await self.assignments.set(given_[0], ANN)
        elif kind == "unassign":
            held = await self.assignments.list(0, 100)
            if held:
                await self.assignments.delete(held[given_[0] % len(held)].id, ANN)
        elif kind == "promote":
            name, alias_, number, canary, waves = given_
            state = AliasState(number, Arm(canary, 5) if canary not in {0, number} else None)
            await self.promotions.promote(name, alias_, state, "", ANN, waves=waves)
        elif kind == "rollback":
            depth = await self.store.read(lambda view: view.stack_depth(find_model(view, given_[0]), given_[1]))
            if depth > 1:
                await self.promotions.rollback(given_[0], given_[1], 0, "", ANN)
        elif kind == "policy":
            await self.policies.set(given_[0], ModelPolicy(limits=LimitPolicy(given_[1], 0, 0)), ANN)
        else:
            await self.catalog.create_model(f"other-{given_[0]}", "", Origin(ANN.actor, "", f"other-{given_[0]}"))

    async def picture(self, before=None):
        return await self.store.read(lambda view: picture.take(view, before))


def run(changes, check):
    """Write a log and call an async check with it before the changes and after each."""

    async def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Log(folder)
            try:
                await log.open()
                await check(log)
                for change in changes:
                    await log.apply(change)
                    await check(log)
            finally:
                log.store.close()

    asyncio.run(work())


def held_by(assignments, labels):
    """Return the newest matching assignment of each alias, the slow way."""
    found = {}
    for one in sorted(assignments, key=lambda one: one.revision):
        if selectors.parse(one.selector).matches(labels):
            found[one.model, one.alias] = one
    return found


async def expected(log: Log, labels, node) -> bytes:
    """Return the digest of what a node is to hold, read entry by entry from the registry's own answers."""
    total = state_digest.StateDigest()
    held = held_by(await log.assignments.list(0, 1000), labels)
    for name in sorted({name for name, _ in held}):
        found = await log.catalog.model(name)
        total.add(state_digest.model_entry(name, found.uid))
        mine = sorted((one for (model_, _), one in held.items() if model_ == name), key=lambda one: -one.revision)
        needed = set()
        for one in mine:
            entry, versions = await _alias_entry(log, one, node)
            needed |= versions
            if entry is not None:
                total.add(entry)
        for number in needed:
            total.add(state_digest.version_entry(name, number, (await log.catalog.version(name, number)).digest))
        limits = next((one.limits for one in mine if one.limits), found.policy and found.policy.limits)
        if limits is not None:
            total.add(state_digest.policy_entry(name, {"limits": dataclasses.asdict(limits)}))
        staleness = next((one.staleness for one in mine if one.staleness), None)
        if staleness is not None:
            total.add(state_digest.staleness_entry(name, int(staleness.action), staleness.after_seconds))
    return total.value()


async def _alias_entry(log: Log, one: Assignment, node: str):
    """Return the entry of an alias for a node, None for none, and the versions that it needs: from the history alone."""
    if one.pinned_version:
        state = {"version": one.pinned_version}
        return state_digest.alias_entry(one.model, one.alias, one.revision, state, 0), {one.pinned_version}
    reached, stack, current = None, [], None
    for event in reversed(await log.promotions.history(one.model, "", 2**53 - 1, 1000)):
        change = event.change
        if type(change).__name__ != "AliasMoved" or change.alias != one.alias:
            continue
        if change.kind.value == "rollback":
            stack.pop()
        else:
            stack.append(change.after)
        current = (event.revision, change.after, stack[-2].version if len(stack) > 1 else 0)
        share = 1_000_000 if change.waves is None else change.waves.shares_ppm[0]
        if reaches(share, event.revision, node):
            reached = current
    if reached is None:
        return None, set()
    revision, after, previous = reached
    state = {"version": after.version}
    if after.canary is not None:
        state["canary"] = {"version": after.canary.version, "share_ppm": after.canary.share_ppm}
    needed = set(after.versions()) | ({previous} if previous else set())
    return state_digest.alias_entry(one.model, one.alias, revision, state, previous), needed


SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(st.lists(CHANGES, max_size=10), st.sampled_from(LABELS), st.sampled_from(NODES))
def test_the_state_is_what_the_log_says(changes, labels, node):
    """At every revision the digest is that of the entries that a plain reading of the history gives."""

    async def check(log: Log) -> None:
        state = desired(await log.picture(), labels, node)
        assert state.digest == await expected(log, labels, node)
        assert list(state.models) == sorted(state.models)

    run(changes, check)


@SLOW
@given(st.lists(CHANGES, min_size=1, max_size=10), st.sampled_from(LABELS), st.sampled_from(NODES))
def test_what_is_kept_between_changes_is_right(changes, labels, node):
    """A picture that was brought up to date and a plan that takes over from another say the same as new ones."""
    kept = {}

    async def check(log: Log) -> None:
        fresh = await log.picture()
        kept["picture"] = await log.picture(kept.get("picture"))
        assert kept["picture"] == fresh
        kept["plan"] = Plan(kept["picture"], kept.get("plan"))
        assert kept["plan"].state(labels, node).models == desired(fresh, labels, node).models

    run(changes, check)


@SLOW
@given(st.lists(CHANGES, min_size=1, max_size=10), st.sampled_from(LABELS), st.sampled_from(NODES))
def test_steps_lead_from_state_to_state(changes, labels, node):
    """Applying every step to what the node holds gives the whole state and its digest."""
    held, states = {}, []

    async def check(log: Log) -> None:
        state = desired(await log.picture(), labels, node)
        step = _step(Picture(1), states[-1] if states else None, state)
        if step.whole:
            held.clear()
        for name in step.removed:
            del held[name]
        held.update({one.model.name: one for one in step.models})
        states.append(state)
        assert DesiredState(held).digest == step.state_digest == state.digest

    run(changes, check)


@SLOW
@given(st.lists(ASSIGN, max_size=5), st.lists(st.integers(0, 9), max_size=4, unique=True))
def test_events_of_others_change_nothing(assignments, others):
    """Models that nobody assigns, and versions that no alias names, change no digest, wherever they stand in the log."""
    seen = {}

    async def work(log: Log) -> None:
        for labels in LABELS:
            digest = desired(await log.picture(), labels, "edge-1").digest
            assert seen.setdefault(str(labels), digest) == digest

    async def check_all() -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Log(folder)
            try:
                await log.open()
                for one in assignments:
                    await log.apply(("assign", dataclasses.replace(one, pinned_version=0)))
                await work(log)
                for other in others:
                    await log.apply(("other", other))
                    file = FileEntry("m", 3, f"sha256:{1000 + other:064x}")
                    await log.catalog.create_version("digits", Manifest("onnx", (file,)), ANN)
                    await work(log)
            finally:
                log.store.close()

    asyncio.run(check_all())


@given(st.integers(1, 2**53 - 1), st.text("abc-0123456789", min_size=1, max_size=20), st.data())
def test_waves_cover_more_and_more_and_in_the_end_all(revision, name, data):
    """A node that a share reached is reached by every larger one; none is reached by 0, and all are by the whole."""
    smaller = data.draw(st.integers(0, 1_000_000))
    larger = data.draw(st.integers(smaller, 1_000_000))
    assert reaches(larger, revision, name) or not reaches(smaller, revision, name)
    assert reaches(1_000_000, revision, name)
    assert not reaches(0, revision, name)


@pytest.mark.parametrize("share", [100_000, 500_000, 900_000])
def test_a_share_is_that_share_of_many_nodes(share):
    """Of 4,000 nodes a share reaches its part within five standard deviations, and another move reaches others."""
    names = [f"edge-{number}" for number in range(4000)]
    first, second = ({name for name in names if reaches(share, revision, name)} for revision in (7, 8))
    expectation, deviation = 4000 * share / 1e6, (4000 * share / 1e6 * (1 - share / 1e6)) ** 0.5
    assert abs(len(first) - expectation) < 5 * deviation
    assert first != second


def test_a_place_is_the_one_of_the_contract():
    """The place is the first eight bytes of SHA-256 over the canonical form of revision and name, big-endian."""
    import hashlib

    assert place(7, "edge-1") == int.from_bytes(hashlib.sha256(b'[7,"edge-1"]').digest()[:8], "big")
