"""What stands before an upstream: receipts and replays of its answers, proofs, canary and shadow arms."""

from __future__ import annotations

import pytest

from neuralmesh import exceptions, oip
from neuralmesh.inference.v1 import node_service_pb2, receipt_pb2
from neuralmesh.registry.v1 import resources_pb2
from neuralmesh_server.inference.app import InferenceApp
from tests.inference import models
from tests.inference.conftest import Suite, push_digits, when, when_ready
from tests.inference.test_remote_nodes import ask, push_remote

RECORD_ALL = resources_pb2.ModelPolicy(
    receipts=resources_pb2.ReceiptPolicy(
        mode=resources_pb2.ReceiptPolicy.MODE_ALL, content=resources_pb2.ReceiptPolicy.CONTENT_PAYLOADS
    )
)


@pytest.fixture
async def behind(suite: Suite) -> InferenceApp:
    """A node that serves version 1 of the model `digits`, a packed network."""
    node = await suite.start_node("behind")
    await push_digits(suite.client(node), models.digits_liam(suite.folder), "liam.binary_network")
    await when_ready(node, "digits", 1)
    return node


@pytest.mark.parametrize("expected", [False, True])
async def test_receipts_say_how_far_an_answer_can_be_trusted(
    suite: Suite, behind: InferenceApp, expected: bool
) -> None:
    """A receipt promises what the upstream promises where its digest is proved, else nothing; a replay asks again."""
    node = await suite.start_node("front")
    client = suite.client(node)
    digest = (await client.registry.get_version("digits", 1)).digest if expected else ""
    await push_remote(client, "far", behind.endpoint, "digits", expects_digest=digest)
    await client.registry.set_model_policy("far", RECORD_ALL)
    await when(node, lambda s: ("far", 1) in s.served and s.route("far", "1").policy.receipts.payloads)
    answer, parameters = await ask(client, "far")
    receipt = await client.node.get_receipt(parameters["prediction_id"])
    wanted = receipt_pb2.Receipt.NUMERICS_BIT_EXACT if expected else receipt_pb2.Receipt.NUMERICS_UNVERIFIED
    assert (receipt.version, receipt.digest, receipt.numerics) == (1, parameters["digest"], wanted)
    assert oip.ModelInferResponse.FromString(receipt.response) == answer
    again = await client.node.replay_prediction(parameters["prediction_id"])
    assert (again.verdict, again.numerics) == (node_service_pb2.ReplayPredictionResponse.VERDICT_IDENTICAL, wanted)


@pytest.mark.parametrize("expected", [False, True])
async def test_a_proof_compares_with_the_upstream(suite: Suite, behind: InferenceApp, expected: bool) -> None:
    """A candidate that another server runs is proved on recorded requests; the proof says whether what ran was."""
    node = await suite.start_node("front")
    client = suite.client(node)
    digest = (await client.registry.get_version("digits", 1)).digest if expected else ""
    await push_remote(
        client, "digits", behind.endpoint, "digits", version="1", signature=models.DIGITS, expects_digest=digest
    )
    await client.promote("digits", 1)
    await client.registry.set_model_policy("digits", RECORD_ALL)
    await when(
        node,
        lambda s: ("digits", 2) in s.served and ("digits", "production") in s.aliases
        and s.route("digits", "").policy.receipts.payloads,
    )  # fmt: skip
    for _ in range(3):
        await ask(client, "digits", "production")
    proof = await client.node.prove_candidate("digits", 2, source=resources_pb2.Proof.SOURCE_RECORDED)
    assert (proof.requests, proof.rows, proof.agreeing_rows, proof.identical_requests) == (3, 15, 15, 3)
    assert (proof.baseline_errors, proof.candidate_errors, proof.unverified) == (0, 0, not expected)
    protection = resources_pb2.AliasProtection(require_proof=True)
    await client.registry.protect_alias("digits", "production", protection)
    if not expected:
        with pytest.raises(exceptions.FailedPreconditionError) as failure:
            await client.promote("digits", 2, proof=proof)
        assert failure.value.metadata["limit"] == "allow_unverified"
        protection.allow_unverified = True
        await client.registry.protect_alias("digits", "production", protection)
    assert (await client.promote("digits", 2, proof=proof)).alias.proof == proof


async def test_a_canary_splits_between_a_network_and_an_upstream(suite: Suite, behind: InferenceApp) -> None:
    """Units of one alias go to a version that runs here or to one that runs elsewhere, each always to the same."""
    node = await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "digits", behind.endpoint, "digits", version="1", signature=models.DIGITS)
    await when_ready(node, "digits", 1, 2)
    await client.promote("digits", 1, canary=(2, 0.5), sticky="id")
    await when(node, lambda s: ("digits", "production") in s.aliases and s.route("digits", "").rollout is not None)
    direct, _ = await ask(client, "digits", "1")
    seen: dict[str, str] = {}
    for number in range(80):
        unit = f"u{number % 40}"
        answer, parameters = await ask(client, "digits", id=unit)
        assert seen.setdefault(unit, answer.model_version) == answer.model_version
        assert ("identity" in parameters) == (answer.model_version == "2")
        assert list(answer.raw_output_contents) == list(direct.raw_output_contents)
    assert set(seen.values()) == {"1", "2"}
