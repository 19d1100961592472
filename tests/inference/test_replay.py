"""Replays: the very bytes run again whatever happened to version, alias, file and registry meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neuralmesh import AsyncClient, exceptions, oip
from neuralmesh.inference.v1 import node_service_pb2, receipt_pb2
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.backends import liam, onnx_build
from neuralmesh_server.inference.backends.execution import Output
from neuralmesh_server.inference.evidence import differences
from neuralmesh_server.inference.tensors import DTYPES, to_raw
from tests.inference import models
from tests.inference.conftest import Suite, push_digits, when, when_ready
from tests.inference.test_receipts import DIGESTS, PAYLOADS, ask, record, request

ROWS = np.random.default_rng(11).random((3, 64), dtype=np.float32)
Verdict = node_service_pb2.ReplayPredictionResponse
IDENTICAL, DIFFERENT, BROKEN = Verdict.VERDICT_IDENTICAL, Verdict.VERDICT_DIFFERENT, Verdict.VERDICT_BROKEN
ONNX, LIAM = 1, 2


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node that keeps payloads: the ONNX model as version 1, the packed network as version 2."""
    node = await suite.start_node(keep_newest=2)
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await when_ready(node, "digits", 1, 2)
    await record(node, client, PAYLOADS)
    return node


@pytest.fixture
async def client(suite: Suite, node: InferenceApp) -> AsyncClient:
    """Its client."""
    return suite.client(node)


def artifact(suite: Suite, folder: str, digest: str) -> Path:
    """Return where a file of a version is."""
    digits = digest.removeprefix("sha256:")
    (path,) = (suite.folder / folder).glob(f"artifacts/sha256/*/{digits}")
    return path


@pytest.mark.parametrize("version", [ONNX, LIAM])
async def test_a_recorded_prediction_repeats_bit_by_bit(client: AsyncClient, version: int) -> None:
    """The new answer is the recorded one but for what names a prediction; the comparison says so for each output."""
    identity, answer = await ask(client, request(version, id="mine"))
    found = await client.node.replay_prediction(identity)
    assert (found.verdict, found.version) == (IDENTICAL, version)
    assert found.digest == answer.parameters["digest"].string_param
    assert found.outputs_digest == found.recorded_outputs_digest
    assert [(one.name, one.identical, one.different_elements, one.elements) for one in found.outputs] == [
        ("label", True, 0, 3),
        ("scores", True, 0, 30),
    ]
    again = oip.ModelInferResponse.FromString(found.response)
    assert again.raw_output_contents == answer.raw_output_contents
    assert again.id == "mine"
    assert "prediction_id" not in again.parameters
    runtimes = {ONNX: onnx_build.runtime(), LIAM: liam.runtime()}
    assert found.runtime == runtimes[version]


async def test_a_replay_is_no_prediction(node: InferenceApp, client: AsyncClient) -> None:
    """Replaying issues no id, makes no receipt and counts nowhere."""
    identity, _ = await ask(client, request(LIAM))
    before = node._serving.current.resolve("digits", "2").loaded.activity.requests
    await client.node.replay_prediction(identity)
    assert node._serving.current.resolve("digits", "2").loaded.activity.requests == before
    assert len([receipt async for receipt in client.node.list_receipts("digits")]) == 1


async def test_another_version_says_what_it_would_have_answered(client: AsyncClient) -> None:
    """On another version the difference is reported, and is no break of a promise."""
    identity, _ = await ask(client, request(LIAM))
    found = await client.node.replay_prediction(identity, version=ONNX)
    other = (await ask(client, request(ONNX)))[1]
    assert (found.verdict, found.version) == (DIFFERENT, ONNX)
    assert oip.ModelInferResponse.FromString(found.response).raw_output_contents == other.raw_output_contents
    scores = found.outputs[1]
    assert not scores.identical
    assert 0 < scores.different_elements <= 30
    assert scores.max_difference > 0
    with pytest.raises(exceptions.NotFoundError) as failure:
        await client.node.replay_prediction(identity, version=9)
    assert failure.value.reason == "VERSION_NOT_FOUND"


async def test_a_version_that_is_served_no_more_still_replays(
    suite: Suite, node: InferenceApp, client: AsyncClient
) -> None:
    """After newer versions pushed it out of the node and the alias moved on and back, the recorded version runs."""
    await client.promote("digits", LIAM)
    await when(node, lambda snapshot: snapshot.aliases.get(("digits", "production")) == LIAM)
    identity, _ = await ask(client, request("production"))
    assert (await client.node.get_receipt(identity)).version == LIAM
    for seed in (5, 6, 7, 8):
        number = await push_digits(client, models.digits_onnx(seed))
        await client.promote("digits", number)
        await when(node, lambda snapshot, v=number: snapshot.aliases.get(("digits", "production")) == v)
    await when(node, lambda snapshot: ("digits", LIAM) not in snapshot.served)
    found = await client.node.replay_prediction(identity)
    assert (found.verdict, found.version) == (IDENTICAL, LIAM)
    assert ("digits", LIAM) not in node._serving.current.served


async def test_a_damaged_file_is_fetched_again_or_refused(
    suite: Suite, node: InferenceApp, client: AsyncClient
) -> None:
    """Damage on the node is repaired from the registry; without it nothing runs, since other bytes are no replay."""
    identity, _ = await ask(client, request(LIAM))
    digest = (await client.registry.get_version("digits", LIAM)).files[0].digest
    artifact(suite, "local", digest).write_bytes(b"something else")
    assert (await client.node.replay_prediction(identity)).verdict == IDENTICAL
    artifact(suite, "local", digest).write_bytes(b"something else")
    stored = artifact(suite, "registry", digest)
    good = stored.read_bytes()
    stored.write_bytes(bytes(len(good)))
    with pytest.raises(exceptions.NeuralMeshError) as failure:
        await client.node.replay_prediction(identity)
    assert (failure.value.code.name, failure.value.reason) == ("DATA_LOSS", "ARTIFACT_CORRUPT")
    await suite.stop_registry()
    with pytest.raises(exceptions.UnavailableError) as unreachable:
        await client.node.replay_prediction(identity)
    assert unreachable.value.reason == "PEER_UNREACHABLE"
    answer = await client.infer("digits", {"input": ROWS}, version=LIAM)
    assert answer.version == LIAM, "what is loaded still answers"


async def test_a_digest_receipt_needs_the_request_of_its_caller(node: InferenceApp, client: AsyncClient) -> None:
    """Digests alone cannot be run; with the very request they are compared, with another one they are not."""
    await record(node, client, DIGESTS)
    message = request(LIAM)
    identity, _ = await ask(client, message)
    with pytest.raises(exceptions.FailedPreconditionError) as failure:
        await client.node.replay_prediction(identity)
    assert failure.value.reason == "RECEIPT_INCOMPLETE"
    receipt = await client.node.get_receipt(identity)
    receipt.request = message.SerializeToString()
    found = await client.node.replay_prediction(receipt=receipt)
    assert (found.verdict, list(found.outputs)) == (IDENTICAL, [])
    receipt.request = request(LIAM, rows=-ROWS).SerializeToString()
    with pytest.raises(exceptions.InvalidArgumentError, match="does not have the digest"):
        await client.node.replay_prediction(receipt=receipt)


async def test_a_receipt_that_was_changed_is_found_out(client: AsyncClient) -> None:
    """Other outputs than the version gives are BROKEN for LIAM; for ONNX only where the runtime is the same."""
    for version, verdict in ((LIAM, BROKEN), (ONNX, BROKEN)):
        identity, _ = await ask(client, request(version))
        receipt = await client.node.get_receipt(identity)
        answer = oip.ModelInferResponse.FromString(receipt.response)
        scores = np.frombuffer(answer.raw_output_contents[1], np.float32).copy()
        scores[4] += 0.5
        answer.raw_output_contents[1] = scores.tobytes()
        receipt.response = answer.SerializeToString()
        receipt.outputs_digest = "sha256:" + "0" * 64
        found = await client.node.replay_prediction(receipt=receipt)
        assert found.verdict == verdict
        assert (found.outputs[0].identical, found.outputs[1].different_elements) == (True, 1)
        assert found.outputs[1].max_difference == pytest.approx(0.5, rel=1e-5)
        receipt.runtime = "onnxruntime of another build"
        elsewhere = await client.node.replay_prediction(receipt=receipt)
        assert elsewhere.verdict == (BROKEN if version == LIAM else DIFFERENT)
        receipt.numerics = receipt_pb2.Receipt.NUMERICS_UNVERIFIED
        assert (await client.node.replay_prediction(receipt=receipt)).verdict == DIFFERENT


async def test_a_receipt_of_another_version_of_the_number_is_refused(client: AsyncClient) -> None:
    """A receipt whose digest is not that of the registry's version does not run; nor one that names nothing."""
    identity, _ = await ask(client, request(LIAM))
    receipt = await client.node.get_receipt(identity)
    receipt.digest = "sha256:" + "1" * 64
    with pytest.raises(exceptions.FailedPreconditionError) as failure:
        await client.node.replay_prediction(receipt=receipt)
    assert failure.value.reason == "DIGEST_MISMATCH"
    for field, value, reason in (
        ("model", "Not A Name", "NAME_INVALID"),
        ("model", "unknown", "MODEL_NOT_FOUND"),
        ("version", 0, "VERSION_INVALID"),
        ("digest", "md5:1", "DIGEST_INVALID"),
        ("request", b"\xff\xff", "REQUEST_MALFORMED"),
        ("response", b"\xff\xff", "REQUEST_MALFORMED"),
    ):
        receipt = await client.node.get_receipt(identity)
        setattr(receipt, field, value)
        receipt.request_digest = "sha256:" + hashlib.sha256(receipt.request).hexdigest()
        with pytest.raises(exceptions.NeuralMeshError) as refused:
            await client.node.replay_prediction(receipt=receipt)
        assert refused.value.reason == reason, field
    with pytest.raises(exceptions.InvalidArgumentError):
        await client.node._connection.unary(
            "ReplayPrediction", node_service_pb2.ReplayPredictionResponse, node_service_pb2.ReplayPredictionRequest()
        )


async def test_replays_wait_for_one_another_and_for_no_longer_than_their_deadline(
    node: InferenceApp, client: AsyncClient
) -> None:
    """Ten at once are all answered; one whose time is over while it waits for its turn is DEADLINE_EXCEEDED."""
    identity, _ = await ask(client, request(LIAM))
    found = await asyncio.gather(*(client.node.replay_prediction(identity) for _ in range(10)))
    assert {one.verdict for one in found} == {IDENTICAL}
    turn = node._evidence.replays._rerun._turn
    async with turn:
        with pytest.raises(exceptions.DeadlineExceededError):
            await client.node.replay_prediction(identity, timeout=0.2)
    assert (await client.node.replay_prediction(identity)).verdict == IDENTICAL


def output(datatype: str, array: np.ndarray, name: str = "y") -> Output:
    """Return an output as it is answered."""
    return Output(name, datatype, array.shape, to_raw(datatype, array))


@given(
    hnp.arrays(np.float32, st.integers(0, 6), elements=st.floats(width=32)),
    hnp.arrays(np.float32, st.integers(0, 6), elements=st.floats(width=32)),
)
def test_differences_are_those_of_the_definition(one: np.ndarray, other: np.ndarray) -> None:
    """Identity is of bits; the largest difference is that of numbers, infinite where one side is not finite."""
    (found,) = differences.compare([output("FP32", one)], [output("FP32", other)])
    assert found.identical is (one.tobytes() == other.tobytes() and one.shape == other.shape)
    if one.shape != other.shape:
        assert found.largest == math.inf
        return
    expected = 0.0
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        if a == b or (math.isnan(a) and math.isnan(b)):
            continue
        expected = max(expected, abs(a - b) if math.isfinite(a) and math.isfinite(b) else math.inf)
    assert found.largest == expected
    assert found.different == sum(a != b for a, b in zip(one.view(np.uint32), other.view(np.uint32), strict=True))


@pytest.mark.parametrize("datatype", sorted(DTYPES))
def test_every_datatype_compares(datatype: str) -> None:
    """Of three elements the one that differs is found, with its exact distance for numbers."""
    dtype = DTYPES[datatype]
    if datatype == "BYTES":
        one, other = (np.array([b"a", b"", last], np.object_) for last in (b"b", b"cc"))
    elif datatype == "BOOL":
        one, other = np.array([True, False, True]), np.array([True, False, False])
    elif dtype.kind in "iu" and datatype != "BF16":
        limits = np.iinfo(dtype)
        one, other = (np.array([0, 1, last], dtype) for last in (limits.min, limits.max))
    elif datatype == "BF16":
        one, other = (np.array([0, 0x3F80, last], dtype) for last in (0x3F80, 0x4040))  # 1 and 3
    else:
        one, other = (np.array([0, 1, last], dtype) for last in (1, 3))
    (found,) = differences.compare([output(datatype, one)], [output(datatype, other)])
    assert (found.identical, found.different, found.elements) == (False, 1, 3)
    largest = {"BYTES": 0.0, "BOOL": 1.0}.get(datatype, 2.0)
    if dtype.kind in "iu" and datatype != "BF16":
        largest = float(int(np.iinfo(dtype).max) - int(np.iinfo(dtype).min))
    assert found.largest == largest
    (same,) = differences.compare([output(datatype, one)], [output(datatype, one.copy())])
    assert (same.identical, same.different, same.largest) == (True, 0, 0.0)


def test_outputs_that_only_one_side_has_are_all_different() -> None:
    """A missing output, and one of another datatype, differ in every element and infinitely."""
    one, other = np.zeros(4, np.float32), np.zeros(4, np.float64)
    found = differences.compare(
        [output("FP32", one, "a"), output("FP32", one, "b")], [output("FP64", other, "b"), output("FP32", one, "c")]
    )
    assert [(one.name, one.different, one.largest) for one in found] == [
        ("a", 4, math.inf),
        ("b", 4, math.inf),
        ("c", 4, math.inf),
    ]
