"""A node with a real registry: serving, rollback, trace, and every way in which the line or a version can fail."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import numpy as np
import pytest

from neuralmesh import exceptions
from neuralmesh_server import prediction_id
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.holding import loader
from neuralmesh_server.inference.holding.follower import NodeNameTakenError
from neuralmesh_server.runtime import process
from neuralmesh_server.settings import Endpoint, InferenceSettings, RegistrySettings, ServerSettings, SettingsError
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready, when_settled

ROWS = np.random.default_rng(7).random((5, 64), dtype=np.float32)


async def test_a_promoted_version_answers_under_every_name(suite: Suite) -> None:
    """A version answers by number, by alias and by nothing, says so, and computes what its weights say."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx())
    await client.promote("digits", 1, reason="first")
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    for version in ("1", "production", ""):
        answer = await client.infer("digits", {"input": ROWS}, version=version, request_id="mine")
        assert (answer.version, answer.node, answer.request_id) == (1, "local", "mine")
        np.testing.assert_allclose(answer.outputs["scores"], ROWS @ models.digits_weights(), rtol=1e-4, atol=1e-4)
        assert answer.outputs["label"].tolist() == answer.outputs["scores"].argmax(1).tolist()
    assert answer.digest == (await client.registry.get_version("digits", 1)).digest


async def test_a_packed_network_answers_as_the_library_runs_it(suite: Suite) -> None:
    """The raw way of a LIAM version gives bit for bit what the network itself gives, for raw and typed contents."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await when_ready(node, "digits", 1)
    import liam_core

    label, scores = liam_core.BinaryNetwork.open(suite.folder / "network-0.safetensors").run(ROWS)
    answer = await client.infer("digits", {"input": ROWS})
    assert answer.outputs["label"].tobytes() == label.tobytes()
    assert answer.outputs["scores"].tobytes() == scores.tobytes()
    from neuralmesh import oip

    typed = oip.ModelInferRequest(model_name="digits")
    typed.inputs.add(name="input", datatype="FP32", shape=[5, 64], contents={"fp32_contents": ROWS.ravel().tolist()})
    typed.outputs.add(name="scores")
    typed.outputs.add(name="label")
    response = await client.inference.model_infer(typed)
    assert [output.name for output in response.outputs] == ["scores", "label"]
    assert list(response.raw_output_contents) == [scores.tobytes(), label.tobytes()]


async def test_rollback_swaps_without_loading(suite: Suite) -> None:
    """After a rollback the alias answers with the version before, and predictions trace to the move in force."""
    node = await suite.start_node()
    client = suite.client(node)
    for seed in (1, 2):
        version = await push_digits(client, models.digits_onnx(seed))
        await client.promote("digits", version, reason=f"seed {seed}")
        await when(node, lambda snapshot, v=version: snapshot.aliases.get(("digits", "production")) == v)
    second = await client.infer("digits", {"input": ROWS})
    await client.rollback("digits", reason="worse")
    await when(node, lambda snapshot: snapshot.aliases[("digits", "production")] == 1)
    first = await client.infer("digits", {"input": ROWS})
    assert (second.version, first.version) == (2, 1)
    trace = await client.trace(first.prediction_id)
    assert (trace.version.version, trace.promotions[0].reason) == (1, "worse")
    assert (await client.trace(second.prediction_id)).promotions[0].reason == "seed 2"


async def test_no_request_fails_while_versions_are_swapped(suite: Suite) -> None:
    """Requests that run through twenty moves are all answered, each by one version whose digest it names."""
    node = await suite.start_node()
    client = suite.client(node)
    digests = {}
    for seed in (1, 2):
        number = await push_digits(client, models.digits_onnx(seed))
        digests[number] = (await client.registry.get_version("digits", number)).digest
    await client.promote("digits", 1)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    done = asyncio.Event()

    async def ask() -> set[int]:
        seen = set()
        while not done.is_set():
            answer = await client.infer("digits", {"input": ROWS})
            assert answer.digest == digests[answer.version]
            expected = ROWS @ models.digits_weights(answer.version)
            np.testing.assert_allclose(answer.outputs["scores"], expected, rtol=1e-4, atol=1e-4)
            seen.add(answer.version)
        return seen

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for turn in range(20):
        target = 2 - turn % 2
        await client.promote("digits", target)
        await when(node, lambda snapshot, v=target: snapshot.aliases[("digits", "production")] == v)
    done.set()
    assert set.union(*await asyncio.gather(*asking)) == {1, 2}


async def test_serves_while_the_registry_is_gone_and_follows_when_it_is_back(suite: Suite) -> None:
    """A node answers without its registry, and holds what was pushed meanwhile once the registry is back."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await when_ready(node, "digits", 1)
    await suite.stop_registry()
    assert (await client.infer("digits", {"input": ROWS})).version == 1
    await suite.start_registry()
    await push_digits(client, models.digits_onnx(2))
    await when_ready(node, "digits", 1, 2)
    assert (await client.infer("digits", {"input": ROWS})).version == 2


async def test_a_restart_without_the_registry_serves_from_the_own_store(suite: Suite) -> None:
    """A node that starts while the registry is gone serves what it held, under a greater epoch and the same key."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await push_digits(client, models.digits_liam(suite.folder), "liam.binary_network")
    await client.promote("digits", 1)
    await when_ready(node, "digits", 1, 2)
    before = await client.infer("digits", {"input": ROWS}, version="2")
    key = (suite.folder / "local" / "node.key").read_bytes()
    await node.stop()
    await suite.stop_registry()
    node = await suite.start_node()
    await when_settled(node)
    client = suite.client(node)
    assert (await client.infer("digits", {"input": ROWS})).version == 1
    after = await client.infer("digits", {"input": ROWS}, version="2")
    assert after.outputs["scores"].tobytes() == before.outputs["scores"].tobytes()
    first, second = (prediction_id.parse(answer.prediction_id) for answer in (before, after))
    assert second.epoch_ms > first.epoch_ms
    assert first.verify(key)
    assert second.verify(key)
    assert stat.S_IMODE((suite.folder / "local" / "node.key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        ("onnx", b"no model at all", "no valid ONNX model"),
        ("onnx", models.digits_onnx()[:-40], "no valid ONNX model"),
        ("onnx", models.identity_onnx("FP32"), "declares the inputs"),
        ("liam.binary_network", b"\x10\0\0\0\0\0\0\0{}", "no valid liam.binary_network file"),
        ("pickle.sklearn", b"\x80\x04.", "no backend for kind"),
    ],
    ids=["garbage", "cut", "other-signature", "safetensors", "unknown-kind"],
)
async def test_a_version_that_cannot_be_loaded_leaves_what_served(
    suite: Suite, kind: str, content: bytes, why: str
) -> None:
    """A promoted version that is no model is UNAVAILABLE with its reason, and the alias goes on answering as before."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await client.promote("digits", 1)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    await push_digits(client, content, kind)
    await client.promote("digits", 2)
    snapshot = await when(
        node,
        lambda snapshot: snapshot.targets["digits", "production"] == 2 and bool(snapshot.states["digits", 2].reason),
    )
    assert why in snapshot.states["digits", 2].reason
    answer = await client.infer("digits", {"input": ROWS}, version="production")
    assert answer.version == 1
    index = {entry.version: entry for entry in (await client.inference.repository_index()).models}
    assert (index["1"].state, index["2"].state) == ("READY", "UNAVAILABLE")
    assert why in index["2"].reason
    with pytest.raises(exceptions.UnavailableError) as failure:
        await client.infer("digits", {"input": ROWS}, version="2")
    assert failure.value.reason == "VERSION_NOT_READY"
    assert failure.value.metadata["state"] == "UNAVAILABLE"
    assert not (await client.inference.model_ready("digits", "2"))


def _damage(path: Path) -> None:
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


async def test_an_artifact_that_was_damaged_at_the_registry_is_not_served(suite: Suite) -> None:
    """Bytes that do not have their digest are refused by the node, and what served before goes on."""
    node = await suite.start_node("first")
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await client.promote("digits", 1)
    await when(node, lambda snapshot: ("digits", "production") in snapshot.aliases)
    await node.stop()
    number = await push_digits(client, models.digits_onnx(2))
    await client.promote("digits", number)
    file = (await client.registry.get_version("digits", number)).files[0]
    digits = file.digest.removeprefix("sha256:")
    (stored,) = suite.registry_settings.data.rglob(digits)
    stored.chmod(0o600)
    _damage(stored)
    # A partial that is there already makes the download a ranged one, which only the node can verify.
    partial = suite.folder / "first" / "artifacts" / "partial" / digits
    partial.write_bytes(stored.read_bytes()[:10])
    node = await suite.start_node("first")
    snapshot = await when(
        node, lambda snapshot: ("digits", 2) in snapshot.states and bool(snapshot.states["digits", 2].reason)
    )
    assert "failed to fetch" in snapshot.states["digits", 2].reason
    await when_ready(node, "digits", 1)
    answer = await suite.client(node).infer("digits", {"input": ROWS}, version="production")
    assert answer.version == 1
    # Once the registry has the right bytes again, the next attempt succeeds by itself.
    repaired = suite.folder / "repaired"
    repaired.write_bytes(models.digits_onnx(2))
    repaired.replace(stored)
    await when(node, lambda snapshot: snapshot.aliases.get(("digits", "production")) == 2)


async def test_an_artifact_that_was_damaged_on_the_node_is_fetched_again(suite: Suite) -> None:
    """A node verifies its own files at every start, and replaces a damaged one from the registry."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await when_ready(node, "digits", 1)
    await node.stop()
    (stored,) = (path for path in (suite.folder / "local" / "artifacts" / "sha256").rglob("*") if path.is_file())
    stored.chmod(0o600)
    _damage(stored)
    node = await suite.start_node()
    await when_ready(node, "digits", 1)
    assert stored.read_bytes() == models.digits_onnx(1)


async def test_what_could_not_be_fetched_is_fetched_when_the_registry_is_back(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is missing while the registry is gone is fetched on reconnection, however long the pause is by then."""
    for name in ("FIRST_RETRY_SECONDS", "LAST_RETRY_SECONDS"):
        monkeypatch.setattr(loader, name, 1e6)
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await when_ready(node, "digits", 1)
    await node.stop()
    await suite.stop_registry()
    for path in (suite.folder / "local" / "artifacts" / "sha256").rglob("*"):
        if path.is_file():
            path.unlink()
    node = await suite.start_node()
    snapshot = await when(node, lambda snapshot: bool(snapshot.states["digits", 1].reason))
    assert "failed to fetch" in snapshot.states["digits", 1].reason
    await when_settled(node)
    await suite.start_registry()
    await when_ready(node, "digits", 1)


async def test_a_process_whose_node_name_is_taken_ends(suite: Suite) -> None:
    """The process stops by itself, with the error that names the setting."""
    await when_settled(await suite.start_node("edge"))
    settings = InferenceSettings(
        ServerSettings(Endpoint("127.0.0.1", 0)),
        suite.folder / "other",
        node="edge",
        registry=suite.registry_settings.server.listen,
        metrics=None,
    )
    with pytest.raises(NodeNameTakenError, match="NEURALMESH_NODE"):
        await asyncio.wait_for(process._run(lambda: InferenceApp(settings)), PATIENCE)


async def test_a_registry_restored_from_an_older_copy_does_not_stop_the_node(suite: Suite) -> None:
    """A node that is ahead of its registry keeps serving."""
    node = await suite.start_node()
    client = suite.client(node)
    await push_digits(client, models.digits_onnx(1))
    await when_ready(node, "digits", 1)
    await suite.stop_registry()
    server = suite.registry_settings.server
    suite.registry_settings = RegistrySettings(server, suite.folder / "restored")
    await suite.start_registry()
    tried = asyncio.Event()
    report = node._follower._report

    def watch(error: object) -> None:
        report(error)
        if getattr(error, "reason", "") == "REVISION_AHEAD":
            tried.set()

    node._follower._report = watch
    await asyncio.wait_for(tried.wait(), PATIENCE)
    assert (await client.infer("digits", {"input": ROWS})).version == 1


async def test_a_second_node_of_the_same_name_is_stopped(suite: Suite) -> None:
    """A node whose name is registered with another key fails with a message that names the setting."""
    first = await suite.start_node("edge")
    await when_settled(first)
    second = await suite.start_node("edge", folder="other")
    with pytest.raises(NodeNameTakenError, match="NEURALMESH_NODE"):
        await asyncio.wait_for(asyncio.shield(second.failure), PATIENCE)


async def test_two_nodes_cannot_share_a_folder(suite: Suite) -> None:
    """A folder that a node uses is refused to another one, which would issue the same ids."""
    await suite.start_node("edge")
    with pytest.raises(SettingsError, match="data folder"):
        await suite.start_node("edge")


async def test_only_versions_that_are_called_for_are_held(suite: Suite) -> None:
    """A node holds what aliases name, the version below each, and the newest; the rest is listed as unavailable."""
    node = await suite.start_node(keep_newest=1)
    client = suite.client(node)
    for seed in range(1, 6):
        await push_digits(client, models.digits_onnx(seed))
    for version in (1, 2):
        await client.promote("digits", version)
    await when(
        node,
        lambda snapshot: snapshot.aliases.get(("digits", "production")) == 2 and ("digits", 5) in snapshot.served,
    )
    snapshot = node._serving.current
    assert {key[1] for key in snapshot.served} == {1, 2, 5}
    assert snapshot.states["digits", 3].state == "UNAVAILABLE"
    assert node._loader.effective == {("digits", "production"): 2}
    await client.rollback("digits")
    await when(node, lambda snapshot: snapshot.aliases["digits", "production"] == 1)
    assert {key[1] for key in node._serving.current.served} == {1, 5}
