"""Protected aliases over a real server: what a promotion must bring along, and which proofs hold."""

from __future__ import annotations

import dataclasses
import time

import grpc
import pytest

from neuralmesh.registry.v1 import registry_service_pb2 as api
from neuralmesh.registry.v1 import resources_pb2 as resources
from neuralmesh_server import proof_seal
from neuralmesh_server.registry import convert_rollout

MODEL = "models/digits"
ALIAS = "models/digits/aliases/production"
KEY = bytes(range(32))
NODE = "edge-1"
DAY_MS = 24 * 3600 * 1000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def proof(registry, baseline=1, candidate=2, *, key=KEY, **fields):
    """Return a sealed proof of a perfect match, except for the given fields."""
    digests = [
        (await registry.stub.GetVersion(api.GetVersionRequest(name=f"{MODEL}/versions/{number}"))).version.digest
        for number in (baseline, candidate)
    ]
    found = proof_seal.Proof(
        model="digits",
        baseline_version=baseline,
        baseline_digest=digests[0],
        candidate_version=candidate,
        candidate_digest=digests[1],
        source=proof_seal.ProofSource.GOLDEN,
        requests_digest="sha256:" + 64 * "0",
        requests=100,
        rows=1000,
        agreeing_rows=995,
        identical_requests=90,
        max_output_difference="1e-05",
        baseline_errors=1,
        candidate_errors=1,
        new_errors=0,
        baseline_p50_ns=1000,
        baseline_p99_ns=5000,
        candidate_p50_ns=1200,
        candidate_p99_ns=5000,
        node=NODE,
        time_ms=now_ms(),
    )
    return convert_rollout.proof_message(proof_seal.sealed(dataclasses.replace(found, **fields), key))


async def prepare(registry, **limits):
    """Make three versions, a node, and a protected alias that names version 1."""
    await registry.versions(3)
    await registry.stub.RegisterNode(api.RegisterNodeRequest(node=NODE, id_key=KEY))
    await registry.promote(1)
    await protect(registry, resources.AliasProtection(require_proof=True, **limits))


async def protect(registry, protection, **fields):
    return await registry.stub.ProtectAlias(api.ProtectAliasRequest(name=ALIAS, protection=protection, **fields))


async def promote(registry, version, *, canary=None, shadow=None, proof=None):
    state = resources.AliasState(
        version=version,
        canary=canary and resources.Canary(version=canary[0], share_ppm=canary[1]),
        shadow=shadow and resources.Shadow(version=shadow, share_ppm=5),
    )
    return await registry.stub.PromoteAlias(api.PromoteAliasRequest(name=ALIAS, state=state, proof=proof))


async def refused(registry, call):
    """Return why a call is a failed precondition."""
    failure = await registry.failure(call)
    assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
    return failure


async def test_a_protected_alias_moves_with_a_proof_only(registry):
    """Without a proof the promotion is refused; with one it is taken and kept with the move and the alias."""
    await prepare(registry)
    failure = await refused(registry, promote(registry, 2))
    assert (failure.reason, failure.metadata["version"], failure.metadata["baseline"]) == ("PROOF_REQUIRED", "2", "1")
    evidence = await proof(registry)
    answer = await promote(registry, 2, proof=evidence)
    assert answer.alias.proof == evidence
    assert answer.alias.protection == resources.AliasProtection(require_proof=True)
    assert (await registry.events())[-1].alias_moved.proof == evidence
    assert (await registry.stub.GetAlias(api.GetAliasRequest(name=ALIAS))).alias == answer.alias


async def test_rollbacks_need_no_proof(registry):
    """A protected alias rolls back without one, and shows the proof of the promotion that is in force again."""
    await prepare(registry)
    first = await proof(registry)
    await promote(registry, 2, proof=first)
    await promote(registry, 3, proof=await proof(registry, 2, 3))
    answer = await registry.rollback()
    assert answer.alias.proof == first
    assert not (await registry.rollback()).alias.HasField("proof")


async def test_protection_holds_before_the_alias_exists(registry):
    """An alias can be protected before its first promotion, which needs no proof; the second does."""
    await registry.versions(2)
    demanded = resources.AliasProtection(require_proof=True, min_requests=5)
    assert not (await protect(registry, demanded, actor="ann", reason="care")).HasField("previous_protection")
    failure = await registry.failure(registry.stub.GetAlias(api.GetAliasRequest(name=ALIAS)))
    assert failure.reason == "ALIAS_NOT_FOUND"
    (event,) = await registry.events(ALIAS)
    assert (event.actor.id, event.reason, event.alias_protected.after) == ("ann", "care", demanded)
    assert (await promote(registry, 1)).alias.protection == demanded
    assert (await refused(registry, promote(registry, 2))).reason == "PROOF_REQUIRED"


async def test_a_protection_is_replaced_and_lifted(registry):
    """A second protection replaces the first, the same one writes no event, and an absent one lifts it."""
    await prepare(registry)
    other = resources.AliasProtection(
        require_proof=True, min_agreement_ppm=5, required_source=resources.Proof.SOURCE_RECORDED, allow_unverified=True
    )
    answer = await protect(registry, other)
    assert answer.previous_protection == resources.AliasProtection(require_proof=True)
    count = len(await registry.events())
    assert (await protect(registry, other)).previous_protection == other
    assert len(await registry.events()) == count
    lifted = await protect(registry, None)
    assert (lifted.HasField("protection"), lifted.previous_protection) == (False, other)
    assert not (await promote(registry, 2)).alias.HasField("protection")
    assert not (await registry.events())[-2].alias_protected.HasField("after")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "protection.require_proof"),
        ({"require_proof": True, "min_agreement_ppm": 1_000_001}, "protection.min_agreement_ppm"),
        ({"require_proof": True, "max_output_difference": "-1"}, "protection.max_output_difference"),
        ({"require_proof": True, "max_output_difference": "nan"}, "protection.max_output_difference"),
        ({"require_proof": True, "max_output_difference": "inf"}, "protection.max_output_difference"),
        ({"require_proof": True, "max_output_difference": "1" * 400}, "protection.max_output_difference"),
        ({"require_proof": True, "required_source": 9}, "protection.required_source"),
    ],
)
async def test_a_wrong_protection_is_refused(registry, fields, field):
    """A protection that protects nothing and a limit that is no number are named."""
    await registry.versions(1)
    failure = await registry.failure(protect(registry, resources.AliasProtection(**fields)))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", field)


@pytest.mark.parametrize(
    ("fields", "limits", "limit"),
    [
        ({"requests": 0, "rows": 0, "agreeing_rows": 0}, {}, "min_requests"),
        ({"requests": 9}, {"min_requests": 10}, "min_requests"),
        ({"agreeing_rows": 989}, {"min_agreement_ppm": 990_000}, "min_agreement_ppm"),
        ({"baseline_errors": 100, "candidate_errors": 100}, {}, "min_requests"),
        ({"baseline_errors": 50, "new_errors": 41}, {"min_requests": 10, "max_new_errors": 99}, "min_requests"),
        ({"rows": 0, "agreeing_rows": 0}, {}, "rows"),
        ({"rows": 0, "agreeing_rows": 0}, {"min_agreement_ppm": 1}, "rows"),
        ({}, {"required_source": resources.Proof.SOURCE_RECORDED}, "required_source"),
        ({"unverified": True}, {}, "allow_unverified"),
        ({"max_output_difference": "0.00010000000000000002"}, {"max_output_difference": "1e-4"}, ""),
        ({"max_output_difference": "inf"}, {"max_output_difference": "1e300"}, "max_output_difference"),
        ({"new_errors": 1}, {}, "max_new_errors"),
        ({"candidate_p50_ns": 1501}, {"max_latency_ratio_ppm": 1_500_000}, "max_latency_ratio_ppm"),
        ({"baseline_p50_ns": 0}, {"max_latency_ratio_ppm": 1_500_000}, "max_latency_ratio_ppm"),
    ],
)
async def test_a_proof_beyond_a_limit_is_insufficient(registry, fields, limits, limit):
    """Each limit refuses the first number beyond it and says which limit and what the proof has."""
    await prepare(registry, **limits)
    failure = await refused(registry, promote(registry, 2, proof=await proof(registry, **fields)))
    assert failure.reason == "PROOF_INSUFFICIENT"
    assert failure.metadata["limit"] == (limit or "max_output_difference")
    assert failure.metadata["actual"]


async def test_a_proof_at_its_limits_is_taken(registry):
    """Every limit takes the number that equals it."""
    await prepare(
        registry,
        min_requests=97,
        required_source=resources.Proof.SOURCE_GOLDEN,
        allow_unverified=True,
        min_agreement_ppm=995_000,
        max_output_difference="0.00001",
        max_new_errors=2,
        max_latency_ratio_ppm=1_200_000,
    )
    evidence = await proof(registry, new_errors=2, unverified=True)
    assert (await promote(registry, 2, proof=evidence)).alias.proof == evidence


@pytest.mark.parametrize("protected", [True, False])
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model": "other"}, "of model"),
        ({"baseline": 3}, "compares with version 3"),
        ({"candidate": 3}, "candidate 3"),
        ({"baseline_digest": "sha256:" + 64 * "1"}, "another digest of version 1"),
        ({"candidate_digest": "sha256:" + 64 * "1"}, "another digest of version 2"),
        ({"key": bytes(32)}, "seal"),
        ({"node": "edge-2"}, "seal"),
    ],
)
async def test_a_proof_of_something_else_is_invalid(registry, fields, why, protected):
    """A proof of another move or by nobody known is refused, whether or not one is demanded."""
    await prepare(registry)
    if not protected:
        await protect(registry, None)
    failure = await refused(registry, promote(registry, 2, proof=await proof(registry, **fields)))
    assert failure.reason == "PROOF_INVALID"
    assert why in failure.message


async def test_every_field_is_under_the_seal(registry):
    """A proof of which any one field was changed after it was sealed is refused."""
    await prepare(registry)
    genuine = await proof(registry)
    for field in genuine.DESCRIPTOR.fields:
        forged = resources.Proof.FromString(genuine.SerializeToString())
        value = getattr(forged, field.name)
        if field.name in {"model", "node"} or field.name.endswith(("_version", "_digest")):
            continue  # refused for what they say, as above
        if field.name == "source":
            forged.source = resources.Proof.SOURCE_RECORDED
        elif field.name == "seal":
            forged.seal = bytes(32)
        elif field.name == "max_output_difference":
            forged.max_output_difference = "0"
        else:
            setattr(forged, field.name, value + 1)
        failure = await refused(registry, promote(registry, 2, proof=forged))
        assert (failure.reason, "seal" in failure.message) == ("PROOF_INVALID", True), field.name
    await promote(registry, 2, proof=genuine)


@pytest.mark.parametrize(
    ("age_ms", "limit", "taken"),
    [
        (DAY_MS - 60_000, 0, True),
        (DAY_MS + 60_000, 0, False),
        (60_000, 30, False),
        (-60_000, 0, True),
        (-3_600_000, 0, False),
    ],
)
async def test_a_proof_ages(registry, age_ms, limit, taken):
    """A proof is taken for a day, or as long as the protection says, and not from the future."""
    await prepare(registry, max_proof_age_seconds=limit)
    call = promote(registry, 2, proof=await proof(registry, time_ms=now_ms() - age_ms))
    if taken:
        await call
    else:
        assert (await refused(registry, call)).reason == "PROOF_INVALID"


async def test_a_proof_that_nobody_demanded_is_kept(registry):
    """Without a protection a genuine proof of the move is kept, however old."""
    await prepare(registry)
    await protect(registry, None)
    evidence = await proof(registry, time_ms=now_ms() - 10 * DAY_MS)
    assert (await promote(registry, 2, proof=evidence)).alias.proof == evidence


async def test_the_same_state_again_does_not_hide_a_forged_proof(registry):
    """A promotion to the state that holds checks its proof; the very promotion again is taken and changes nothing."""
    await prepare(registry)
    evidence = await proof(registry)
    moved = await promote(registry, 2, proof=evidence)
    forged = resources.Proof.FromString(evidence.SerializeToString())
    forged.rows += 1
    assert (await refused(registry, promote(registry, 2, proof=forged))).reason == "PROOF_INVALID"
    assert (await promote(registry, 2, proof=evidence)).alias == moved.alias
    assert (await promote(registry, 2)).alias == moved.alias


async def test_arms_need_proofs_when_they_expose_more(registry):
    """A new canary, a larger share and a new shadow need a proof of their version; less exposure needs none."""
    await prepare(registry)
    evidence = await proof(registry)
    assert (await refused(registry, promote(registry, 1, canary=(2, 10)))).reason == "PROOF_REQUIRED"
    await promote(registry, 1, canary=(2, 0))
    await promote(registry, 1, canary=(2, 10), proof=evidence)
    await promote(registry, 1, canary=(2, 5))
    assert (await refused(registry, promote(registry, 1, canary=(2, 6)))).reason == "PROOF_REQUIRED"
    await promote(registry, 1, canary=(2, 6), proof=evidence)
    await promote(registry, 1)
    assert (await refused(registry, promote(registry, 1, shadow=2))).reason == "PROOF_REQUIRED"
    await promote(registry, 1, shadow=2, proof=evidence)
    failure = await refused(registry, promote(registry, 1, canary=(3, 5), shadow=2, proof=evidence))
    assert (failure.reason, "covers version 2" in failure.message) == ("PROOF_INVALID", True)
    failure = await refused(registry, promote(registry, 2, canary=(3, 5), proof=evidence))
    assert (failure.reason, "2 and 3" in failure.message) == ("PROOF_INVALID", True)
    await promote(registry, 2, canary=(1, 5), proof=evidence)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", 0),
        ("rows", 2**53),
        ("time_ms", -1),
        ("max_output_difference", "-0.5"),
        ("max_output_difference", ""),
    ],
)
async def test_a_malformed_proof_is_an_invalid_argument(registry, field, value):
    """A proof whose fields are outside their ranges is INVALID_ARGUMENT before anything is looked up."""
    await prepare(registry)
    evidence = await proof(registry)
    setattr(evidence, field, value)
    failure = await registry.failure(promote(registry, 2, proof=evidence))
    assert (failure.code, failure.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, f"proof.{field}")


async def test_repeats_with_a_proof_give_the_first_answer(registry):
    """The same request id with the same proof returns the first answer, with another proof it is refused."""
    await prepare(registry)
    state = resources.AliasState(version=2)
    evidence, other = await proof(registry), await proof(registry, rows=2000)
    request = api.PromoteAliasRequest(name=ALIAS, state=state, proof=evidence, request_id="once")
    first = await registry.stub.PromoteAlias(request)
    assert await registry.stub.PromoteAlias(request) == first
    request.proof.CopyFrom(other)
    assert (await registry.failure(registry.stub.PromoteAlias(request))).reason == "REQUEST_ID_REUSED"
    request = api.ProtectAliasRequest(name=ALIAS, request_id="twice")
    lifted = await registry.stub.ProtectAlias(request)
    assert await registry.stub.ProtectAlias(request) == lifted
