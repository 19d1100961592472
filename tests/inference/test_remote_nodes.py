"""Versions of kind `remote` whose upstream is another Neural Mesh node: answers, identity, hops, coming and going."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuralmesh import AsyncClient, exceptions, oip
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.upstreams.descriptor import Descriptor
from neuralmesh_server.settings import UpstreamCredentials, UpstreamSettings
from tests.inference import models
from tests.inference.conftest import Suite, pb, push_digits, when, when_ready

ROWS = np.random.default_rng(7).random((5, 64), dtype=np.float32)


async def push_remote(
    client: AsyncClient, model: str, address: object, name: str, *, signature: pb.Signature | None = None, **keys: Any
) -> int:
    """Push a version that another server runs; returns its number."""
    descriptor = Descriptor(address=str(address), model=name, **keys)
    version = await client.push(
        model, kind="remote", files={"remote.json": descriptor.encode()}, signature=signature, reason="remote"
    )
    return int(version.version)


async def ask(client: AsyncClient, model: str, version: str = "", **keys: Any) -> tuple[Any, dict[str, str]]:
    """Return the answer of a model to the rows, and its parameters."""
    request = oip.ModelInferRequest(model_name=model, model_version=version, **keys)
    request.inputs.add(name="input", datatype="FP32", shape=[5, 64])
    request.raw_input_contents.append(ROWS.tobytes())
    response = await client.inference.model_infer(request)
    return response, {key: value.string_param for key, value in response.parameters.items()}


@pytest.fixture
async def behind(suite: Suite) -> InferenceApp:
    """A node that serves version 1 of the model `digits`, a packed network."""
    node = await suite.start_node("behind")
    await push_digits(suite.client(node), models.digits_liam(suite.folder), "liam.binary_network")
    await when_ready(node, "digits", 1)
    return node


async def test_an_upstream_answers_under_our_version(suite: Suite, behind: InferenceApp) -> None:
    """The outputs are the upstream's, bit for bit; version, digest and prediction id are ours."""
    node = await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "far", behind.endpoint, "digits", version="1")
    await when_ready(node, "far", 1)
    direct, said = await ask(suite.client(behind), "digits")
    answer, parameters = await ask(client, "far", id="mine")
    assert (answer.model_name, answer.model_version, answer.id) == ("far", "1", "mine")
    assert list(answer.outputs) == list(direct.outputs)
    assert list(answer.raw_output_contents) == list(direct.raw_output_contents)
    assert parameters["digest"] == (await client.registry.get_version("far", 1)).digest
    assert parameters["prediction_id"] not in ("", parameters["upstream_prediction_id"])
    assert (parameters["node"], parameters["upstream_version"]) == ("front", "1")
    assert (parameters["upstream_digest"], parameters["identity"]) == (said["digest"], "unverified")


async def test_the_signature_comes_from_the_upstream(suite: Suite, behind: InferenceApp) -> None:
    """A version without a declared signature has that of its upstream, and is held against it."""
    node = await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "far", behind.endpoint, "digits")
    await when_ready(node, "far", 1)
    found, wanted = await client.inference.model_metadata("far"), await client.inference.model_metadata("digits")
    assert (list(found.inputs), list(found.outputs)) == (list(wanted.inputs), list(wanted.outputs))
    assert (found.platform, found.properties["numerics"]) == ("remote", "unverified")
    assert wanted.properties["numerics"] == "bits"
    with pytest.raises(exceptions.InvalidArgumentError, match="'input'"):
        await client.infer("far", {"input": np.zeros((1, 63), np.float32)})


async def test_a_declared_signature_must_be_the_upstreams(suite: Suite, behind: InferenceApp) -> None:
    """A version that declares what its upstream has not is not served, and says what differs."""
    wrong = pb.Signature()
    wrong.CopyFrom(models.DIGITS)
    wrong.inputs[0].datatype = "FP64"
    node = await suite.start_node("front")
    await push_remote(suite.client(node), "far", behind.endpoint, "digits", signature=wrong)
    snapshot = await when(node, lambda s: s.states.get(("far", 1)) is not None and bool(s.states["far", 1].reason))
    assert "'input' is declared as FP64, its upstream has FP32" in snapshot.states["far", 1].reason


async def test_wanted_outputs_labels_and_typed_contents(suite: Suite, behind: InferenceApp) -> None:
    """A caller gets the outputs that it wants, in its order, whatever way its elements came."""
    node = await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "far", behind.endpoint, "digits", signature=models.DIGITS)
    await when_ready(node, "far", 1)
    direct, _ = await ask(suite.client(behind), "digits")
    typed = oip.ModelInferRequest(model_name="far")
    typed.inputs.add(name="input", datatype="FP32", shape=[5, 64], contents={"fp32_contents": ROWS.ravel().tolist()})
    typed.outputs.add(name="scores")
    typed.outputs.add(name="label")
    typed.parameters["priority"].int64_param = 1
    answer = await client.inference.model_infer(typed)
    assert [output.name for output in answer.outputs] == ["scores", "label"]
    assert list(answer.raw_output_contents) == list(direct.raw_output_contents)[::-1]


async def test_a_stream_is_answered_by_the_upstream(suite: Suite, behind: InferenceApp) -> None:
    """Messages of a stream go to the upstream one by one, and are answered in their order."""
    node = await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "far", behind.endpoint, "digits")
    await when_ready(node, "far", 1)
    requests = []
    for row in range(5):
        request = oip.ModelInferRequest(model_name="far", id=str(row))
        request.inputs.add(name="input", datatype="FP32", shape=[1, 64])
        request.raw_input_contents.append(ROWS[row].tobytes())
        requests.append(request)
    answers = [answer.infer_response async for answer in client.inference.model_stream_infer(requests)]
    direct, _ = await ask(suite.client(behind), "digits")
    assert [answer.id for answer in answers] == [request.id for request in requests]
    for place in (0, 1):
        assert b"".join(answer.raw_output_contents[place] for answer in answers) == direct.raw_output_contents[place]


async def test_identity_is_proved_by_the_expected_digest(suite: Suite, behind: InferenceApp) -> None:
    """An answer that names the expected digest carries the upstream's own promise."""
    node = await suite.start_node("front")
    client = suite.client(node)
    digest = (await client.registry.get_version("digits", 1)).digest
    await push_remote(client, "far", behind.endpoint, "digits", expects_digest=digest)
    await when_ready(node, "far", 1)
    _, parameters = await ask(client, "far")
    assert (parameters["identity"], parameters["upstream_digest"]) == ("proved", digest)
    assert (await client.inference.model_metadata("far")).properties["numerics"] == "bits"


async def test_another_digest_is_refused(suite: Suite, behind: InferenceApp) -> None:
    """When the upstream moves on, a version that expects a digest answers no more, and says why."""
    node = await suite.start_node("front")
    client = suite.client(node)
    await client.promote("digits", 1)
    await when(behind, lambda snapshot: ("digits", "production") in snapshot.aliases)
    digest = (await client.registry.get_version("digits", 1)).digest
    await push_remote(client, "far", behind.endpoint, "digits", version="production", expects_digest=digest)
    await when_ready(node, "far", 1)
    await push_digits(client, models.digits_onnx())
    await client.promote("digits", 2)
    await when(behind, lambda snapshot: snapshot.aliases.get(("digits", "production")) == 2)
    with pytest.raises(exceptions.FailedPreconditionError) as caught:
        await ask(client, "far")
    found = (await client.registry.get_version("digits", 2)).digest
    assert (caught.value.reason, caught.value.metadata["expected"], caught.value.metadata["actual"]) == (
        "DIGEST_MISMATCH", digest, found,
    )  # fmt: skip
    assert caught.value.metadata["upstream"] == f"{behind.endpoint}/digits/production"


async def test_a_digest_of_a_descriptor_proves_nothing(suite: Suite, behind: InferenceApp) -> None:
    """An upstream that passes requests on itself proves which descriptor it used, not what ran."""
    node, middle = await suite.start_node("front"), await suite.start_node("middle")
    client = suite.client(node)
    await push_remote(client, "near", behind.endpoint, "digits")
    await when_ready(middle, "near", 1)
    digest = (await client.registry.get_version("near", 1)).digest
    await push_remote(client, "far", middle.endpoint, "near", expects_digest=digest)
    await when_ready(node, "far", 1)
    _, parameters = await ask(client, "far")
    assert (parameters["identity"], parameters["upstream_digest"]) == ("unverified", digest)


async def test_two_nodes_that_point_at_each_other_stop(suite: Suite) -> None:
    """A request in a loop ends after two hops with HOPS_EXCEEDED, and the caller hears of it."""
    one, two = await suite.start_node("one"), await suite.start_node("two")
    client = suite.client(one)
    await push_digits(client, models.digits_onnx(), model="a")
    await client.promote("a", 1)
    await when(two, lambda snapshot: ("a", "production") in snapshot.aliases)
    await push_remote(client, "b", two.endpoint, "a", version="production")
    await client.promote("b", 1)
    await when(one, lambda snapshot: ("b", "production") in snapshot.aliases)
    await push_remote(client, "a", one.endpoint, "b", version="production")
    await client.promote("a", 2)
    for node in (one, two):
        await when(node, lambda snapshot: snapshot.aliases.get(("a", "production")) == 2)
    with pytest.raises(exceptions.FailedPreconditionError) as caught:
        await ask(client, "a")
    assert caught.value.reason == "HOPS_EXCEEDED"
    assert "upstream" in caught.value.metadata


async def test_a_version_is_tried_until_its_upstream_is_there(suite: Suite) -> None:
    """A version whose upstream does not know the model yet says so, and is served as soon as it does."""
    behind, node = await suite.start_node("behind"), await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "far", behind.endpoint, "digits")
    snapshot = await when(node, lambda s: s.states.get(("far", 1)) is not None and bool(s.states["far", 1].reason))
    assert f"upstream {behind.endpoint}/digits says that the model is not ready" in snapshot.states["far", 1].reason
    await push_digits(client, models.digits_onnx())
    await when_ready(node, "far", 1)
    assert (await client.infer("far", {"input": ROWS})).version == 1


async def test_an_upstream_that_is_gone_is_unavailable(suite: Suite, behind: InferenceApp) -> None:
    """Where nothing listens any more, nothing ran: UNAVAILABLE, which callers may retry."""
    node = await suite.start_node("front")
    client = suite.client(node)
    await push_remote(client, "far", behind.endpoint, "digits")
    await when_ready(node, "far", 1)
    suite._apps.remove(behind)
    await behind.stop()
    with pytest.raises(exceptions.UnavailableError) as caught:
        await ask(client, "far")
    assert (caught.value.reason, caught.value.metadata["upstream"]) == (
        "PEER_UNREACHABLE", f"{behind.endpoint}/digits",
    )  # fmt: skip


async def test_connections_are_shared_and_closed(suite: Suite, behind: InferenceApp) -> None:
    """Versions of one upstream share a connection; it is closed when the last of them is unloaded."""
    node = await suite.start_node("front", keep_newest=2)
    client = suite.client(node)
    for timeout_ms in (1000, 2000):
        await push_remote(client, "far", behind.endpoint, "digits", timeout_ms=timeout_ms)
    await when_ready(node, "far", 1, 2)
    connections = node._upstreams
    assert (len(connections._links), connections._users.total()) == (1, 2)
    for seed in (1, 2):
        await push_digits(client, models.digits_onnx(seed), model="far")
    await when(node, lambda s: ("far", 4) in s.served and ("far", 2) not in s.served)
    await connections.idle()
    assert (len(connections._links), connections._users.total()) == (0, 0)


async def test_settings_bound_what_a_descriptor_may_do(suite: Suite, behind: InferenceApp) -> None:
    """A node calls only permitted addresses, and sends credentials only where they are meant to go."""
    settings = UpstreamSettings(
        ("127.0.0.1:*",), {"prod": UpstreamCredentials("127.0.0.1:1", "secret"), "here": UpstreamCredentials(str(behind.endpoint), "s")}
    )  # fmt: skip
    node = await suite.start_node("front", upstreams=settings)
    client = suite.client(node)
    await push_remote(client, "elsewhere", "example.org:443", "m")
    await push_remote(client, "stolen", behind.endpoint, "digits", credentials="prod")
    await push_remote(client, "nameless", behind.endpoint, "digits", credentials="other")
    await push_remote(client, "meshed", behind.endpoint, "digits", tls="mesh")
    await push_remote(client, "fine", behind.endpoint, "digits", credentials="here")
    names = ("elsewhere", "stolen", "nameless", "meshed")
    snapshot = await when(
        node, lambda s: all(("m" and (name, 1)) in s.states and bool(s.states[name, 1].reason) for name in names)
    )
    reasons = {name: snapshot.states[name, 1].reason for name in names}
    assert "does not permit this node to call example.org:443" in reasons["elsewhere"]
    assert "not meant for" in reasons["stolen"]
    assert "no upstream credentials 'other'" in reasons["nameless"]
    assert "this node has none" in reasons["meshed"]
    assert not any("secret" in reason for reason in reasons.values())
    await when_ready(node, "fine", 1)
