"""Proofs: what a node finds when it runs two versions on the same requests, and what the registry makes of it."""

from __future__ import annotations

import asyncio
import hashlib

import numpy as np
import pytest

from neuralmesh import AsyncClient, exceptions
from neuralmesh_server import proof_seal
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.evidence import convert_node
from neuralmesh_server.inference.evidence.proof_tally import Run, Tally, agreeing, percentile
from tests.inference import models
from tests.inference.conftest import Suite, pb, when, when_ready
from tests.inference.test_golden import npz
from tests.inference.test_receipts import PAYLOADS, ask, record, request

ROWS = np.random.default_rng(21).random((40, 64), dtype=np.float32)
GOLDEN, RECORDED = pb.Proof.SOURCE_GOLDEN, pb.Proof.SOURCE_RECORDED


def oracle(seed: int, rows: np.ndarray = ROWS) -> np.ndarray:
    """Return the labels of an ONNX version from its weights."""
    return (rows @ models.digits_weights(seed)).argmax(1)


async def push(client: AsyncClient, seed: int, *, golden: np.ndarray | None = ROWS) -> int:
    """Push an ONNX version, with a golden set unless told otherwise."""
    files = {"model.onnx": models.digits_onnx(seed)}
    if golden is not None:
        files["golden.npz"] = npz(input=golden)
    version = await client.push("digits", kind="onnx", files=files, signature=models.DIGITS)
    return int(version.version)


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node with versions 1 (`production`), 2 of other weights, and 3 of the first one's; 2 and 3 bring examples."""
    node = await suite.start_node()
    client = suite.client(node)
    await push(client, 1, golden=None)
    await push(client, 2)
    await push(client, 1)
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1, 2, 3)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    return node


@pytest.fixture
async def client(suite: Suite, node: InferenceApp) -> AsyncClient:
    """Its client."""
    return suite.client(node)


async def test_a_golden_set_compares_two_versions(suite: Suite, client: AsyncClient) -> None:
    """Agreement, differences and digests are those that the weights give, and the report is sealed by the node."""
    proof = await client.node.prove_candidate("digits", 2)
    agreed = int((oracle(1) == oracle(2)).sum())
    assert (proof.model, proof.baseline_version, proof.candidate_version) == ("digits", 1, 2)
    assert (proof.source, proof.requests, proof.rows, proof.agreeing_rows) == (GOLDEN, 40, 40, agreed)
    assert 0 < agreed < 40
    assert (proof.identical_requests, proof.baseline_errors, proof.candidate_errors, proof.new_errors) == (0, 0, 0, 0)
    gap = float(np.abs(ROWS @ models.digits_weights(1) - ROWS @ models.digits_weights(2)).max())
    assert float(proof.max_output_difference) == pytest.approx(gap, rel=1e-4)
    for version, digest in ((1, proof.baseline_digest), (2, proof.candidate_digest)):
        assert digest == (await client.registry.get_version("digits", version)).digest
    sent = b"".join(
        hashlib.sha256(
            convert_node.RecordedCodec().write_request("digits", models_signature(), {"input": ROWS[index : index + 1]})
        ).digest()
        for index in range(40)
    )
    assert proof.requests_digest == "sha256:" + hashlib.sha256(sent).hexdigest()
    assert 0 < proof.baseline_p50_ns <= proof.baseline_p99_ns
    assert 0 < proof.candidate_p50_ns <= proof.candidate_p99_ns
    key = (suite.folder / "local" / "node.key").read_bytes()
    assert proof_seal.is_sealed(domain(proof), key)
    assert not proof_seal.is_sealed(domain(proof), bytes(32))


def models_signature() -> object:
    """Return the digits' signature as the node holds it."""
    from tests.inference.test_golden import DIGITS

    return DIGITS


def domain(proof: pb.Proof) -> proof_seal.Proof:
    """Return the proof of a message."""
    fields = {field.name: getattr(proof, field.name) for field in proof.DESCRIPTOR.fields}
    sources = {GOLDEN: proof_seal.ProofSource.GOLDEN, RECORDED: proof_seal.ProofSource.RECORDED}
    return proof_seal.Proof(**{**fields, "source": sources[proof.source]})


async def test_equal_versions_are_identical(client: AsyncClient) -> None:
    """A candidate with the same weights agrees on every row and has the same bits."""
    proof = await client.node.prove_candidate("digits", 3)
    assert (proof.requests, proof.agreeing_rows, proof.identical_requests) == (40, 40, 40)
    assert proof.max_output_difference == "0.0"


async def test_recorded_requests_compare_two_versions(node: InferenceApp, client: AsyncClient) -> None:
    """The newest recorded requests run on both; those that a version refuses count as its errors."""
    with pytest.raises(exceptions.FailedPreconditionError) as failure:
        await client.node.prove_candidate("digits", 2, source=RECORDED)
    assert (failure.value.reason, failure.value.metadata["source"]) == ("NOTHING_TO_PROVE", "recorded")
    await record(node, client, PAYLOADS)
    sent = [request(1, typed=index % 2 == 0, rows=ROWS[index : index + 3]) for index in range(6)]
    for message in sent:
        await ask(client, message)
    proof = await client.node.prove_candidate("digits", 2, source=RECORDED)
    asked = [ROWS[index : index + 3] for index in range(6)]
    agreed = sum(int((oracle(1, rows) == oracle(2, rows)).sum()) for rows in asked)
    assert (proof.source, proof.requests, proof.rows, proof.agreeing_rows) == (RECORDED, 6, 18, agreed)
    digests = b"".join(hashlib.sha256(message.SerializeToString()).digest() for message in reversed(sent))
    assert proof.requests_digest == "sha256:" + hashlib.sha256(digests).hexdigest()
    few = await client.node.prove_candidate("digits", 2, source=RECORDED, max_requests=2)
    assert (few.requests, few.rows) == (2, 6)
    assert len([receipt async for receipt in client.node.list_receipts("digits")]) == 6, "a proof records nothing"


async def test_a_candidate_that_takes_other_inputs_fails_and_is_counted(
    node: InferenceApp, client: AsyncClient
) -> None:
    """Requests that only the candidate refuses are new errors, and have no part in the agreement."""
    await record(node, client, PAYLOADS)
    for index in range(4):
        await ask(client, request(1, rows=ROWS[index : index + 1]))
    await client.push("digits", kind="onnx", files={"model.onnx": models.identity_onnx("FP32")})
    await when(node, lambda snapshot: ("digits", 4) in snapshot.states)
    proof = await client.node.prove_candidate("digits", 4, source=RECORDED)
    assert (proof.requests, proof.rows, proof.baseline_errors, proof.candidate_errors, proof.new_errors) == (
        4,
        0,
        0,
        4,
        4,
    )
    assert proof.candidate_p50_ns == 0


async def test_what_cannot_be_compared_is_refused(suite: Suite, client: AsyncClient) -> None:
    """Unknown versions, a version with itself, an alias that is not there and an unknown source name what is wrong."""
    for arguments, kind, reason in (
        ({"candidate": 9}, exceptions.NotFoundError, "VERSION_NOT_FOUND"),
        ({"candidate": 2, "baseline": 9}, exceptions.NotFoundError, "VERSION_NOT_FOUND"),
        ({"candidate": 1}, exceptions.InvalidArgumentError, "FIELD_INVALID"),
        ({"candidate": 0}, exceptions.InvalidArgumentError, "VERSION_INVALID"),
        ({"candidate": 2, "source": 9}, exceptions.InvalidArgumentError, "FIELD_INVALID"),
        ({"candidate": 1, "baseline": 2, "source": GOLDEN}, exceptions.FailedPreconditionError, "NOTHING_TO_PROVE"),
    ):
        with pytest.raises(kind) as failure:
            await client.node.prove_candidate("digits", **arguments)
        assert failure.value.reason == reason, arguments
    with pytest.raises(exceptions.NotFoundError) as unknown:
        await client.node.prove_candidate("nothing", 1, baseline=2)
    assert unknown.value.reason == "MODEL_NOT_FOUND"


async def test_a_proof_ends_at_its_deadline(node: InferenceApp, client: AsyncClient) -> None:
    """Who waits no longer gets DEADLINE_EXCEEDED, and the next proof runs."""
    async with node._evidence.proofs._rerun._turn:
        with pytest.raises(exceptions.DeadlineExceededError):
            await client.node.prove_candidate("digits", 2, timeout=0.2)
    assert (await client.node.prove_candidate("digits", 2)).requests == 40


async def test_a_protected_alias_moves_with_a_proof_alone(suite: Suite, client: AsyncClient) -> None:
    """Without a proof, with one of another move, beyond a limit or changed by hand it is refused; with its own it moves."""
    protection = pb.AliasProtection(require_proof=True, min_agreement_ppm=999_000, max_output_difference="0.001")
    await client.registry.protect_alias("digits", "production", protection)

    async def refusal(version: int, proof: pb.Proof | None) -> str:
        with pytest.raises(exceptions.FailedPreconditionError) as failure:
            await client.promote("digits", version, proof=proof)
        return failure.value.reason

    bad, good = await client.node.prove_candidate("digits", 2), await client.node.prove_candidate("digits", 3)
    assert await refusal(3, None) == "PROOF_REQUIRED"
    assert await refusal(3, bad) == "PROOF_INVALID"
    assert await refusal(2, bad) == "PROOF_INSUFFICIENT"
    forged = pb.Proof()
    forged.CopyFrom(bad)
    forged.agreeing_rows, forged.max_output_difference = bad.rows, "0.0"
    assert await refusal(2, forged) == "PROOF_INVALID"
    forged.seal = proof_seal.seal(domain(forged), bytes(32))
    assert await refusal(2, forged) == "PROOF_INVALID"
    forged.node = "nobody"
    assert await refusal(2, forged) == "PROOF_INVALID"
    moved = await client.promote("digits", 3, proof=good, reason="proved")
    assert moved.alias.state.version == 3
    assert moved.alias.proof == good
    events = [event async for event in client.registry.list_events("digits", "production")]
    assert events[0].alias_moved.proof == good


async def test_answers_go_on_while_a_proof_runs(node: InferenceApp, client: AsyncClient) -> None:
    """Callers are answered while versions are compared, and their answers are those of the alias."""
    proving = asyncio.create_task(client.node.prove_candidate("digits", 2))
    answers = 0
    while not proving.done():
        assert (await client.infer("digits", {"input": ROWS[:1]})).version == 1
        answers += 1
    assert (await proving).requests == 40
    assert answers > 0


def outputs(**arrays: np.ndarray) -> list[Output]:
    """Return outputs: INT64 for integers, FP32 for the rest."""
    return [
        Output(name, "INT64" if array.dtype.kind == "i" else "FP32", array.shape, array.tobytes())
        for name, array in arrays.items()
    ]


def test_agreement_is_of_labels_where_there_are_any() -> None:
    """With a label output a row agrees when its label does; without one, when every bit of it does."""
    label, scores = np.array([1, 2, 3]), np.zeros((3, 2), np.float32)
    one = outputs(label=label, scores=scores)
    other = outputs(label=np.array([1, 5, 3]), scores=scores + np.array([[0], [0], [1]], np.float32))
    assert agreeing(one, other, 3, "label") == 2
    assert agreeing(one, other, 3, "") == 1
    assert agreeing(one, one, 3, "") == 3
    assert agreeing(one, outputs(label=label), 3, "") == 0
    assert agreeing(one, outputs(label=label[:2], scores=scores), 3, "label") == 0
    whole = outputs(total=np.array(1.0, np.float32))
    assert agreeing(whole, outputs(total=np.array(2.0, np.float32)), 1, "") == 0
    assert agreeing(outputs(label=np.zeros(0, np.int64)), outputs(label=np.zeros(0, np.int64)), 0, "label") == 0


def test_a_tally_adds_up() -> None:
    """Errors, rows and differences count as the contract says; integers have no part in the largest difference."""
    tally = Tally("label")
    one = outputs(label=np.array([1, 2]), scores=np.array([[1.0], [2.0]], np.float32))
    other = outputs(label=np.array([1, 900]), scores=np.array([[1.5], [2.0]], np.float32))
    failed = Run(None, 7)
    for before, after in ((Run(one, 10), Run(one, 20)), (Run(one, 30), Run(other, 40)), (failed, failed)):
        tally.add(2, before, after)
    tally.add(2, Run(one, 50), failed)
    tally.add(2, failed, Run(one, 60))
    assert (tally.requests, tally.rows, tally.agreeing_rows, tally.identical_requests) == (5, 4, 3, 1)
    assert (tally.baseline_errors, tally.candidate_errors, tally.new_errors) == (2, 2, 1)
    assert tally.largest == 0.5
    assert (tally.baseline_ns, tally.candidate_ns) == ([10, 30, 50], [20, 40, 60])
    assert [percentile([5, 1, 4, 2, 3], part) for part in (1, 50, 99, 100)] == [1, 3, 5, 5]
    assert percentile([], 50) == 0
