"""Indexes and transforms served by a real node: what tritonclient gets, what is kept, what is refused."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from liam_core import index as kernel_index
from liam_core import steps
from neuralmesh import AsyncClient, exceptions
from neuralmesh.inference.v1 import node_service_pb2
from neuralmesh_server.inference.app import InferenceApp
from neuralmesh_server.inference.backends import liam
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.backends.liam_index import IndexBackend
from neuralmesh_server.inference.backends.liam_transform import TransformBackend
from tests.inference import kinds
from tests.inference.conftest import Suite, pb, when, when_ready
from tests.inference.kinds import IDS, INDEX, QUERIES, TRANSFORM, VECTORS, WIDTH

NAMES = {"float32": "FP32", "int8": "INT8", "uint8": "UINT8", "int64": "INT64", "int32": "INT32"}
PAYLOADS = pb.ModelPolicy(
    receipts=pb.ReceiptPolicy(mode=pb.ReceiptPolicy.MODE_ALL, content=pb.ReceiptPolicy.CONTENT_PAYLOADS)
)


@pytest.fixture
async def node(suite: Suite) -> InferenceApp:
    """A node without versions."""
    return await suite.start_node()


@pytest.fixture
async def client(suite: Suite, node: InferenceApp) -> AsyncClient:
    """Its client."""
    return suite.client(node)


async def push(
    client: AsyncClient, node: InferenceApp, kind: str, content: bytes, model: str = "m", **files: bytes
) -> int:
    """Push a version and return its number when it is ready."""
    named = {"model.safetensors": content, **{name.replace("__", "."): data for name, data in files.items()}}
    version = await client.push(model, kind=kind, files=named)
    await when_ready(node, model, version.version)
    return int(version.version)


async def ask(node: InferenceApp, x: np.ndarray, model: str = "m", **how: object) -> triton.InferResult:
    """Return what tritonclient gets for an input."""

    def call() -> triton.InferResult:
        tensor = triton.InferInput("input", list(x.shape), NAMES[str(x.dtype)])
        tensor.set_data_from_numpy(x)
        with triton.InferenceServerClient(str(node.endpoint)) as made:
            return made.infer(model, [tensor], **how)

    return await asyncio.to_thread(call)


def same(result: triton.InferResult, expected: dict[str, np.ndarray]) -> None:
    """Check that an answer has these outputs, in this order, to the bit."""
    assert [output.name for output in result.get_response().outputs] == list(expected)
    for name, array in expected.items():
        found = result.as_numpy(name)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("how", "names"),
    [
        ({"k": 5}, ["ids", "distances"]),
        ({"k": 3, "metric": "jaccard"}, ["ids", "distances"]),
        ({"k": 4, "oversample": 3}, ["ids", "distances", "scores"]),
        ({"k": 4, "oversample": 3, "vectors": VECTORS, "metric": "dot"}, ["ids", "distances", "scores"]),
        ({"radius": 20}, ["counts", "ids", "distances"]),
        ({"k": 5, "input_form": "packed"}, ["ids", "distances"]),
    ],
)
async def test_an_index_is_searched_through_tritonclient(
    suite: Suite, node: InferenceApp, client: AsyncClient, how: dict[str, object], names: list[str]
) -> None:
    """Every form of an index answers what the kernel finds, for one row and for several."""
    content = kinds.index(suite.folder, **how)
    await push(client, node, INDEX, content)
    for rows in (1, 6):
        x = kinds.packed(QUERIES[:rows]) if "input_form" in how else QUERIES[:rows]
        same(await ask(node, x), dict(zip(names, kinds.opened(suite.folder, content).run(x), strict=True)))
    found = await ask(node, x, outputs=[triton.InferRequestedOutput("ids")])
    assert [output.name for output in found.get_response().outputs] == ["ids"]
    assert set(found.as_numpy("ids").reshape(-1).tolist()) <= set(IDS.tolist())


@pytest.mark.parametrize(
    ("chain", "how"),
    [
        ((), {}),
        ((steps.Rotation(5), steps.Threshold(), steps.BitRotate(3), steps.Unpack("int8")), {}),
        ((steps.WalshHadamard(), steps.Scale(np.full(32, 0.125))), {"width": 32}),
        ((steps.Gf2Map.of(np.tri(70, WIDTH, dtype=np.uint8)),), {"input_form": "packed"}),
        ((steps.Gf2Map.of(np.tri(70, WIDTH, dtype=np.uint8)), steps.Unpack("uint8")), {"input_form": "uint8"}),
    ],
)
async def test_a_transform_runs_through_tritonclient(
    suite: Suite, node: InferenceApp, client: AsyncClient, chain: tuple[steps.Step, ...], how: dict[str, object]
) -> None:
    """Every form of a chain answers what the kernel makes of the rows."""
    content = kinds.transform(suite.folder, *chain, **how)
    await push(client, node, TRANSFORM, content)
    x = np.ascontiguousarray(QUERIES[:, : how.get("width", WIDTH)])
    if "input_form" in how:
        x = kinds.packed(x) if how["input_form"] == "packed" else (x >= 0).astype(np.uint8)
    for rows in (1, 6):
        same(await ask(node, x[:rows]), {"output": kinds.opened(suite.folder, content).run(x[:rows])})


async def test_a_transform_feeds_an_index(suite: Suite, node: InferenceApp, client: AsyncClient) -> None:
    """Codes of one version are the queries of another: a pipeline of two models."""
    simhash = kinds.transform(suite.folder)
    codes = kinds.opened(suite.folder, simhash).run(VECTORS)
    words = np.zeros((len(codes), 8), np.uint8)
    words[:, : codes.shape[1]] = codes
    content = kinds.index(suite.folder, codes=words.view(np.uint64), k=1, input_form="packed")
    await push(client, node, TRANSFORM, simhash, "simhash")
    await push(client, node, INDEX, content, "nearest")
    made = (await ask(node, QUERIES, "simhash")).as_numpy("output")
    assert (await ask(node, made, "nearest")).as_numpy("ids")[:, 0].tolist() == IDS[:6].tolist()


async def test_they_describe_themselves(suite: Suite, node: InferenceApp, client: AsyncClient) -> None:
    """Metadata and configuration say kind, shapes and exactness; one with ragged outputs has no batch dimension."""
    await push(client, node, INDEX, kinds.index(suite.folder, k=5), "nearest")
    await push(client, node, INDEX, kinds.index(suite.folder, radius=3), "near")
    await push(client, node, TRANSFORM, kinds.transform(suite.folder), "simhash")

    def configurations() -> list[object]:
        with triton.InferenceServerClient(str(node.endpoint)) as made:
            return [made.get_model_config(name).config for name in ("nearest", "near", "simhash")]

    nearest, near, simhash = await asyncio.to_thread(configurations)
    assert (nearest.platform, nearest.default_model_filename) == (INDEX, "model.safetensors")
    assert simhash.platform == TRANSFORM
    assert nearest.max_batch_size > 0
    assert simhash.max_batch_size > 0
    assert near.max_batch_size == 0
    assert [list(one.dims) for one in nearest.output] == [[5], [5]]
    assert [list(one.dims) for one in near.output] == [[-1], [-1], [-1]]
    assert {one.parameters["exact"].string_value for one in (nearest, near, simhash)} == {"bits"}


async def test_requests_with_ragged_answers_are_never_joined(
    suite: Suite, node: InferenceApp, client: AsyncClient
) -> None:
    """With batching on, each request gets its own matches, also where all matches are as many as all rows."""
    ids = np.arange(2)
    codes = np.array([[0], [(1 << WIDTH) - 1]], np.uint64)
    content = kinds.index(suite.folder, codes=codes, ids=ids, radius=0, input_form="packed")
    await push(client, node, INDEX, content)
    await client.registry.set_model_policy(
        "m", pb.ModelPolicy(batching=pb.BatchingPolicy(max_rows=8, max_delay_us=20_000))
    )
    await when(node, lambda snapshot: snapshot.route("m", "").policy.batching is not None)
    lonely = np.full((1, WIDTH // 8), 0x0F, np.uint8)
    both = np.array([[0] * (WIDTH // 8), [255] * (WIDTH // 8)], np.uint8)
    answers = await asyncio.gather(*(ask(node, x) for x in (lonely, both, lonely, both[:1])))
    assert [answer.as_numpy("counts").tolist() for answer in answers] == [[0], [1, 1], [0], [1]]
    assert [answer.as_numpy("ids").tolist() for answer in answers] == [[], [0, 1], [], [0]]
    assert node._serving.current.route("m", "").served.loaded.batching_exact


async def test_searches_are_joined_where_they_can_be(suite: Suite, node: InferenceApp, client: AsyncClient) -> None:
    """With batching on and a search that takes a thread, joined requests get the bits that they get alone."""
    content = kinds.index(suite.folder, k=5)
    await push(client, node, INDEX, content)
    node._serving.current.route("m", "").served.loaded.runner.predictable_cost = False
    await client.registry.set_model_policy(
        "m", pb.ModelPolicy(batching=pb.BatchingPolicy(max_rows=8, max_delay_us=50_000))
    )
    await when(node, lambda snapshot: snapshot.route("m", "").policy.batching is not None)
    answers = await asyncio.gather(*(ask(node, QUERIES[row : row + 1]) for row in range(6)))
    opened = kinds.opened(suite.folder, content)
    for row, answer in enumerate(answers):
        same(answer, dict(zip(("ids", "distances"), opened.run(QUERIES[row : row + 1]), strict=True)))


@pytest.mark.parametrize(
    ("kind", "how"), [(INDEX, {"k": 5}), (INDEX, {"k": 5, "oversample": 2}), (INDEX, {"radius": 20}), (TRANSFORM, {})]
)
async def test_recorded_answers_repeat_bit_by_bit(
    suite: Suite, node: InferenceApp, client: AsyncClient, kind: str, how: dict[str, object]
) -> None:
    """A receipt promises the same bits, and a replay finds them."""
    content = kinds.index(suite.folder, **how) if kind == INDEX else kinds.transform(suite.folder)
    await push(client, node, kind, content)
    await client.registry.set_model_policy("m", PAYLOADS)
    await when(node, lambda snapshot: snapshot.route("m", "").policy.receipts.payloads)
    answer = await ask(node, QUERIES)
    identity = answer.get_response().parameters["prediction_id"].string_param
    replayed = await client.node.replay_prediction(identity)
    assert replayed.verdict == node_service_pb2.ReplayPredictionResponse.VERDICT_IDENTICAL
    assert all(output.identical for output in replayed.outputs)
    assert replayed.runtime == liam.runtime()


def npz(**arrays: np.ndarray) -> bytes:
    """Return a golden set."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("how", [{"k": 2}, {"radius": 12}])
async def test_candidates_are_proved_on_golden_examples(
    suite: Suite, node: InferenceApp, client: AsyncClient, how: dict[str, object]
) -> None:
    """A proof compares two indexes row by row; a promotion carries it; the same codes in another order agree."""
    first = await push(client, node, INDEX, kinds.index(suite.folder, **how))
    await client.promote("m", first)
    examples = npz(input=QUERIES)
    other = kinds.index(suite.folder, codes=np.flip(np.arange(120, dtype=np.uint64) * 7 % 97)[:, None].copy(), **how)
    second = await push(client, node, INDEX, other, golden__npz=examples)
    content = kinds.index(suite.folder, seed=4, **how)
    shuffled = await push(client, node, INDEX, content, golden__npz=examples)
    await when(node, lambda snapshot: snapshot.aliases.get(("m", "production")) == first)
    worse = await client.node.prove_candidate("m", second)
    assert (worse.requests, worse.agreeing_rows) == (6, 0)
    proof = await client.node.prove_candidate("m", shuffled)
    both = [kinds.opened(suite.folder, one) for one in (kinds.index(suite.folder, **how), content)]
    answers = [[[part.tobytes() for part in one.run(x[None])] for one in both] for x in QUERIES]
    agreed = sum(one == other for one, other in answers)  # equal distances may come in another order
    assert (proof.requests, proof.new_errors, proof.agreeing_rows) == (6, 0, agreed)
    assert agreed > 0
    await client.promote("m", shuffled, proof=proof)
    await when(node, lambda snapshot: snapshot.aliases["m", "production"] == shuffled)


async def test_an_alias_swaps_between_two_indexes_under_load(
    suite: Suite, node: InferenceApp, client: AsyncClient
) -> None:
    """While the alias moves, no request fails, and each answer is that of the version that it names."""
    contents = [kinds.index(suite.folder, k=5), kinds.index(suite.folder, k=5, metric="dot")]
    versions = [await push(client, node, INDEX, content) for content in contents]
    await client.promote("m", versions[0])
    expected = {
        str(version): kinds.opened(suite.folder, content).run(QUERIES)[1]
        for version, content in zip(versions, contents, strict=True)
    }
    await when(node, lambda snapshot: ("m", "production") in snapshot.aliases)
    stop, seen = asyncio.Event(), set()

    async def caller() -> None:
        while not stop.is_set():
            prediction = await client.infer("m", {"input": QUERIES}, version="production")
            np.testing.assert_array_equal(prediction.outputs["distances"], expected[str(prediction.version)])
            seen.add(prediction.version)

    callers = [asyncio.create_task(caller()) for _ in range(3)]
    for turn in range(6):
        wanted = versions[(turn + 1) % 2]
        await client.promote("m", wanted)
        await when(node, lambda snapshot: snapshot.aliases["m", "production"] == wanted)  # noqa: B023
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*callers)
    assert seen == set(versions)


async def refusal(node: InferenceApp, x: np.ndarray) -> tuple[str, str]:
    """Return status and message of a refused request."""
    with pytest.raises(InferenceServerException) as refused:
        await ask(node, x)
    return refused.value.status(), refused.value.message()


async def test_wrong_requests_are_refused(suite: Suite, node: InferenceApp, client: AsyncClient) -> None:
    """Datatype, width and bytes that are no bits are the caller's errors, and name the input."""
    await push(client, node, INDEX, kinds.index(suite.folder))
    flags = kinds.transform(suite.folder, steps.BitRotate(1), input_form="uint8")
    status, message = await refusal(node, kinds.packed(QUERIES))
    assert (status, "has datatype 'UINT8' instead of FP32" in message) == ("StatusCode.INVALID_ARGUMENT", True)
    status, message = await refusal(node, QUERIES[:, 1:])
    assert (status, "which does not fit [-1, 48]" in message) == ("StatusCode.INVALID_ARGUMENT", True)
    await push(client, node, TRANSFORM, flags)
    status, message = await refusal(node, np.full((1, WIDTH), 2, np.uint8))
    assert (status, message) == (
        "StatusCode.INVALID_ARGUMENT", "input 'input' cannot be run: want bytes 0 and 1, got 2",
    )  # fmt: skip


async def test_answers_have_a_limit(
    suite: Suite, node: InferenceApp, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that finds more than an answer may hold is refused, and the version goes on."""
    await push(client, node, INDEX, kinds.index(suite.folder, radius=WIDTH))
    monkeypatch.setattr(kernel_index, "MAX_RESULT_BYTES", 2000)
    status, message = await refusal(node, QUERIES)
    assert status == "StatusCode.INVALID_ARGUMENT"
    assert "the matches take more than 2000 bytes; send fewer rows at once, or use a smaller radius" in message
    assert (await ask(node, QUERIES[:1])).as_numpy("counts").tolist() == [120]


async def unservable(client: AsyncClient, node: InferenceApp, **version: object) -> str:
    """Push a version that cannot be served; returns why."""
    pushed = await client.push("m", kind=INDEX, **version)
    key = ("m", pushed.version)
    snapshot = await when(node, lambda one: key in one.states and one.states[key].state == "UNAVAILABLE")
    return snapshot.states[key].reason


async def test_ragged_outputs_are_no_labels_and_no_golden_answers(
    suite: Suite, node: InferenceApp, client: AsyncClient
) -> None:
    """What does not have one row for each input row can be neither compared by rows nor be a label."""
    content = kinds.index(suite.folder, radius=20)
    counts, ids, _ = kinds.opened(suite.folder, content).run(QUERIES)
    files = {"model.safetensors": content}
    golden = npz(input=QUERIES, **{"expect/ids": np.resize(ids, 6)})
    reason = await unservable(client, node, files={**files, "golden.npz": golden})
    assert "golden.npz expects output 'ids', which does not have one row for each example" in reason
    signature = pb.Signature(
        inputs=[pb.TensorSpec(name="input", datatype="FP32", shape=[-1, WIDTH])],
        outputs=[
            pb.TensorSpec(name="counts", datatype="INT64", shape=[-1]),
            pb.TensorSpec(name="ids", datatype="INT64", shape=[-1]),
            pb.TensorSpec(name="distances", datatype="INT32", shape=[-1]),
        ],
        label_output="ids",
    )
    reason = await unservable(client, node, files=files, signature=signature)
    assert "label output 'ids' does not have a label for each row" in reason
    good = npz(input=QUERIES, **{"expect/counts": counts})
    await push(client, node, INDEX, content, golden__npz=good)
    reason = await unservable(
        client, node, files={**files, "golden.npz": npz(input=QUERIES, **{"expect/counts": counts + 1})}
    )
    assert "it contradicts golden.npz: output 'counts'" in reason


@pytest.mark.parametrize(("backend", "kind"), [(IndexBackend(), INDEX), (TransformBackend(), TRANSFORM)])
def test_other_files_are_refused(tmp_path: Path, backend: object, kind: str) -> None:
    """A version has one file, which is of its kind."""
    path = tmp_path / "blob"
    path.write_bytes(kinds.transform(tmp_path) if kind == INDEX else kinds.index(tmp_path))
    with pytest.raises(LoadError, match=f"m is no valid {kind} file: __metadata__.format: want '{kind}', got"):
        backend.load({"m": path})
    with pytest.raises(LoadError, match=f"a version of kind {kind} has one file, this one has 2"):
        backend.load({"m": path, "n": path})


async def test_an_index_that_is_damaged_never_answers(suite: Suite, node: InferenceApp, client: AsyncClient) -> None:
    """A file that breaks a rule leaves the version unavailable with the rule as its reason."""
    content = bytearray(kinds.index(suite.folder, radius=3))
    content[content.index(b"hamming")] = ord("x")
    reason = await unservable(client, node, files={"model.safetensors": bytes(content)})
    assert "is no valid liam.binary_index file: index.metric: 'xamming' is none of hamming, dot, jaccard" in reason
    with pytest.raises(exceptions.UnavailableError):
        await client.infer("m", {"input": QUERIES})
