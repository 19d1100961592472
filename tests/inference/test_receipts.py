"""Receipts of a node: which predictions get one, what stands in it, and what happens where there is no room."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import AsyncClient, exceptions, oip
from neuralmesh.inference.v1 import receipt_pb2
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.evidence import recorder
from neuralmesh_server.inference.evidence.receipts import is_sampled, threshold
from neuralmesh_server.inference.evidence.store_receipts import ReceiptFolder
from neuralmesh_server.inference.policy import Receipts
from tests.inference import models
from tests.inference.conftest import Suite, pb, push_digits, when, when_ready

ROWS = np.random.default_rng(11).random((3, 64), dtype=np.float32)
P = pb.ReceiptPolicy
PAYLOADS = P(mode=P.MODE_ALL, content=P.CONTENT_PAYLOADS)
DIGESTS = P(mode=P.MODE_ALL, content=P.CONTENT_DIGESTS)
ONNX, LIAM = 1, 2


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node that serves the ONNX model as version 1 and the packed network as version 2, without receipts."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await when_ready(node, "digits", 1, 2)
    return node


async def record(node: InferenceApp, client: AsyncClient, policy: pb.ReceiptPolicy | None) -> None:
    """Set the policy and wait until the node follows it."""
    await client.registry.set_model_policy("digits", pb.ModelPolicy(receipts=policy))
    wanted = (policy.mode, policy.content) if policy is not None else (P.MODE_UNSPECIFIED, P.CONTENT_UNSPECIFIED)
    modes = {P.MODE_ALL: 1_000_000, P.MODE_SAMPLED: policy.sample_ppm if policy else 0}

    def follows(snapshot: object) -> bool:
        found = snapshot.routes["digits", "1"].policy.receipts
        return (found.sample_ppm, found.payloads) == (modes.get(wanted[0], 0), wanted[1] == P.CONTENT_PAYLOADS)

    await when(node, follows)


def request(version: int, *, typed: bool = False, rows: np.ndarray = ROWS, **fields: object) -> object:
    """Return a request; one with typed contents never takes the hot path."""
    message = oip.ModelInferRequest(model_name="digits", model_version=str(version), **fields)
    tensor = message.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    if typed:
        tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    else:
        message.raw_input_contents.append(rows.tobytes())
    return message


def digest_of(response: object) -> str:
    """Return the digest of an answer's outputs from the contract's words alone."""
    content = b""
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        shape = ",".join(str(size) for size in output.shape)
        header = f'{{"bytes":{len(raw)},"datatype":"{output.datatype}","name":"{output.name}","shape":[{shape}]}}\n'
        content += header.encode() + raw
    return "sha256:" + hashlib.sha256(content).hexdigest()


async def ask(client: AsyncClient, message: object) -> tuple[str, object]:
    """Return prediction id and answer."""
    answer = await client.inference.model_infer(message)
    return answer.parameters["prediction_id"].string_param, answer


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("version", [ONNX, LIAM])
@pytest.mark.parametrize("policy", [PAYLOADS, DIGESTS])
async def test_a_receipt_says_what_happened(
    suite: Suite, node: InferenceApp, policy: pb.ReceiptPolicy, version: int, typed: bool
) -> None:
    """On every way through the node a receipt names version, bytes, outputs and numerics of its prediction."""
    client = suite.client(node)
    await record(node, client, policy)
    message = request(version, typed=typed, id="mine")
    message.outputs.add(name="scores")
    identity, answer = await ask(client, message)
    receipt = await client.node.get_receipt(identity)
    assert (receipt.prediction_id, receipt.model, receipt.version, receipt.node) == (
        identity,
        "digits",
        version,
        "local",
    )
    assert receipt.digest == (await client.registry.get_version("digits", version)).digest
    sent = message.SerializeToString()
    assert receipt.request_digest == "sha256:" + hashlib.sha256(sent).hexdigest()
    assert receipt.outputs_digest == digest_of(answer)
    exact = {ONNX: receipt_pb2.Receipt.NUMERICS_SAME_PLATFORM, LIAM: receipt_pb2.Receipt.NUMERICS_BIT_EXACT}
    assert receipt.numerics == exact[version]
    assert re.match({ONNX: "onnxruntime 1", LIAM: "liam "}[version], receipt.runtime)
    if policy is PAYLOADS:
        assert receipt.request == sent
        assert oip.ModelInferResponse.FromString(receipt.response) == answer
    else:
        assert not receipt.HasField("request")
        assert not receipt.HasField("response")


async def test_nothing_is_recorded_without_a_policy(suite: Suite, node: InferenceApp) -> None:
    """A model without a policy, and one whose policy is off again, has no receipts; what was recorded stays."""
    client = suite.client(node)
    first, _ = await ask(client, request(LIAM))
    await record(node, client, PAYLOADS)
    second, _ = await ask(client, request(LIAM))
    await record(node, client, P(mode=P.MODE_OFF))
    third, _ = await ask(client, request(LIAM))
    assert (await client.node.get_receipt(second)).prediction_id == second
    for identity in (first, third):
        with pytest.raises(exceptions.NotFoundError) as failure:
            await client.node.get_receipt(identity)
        assert failure.value.reason == "RECEIPT_NOT_FOUND"
    assert [receipt.prediction_id async for receipt in client.node.list_receipts("digits")] == [second]


@pytest.mark.parametrize("content", [P.CONTENT_PAYLOADS, P.CONTENT_DIGESTS])
async def test_exactly_the_sampled_predictions_have_receipts(suite: Suite, node: InferenceApp, content: int) -> None:
    """A prediction is recorded if and only if its id's checksum is within the share, on either way through the node."""
    client = suite.client(node)
    await record(node, client, P(mode=P.MODE_SAMPLED, sample_ppm=300_000, content=content))
    asked = [(await ask(client, request(LIAM, typed=turn % 3 == 0)))[0] for turn in range(150)]
    kept = {receipt.prediction_id async for receipt in client.node.list_receipts("digits")}

    def is_due(identity: str) -> bool:
        checksum = int.from_bytes(base64.urlsafe_b64decode(identity[-64:])[-8:], "big")
        return checksum < (2**64 - 1) * 300_000 // 1_000_000

    assert kept == {identity for identity in asked if is_due(identity)}
    assert 15 < len(kept) < 90
    assert (await client.node.list_receipts_page("digits")).lost_receipts == 0


def test_shares_are_exact_at_their_ends() -> None:
    """No share takes no checksum, the whole takes every one, and the smallest takes those below its bound alone."""
    for checksum in (0, 1, 2**63, 2**64 - 1):
        identity = bytes(40) + checksum.to_bytes(8, "big")
        assert is_sampled(1_000_000, identity)
        assert not is_sampled(0, identity)
        assert is_sampled(1, identity) is (checksum < (2**64 - 1) // 1_000_000)
    assert (threshold(0), threshold(1_000_000)) == (0, 2**64 - 1)


async def test_receipts_are_listed_in_pages(suite: Suite, node: InferenceApp) -> None:
    """Pages go from the newest to the oldest, by version too; bad sizes, versions and tokens are refused."""
    client = suite.client(node)
    await record(node, client, PAYLOADS)
    asked = [(await ask(client, request(turn % 2 + 1)))[0] for turn in range(7)]
    seen, token = [], ""
    while True:
        page = await client.node.list_receipts_page("digits", page_size=3, page_token=token)
        assert not any(receipt.HasField("request") for receipt in page.receipts)
        seen += [receipt.prediction_id for receipt in page.receipts]
        token = page.next_page_token
        if not token:
            break
        assert len(page.receipts) == 3
    assert seen == asked[::-1]
    only = [receipt.prediction_id async for receipt in client.node.list_receipts("digits", 2)]
    assert only == asked[1::2][::-1]
    for arguments, reason in (
        ({"page_size": -1}, "FIELD_INVALID"),
        ({"page_token": "AAAAAAAAAAA="}, "PAGE_TOKEN_INVALID"),
        ({"page_token": "no token"}, "PAGE_TOKEN_INVALID"),
        ({"version": -1}, "VERSION_INVALID"),
    ):
        with pytest.raises(exceptions.InvalidArgumentError) as failure:
            await client.node.list_receipts_page("digits", **arguments)
        assert failure.value.reason == reason
    assert (await client.node.list_receipts_page("unknown")).receipts == []


async def test_ids_that_are_none_are_refused(suite: Suite, node: InferenceApp) -> None:
    """What is no prediction id is INVALID_ARGUMENT; another node's is NOT_FOUND and says whose it is."""
    client = suite.client(node)
    with pytest.raises(exceptions.InvalidArgumentError) as failure:
        await client.node.get_receipt("nm1.local.short")
    assert failure.value.reason == "PREDICTION_ID_INVALID"
    with pytest.raises(exceptions.NotFoundError, match="node 'elsewhere' made"):
        await client.node.get_receipt("nm1.elsewhere." + "A" * 64)


async def test_serving_goes_on_when_receipts_find_no_room(
    suite: Suite, node: InferenceApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full disk every request is answered, every receipt is counted as lost, and later ones are kept again."""
    client = suite.client(node)
    await record(node, client, PAYLOADS)
    write = ReceiptFolder.write

    def full(self: ReceiptFolder, entries: object, limits: Receipts) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(ReceiptFolder, "write", full)
    asked = [(await ask(client, request(LIAM)))[0] for _ in range(10)]
    await node._evidence.recorder.flush()
    assert (await client.node.list_receipts_page("digits")).lost_receipts == len(asked)
    monkeypatch.setattr(ReceiptFolder, "write", write)
    identity, _ = await ask(client, request(LIAM))
    assert (await client.node.get_receipt(identity)).prediction_id == identity
    assert (await client.node.list_receipts_page("digits")).lost_receipts == len(asked)
    assert node._evidence.recorder.lost_here == len(asked)


async def test_what_waits_in_memory_is_bounded(
    suite: Suite, node: InferenceApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Receipts beyond the most that wait are dropped and counted, and the answers are given."""
    client = suite.client(node)
    await record(node, client, PAYLOADS)
    monkeypatch.setattr(recorder, "MAX_WAITING", 3)
    async with node._evidence.recorder._writing:  # as a disk that does not answer
        asked = [(await ask(client, request(LIAM)))[0] for _ in range(5)]
        assert node._evidence.recorder.lost == 2
    kept = [receipt.prediction_id async for receipt in client.node.list_receipts("digits")]
    assert kept == asked[2::-1]


async def test_receipts_outlive_the_node(suite: Suite, node: InferenceApp) -> None:
    """Another process on the folder has every receipt of a node that stopped in order, and loses none."""
    client = suite.client(node)
    await record(node, client, DIGESTS)
    asked = [(await ask(client, request(LIAM)))[0] for _ in range(20)]
    await node.stop()
    node = await suite.start_node()
    client = suite.client(node)
    kept = {receipt.prediction_id async for receipt in client.node.list_receipts("digits")}
    assert kept == set(asked)
    assert (await client.node.list_receipts_page("digits")).lost_receipts == 0


async def test_a_node_takes_up_a_folder_of_before_receipts(suite: Suite, tmp_path: Path) -> None:
    """A node whose folder has no receipts starts with none and no loss."""
    node = await suite.start_node("fresh")
    page = await suite.client(node).node.list_receipts_page("digits")
    assert (list(page.receipts), page.lost_receipts) == ([], 0)


async def test_what_ran_in_a_batch_promises_nothing(suite: Suite, node: InferenceApp) -> None:
    """Requests of an ONNX version that ran together are UNVERIFIED: the last bits may show what else was in the batch."""
    client = suite.client(node)
    slow = await push_digits(client, models.digits_onnx(hidden=16_384))  # long enough to be worth joining
    await when_ready(node, "digits", slow)
    batching = pb.BatchingPolicy(max_rows=8, max_delay_us=1_000_000)
    await client.registry.set_model_policy("digits", pb.ModelPolicy(receipts=PAYLOADS, batching=batching))
    await when(node, lambda snapshot: snapshot.routes["digits", "1"].policy.batching is not None)
    asked = await asyncio.gather(*(ask(client, request(slow, rows=ROWS[:1])) for _ in range(8)))
    receipts = [await client.node.get_receipt(identity) for identity, _ in asked]
    assert {receipt.numerics for receipt in receipts} == {receipt_pb2.Receipt.NUMERICS_UNVERIFIED}
    replayed = await client.node.replay_prediction(asked[0][0])
    assert replayed.verdict != replayed.VERDICT_BROKEN
