"""Following the registry: snapshots, events, heartbeats; a follower that computes the state digest by itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct

import grpc

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources


def state_form(state):
    """Return the form of an alias's state, from the contract's words."""
    form = {"version": state.version}
    for name, arm in (("canary", state.canary), ("shadow", state.shadow)):
        if arm.version:
            form[name] = {"version": arm.version, "share_ppm": arm.share_ppm}
    if state.HasField("sticky_key"):
        form["sticky_key"] = {"source": state.sticky_key.source, "key": state.sticky_key.key}
    return form


def policy_form(policy):
    """Return the form of a policy, from the contract's words."""
    form = {}
    if policy.HasField("receipts"):
        receipts = policy.receipts
        form["receipts"] = {
            "mode": ["off", "off", "sampled", "all"][receipts.mode],
            "sample_ppm": receipts.sample_ppm,
            "content": ["digests", "digests", "payloads"][receipts.content],
            "max_age_seconds": receipts.max_age_seconds,
            "max_bytes": receipts.max_bytes,
        }
    if policy.HasField("batching"):
        form["batching"] = {
            "max_rows": policy.batching.max_rows,
            "max_delay_us": policy.batching.max_delay_us,
        }
    if policy.HasField("limits"):
        form["limits"] = {
            "max_running": policy.limits.max_running,
            "max_queued": policy.limits.max_queued,
            "max_wait_ms": policy.limits.max_wait_ms,
        }
    return form


class Follower:
    """An independent follower: entries from the contract's words, the sum with plain integers."""

    def __init__(self):
        self.revision = 0
        self.digest = b""
        self.models = {}
        self.versions = {}
        self.aliases = {}
        self.states = {}
        self.policies = {}
        self.heartbeats = 0
        self.snapshots = 0
        self.messages = 0
        self.complete = asyncio.Event()

    def apply(self, message):
        self.messages += 1
        change = message.WhichOneof("change")
        if change is None:
            self.heartbeats += 1
            assert message.revision == self.revision
        elif change == "snapshot":
            self.snapshot(message.snapshot)
            if not message.snapshot.last:
                assert message.state_digest == b""
                return
            self.complete.set()
        else:
            for event in message.events.events:
                assert event.revision == self.revision + 1
                assert event.leaf_hash == hashlib.sha256(b"\0" + event.canonical).digest()
                self.event(event)
                self.revision = event.revision
        self.revision, self.digest = message.revision, message.state_digest
        assert self.digest == self.computed()

    def snapshot(self, part):
        if part.first:
            self.snapshots += 1
            self.models, self.versions, self.aliases, self.states, self.policies = {}, {}, {}, {}, {}
        assert len(part.models) + len(part.versions) + len(part.aliases) <= 500
        for model in part.models:
            self.models[model.name.split("/")[1]] = (model.uid, model.latest_version)
            if model.HasField("policy"):
                self.policies[model.name.split("/")[1]] = policy_form(model.policy)
        for version in part.versions:
            self.versions[version.name.split("/")[1], version.version] = version.digest
        for alias in part.aliases:
            _, model, _, name = alias.name.split("/")
            stack = [*reversed(alias.rollback_versions), alias.state.version]
            self.aliases[model, name] = (alias.revision, stack)
            self.states[model, name] = state_form(alias.state)

    def event(self, event):
        change = event.WhichOneof("change")
        if change == "model_created":
            model = event.model_created.model
            self.models[model.name.split("/")[1]] = (model.uid, 0)
        elif change == "version_created":
            version = event.version_created.version
            name = version.name.split("/")[1]
            self.versions[name, version.version] = version.digest
            self.models[name] = (self.models[name][0], version.version)
        elif change == "alias_moved":
            moved = event.alias_moved
            _, model, _, name = moved.alias.split("/")
            stack = list(self.aliases.get((model, name), (0, []))[1])
            if moved.kind == moved.KIND_PROMOTE:
                stack.append(moved.after.version)
            else:
                stack.pop()
                while stack[-1] != moved.after.version:
                    stack.pop()
            self.aliases[model, name] = (event.revision, stack)
            self.states[model, name] = state_form(moved.after)
        elif change == "model_policy_changed":
            changed = event.model_policy_changed
            self.policies[changed.model.split("/")[1]] = policy_form(changed.after)

    def computed(self):
        lanes = [0] * 1024
        entries = [{"entry": "model", "model": name, "uid": uid} for name, (uid, _) in self.models.items()]
        for (model, number), digest in self.versions.items():
            entries.append({"entry": "version", "model": model, "version": number, "digest": digest})
        for (model, name), (revision, stack) in self.aliases.items():
            entries.append(
                {
                    "entry": "alias",
                    "model": model,
                    "alias": name,
                    "revision": revision,
                    "state": self.states[model, name],
                    "previous": stack[-2] if len(stack) > 1 else 0,
                }
            )
        entries += [{"entry": "policy", "model": model, "policy": form} for model, form in self.policies.items()]
        for entry in entries:
            text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            for lane, value in enumerate(struct.unpack("<1024H", hashlib.shake_128(text).digest(2048))):
                lanes[lane] = (lanes[lane] + value) % 65536
        return hashlib.sha256(struct.pack("<1024H", *lanes)).digest()

    async def follow(self, registry, until, *, messages=None):
        """Apply messages until a revision is reached, or so many have come."""
        request = api.WatchRequest(from_revision=self.revision, state_digest=self.digest, node="edge-1")
        call = registry.stub.Watch(request)
        count = 0
        async with asyncio.timeout(60):
            async for message in call:
                self.apply(message)
                count += 1
                if message.state_digest and (self.revision >= until or (messages and count >= messages)):
                    break
        call.cancel()


async def test_an_empty_registry_begins_with_an_empty_snapshot(registry):
    """A new follower of an empty registry gets one snapshot that is first and last, at revision 0."""
    follower = Follower()
    await follower.follow(registry, 0)
    assert (follower.snapshots, follower.messages, follower.revision) == (1, 1, 0)


async def test_snapshot_then_events(registry):
    """A new follower gets the whole state, then every event, and its own digest is the registry's at each step."""
    await registry.versions(3)
    await registry.promote(1)
    await registry.promote(3)
    follower = Follower()
    following = asyncio.create_task(follower.follow(registry, 9))
    async with asyncio.timeout(20):
        await follower.complete.wait()
    await registry.rollback()
    await registry.model("other")
    await registry.promote(2, "staging")
    await following
    assert follower.snapshots == 1
    assert follower.aliases["digits", "production"] == (7, [1])
    assert follower.models == {"digits": (1, 3), "other": (2, 0)}


async def test_large_snapshots_come_in_parts(registry):
    """A state of more than 500 entries comes in several parts, first and last marked, with one digest at the end."""
    await registry.versions(620)
    for number in range(40):
        await registry.promote(1 + number, f"alias-{number}")
    follower = Follower()
    await follower.follow(registry, 1)
    assert follower.messages >= 3
    assert (len(follower.versions), len(follower.aliases)) == (620, 40)
    assert follower.models["digits"] == (1, 620)


async def test_arms_policies_and_protections_join_the_digest(registry):
    """Arms and policies are part of the followed state in events and snapshots; a protection is no part of it."""
    await registry.versions(3)
    follower = Follower()
    await follower.follow(registry, 4)
    for share in (5, 1_000_000):
        state = resources.AliasState(
            version=1,
            canary=resources.Canary(version=2, share_ppm=share),
            shadow=resources.Shadow(version=3),
            sticky_key=resources.StickyKey(source=resources.StickyKey.SOURCE_METADATA, key="user"),
        )
        await registry.stub.PromoteAlias(api.PromoteAliasRequest(name="models/digits/aliases/production", state=state))
        policy = resources.ModelPolicy(
            receipts=resources.ReceiptPolicy(
                mode=resources.ReceiptPolicy.MODE_SAMPLED,
                sample_ppm=share,
                content=resources.ReceiptPolicy.CONTENT_DIGESTS,
            ),
            limits=resources.LimitPolicy(max_running=3),
        )
        await registry.stub.SetModelPolicy(api.SetModelPolicyRequest(name="models/digits", policy=policy))
    before = (await registry.stub.GetModel(api.GetModelRequest(name="models/digits"))).model.policy
    await follower.follow(registry, 8)
    held = follower.digest
    protection = resources.AliasProtection(require_proof=True)
    await registry.stub.ProtectAlias(
        api.ProtectAliasRequest(name="models/digits/aliases/production", protection=protection)
    )
    await follower.follow(registry, 9)
    assert (follower.digest, follower.snapshots, before) == (held, 1, policy)
    late = Follower()
    await late.follow(registry, 9)
    assert (late.digest, late.states, late.policies) == (held, follower.states, follower.policies)
    await registry.rollback()
    await late.follow(registry, 10)
    assert late.states["digits", "production"]["canary"]["share_ppm"] == 5


async def test_reconnects_under_writes_have_no_gap(registry):
    """A follower that is cut off again and again while others write misses nothing and needs one snapshot only."""
    await registry.versions(4)
    writing = True
    done = 0

    async def write(alias):
        nonlocal done
        turn = 0
        while writing:
            turn += 1
            canary = resources.Canary(version=1 + (turn + 1) % 4, share_ppm=turn)
            state = resources.AliasState(version=1 + turn % 4, canary=canary if turn % 2 else None)
            request = api.PromoteAliasRequest(name=f"models/digits/aliases/{alias}", state=state)
            await registry.stub.PromoteAlias(request)
            if alias == "alias-0":
                policy = resources.ModelPolicy(limits=resources.LimitPolicy(max_running=turn))
                await registry.stub.SetModelPolicy(api.SetModelPolicyRequest(name="models/digits", policy=policy))
            if turn % 3 == 0:
                await registry.rollback(alias=alias)
            done += 1

    writers = [asyncio.create_task(write(f"alias-{number}")) for number in range(6)]
    follower = Follower()
    for turn in range(25):
        await follower.follow(registry, 10**9, messages=1 + turn % 3)
    writing = False
    await asyncio.gather(*writers)
    events = await registry.events()
    await follower.follow(registry, len(events))
    assert (follower.snapshots, follower.revision) == (1, len(events))
    assert [event.revision for event in events] == list(range(1, len(events) + 1))
    assert done > 20


async def test_many_followers_see_the_same(registry):
    """Followers that join at different times under writes all end with the registry's digest."""
    await registry.versions(3)

    async def write():
        for turn in range(60):
            await registry.promote(1 + turn % 3)

    followers = [Follower() for _ in range(8)]
    await asyncio.gather(write(), *(follower.follow(registry, 64) for follower in followers))
    assert {follower.digest for follower in followers} == {followers[0].digest}


async def test_a_wrong_digest_brings_a_snapshot(registry):
    """A follower whose state differs is given the whole state anew; one that gives no digest is trusted."""
    await registry.versions(2)
    call = registry.stub.Watch(api.WatchRequest(from_revision=2, state_digest=b"x" * 32))
    message = await call.read()
    assert message.snapshot.first
    call.cancel()
    call = registry.stub.Watch(api.WatchRequest(from_revision=2))
    message = await call.read()
    assert [event.revision for event in message.events.events] == [3]
    call.cancel()


async def test_a_follower_ahead_is_refused(registry):
    """A revision that the registry has not reached is FAILED_PRECONDITION: the follower belongs to another registry."""
    await registry.versions(1)

    async def watch():
        await registry.stub.Watch(api.WatchRequest(from_revision=3)).read()

    failure = await registry.failure(watch())
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REVISION_AHEAD")
    assert failure.metadata["revision"] == "2"


async def test_silence_has_a_heartbeat(serving, tmp_path):
    """In silence a follower hears revision and digest at the interval that is set."""
    async with serving(tmp_path / "data", heartbeat=0.05) as registry:
        await registry.versions(1)
        follower = Follower()
        await follower.follow(registry, 10**9, messages=4)
        assert (follower.snapshots, follower.heartbeats) == (1, 2)


async def test_a_slow_follower_holds_nobody_up(registry):
    """While a follower does not read, writers go on; afterwards it gets every event."""
    await registry.versions(2)
    call = registry.stub.Watch(api.WatchRequest(from_revision=3))
    async with asyncio.timeout(60):
        for turn in range(400):
            await registry.promote(1 + turn % 2, reason="r" * 1024)
    seen = 3
    async with asyncio.timeout(60):
        async for message in call:
            for event in message.events.events:
                seen += 1
                assert event.revision == seen
            if seen == 403:
                break
    call.cancel()


async def test_a_stopping_registry_ends_the_stream(serving, tmp_path):
    """At the registry's stop a stream ends at once as UNAVAILABLE, and the next process goes on from the revision."""
    follower = Follower()
    async with serving(tmp_path / "data") as registry:
        await registry.versions(2)
        await follower.follow(registry, 3)
        call = registry.stub.Watch(api.WatchRequest(from_revision=3))
        reading = asyncio.ensure_future(call.read())
        await registry.promote(1)
        await reading
        follower.apply(reading.result())
        async with asyncio.timeout(4):
            await registry.app.stop()
        failure = await registry.failure(call.read())
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")
    async with serving(tmp_path / "data") as registry:
        await registry.promote(2)
        await follower.follow(registry, 5)
        assert (follower.snapshots, follower.aliases["digits", "production"][1]) == (1, [1, 2])
