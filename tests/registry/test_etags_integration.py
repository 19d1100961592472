"""Policies and protections over a real server: two who change one at the same time do not undo one another."""

from __future__ import annotations

import grpc

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources

MODEL = "models/digits"
ALIAS = "models/digits/aliases/production"
LIMITS = resources.ModelPolicy(limits=resources.LimitPolicy(max_running=7))
RECEIPTS = resources.ModelPolicy(receipts=resources.ReceiptPolicy(mode=resources.ReceiptPolicy.MODE_ALL))


async def set_policy(registry, policy, etag="", **fields):
    request = api.SetModelPolicyRequest(name=MODEL, policy=policy, etag=etag, **fields)
    return (await registry.stub.SetModelPolicy(request)).model


async def protect(registry, least, etag="", **fields):
    protection = resources.AliasProtection(require_proof=True, min_requests=least) if least else None
    request = api.ProtectAliasRequest(name=ALIAS, protection=protection, etag=etag, **fields)
    return await registry.stub.ProtectAlias(request)


async def alias_etag(registry):
    return (await registry.stub.GetAlias(api.GetAliasRequest(name=ALIAS))).alias.protection_etag


async def stale(registry, call):
    """Return what a refused change says it saw and what there is."""
    failure = await registry.failure(call)
    assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    return failure.metadata["expected"], failure.metadata["actual"]


async def test_the_second_of_two_policies_is_refused(registry):
    """Of two who read one policy the second is refused, also before the first policy; no etag sets it whatever it was."""
    await registry.versions(1)
    seen = (await registry.stub.GetModel(api.GetModelRequest(name=MODEL))).model.policy_etag
    assert seen == '"0"'
    first = await set_policy(registry, LIMITS, seen)
    assert await stale(registry, set_policy(registry, RECEIPTS, seen)) == (seen, first.policy_etag)
    assert (await registry.stub.GetModel(api.GetModelRequest(name=MODEL))).model == first
    second = await set_policy(registry, RECEIPTS, first.policy_etag)
    assert await stale(registry, set_policy(registry, RECEIPTS, first.policy_etag))
    assert (await set_policy(registry, LIMITS)).policy_etag not in {first.policy_etag, second.policy_etag}


async def test_the_second_of_two_protections_is_refused(registry):
    """The same for protections, which keep an etag when they are lifted."""
    await registry.versions(1)
    await registry.promote(1)
    assert await alias_etag(registry) == '"0"'
    await protect(registry, 5, '"0"')
    first = await alias_etag(registry)
    assert await stale(registry, protect(registry, 6, '"0"')) == ('"0"', first)
    await protect(registry, 0, first)
    assert await alias_etag(registry) not in {'"0"', first}
    assert await stale(registry, protect(registry, 6, first))
    await protect(registry, 6)


async def test_a_protection_before_its_alias_has_the_etag_of_its_event(registry):
    """Until the alias is promoted, the revision of its last protection stands for the etag."""
    await registry.versions(1)
    await protect(registry, 5)
    (event,) = await registry.events(ALIAS)
    await protect(registry, 6, f'"{event.revision}"')
    assert await stale(registry, protect(registry, 7, f'"{event.revision}"'))


async def test_a_repeat_with_an_etag_gives_the_first_answer(registry):
    """A request id makes a change by etag repeatable, though its etag is stale by then."""
    await registry.versions(1)
    answers = [await set_policy(registry, LIMITS, '"0"', request_id="one") for _ in range(2)]
    assert answers[0] == answers[1]
    answers = [await protect(registry, 5, '"0"', request_id="two") for _ in range(2)]
    assert answers[0] == answers[1]


async def test_a_snapshot_has_the_etag_of_its_policy(registry):
    """A model in a snapshot and the model as it is read have the same policy and etag."""
    await registry.versions(1)
    model = await set_policy(registry, LIMITS)
    stream = registry.stub.Watch(api.WatchRequest())
    step = await anext(aiter(stream))
    while not step.snapshot.models:
        step = await anext(aiter(stream))
    assert list(step.snapshot.models) == [model]
    stream.cancel()
