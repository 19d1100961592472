"""Alias states with arms and model policies over a real server, as the node's own replica follows them."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from liam_core.oip import Numbers
from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server.inference.holding import convert_registry
from neuralmesh_server.inference.holding.records import Arm, StickyKey, StickySource
from neuralmesh_server.inference.holding.replica import Replica
from neuralmesh_server.inference.policy import Batching, Limits, ReceiptMode, Receipts
from neuralmesh_server.prediction_id import Issuer, subject

MODEL = "models/digits"
ALIAS = "models/digits/aliases/production"
KEY = bytes(range(32))
FULL = resources.ModelPolicy(
    receipts=resources.ReceiptPolicy(
        mode=resources.ReceiptPolicy.MODE_SAMPLED,
        sample_ppm=50_000,
        content=resources.ReceiptPolicy.CONTENT_PAYLOADS,
        max_age_seconds=60,
        max_bytes=1024,
    ),
    batching=resources.BatchingPolicy(max_rows=64, max_delay_us=2000),
    limits=resources.LimitPolicy(max_running=4, max_queued=16, max_wait_ms=100),
)


def state(version, *, canary=None, shadow=None, sticky=None):
    """Return an AliasState; arms are (version, share), a sticky key is (source, key)."""
    return resources.AliasState(
        version=version,
        canary=canary and resources.Canary(version=canary[0], share_ppm=canary[1]),
        shadow=shadow and resources.Shadow(version=shadow[0], share_ppm=shadow[1]),
        sticky_key=sticky and resources.StickyKey(source=sticky[0], key=sticky[1]),
    )


async def promote(registry, *args, alias=ALIAS, **fields):
    request = api.PromoteAliasRequest(name=alias, state=state(*args, **fields))
    return await registry.stub.PromoteAlias(request)


async def set_policy(registry, policy, **fields):
    return await registry.stub.SetModelPolicy(api.SetModelPolicyRequest(name=MODEL, policy=policy, **fields))


async def follow(registry, replica, until):
    """Bring a node's replica to a revision; it checks the registry's digest at every step."""
    request = api.WatchRequest(
        from_revision=replica.revision, state_digest=replica.digest() if replica.revision else b""
    )
    call = registry.stub.Watch(request)
    async with asyncio.timeout(20):
        async for message in call:
            replica.apply(convert_registry.step(message))
            if replica.revision >= until:
                break
    call.cancel()


async def test_a_state_is_kept_whole(registry):
    """Canary, shadow and sticky key come back from the promotion, the alias, its event and the next move's state."""
    await registry.versions(3)
    arms = {"canary": (2, 100_000), "shadow": (3, 1_000_000), "sticky": (resources.StickyKey.SOURCE_PARAMETER, "user")}
    wanted = state(1, **arms)
    assert (await promote(registry, 1, **arms)).alias.state == wanted
    assert (await registry.stub.GetAlias(api.GetAliasRequest(name=ALIAS))).alias.state == wanted
    assert (await registry.events())[-1].alias_moved.after == wanted
    assert (await promote(registry, 1)).previous_state == wanted


async def test_a_rollback_brings_the_arms_back(registry):
    """A rollback goes to the state before, arms included, and lists the versions of what is below."""
    await registry.versions(3)
    await promote(registry, 1)
    await promote(registry, 1, canary=(2, 5))
    await promote(registry, 2, shadow=(3, 7))
    answer = await registry.rollback()
    assert answer.alias.state == state(1, canary=(2, 5))
    assert answer.previous_state == state(2, shadow=(3, 7))
    assert list(answer.alias.rollback_versions) == [1]
    assert (await registry.rollback()).alias.state == state(1)


async def test_another_share_is_another_move(registry):
    """A move of the share alone is a move; the same share again is none."""
    await registry.versions(2)
    for share in (1, 2, 2):
        await promote(registry, 1, canary=(2, share))
    assert len(await registry.events(ALIAS)) == 2


async def test_an_empty_sticky_key_is_the_requests_id(registry):
    """A sticky key without a source is stored as the request's id."""
    await registry.versions(1)
    answer = await promote(registry, 1, sticky=(resources.StickyKey.SOURCE_UNSPECIFIED, ""))
    assert answer.alias.state.sticky_key.source == resources.StickyKey.SOURCE_REQUEST_ID


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"canary": (1, 5)}, "state.canary.version"),
        ({"shadow": (1, 5)}, "state.shadow.version"),
        ({"canary": (2, 1_000_001)}, "state.canary.share_ppm"),
        ({"shadow": (2, 1_000_001)}, "state.shadow.share_ppm"),
        ({"sticky": (resources.StickyKey.SOURCE_PARAMETER, "")}, "state.sticky_key.key"),
        ({"sticky": (resources.StickyKey.SOURCE_METADATA, "")}, "state.sticky_key.key"),
        ({"sticky": (resources.StickyKey.SOURCE_METADATA, "User")}, "state.sticky_key.key"),
        ({"sticky": (resources.StickyKey.SOURCE_METADATA, "grpc-user")}, "state.sticky_key.key"),
        ({"sticky": (resources.StickyKey.SOURCE_METADATA, "user-bin")}, "state.sticky_key.key"),
        ({"sticky": (resources.StickyKey.SOURCE_METADATA, "üser")}, "state.sticky_key.key"),
        ({"sticky": (resources.StickyKey.SOURCE_PARAMETER, "u" * 129)}, "state.sticky_key.key"),
        ({"sticky": (resources.StickyKey.SOURCE_REQUEST_ID, "user")}, "state.sticky_key.key"),
        ({"sticky": (9, "user")}, "state.sticky_key.source"),
    ],
)
async def test_a_wrong_state_is_refused(registry, fields, field):
    """An arm of the alias's own version, a share beyond the whole, and a key that names nothing are named."""
    await registry.versions(2)
    failure = await registry.failure(promote(registry, 1, **fields))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert failure.metadata["field"] == field


@pytest.mark.parametrize("arm", ["canary", "shadow"])
async def test_an_arm_must_exist(registry, arm):
    """An arm of a version that the model does not have is NOT_FOUND."""
    await registry.versions(2)
    failure = await registry.failure(promote(registry, 1, **{arm: (9, 5)}))
    assert (failure.reason, failure.metadata["version"]) == ("VERSION_NOT_FOUND", "9")


async def test_a_canarys_prediction_finds_its_move(registry):
    """A prediction of the canary resolves to the move that made it one, until the alias moves on."""
    await registry.versions(2)
    await registry.stub.RegisterNode(api.RegisterNodeRequest(node="edge-1", id_key=KEY))
    await promote(registry, 1, canary=(2, 5))
    await registry.stub.ProtectAlias(
        api.ProtectAliasRequest(name=ALIAS, protection=resources.AliasProtection(require_proof=True))
    )
    moved, after = 5, 7
    await promote(registry, 1)
    version = (await registry.stub.GetVersion(api.GetVersionRequest(name=f"{MODEL}/versions/2"))).version
    found = []
    for revision in (moved, moved + 1, after):
        text = Issuer("edge-1", KEY, 1, Numbers()).issue(subject(revision, 1, 2, version.digest), 5)
        answer = await registry.stub.TracePrediction(api.TracePredictionRequest(prediction_id=text))
        found.append([event.revision for event in answer.promotions])
    assert found == [[moved], [moved], []]


async def test_a_policy_is_kept_whole(registry):
    """A policy comes back from the change, the model and the list, and its event says what was before."""
    await registry.versions(1)
    answer = await set_policy(registry, FULL, actor="ann", reason="audit")
    assert answer.model.policy == FULL
    assert not answer.HasField("previous_policy")
    assert (await registry.stub.GetModel(api.GetModelRequest(name=MODEL))).model == answer.model
    assert list((await registry.stub.ListModels(api.ListModelsRequest())).models) == [answer.model]
    empty = await set_policy(registry, resources.ModelPolicy())
    assert empty.previous_policy == FULL
    assert empty.model.policy == resources.ModelPolicy()
    first, second = (await registry.events(MODEL))[-2:]
    assert (first.actor.id, first.reason, first.model_policy_changed.after) == ("ann", "audit", FULL)
    assert not first.model_policy_changed.HasField("before")
    assert second.model_policy_changed.before == FULL


async def test_the_same_policy_changes_nothing(registry):
    """Setting the policy that holds writes no event, and a repeated request id gives the first answer."""
    await registry.versions(1)
    first = await set_policy(registry, FULL, request_id="once")
    assert await set_policy(registry, FULL, request_id="once") == first
    again = await set_policy(registry, FULL)
    assert again.previous_policy == again.model.policy == FULL
    assert len(await registry.events(MODEL)) == 3


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (None, "policy"),
        ({"receipts": {"mode": 9}}, "policy.receipts.mode"),
        ({"receipts": {"content": 9}}, "policy.receipts.content"),
        ({"receipts": {"mode": 2}}, "policy.receipts.sample_ppm"),
        ({"receipts": {"mode": 2, "sample_ppm": 1_000_001}}, "policy.receipts.sample_ppm"),
        ({"receipts": {"mode": 3, "sample_ppm": 1}}, "policy.receipts.sample_ppm"),
        ({"receipts": {"mode": 3, "max_bytes": 2**53}}, "policy.receipts.max_bytes"),
        ({"batching": {"max_rows": 1}}, "policy.batching.max_rows"),
        ({"batching": {"max_rows": 65_537}}, "policy.batching.max_rows"),
        ({"batching": {"max_rows": 2, "max_delay_us": 1_000_001}}, "policy.batching.max_delay_us"),
    ],
)
async def test_a_wrong_policy_is_refused(registry, policy, field):
    """Each number beyond the contract's range is named."""
    await registry.versions(1)
    failure = await registry.failure(set_policy(registry, policy and resources.ModelPolicy(**policy)))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", field)


async def test_batching_and_exact_versions_exclude_each_other(registry):
    """A model with a version that asks for exact results refuses batching, and takes every other policy."""
    await registry.model()
    await registry.version(metadata={"note": "batching", "x": "exact"})
    await set_policy(registry, FULL)
    await set_policy(registry, resources.ModelPolicy())
    await registry.version(data=b"two", metadata={"batching": "exact"})
    failure = await registry.failure(set_policy(registry, FULL))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BATCHING_REFUSED")
    assert failure.metadata["version"] == "2"
    await set_policy(registry, resources.ModelPolicy(limits=FULL.limits))


async def test_the_batching_key_has_one_value(registry):
    """Another value of the reserved metadata key is refused."""
    await registry.model()
    failure = await registry.failure(registry.version(metadata={"batching": "no"}))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "metadata[batching]")


@pytest.mark.parametrize("from_start", [True, False])
async def test_the_nodes_replica_holds_arms_and_policies(registry, from_start):
    """Events and a snapshot alike give the node arms and policies, proved by the state digest."""
    replica = Replica()
    await registry.versions(2)
    await registry.version(data=b"exact", metadata={"batching": "exact"})
    if from_start:
        await follow(registry, replica, 4)
    limits = resources.ModelPolicy(receipts=FULL.receipts, limits=FULL.limits)
    await set_policy(registry, resources.ModelPolicy(receipts=resources.ReceiptPolicy(mode=3)))
    await set_policy(registry, limits)
    sticky = (resources.StickyKey.SOURCE_METADATA, "user-id")
    await promote(registry, 1, canary=(2, 5), sticky=sticky)
    await promote(registry, 1, canary=(2, 50), shadow=(3, 9), sticky=sticky)
    await promote(registry, 2)
    await registry.rollback()
    await registry.model("other")
    await follow(registry, replica, 11)
    alias = replica.aliases["digits", "production"]
    assert (alias.version, alias.canary, alias.shadow, alias.below) == (1, Arm(2, 50), Arm(3, 9), (1,))
    assert (alias.sticky, alias.versions()) == (StickyKey(StickySource.METADATA, "user-id"), (1, 2, 3))
    policy = replica.policies["digits"]
    assert policy.receipts == Receipts(ReceiptMode.SAMPLED, 50_000, payloads=True, max_age_seconds=60, max_bytes=1024)
    assert (policy.batching, policy.limits) == (None, Limits(4, 16, 100))
    assert [record.batching_exact for record in replica.versions.values()] == [False, False, True]
    assert "other" not in replica.policies


async def test_policies_of_a_large_snapshot_are_those_of_its_revision(registry):
    """A node that joins late gets the batching policy with its defaults filled in."""
    await registry.versions(1)
    await set_policy(registry, resources.ModelPolicy(batching=FULL.batching, limits=resources.LimitPolicy()))
    replica = Replica()
    await follow(registry, replica, 3)
    assert (replica.policies["digits"].batching, replica.policies["digits"].limits) == (Batching(64, 2000), Limits())
    assert replica.policies["digits"].receipts == Receipts()
