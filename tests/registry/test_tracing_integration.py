"""Nodes' keys and prediction ids over a real server."""

from __future__ import annotations

import hashlib

import grpc
import pytest

from liam_core.oip import Numbers
from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh_server.prediction_id import Issuer, subject

KEY = bytes(range(32))
EPOCH = 1_700_000_000_123


async def register(registry, node="edge-1", key=KEY):
    return await registry.stub.RegisterNode(api.RegisterNodeRequest(node=node, id_key=key))


async def trace(registry, text):
    return await registry.stub.TracePrediction(api.TracePredictionRequest(prediction_id=text))


async def issue(registry, *, version=1, revision=None, uid=1, node="edge-1", key=KEY, digest=None):
    """Return the id of a prediction by a version at a revision, by default the newest."""
    if digest is None:
        name = f"models/digits/versions/{version}"
        digest = (await registry.stub.GetVersion(api.GetVersionRequest(name=name))).version.digest
    if revision is None:
        revision = len(await registry.events())
    return Issuer(node, key, EPOCH, Numbers()).issue(subject(revision, uid, version, digest), 4_567)


async def test_an_id_names_everything(registry):
    """An id resolves to node, times, sequence, revision, the whole version, and each alias move that had it in force."""
    await registry.versions(2)
    await register(registry)
    await registry.promote(2, "staging", actor="ann", reason="try it")
    await registry.promote(1)
    await registry.promote(2, reason="good")
    text = await issue(registry, version=2)
    await registry.rollback(reason="not so good")
    answer = await trace(registry, text)
    assert (answer.prediction_id, answer.node, answer.sequence, answer.applied_revision) == (text, "edge-1", 1, 7)
    assert answer.node_start_time.ToMilliseconds() == EPOCH
    assert answer.predict_time.ToMilliseconds() == EPOCH + 4_567
    assert answer.version.name == "models/digits/versions/2"
    assert answer.version.files[0].digest == "sha256:" + hashlib.sha256(b"version 1").hexdigest()
    told = [(event.alias_moved.alias.rpartition("/")[2], event.actor.id, event.reason) for event in answer.promotions]
    assert told == [("production", "anonymous", "good"), ("staging", "ann", "try it")]


async def test_a_rollback_counts_as_the_move_in_force(registry):
    """After a rollback the rollback is what had the version in force; before the first move nothing had."""
    await registry.versions(2)
    await register(registry)
    early = await issue(registry, version=1)
    await registry.promote(1)
    await registry.promote(2)
    await registry.rollback(reason="worse")
    assert list((await trace(registry, early)).promotions) == []
    (event,) = (await trace(registry, await issue(registry, version=1))).promotions
    assert (event.reason, event.alias_moved.after.version) == ("worse", 1)


async def test_ids_outlive_everything(registry, serving, tmp_path):
    """An id resolves the same after later versions, promotions and a restart of the registry."""
    await registry.versions(1)
    await register(registry)
    await registry.promote(1)
    text = await issue(registry)
    before = await trace(registry, text)
    for number in range(5):
        await registry.version(data=b"later %d" % number)
        await registry.promote(number + 2)
    await registry.app.stop()
    async with serving(tmp_path / "data") as again:
        assert await trace(again, text) == before


async def test_invented_ids_are_refused(registry):
    """Ids with one character changed, of another key, node, model, version or digest are PREDICTION_ID_INVALID."""
    await registry.versions(1)
    await register(registry)
    good = await issue(registry)
    digest = "sha256:" + "0" * 64
    invented = [
        "",
        "nm1",
        "nm2" + good[3:],
        good[:-1],
        good + "A",
        good.replace("edge-1", "edge-2"),
        "nm1.edge-1." + "A" * 64,
        "nm1.edge-1." + "ä" * 64,
        await issue(registry, key=b"x" * 32),
        await issue(registry, node="edge-9"),
        await issue(registry, uid=2),
        await issue(registry, version=2, digest=digest),
        await issue(registry, digest=digest),
    ]
    for position in range(len("nm1.edge-1."), len(good)):
        flipped = "A" if good[position] != "A" else "B"
        invented.append(good[:position] + flipped + good[position + 1 :])
    for text in invented:
        failure = await registry.failure(trace(registry, text))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PREDICTION_ID_INVALID"), text


async def test_a_genuine_id_of_an_unknown_version_says_so(registry):
    """An id whose checksum holds but whose version this registry lacks is not called invented."""
    await registry.versions(1)
    await register(registry)
    for text in (await issue(registry, uid=2), await issue(registry, digest="sha256:" + "0" * 64)):
        failure = await registry.failure(trace(registry, text))
        assert failure.reason == "PREDICTION_ID_INVALID"
        assert "is genuine, but this registry has no such version" in failure.message
        assert "no node issued" not in failure.message


async def test_a_time_beyond_the_calendar_is_refused(registry):
    """A genuine id whose time lies beyond the year 9999, which no answer can hold, is refused; the last one resolves."""
    await registry.versions(1)
    await register(registry)
    digest = (await registry.stub.GetVersion(api.GetVersionRequest(name="models/digits/versions/1"))).version.digest
    parts = subject(2, 1, 1, digest)
    last = 253_402_300_799_999
    assert (
        await trace(registry, Issuer("edge-1", KEY, last - 5, Numbers()).issue(parts, 5))
    ).predict_time.ToMilliseconds() == last
    for epoch, offset in ((last - 5, 6), (2**48 - 1, 2**40 - 1)):
        failure = await registry.failure(trace(registry, Issuer("edge-1", KEY, epoch, Numbers()).issue(parts, offset)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PREDICTION_ID_INVALID")
        assert "beyond the year 9999" in failure.message


async def test_a_node_has_one_key(registry):
    """Repeating a key changes nothing and returns its revision; another key is refused; the log shows no key."""
    assert (await register(registry)).revision == 1
    assert (await register(registry)).revision == 1
    failure = await registry.failure(register(registry, key=b"x" * 32))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NODE_KEY_CONFLICT")
    (event,) = await registry.events()
    assert event.node_registered.node == "edge-1"
    assert event.node_registered.key_fingerprint == hashlib.sha256(KEY).hexdigest()[:16]
    assert event.actor.id == "edge-1"
    assert KEY not in event.SerializeToString()
    assert KEY.hex().encode() not in event.canonical


@pytest.mark.parametrize("size", [0, 31, 33])
async def test_keys_have_their_length(registry, size):
    """A key of another length than 32 bytes is FIELD_INVALID."""
    failure = await registry.failure(register(registry, key=b"k" * size))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "id_key")
