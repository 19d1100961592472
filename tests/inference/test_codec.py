"""The codec in C against protobuf and the ordinary way, on requests of all kinds."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import event, given, settings
from hypothesis import strategies as st

from liam_core import BinaryNetwork
from liam_core.kernel import ffi, lib
from liam_core.oip import Numbers
from neuralmesh import oip, receipts
from neuralmesh_server import prediction_id
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.histogram import Histogram
from neuralmesh_server.inference import convert, inputs
from neuralmesh_server.inference.policy import ModelPolicy, ReceiptMode, Receipts
from neuralmesh_server.inference.reporting.activity import Activity
from tests.inference import models, wire
from tests.inference.plain import DIGEST, KEY, Node, request


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> BinaryNetwork:
    """A packed network of one input, FP32 [-1, 4]."""
    path = Path(tmp_path_factory.mktemp("network")) / "n.safetensors"
    models.small_liam(path)
    return BinaryNetwork.open(path)


@pytest.fixture(scope="module")
def node(network: BinaryNetwork) -> Node:
    """One node for all requests."""
    return Node(network)


def spans(data: bytes) -> dict[str, object] | None:
    """Return what the codec reads of a request, None when it passes it."""
    read = ffi.new("oip_request *")
    if not lib.oip_read(data, len(data), read):
        return None

    def text(span: object) -> bytes:
        return data[span.at : span.at + span.size]

    return {
        "model": text(read.model),
        "version": text(read.version),
        "id": text(read.id),
        "inputs": [
            (text(one.name), text(one.datatype), list(one.shape[0 : one.dims]), text(one.raw))
            for one in read.input[0 : read.inputs]
        ],
        "outputs": [text(one) for one in read.output[0 : read.outputs]],
    }


def parsed(data: bytes) -> dict[str, object]:
    """Return the same of protobuf's reading."""
    message = oip.ModelInferRequest.FromString(data)
    assert len(message.inputs) == len(message.raw_input_contents)
    assert not any(one.HasField("contents") or one.parameters for one in message.inputs)
    return {
        "model": message.model_name.encode(),
        "version": message.model_version.encode(),
        "id": message.id.encode(),
        "inputs": [
            (one.name.encode(), one.datatype.encode(), list(one.shape), raw)
            for one, raw in zip(message.inputs, message.raw_input_contents, strict=True)
        ],
        "outputs": [one.name.encode() for one in message.outputs],
    }


@settings(max_examples=600)
@given(wire.requests())
def test_what_the_codec_accepts_it_reads_as_protobuf_does(data: bytes) -> None:
    """Every part of an accepted request is the part that protobuf finds."""
    found = spans(data)
    event("accepted" if found else "passed")
    if found is not None:
        assert found == parsed(data)


@settings(max_examples=600)
@given(st.data())
def test_damaged_requests_are_passed_or_read_alike(data: st.DataObject) -> None:
    """Flipped, cut out and repeated bytes never make the codec read something that protobuf does not."""
    content = bytearray(data.draw(wire.requests()))
    for _ in range(data.draw(st.integers(1, 3))):
        if not content:
            break
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.integers(0, 2))
        if kind == 0:
            content[at] = data.draw(st.integers(0, 255))
        elif kind == 1:
            del content[at : at + data.draw(st.integers(1, 4))]
        else:
            content[at:at] = content[at : at + data.draw(st.integers(1, 4))]
    found = spans(bytes(content))
    event("accepted" if found else "passed")
    if found is not None:
        assert found == parsed(bytes(content))


@settings(max_examples=400)
@given(data=wire.requests())
def test_what_the_codec_answers_the_ordinary_way_answers_alike(node: Node, data: bytes) -> None:
    """An answer of the codec is the ordinary way's answer, field by field."""
    answer = node.hot.answer(data)
    event("answered" if answer else "passed")
    if answer is None:
        return
    response = oip.ModelInferResponse.FromString(answer)
    issued = response.parameters["prediction_id"].string_param
    assert response == node.expected(data, issued)
    assert prediction_id.parse(issued).verify(KEY)


@pytest.mark.parametrize("rows", [1, 2, 33, 500])
@pytest.mark.parametrize("wanted", [[], ["label"], ["scores"], ["scores", "label"]])
def test_plain_requests_are_answered(node: Node, rows: int, wanted: list[str]) -> None:
    """Requests of any number of rows and any choice of outputs take the short way, and the answer is the usual one."""
    message = request(rows, model_version="production", id="grüße")
    for name in wanted:
        message.outputs.add(name=name)
    answer = node.hot.answer(message.SerializeToString())
    assert answer is not None
    response = oip.ModelInferResponse.FromString(answer)
    assert [one.name for one in response.outputs] == (wanted or ["label", "scores"])
    assert response == node.expected(message.SerializeToString(), response.parameters["prediction_id"].string_param)


def test_parameters_of_the_caller_change_nothing(node: Node) -> None:
    """A request with parameters that belong to its caller is answered, one with reserved parameters is passed."""
    message = request()
    message.parameters["color"].string_param = "blue"
    message.parameters["weight"].double_param = 1.5
    assert node.hot.answer(message.SerializeToString()) is not None
    for name in ("sequence_id", "priority", "timeout", "triton_x"):
        reserved = request()
        reserved.parameters[name].int64_param = 1
        assert node.hot.answer(reserved.SerializeToString()) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request(0).SerializeToString(),
        request(1, model_version="2").SerializeToString(),
        request(1).SerializeToString() + b"\x0a\x01m",
        request(1).SerializeToString()[:-1],
        request(1).SerializeToString() + b"\xf8\x01\x01",
        request(1, id="x").SerializeToString().replace(b"\x1a\x01x", b"\x1a\x01\xff"),
        request(1).SerializeToString().replace(b"\x01\x04", b"\x01\x05"),
        request(1).SerializeToString().replace(b"FP32", b"FP64"),
    ],
)
def test_everything_else_is_passed(node: Node, data: bytes) -> None:
    """What is malformed, unknown, empty or does not fit is left to the ordinary way, and nothing is counted."""
    before = (node.loaded.activity.requests, node.issuer.numbers.last, node.activity.kept.block.count)
    assert node.hot.answer(data) is None
    assert (node.loaded.activity.requests, node.issuer.numbers.last, node.activity.kept.block.count) == before


def test_both_ways_of_issuing_share_one_sequence(network: BinaryNetwork) -> None:
    """Ids of the codec and of the issuer never have the same number, and both have a valid checksum."""
    node = Node(network)
    numbers = []
    for _ in range(3):
        numbers.append(prediction_id.parse(node.issuer.issue(node.subject, 5)).sequence)
        answer = node.hot.answer(request().SerializeToString())
        assert answer is not None
        issued = oip.ModelInferResponse.FromString(answer).parameters["prediction_id"].string_param
        numbers.append(prediction_id.parse(issued).sequence)
    assert numbers == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("length", [1, 5, 18, 19, 20, 50, 58, 59, 60, 63])
def test_ids_of_the_codec_are_the_issuers(length: int) -> None:
    """For node names around every boundary of a hash block, the codec issues the issuer's bytes."""
    node = "n" * length
    issuer = prediction_id.Issuer(node, KEY, 1_700_000_000_123, Numbers(41))
    block = ffi.new("oip_issuer *")
    last, issued, text = ffi.new("uint64_t *", 41), ffi.new("uint8_t[48]"), ffi.new("uint8_t[64]")
    assert lib.oip_issuer_init(block, KEY, 32, node.encode(), length, issuer.epoch_ms, 5_000_000, last)
    subject = prediction_id.subject(9, 2**32 - 1, 12, DIGEST)
    for offset in (0, 1, 77, 2**39):
        lib.oip_issue(block, subject, 5_000_000 + offset * 1_000_000 + 999_999, issued)
        lib.oip_id_text(issued, text)
        assert f"nm1.{node}." + bytes(ffi.buffer(text)).decode() == issuer.issue(subject, offset)


LATENCIES = st.lists(st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 2000).map(lambda n: n * 10**6)), max_size=50)


@given(LATENCIES, LATENCIES)
def test_latencies_are_counted_as_the_histogram_counts_them(loop: list[int], front: list[int]) -> None:
    """Buckets, sum, least and greatest of both threads' blocks are those of Histograms that are merged."""
    activity = Activity(0).version("m", 1, "")
    expected = Histogram(5)
    for stats, nanoseconds in ((activity.stats, loop), (activity.front_stats, front)):
        part = Histogram(5)
        for one in nanoseconds:
            stats.record(one)
            part.record(one * 1e-9)
        expected.merge(part)
    assert activity.latency.count == expected.count
    assert activity.latency.copy() == expected
    assert activity.latency.take() == expected
    assert activity.latency.copy() == Histogram(5)


@given(st.binary(max_size=400), st.lists(st.integers(0, 200), max_size=4), st.booleans())
def test_digests_are_those_of_sha256(data: bytes, cuts: list[int], portable: bool) -> None:
    """With and without the processor's instructions, in pieces of any size, SHA-256 is hashlib's."""
    lib.oip_sha256_portable(portable)
    try:
        state, digest = ffi.new("oip_sha256 *"), ffi.new("uint8_t[32]")
        lib.oip_sha256_init(state)
        rest = data
        for cut in cuts:
            lib.oip_sha256_update(state, rest[:cut], len(rest[:cut]))
            rest = rest[cut:]
        lib.oip_sha256_update(state, rest, len(rest))
        lib.oip_sha256_final(state, digest)
    finally:
        lib.oip_sha256_portable(0)
    assert bytes(ffi.buffer(digest)) == hashlib.sha256(data).digest()


@pytest.mark.parametrize("wanted", [[], ["scores"], ["scores", "label"]])
def test_receipts_name_the_answer(network: BinaryNetwork, wanted: list[str]) -> None:
    """A digest receipt holds the answer's id and the digests of the request's bytes and of the answered outputs."""
    node = Node(network)
    message = request(3)
    for name in wanted:
        message.outputs.add(name=name)
    data = message.SerializeToString()
    answer = node.hot.answer(data)
    assert answer is not None
    response = oip.ModelInferResponse.FromString(answer)
    (record,) = node.hot.drain_receipts()
    issued = response.parameters["prediction_id"].string_param
    assert issued == "nm1.edge." + base64.urlsafe_b64encode(record["id"].tobytes()).decode()
    assert record["request"].tobytes() == hashlib.sha256(data).digest()
    assert "sha256:" + record["outputs"].tobytes().hex() == receipts.outputs_digest(response)
    assert record["owner"] == node.loaded.activity.owner
    assert record["flags"] == lib.OIP_RECEIPT_BIT_EXACT
    assert len(node.hot.drain_receipts()) == 0


def test_receipts_beyond_the_room_are_counted(network: BinaryNetwork) -> None:
    """When nobody drains receipts, the oldest are kept, later ones counted; after a drain there is room again."""
    node = Node(network, room=3)
    data = request().SerializeToString()

    def answered() -> bytes:
        answer = node.hot.answer(data)
        assert answer is not None
        issued = oip.ModelInferResponse.FromString(answer).parameters["prediction_id"].string_param
        return base64.urlsafe_b64decode(issued.rsplit(".", 1)[1])

    issued = [answered() for _ in range(5)]
    assert [record["id"].tobytes() for record in node.hot.drain_receipts()] == issued[:3]
    assert node.hot._receipts.dropped == 2
    following = answered()
    assert [record["id"].tobytes() for record in node.hot.drain_receipts()] == [following]
    assert node.hot._receipts.dropped == 2


def test_a_share_of_predictions_gets_receipts(network: BinaryNetwork) -> None:
    """Without the policy there are no receipts; with a share of a half, about half of the predictions have one."""
    data = request().SerializeToString()
    off, half = (
        Node(network, ModelPolicy()),
        Node(network, ModelPolicy(receipts=Receipts(ReceiptMode.SAMPLED, 500_000))),
    )
    for node in (off, half):
        for _ in range(2000):
            assert node.hot.answer(data) is not None
    assert len(off.hot.drain_receipts()) == 0
    assert 800 < len(half.hot.drain_receipts()) < 1200


def test_labels_are_kept_and_bounded(network: BinaryNetwork) -> None:
    """The codec's labels are the answers'; those beyond the limit are counted as dropped."""
    node = Node(network)
    answers = [node.hot.answer(request(rows).SerializeToString()) for rows in (1, 3)]
    responses = [oip.ModelInferResponse.FromString(answer) for answer in answers if answer is not None]
    (batch,) = node.activity.labels()
    assert batch.prediction_ids == [one.parameters["prediction_id"].string_param for one in responses]
    assert batch.raw == b"".join(one.raw_output_contents[0] for one in responses)
    assert (batch.rows, batch.datatype) == ([1, 3], "INT64")
    assert batch.activity is node.loaded.activity
    node.activity.forget_labels()
    assert node.activity.labels() == ()
    node.activity.kept.block.limit = 1
    for _ in range(3):
        node.hot.answer(request().SerializeToString())
    assert node.activity.dropped_labels == 2


def test_no_request_is_an_error_of_the_ordinary_way(node: Node) -> None:
    """What the codec passes because it is wrong is refused by the ordinary way, not taken for something else."""
    data = request(1).SerializeToString().replace(b"FP32", b"FP64")
    with pytest.raises(NeuralMeshError):
        inputs.read(node.loaded, convert.read_request(data))
    with pytest.raises((NeuralMeshError, DecodeError)):
        convert.read_request(request(1).SerializeToString()[:-1])
