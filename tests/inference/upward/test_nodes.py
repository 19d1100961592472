"""Nodes that stand in a line: what one cannot serve, another one answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from neuralmesh import exceptions, oip
from neuralmesh.exceptions import error_info
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.settings import Endpoint, InferenceSettings, ServerSettings, SettingsError
from tests.inference import models
from tests.inference.conftest import ANY_PORT, Suite, push_digits, when, when_ready, when_settled
from tests.inference.upward.above import ANSWER, Above, never

ROWS = np.random.default_rng(3).random((1, 64), dtype=np.float32)
INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


def request(model: str = "digits", version: str = "", rows: np.ndarray = ROWS, **fields: Any) -> bytes:
    """Return the bytes of a request."""
    message = oip.ModelInferRequest(model_name=model, model_version=version, **fields)
    message.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    message.raw_input_contents.append(rows.tobytes())
    return bytes(message.SerializeToString())


async def ask(node: InferenceApp, data: bytes, seconds: float = 10, **metadata: str) -> bytes:
    """Return the bytes of a node's answer."""
    sent = tuple((f"neuralmesh-{key}", value) for key, value in metadata.items())
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        answer: bytes = await channel.unary_unary(INFER)(data, timeout=seconds, metadata=sent)
        return answer


async def refused(node: InferenceApp, data: bytes, **keys: Any) -> tuple[str, str, dict[str, str]]:
    """Return the status, reason and metadata of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(node, data, **keys)
    info = error_info(caught.value.trailing_metadata())
    assert info is not None
    return caught.value.code().name, info.reason, dict(info.metadata)


def said(answer: bytes) -> dict[str, str]:
    """Return the parameters of an answer."""
    return {key: one.string_param for key, one in oip.ModelInferResponse.FromString(answer).parameters.items()}


async def started(suite: Suite, name: str, **settings: Any) -> InferenceApp:
    """Start a node and return it when it knows what it has."""
    node = await suite.start_node(name, **settings)
    await when_settled(node)
    return node


@pytest.fixture
async def above() -> AsyncIterator[Above]:
    """A server further up."""
    server = Above()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def low(tmp_path: Path) -> AsyncIterator[Suite]:
    """Another suite, whose registry knows no model."""
    suite = Suite(tmp_path / "low")
    await suite.start_registry()
    yield suite
    await suite.stop()


@pytest.fixture(params=["native", "grpc"])
async def cloud(suite: Suite, request: pytest.FixtureRequest) -> InferenceApp:
    """A node that serves two versions of `digits`, of which production is the second, with either listener."""
    suite.node_server = ServerSettings(ANY_PORT, drain_seconds=0.2, transport=request.param)
    node = await suite.start_node("cloud")
    client = suite.client(node)
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await push_digits(client, models.digits_onnx())
    await client.promote("digits", 2)
    await when(node, lambda found: found.aliases.get(("digits", "production")) == 2 and len(found.served) == 2)
    return node


async def digest(suite: Suite, version: int) -> str:
    """Return the digest of a version."""
    return str((await suite.client().registry.get_version("digits", version)).digest)


@pytest.mark.parametrize("version", ["", "production", "1"])
async def test_exactly_the_digest_answers(suite: Suite, cloud: InferenceApp, version: str) -> None:
    """A caller who names a digest gets that version, wherever the alias stands that he names as well."""
    answer = oip.ModelInferResponse.FromString(
        await ask(cloud, request(version=version), digest=await digest(suite, 1))
    )
    assert (answer.model_version, answer.parameters["digest"].string_param) == ("1", await digest(suite, 1))


async def test_the_digest_of_what_is_asked_for_changes_nothing(suite: Suite, cloud: InferenceApp) -> None:
    """A call that names what it would have got anyway is answered as without."""
    for version, number in (("", 2), ("1", 1)):
        answer = await ask(cloud, request(version=version), digest=await digest(suite, number))
        assert said(answer)["digest"] == await digest(suite, number)
        one, two = (
            oip.ModelInferResponse.FromString(found) for found in (answer, await ask(cloud, request(version=version)))
        )
        assert list(one.raw_output_contents) == list(two.raw_output_contents)


@pytest.mark.parametrize(("version", "actual"), [("", 2), ("2", 2), ("1", 1)])
async def test_another_digest_is_refused(suite: Suite, cloud: InferenceApp, version: str, actual: int) -> None:
    """A digest that is not here, or not that of the number that is named, is DIGEST_MISMATCH; nothing runs."""
    wanted = "sha256:" + "ab" * 32 if actual == 2 else await digest(suite, 2)
    code, reason, metadata = await refused(cloud, request(version=version), digest=wanted)
    assert (code, reason) == ("FAILED_PRECONDITION", "DIGEST_MISMATCH")
    assert (metadata["expected"], metadata["actual"]) == (wanted, await digest(suite, actual))
    assert (await refused(cloud, request(), digest="no digest"))[1] == "DIGEST_INVALID"


async def test_streams_obey_digests(suite: Suite, cloud: InferenceApp) -> None:
    """Every message of a stream that names a digest is answered by that, or refused."""
    for wanted, versions in ((await digest(suite, 1), ["1", "1", ""]), (await digest(suite, 2), ["2", "", "2"])):
        async with grpc.aio.insecure_channel(str(cloud.endpoint)) as channel:
            call = channel.stream_stream(STREAM)(
                iter([request(), request(version="1"), request(version="2")]),
                metadata=(("neuralmesh-digest", wanted),),
            )
            answers = [oip.ModelStreamInferResponse.FromString(data) async for data in call]
        assert [answer.infer_response.model_version for answer in answers] == versions
        assert sum("the caller wants" in answer.error_message for answer in answers) == 1


async def test_what_is_unknown_goes_up_byte_for_byte(low: Suite, above: Above) -> None:
    """The upstream gets the caller's bytes, what is left of his deadline and one hop; the caller gets its bytes."""
    node = await started(low, "edge", upstream=Endpoint.parse(above.address, name="upstream"))
    data = request("far") + b"\xf2\x3f\x03own"
    assert await ask(node, data, seconds=5) == ANSWER
    ((came, metadata, left),) = above.calls
    assert came == data
    assert (metadata["neuralmesh-hops"], "neuralmesh-digest" in metadata) == ("1", False)
    assert left is not None
    assert 0 < left < 5.1  # two clocks and a rounding lie between
    assert (node._upward.counts.forwarded, node._upward.counts.forward_failures) == (1, 0)


async def test_a_node_that_starts_passes_on_what_it_does_not_know_yet(low: Suite, above: Above) -> None:
    """Before it has heard of the registry a node knows nothing, and asks the one that may; bad names stay bad."""
    upstream = Endpoint.parse(above.address, name="upstream")
    node = await low.start_node("edge", upstream=upstream, registry=Endpoint("127.0.0.1", 1))
    assert await ask(node, request("far")) == ANSWER
    for data in (request("Not A Name"), request("far", version="1x")):
        assert (await refused(node, data))[0] == "INVALID_ARGUMENT"
    assert len(above.calls) == 1


async def test_what_is_known_but_not_ready_goes_up_with_its_digest(
    suite: Suite, above: Above, cloud: InferenceApp
) -> None:
    """A version that is not loaded here is asked for by the digest that the registry gave it."""
    node = await suite.start_node("edge", upstream=cloud.endpoint)
    await when_ready(node, "digits", 1, 2)
    await suite.client(node).inference.repository_model_unload("digits")
    answer = await ask(node, request(version="1"))
    assert (said(answer)["node"], said(answer)["digest"]) == ("cloud", await digest(suite, 1))
    other = await suite.start_node("other", upstream=Endpoint.parse(above.address, name="upstream"))
    await when_ready(other, "digits", 1, 2)
    await suite.client(other).inference.repository_model_unload("digits")
    await ask(other, request())
    assert above.calls[0][1]["neuralmesh-digest"] == await digest(suite, 2)


async def test_bad_requests_are_told_where_they_are_seen(
    low: Suite, above: Above, suite: Suite, cloud: InferenceApp
) -> None:
    """What is wrong whatever the model is not passed on; what is wrong for the model's signature is told from above."""
    node = await started(low, "edge", upstream=Endpoint.parse(above.address, name="upstream"))
    assert (await refused(node, b"\xff\xff"))[1] == "REQUEST_MALFORMED"
    assert (await refused(node, request("Not A Name")))[1] == "NAME_INVALID"
    assert above.calls == []
    other = await started(low, "other", upstream=cloud.endpoint)
    code, reason, _ = await refused(other, request(rows=np.zeros((1, 63), np.float32)))
    assert (code, reason) == ("INVALID_ARGUMENT", "INPUT_INVALID")


async def test_three_nodes_in_a_row(low: Suite, suite: Suite, cloud: InferenceApp) -> None:
    """Two nodes pass a call on and the third answers; a third that would pass it on refuses, and all tell what they lack."""
    site = await started(low, "site", upstream=cloud.endpoint)
    edge = await started(low, "edge", upstream=site.endpoint)
    assert said(await ask(edge, request()))["node"] == "cloud"
    far = await started(low, "far", upstream=edge.endpoint)
    code, reason, metadata = await refused(far, request())
    assert (code, reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert (metadata["upstream"], metadata["upstreamReason"]) == (str(edge.endpoint), "MODEL_NOT_FOUND")
    code, reason, metadata = await refused(site, request(), hops="2")
    assert (code, reason, metadata["hops"]) == ("FAILED_PRECONDITION", "HOPS_EXCEEDED", "2")
    counts = [node._upward.counts.forward_failures for node in (far, edge, site)]
    assert counts == [1, 1, 0]


@pytest.mark.parametrize("hops", ["2", "0002", "999", "1000", "4" * 30, "0" * 3000 + "7"])
async def test_any_number_of_hops_counts(low: Suite, above: Above, hops: str) -> None:
    """However a number of hops is written, what is too many is too many; what is no number says nothing."""
    node = await started(low, "edge", upstream=Endpoint.parse(above.address, name="upstream"))
    assert (await refused(node, request("far"), hops=hops))[1] == "HOPS_EXCEEDED"
    assert above.calls == []
    assert await ask(node, request("far"), hops="-2") == ANSWER
    assert await ask(node, request("far"), hops="0001") == ANSWER
    assert [metadata["neuralmesh-hops"] for _, metadata, _ in above.calls] == ["1", "2"]


async def test_two_nodes_that_point_at_each_other(low: Suite) -> None:
    """A call in a circle ends after two hops, and the caller hears what is missing."""
    paths = [Endpoint.unix(str(low.folder / name), name="socket") for name in ("a", "b")]
    nodes = []
    for own, other in (paths, reversed(paths)):
        low.node_server = ServerSettings(ANY_PORT, drain_seconds=0.2, socket=own)
        nodes.append(await started(low, f"node-{len(nodes)}", upstream=other))
    code, reason, metadata = await refused(nodes[0], request())
    assert (code, reason, metadata["upstreamReason"]) == ("NOT_FOUND", "MODEL_NOT_FOUND", "MODEL_NOT_FOUND")
    assert [node._upward.counts.forwarded for node in nodes] == [1, 1]


async def test_a_caller_who_goes_away_takes_his_call_along(low: Suite, above: Above) -> None:
    """Cancelling a call cancels it above."""
    gate = asyncio.Event()

    async def held(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await gate.wait()
        return ANSWER

    above.respond = held
    node = await started(low, "edge", upstream=Endpoint.parse(above.address, name="upstream"))
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        call = channel.unary_unary(INFER)(request("far"), timeout=30)
        waiting = asyncio.ensure_future(call)
        await asyncio.wait_for(above.reached.wait(), 20)
        call.cancel()
        await asyncio.wait_for(above.cancelled.wait(), 20)
        with pytest.raises(asyncio.CancelledError):
            await waiting
    gate.set()


async def test_a_deadline_ends_both(low: Suite, above: Above) -> None:
    """An upstream that does not answer in time is DEADLINE_EXCEEDED, and its call is over as well."""
    above.respond = never
    node = await started(low, "edge", upstream=Endpoint.parse(above.address, name="upstream"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(node, request("far"), seconds=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(above.cancelled.wait(), 20)
    code, reason, _ = await refused(node, request("far"), seconds=0.2)
    assert (code, reason) == ("UNAVAILABLE", "PEER_UNREACHABLE")
    assert len(above.calls) == 1


async def test_messages_of_a_stream_go_up_one_by_one(suite: Suite, low: Suite, cloud: InferenceApp) -> None:
    """A stream is answered in its order, by whoever knows the model of each message."""
    node = await started(low, "edge", upstream=cloud.endpoint)
    await push_digits(low.client(node), models.digits_onnx(), model="near")
    await when_ready(node, "near", 1)
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        sent = [request("near", id="1"), request(id="2"), request("nobody", id="3"), request("near", id="4")]
        answers = [
            oip.ModelStreamInferResponse.FromString(data) async for data in channel.stream_stream(STREAM)(iter(sent))
        ]
    assert [answer.infer_response.id for answer in answers] == ["1", "2", "3", "4"]
    assert [answer.infer_response.parameters["node"].string_param for answer in answers] == [
        "edge",
        "cloud",
        "",
        "edge",
    ]
    assert "nobody" in answers[2].error_message


async def test_a_dead_upstream_changes_nothing(low: Suite, above: Above) -> None:
    """What fails here fails as without an upstream, and works as soon as it is there again."""
    node = await started(low, "edge", upstream=Endpoint.parse(above.address, name="upstream"))
    await above.stop()
    code, reason, metadata = await refused(node, request("far"))
    assert (code, reason, metadata["upstreamCode"]) == ("NOT_FOUND", "MODEL_NOT_FOUND", "UNAVAILABLE")
    await above.start()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await ask(node, request("far")) == ANSWER
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017 - any other one is a failure
                continue
            break


async def test_a_node_hedges_only_when_it_is_told_to(low: Suite, above: Above) -> None:
    """Hedging is off unless it is asked for, and needs somebody to ask."""
    upstream = Endpoint.parse(above.address, name="upstream")
    assert (await started(low, "calm", upstream=upstream))._upward.hedging is None
    assert (await started(low, "hasty", upstream=upstream, hedge=True))._upward.hedging is not None
    settings = InferenceSettings(low.node_server, low.folder, upstream=upstream, hedge=True)
    with pytest.raises(SettingsError, match="NEURALMESH_EDGE_UPSTREAM"):
        replace(settings, upstream=None)
    env = {"NEURALMESH_EDGE_UPSTREAM": "unix:/run/above", "NEURALMESH_EDGE_HEDGE": "1"}
    found = InferenceSettings.from_env(env)
    assert (found.upstream, found.hedge) == (Endpoint.unix("/run/above", name="x"), True)
    assert InferenceSettings.from_env({}).upstream is None


async def test_tokens_are_not_sent_in_plain_text(low: Suite) -> None:
    """A node that would show its token to a network does not start."""
    with pytest.raises(SettingsError, match="plain text"):
        await started(low, "edge", upstream=Endpoint("192.0.2.1", 8001), token="secret")


async def test_a_client_sees_no_difference(low: Suite, cloud: InferenceApp) -> None:
    """The client's own `infer` gets the upstream's prediction."""
    node = await started(low, "edge", upstream=cloud.endpoint)
    prediction = await low.client(node).infer("digits", {"input": ROWS}, version=1)
    assert (prediction.node, prediction.version) == ("cloud", 1)
    assert prediction.prediction_id.startswith("nm1.cloud.")
    with pytest.raises(exceptions.NotFoundError):
        await low.client(node).infer("nobody", {"input": ROWS})
