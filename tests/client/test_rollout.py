"""Rollouts, policies and protections through the client, against a real registry."""

from __future__ import annotations

import pytest

from neuralmesh import AsyncClient, exceptions, rollout
from neuralmesh.registry.v1 import resources_pb2 as resources


async def push(client, count=3):
    for number in range(count):
        await client.push("m", files={"w": b"%d" % number}, kind="test")


async def test_a_promotion_names_its_arms(registry):
    """Shares are fractions and the sticky key is a text; a promotion without arms ends those that were."""
    async with AsyncClient(registry=registry) as client:
        await push(client)
        answer = await client.promote("m", 1, canary=(2, 0.1), shadow=(3, 1.0), sticky="parameter:user")
        assert answer.alias.state == resources.AliasState(
            version=1,
            canary=resources.Canary(version=2, share_ppm=100_000),
            shadow=resources.Shadow(version=3, share_ppm=1_000_000),
            sticky_key=resources.StickyKey(source=resources.StickyKey.SOURCE_PARAMETER, key="user"),
        )
        assert (await client.promote("m", 1)).alias.state == resources.AliasState(version=1)


async def test_policies_and_protections_have_their_methods(registry):
    """A policy and a protection are set, read back and lifted; a promotion without the demanded proof is refused."""
    policy = resources.ModelPolicy(limits=resources.LimitPolicy(max_running=3))
    demanded = resources.AliasProtection(require_proof=True)
    async with AsyncClient(registry=registry, actor="ada") as client:
        await push(client, 2)
        answer = await client.registry.set_model_policy("m", policy, reason="calm", request_id="one")
        assert (answer.model.policy, answer.model) == (policy, await client.registry.get_model("m"))
        await client.promote("m", 1)
        for stale in (
            client.registry.set_model_policy("m", resources.ModelPolicy(), etag='"0"'),
            client.registry.protect_alias("m", "production", demanded, etag='"1"'),
        ):
            with pytest.raises(exceptions.AbortedError) as conflict:
                await stale
            assert conflict.value.reason == "ETAG_MISMATCH"
        set_to = await client.registry.protect_alias("m", "production", demanded, reason="care", request_id="two")
        assert set_to.protection == demanded
        with pytest.raises(exceptions.FailedPreconditionError) as caught:
            await client.promote("m", 2)
        assert caught.value.reason == "PROOF_REQUIRED"
        digests = [(await client.registry.get_version("m", number)).digest for number in (1, 2)]
        unsealed = resources.Proof(
            model="m",
            baseline_version=1,
            baseline_digest=digests[0],
            candidate_version=2,
            candidate_digest=digests[1],
            source=resources.Proof.SOURCE_GOLDEN,
            requests_digest="sha256:" + 64 * "0",
            max_output_difference="0.0",
            node="nobody",
        )
        with pytest.raises(exceptions.FailedPreconditionError) as caught:
            await client.promote("m", 2, proof=unsealed)
        assert caught.value.reason == "PROOF_INVALID"
        lifted = await client.registry.protect_alias("m", "production", None)
        assert lifted.previous_protection == demanded
        await client.promote("m", 2)
        told = [(event.actor.id, event.reason) async for event in client.registry.list_events("m", "production")]
    assert told == [("ada", ""), ("ada", ""), ("ada", "care"), ("ada", "")]


@pytest.mark.parametrize(
    ("share", "parts"), [(0, 0), (1, 1_000_000), (0.1, 100_000), (0.0000005, 0), (0.333333, 333_333)]
)
def test_shares_are_parts_per_million(share, parts):
    """A share is rounded to the nearest part."""
    assert rollout.parts_per_million(share) == parts


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), 10])
def test_a_share_beyond_the_whole_is_refused(share):
    """A share that is no fraction is refused before anything is sent."""
    with pytest.raises(ValueError, match="a share goes from 0 to 1"):
        rollout.parts_per_million(share)


@pytest.mark.parametrize("text", ["parameter:user", "metadata:user-id", "id", "parameter:a:b"])
def test_sticky_keys_are_read_and_written(text):
    """A sticky key's text comes back."""
    assert rollout.sticky_text(rollout.sticky_key(text)) == text


@pytest.mark.parametrize("text", ["", "user", "parameter", "parameter:", "id:x", "header:x"])
def test_other_sticky_keys_are_refused(text):
    """A text that names no source, or a source without its key, is refused."""
    with pytest.raises(ValueError, match="a sticky key is"):
        rollout.sticky_key(text)
