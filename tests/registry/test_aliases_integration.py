"""Aliases over a real server: compare-and-set, rollback, history."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources


async def test_promote_and_rollback_walk_the_stack(registry):
    """Three promotions and two rollbacks end at the first version, and a third rollback is refused."""
    await registry.versions(3)
    for number in (1, 2, 3):
        answer = await registry.promote(number, reason=f"try {number}")
    assert answer.alias.rollback_versions == [2, 1]
    assert answer.previous_state.version == 2
    assert answer.alias.reason == "try 3"
    first = await registry.rollback(reason="worse", actor="ann")
    assert (first.alias.state.version, list(first.alias.rollback_versions)) == (2, [1])
    assert (first.previous_state.version, first.alias.actor.id) == (3, "ann")
    assert not first.alias.actor.authenticated
    second = await registry.rollback()
    assert second.alias.state.version == 1
    failure = await registry.failure(registry.rollback())
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK")


async def test_rollback_to_a_version_forgets_what_it_undid(registry):
    """A rollback to version 1 takes 2 and 3 off for good, so neither can be gone back to."""
    await registry.versions(3)
    for number in (1, 2, 3):
        await registry.promote(number)
    assert (await registry.rollback(1)).alias.state.version == 1
    for number in (2, 3):
        assert (await registry.failure(registry.rollback(number))).reason == "NEVER_PROMOTED"
    assert (await registry.failure(registry.rollback(1))).reason == "NOTHING_TO_ROLL_BACK"


async def test_first_promotion_has_no_state_before(registry):
    """The answer to the promotion that creates an alias has no previous state, and its event has none either."""
    await registry.versions(1)
    answer = await registry.promote(1, etag='"0"')
    assert not answer.HasField("previous_state")
    event = (await registry.events())[-1]
    assert not event.alias_moved.HasField("before")
    assert answer.alias.etag == f'"{event.revision}"'


async def test_promoting_what_holds_changes_nothing(registry):
    """Promoting the state that already holds writes no event and returns the alias as it is."""
    await registry.versions(1)
    first = await registry.promote(1)
    again = await registry.promote(1, reason="again")
    assert again.alias == first.alias
    assert again.previous_state == first.alias.state
    assert len(await registry.events("models/digits/aliases/production")) == 1


async def test_one_etag_wins_once(registry):
    """Of many concurrent promotions with one etag exactly one wins; the others are told what the etag is now."""
    await registry.versions(8)
    seen = (await registry.promote(1)).alias.etag
    results = await asyncio.gather(
        *(registry.promote(number, etag=seen) for number in range(2, 9)), return_exceptions=True
    )
    winners = [result for result in results if not isinstance(result, BaseException)]
    assert len(winners) == 1
    for result in results:
        if isinstance(result, BaseException):
            assert isinstance(result, grpc.aio.AioRpcError)
            assert result.code() is grpc.StatusCode.ABORTED
    stale = await registry.failure(registry.rollback(etag=seen))
    assert stale.reason == "ETAG_MISMATCH"
    assert stale.metadata["expected"] == seen
    assert stale.metadata["actual"] == winners[0].alias.etag


@pytest.mark.parametrize("etag", ['"0"', "0", '"999"', "nonsense"])
async def test_other_etags_are_aborted(registry, etag):
    """Any etag but the current one is refused with ABORTED."""
    await registry.versions(2)
    await registry.promote(1)
    assert (await registry.failure(registry.promote(2, etag=etag))).reason == "ETAG_MISMATCH"


async def test_unknown_targets_are_named(registry):
    """Unknown model, version and alias are NOT_FOUND with their own reasons."""
    assert (await registry.failure(registry.promote(1))).reason == "MODEL_NOT_FOUND"
    await registry.versions(1)
    failure = await registry.failure(registry.promote(2))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "VERSION_NOT_FOUND")
    assert (await registry.failure(registry.rollback())).reason == "ALIAS_NOT_FOUND"
    name = "models/digits/aliases/production"
    request = api.GetAliasRequest(name=name)
    assert (await registry.failure(registry.stub.GetAlias(request))).reason == "ALIAS_NOT_FOUND"
    missing_state = api.PromoteAliasRequest(name=name)
    failure = await registry.failure(registry.stub.PromoteAlias(missing_state))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "state")


async def test_history_tells_who_when_and_why(registry):
    """An alias's history lists its moves newest first with actor, reason, before and after."""
    await registry.versions(2)
    await registry.promote(1, actor="ann", reason="first")
    await registry.promote(2, actor="bob", reason="second")
    await registry.rollback(actor="cem", reason="worse")
    answer = await registry.stub.ListEvents(api.ListEventsRequest(parent="models/digits/aliases/production"))
    told = [
        (event.actor.id, event.reason, event.alias_moved.before.version, event.alias_moved.after.version)
        for event in answer.events
    ]
    assert told == [("cem", "worse", 2, 1), ("bob", "second", 1, 2), ("ann", "first", 0, 1)]
    kinds = [event.alias_moved.kind for event in answer.events]
    assert kinds == [
        resources.AliasMoved.KIND_ROLLBACK,
        resources.AliasMoved.KIND_PROMOTE,
        resources.AliasMoved.KIND_PROMOTE,
    ]


async def test_a_long_stack_lists_its_nearest_hundred(registry):
    """An alias lists at most 100 rollback versions, nearest first, and a rollback still reaches the deepest."""
    await registry.versions(3)
    for turn in range(110):
        await registry.promote(1 if turn == 0 else 2 + turn % 2)
    alias = (await registry.stub.GetAlias(api.GetAliasRequest(name="models/digits/aliases/production"))).alias
    assert len(alias.rollback_versions) == 100
    assert alias.rollback_versions[0] == 2
    assert (await registry.rollback(1)).alias.state.version == 1
