"""A node within a program: the same answers, receipts and ids as a served one, from any thread, with or without a line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralmesh import exceptions, oip
from neuralmesh.embedded import Node
from neuralmesh_server import prediction_id
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.settings import Endpoint, InferenceSettings, ServerSettings, SettingsError
from tests.embedded.conftest import fill
from tests.inference.conftest import ANY_PORT, Suite, pb, when
from tests.inference.upward.above import ANSWER, Above, never

ROWS = np.random.default_rng(11).random((3, 64), dtype=np.float32)
MANY = 20_000
VERSIONS = ("", "1", "2", "production")


def request(version: str = "", rows: np.ndarray = ROWS, **fields: Any) -> bytes:
    """Return the bytes of a request."""
    message = oip.ModelInferRequest(**{"model_name": "digits", "model_version": version, **fields})
    message.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    message.raw_input_contents.append(rows.tobytes())
    return bytes(message.SerializeToString())


def without_id(data: bytes) -> tuple[bytes, prediction_id.PredictionId]:
    """Return an answer whose prediction id is blotted out byte for byte, and the id."""
    text = oip.ModelInferResponse.FromString(data).parameters["prediction_id"].string_param
    assert data.count(text.encode()) == 1
    return data.replace(text.encode(), b"-" * len(text)), prediction_id.parse(text)


async def served(store: Path, requests: list[bytes]) -> list[bytes]:
    """Return the answers of a served node on a store, over gRPC."""
    app = InferenceApp(
        InferenceSettings(
            ServerSettings(ANY_PORT, drain_seconds=0.2),
            store,
            node="edge",
            registry=Endpoint("127.0.0.1", 1),
            metrics=None,
        )
    )
    await app.start()
    try:
        await app.settled()
        async with grpc.aio.insecure_channel(str(app.endpoint)) as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            return [await infer(data) for data in requests]
    finally:
        await app.stop()


def test_answers_are_those_of_a_served_node(store: Path) -> None:
    """Short way, thread and ordinary way give the bytes of a served node, but for the number within the prediction id."""
    requests = [request(version, ROWS[:rows], id="mine") for version in VERSIONS for rows in (1, 3)]
    requests += [
        request("1", np.zeros((MANY, 64), np.float32)),
        request("1", parameters={"priority": {"int64_param": 1}}),
    ]
    requests.append(request("2", outputs=[{"name": "label"}]))
    expected = asyncio.run(served(store, requests))
    with Node(store, name="edge") as node:
        found = [node.infer_bytes(data) for data in requests]
    for one, other in zip(found, expected, strict=True):
        (answer, own), (wanted, theirs) = without_id(one), without_id(other)
        assert answer == wanted
        assert (own.model_uid, own.version, own.revision) == (theirs.model_uid, theirs.version, theirs.revision)
        assert own.epoch_ms > theirs.epoch_ms


def test_numbers_follow_one_another_whatever_the_way(store: Path) -> None:
    """Every answer has a number of its own in the node's one epoch, and its checksum proves the node."""
    with Node(store, name="edge") as node:
        found = [without_id(node.infer_bytes(request(version)))[1] for version in VERSIONS * 3]
    assert [one.sequence for one in found] == list(range(1, len(found) + 1))
    assert len({one.epoch_ms for one in found}) == 1
    key = (store / "node.key").read_bytes()
    assert all(one.verify(key) for one in found)


def test_arrays_in_and_a_prediction_out(store: Path) -> None:
    """`infer` is the client's, and a version of the store answers it."""
    import liam_core

    with Node(str(store), name="edge") as node:
        prediction = node.infer("digits", {"input": ROWS}, version=1, request_id="mine", outputs=["scores"])
        with pytest.raises(exceptions.InvalidArgumentError) as caught:
            node.infer("digits", {"input": ROWS[:, :63]})
    network = liam_core.BinaryNetwork.open(store.parent / "network-0.safetensors")
    assert prediction.outputs["scores"].tobytes() == network.run(ROWS)[1].tobytes()
    assert (prediction.version, prediction.node, prediction.request_id) == (1, "edge", "mine")
    assert (caught.value.reason, caught.value.metadata["input"]) == ("INPUT_INVALID", "input")


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (request(model_name="nobody"), exceptions.NotFoundError, "MODEL_NOT_FOUND"),
        (request("9"), exceptions.NotFoundError, "VERSION_NOT_FOUND"),
        (b"\xff\xff", exceptions.InvalidArgumentError, "REQUEST_MALFORMED"),
    ],
)
def test_errors_are_the_clients(store: Path, data: bytes, kind: type[Exception], reason: str) -> None:
    """What a call would raise is raised, with its reason."""
    with Node(store, name="edge") as node, pytest.raises(exceptions.NeuralMeshError) as caught:
        node.infer_bytes(data)
    assert (type(caught.value), caught.value.reason) == (kind, reason)


def test_threads_share_a_node(store: Path) -> None:
    """Calls from several threads, on both ways, each get their own answer, and everyone is counted once."""
    rounds, rows = 200, np.random.default_rng(5).random((4, 64), dtype=np.float32)
    with Node(store, name="edge") as node:
        wanted = [node.infer("digits", {"input": row[None]}).outputs["scores"].tobytes() for row in rows]
        start = threading.Barrier(4)

        def work(number: int) -> list[str]:
            start.wait(20)
            found = []
            for turn in range(rounds):
                version = 2 if turn % 10 == 9 else 1
                prediction = node.infer("digits", {"input": rows[number][None]}, version=version)
                assert version == 2 or prediction.outputs["scores"].tobytes() == wanted[number]
                found.append(prediction.prediction_id)
            return found

        with ThreadPoolExecutor(4) as pool:
            ids = [one for found in pool.map(work, range(4)) for one in found]
        numbers = sorted(prediction_id.parse(one).sequence for one in ids)
        assert numbers == list(range(5, 5 + 4 * rounds))
        (activity,) = [one for one in node._app._activity if one.version == 1]
        assert activity.requests == 4 + 4 * rounds * 9 // 10


def test_a_store_has_one_owner(store: Path) -> None:
    """A second node on a store is refused, as long as the first one lives; afterwards it goes on with the numbers' epoch."""
    with Node(store, name="edge") as node:
        first = without_id(node.infer_bytes(request()))[1]
        with pytest.raises(SettingsError, match="another inference node uses"):
            Node(store, name="edge")
        assert node.infer_bytes(request())
    node.close()
    with pytest.raises(exceptions.UnavailableError) as caught:
        node.infer_bytes(request())
    assert caught.value.reason == "NOT_SERVING"
    with Node(store, name="edge") as node:
        assert without_id(node.infer_bytes(request()))[1].epoch_ms > first.epoch_ms


def test_an_empty_store_serves_nobody(tmp_path: Path) -> None:
    """Without a state and without a registry there is nothing to wait for; the store is free again."""
    for _ in range(2):
        with pytest.raises(exceptions.UnavailableError, match="holds no state"):
            Node(tmp_path / "empty")
    with pytest.raises(exceptions.UnavailableError, match="not ready within"):
        Node(tmp_path / "empty", "127.0.0.1:1", ready_seconds=0.1)


async def test_it_follows_the_registry_and_keeps_receipts(suite: Suite) -> None:
    """A node that is given a registry fetches, follows promotions, and its receipts are found by a served node later."""
    await fill(suite)
    client = suite.client()
    kept = pb.ReceiptPolicy(mode=pb.ReceiptPolicy.MODE_ALL)
    await client.registry.set_model_policy("digits", pb.ModelPolicy(receipts=kept))

    def begin() -> Node:
        return Node(suite.folder / "edge", str(suite.registry_settings.server.listen), name="edge")

    node = await asyncio.to_thread(begin)
    try:
        first = await asyncio.to_thread(node.infer, "digits", {"input": ROWS})
        assert first.version == 1
        await client.promote("digits", 2)
        work = asyncio.run_coroutine_threadsafe(
            node._app._serving.when(lambda found: found.aliases.get(("digits", "production")) == 2),
            node._thread._loop,
        )
        await asyncio.wait_for(asyncio.wrap_future(work), 20)
        second = await asyncio.to_thread(node.infer, "digits", {"input": ROWS})
        assert second.version == 2
    finally:
        await asyncio.to_thread(node.close)
    served = await suite.start_node("edge")
    await when(served, lambda found: len(found.served) == 2)
    for prediction in (first, second):
        receipt = await suite.client(served).node.get_receipt(prediction.prediction_id)
        assert (receipt.version, receipt.digest, receipt.node) == (prediction.version, prediction.digest, "edge")


async def test_what_it_lacks_comes_from_above(suite: Suite, store_of_edge: Path) -> None:
    """A node within a program passes on what it does not know, as a served one does, and waits no longer than it may."""
    above = Above()
    await above.start()
    try:
        node = await asyncio.to_thread(lambda: Node(store_of_edge, name="edge", upstream=above.address))
        try:
            found = await asyncio.to_thread(node.infer_bytes, request(model_name="far"))
            assert found == ANSWER
            assert node._app._upward.counts.forwarded == 1
            above.respond = never
            with pytest.raises(exceptions.DeadlineExceededError):
                await asyncio.to_thread(node.infer_bytes, request(model_name="far"), timeout=0.3)
            await asyncio.wait_for(above.cancelled.wait(), 20)
        finally:
            await asyncio.to_thread(node.close)
    finally:
        await above.stop()


@pytest.fixture
async def store_of_edge(suite: Suite) -> Path:
    """The store of a node that served."""
    await fill(suite)
    node = await suite.start_node("edge")
    await when(node, lambda found: len(found.served) == 2)
    suite._apps.remove(node)
    await node.stop()
    return suite.folder / "edge"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_answered_or_refused(shared: Node, data: bytes) -> None:
    """Bytes that are no request raise an error of the client, whatever they are."""
    reason, answer = "", b""
    try:
        answer = shared.infer_bytes(data)
    except exceptions.NeuralMeshError as error:
        reason = error.reason
    assert reason != "INTERNAL"
    assert reason or oip.ModelInferResponse.FromString(answer).model_name == "digits"


@pytest.fixture
def shared(store: Path) -> Any:
    """A node."""
    with Node(store, name="edge") as node:
        yield node


def test_the_client_alone_says_what_is_missing(tmp_path: Path) -> None:
    """With only the client's wheel, the door says what to install, and nothing else of the client is affected."""
    client = Path(__file__).resolve().parents[2] / "clients" / "python" / "src"
    code = (
        "import sys\n"
        "sys.modules['neuralmesh_server'] = None\n"
        "import neuralmesh, neuralmesh.embedded\n"
        "neuralmesh.Client\n"
        "try:\n"
        "    neuralmesh.embedded.Node\n"
        "except ImportError as error:\n"
        "    assert 'needs the distribution `neuralmesh`' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('it opened')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(client)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
