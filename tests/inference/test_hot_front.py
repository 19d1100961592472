"""A front beside the loop: both answer plain requests, and what they count, keep and number comes together."""

from __future__ import annotations

import base64
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from liam_core import BinaryNetwork
from liam_core import oip as codec
from neuralmesh import oip
from neuralmesh_server import prediction_id
from neuralmesh_server.inference.backends.liam import LiamModel
from neuralmesh_server.inference.evidence.store_receipts import ReceiptFolder
from neuralmesh_server.inference.policy import Limits, ModelPolicy
from neuralmesh_server.inference.reporting.totals import sums
from neuralmesh_server.inference.serving import LoadedModel, Route, Served, Snapshot
from neuralmesh_server.settings import NATIVE
from tests.inference import models
from tests.inference.conftest import PATIENCE, Suite, push_digits, when, when_ready
from tests.inference.plain import KEPT, Node, request


class Beside:
    """A front whose thread is that of the test; notes how it was used."""

    def __init__(self) -> None:
        self.served = self.holds = 0
        self._is_held = False
        self._call = codec.new_call()

    def serve(self, one: codec.Codec, table: codec.Table, holding: object) -> None:
        """Answer with these."""
        assert not self._is_held
        self.codec, self.table, self.holding = one, table, holding
        self.served += 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Answer nothing meanwhile."""
        assert not self._is_held
        self._is_held = True
        self.holds += 1
        yield
        self._is_held = False

    def answer(self, data: bytes) -> bytes | None:
        """Answer as the thread would."""
        assert not self._is_held
        size = codec.answer(self.codec.block, self.table.block, self._call, data, len(data))
        return self.codec.written[:size] if size > 0 else None


class Lagging(Beside):
    """A front that is asked once more while it is told to serve without a version."""

    def __init__(self, version: LoadedModel) -> None:
        super().__init__()
        self._version = weakref.ref(version)
        self.last: bytes | None = None

    def serve(self, one: codec.Codec, table: codec.Table, holding: object) -> None:
        """Answer by what was served before, then go over."""
        if self.served:
            gc.collect()
            assert self._version() is not None
            self.last = self.answer(request().SerializeToString())
        super().serve(one, table, holding)


def network(folder: Path, hidden: int = 70) -> BinaryNetwork:
    """Return a packed network of one input, FP32 [-1, 4]."""
    path = folder / f"{hidden}.safetensors"
    models.small_liam(path, hidden)
    return BinaryNetwork.open(path)


def attached(node: Node, front: Beside | None = None) -> Beside:
    """Return a front that is attached to a node."""
    front = front or Beside()
    node.hot.attach(front)
    return front


def issued(answer: bytes | None) -> str:
    """Return an answer's prediction id."""
    assert answer is not None
    return oip.ModelInferResponse.FromString(answer).parameters["prediction_id"].string_param


def publish(node: Node, *versions: LoadedModel, policy: ModelPolicy = KEPT) -> None:
    """Serve versions, as the loader and the app do; the last one is the default."""
    served = {("m", one.version): Served(one, 4, node.subject) for one in versions}
    routes = {("m", str(version)): Route(one, policy=policy) for (_, version), one in served.items()}
    if versions:
        routes["m", ""] = routes["m", str(versions[-1].version)]
    node.serving.replace(Snapshot(4, frozenset({"m"}), served, {}, {}, {}, routes))
    node.hot.refresh()


def following(node: Node, runs: BinaryNetwork) -> LoadedModel:
    """Return version 2 of the model."""
    activity = node.activity.version("m", 2, node.loaded.digest)
    loaded = replace(node.loaded, version=2, activity=activity, runner=LiamModel(runs))
    activity.holders.append(weakref.ref(loaded))
    return loaded


def test_both_count_keep_and_number_together(tmp_path: Path) -> None:
    """Totals, latencies, labels and receipts are of both threads, the ids are numbered through, and the answers alike."""
    node = Node(network(tmp_path))
    front = attached(node)
    data = [request(rows).SerializeToString() for rows in (1, 2, 3)]
    ids = []
    for one in data:
        for answer in (node.hot.answer(one), front.answer(one)):
            ids.append(issued(answer))
            assert oip.ModelInferResponse.FromString(answer) == node.expected(one, ids[-1])
    activity = node.loaded.activity
    assert [prediction_id.parse(text).sequence for text in ids] == [1, 2, 3, 4, 5, 6]
    assert (activity.requests, activity.rows, activity.latency.count) == (6, 12, 6)
    assert (activity.stats.block.requests, activity.front_stats.block.requests) == (3, 3)
    assert activity.last_ms == max(activity.stats.block.last_ms, activity.front_stats.block.last_ms)
    mine, fronts = node.activity.labels()
    assert (mine.prediction_ids, fronts.prediction_ids) == (ids[::2], ids[1::2])
    assert mine.raw == fronts.raw
    assert fronts.activity is activity
    records = node.hot.drain_receipts()
    assert ["nm1.edge." + base64.urlsafe_b64encode(one["id"]).decode() for one in records] == ids[::2] + ids[1::2]
    assert set(records["owner"]) == {activity.owner}
    assert len(node.hot.drain_receipts()) == 0
    node.activity.forget_labels()
    assert node.activity.labels() == ()


def dropped(node: Node) -> int:
    """Return how many receipts found no room, of both."""
    return node.hot._receipts.dropped + node.hot._attached.receipts.dropped


def test_receipts_are_taken_while_others_are_written(tmp_path: Path) -> None:
    """The front goes on writing while its receipts are drained: each is taken once, as a whole and in order."""
    node = Node(network(tmp_path), room=64)
    front = attached(node)
    data, ids = request().SerializeToString(), []
    writer = threading.Thread(target=lambda: ids.extend(issued(front.answer(data)) for _ in range(5000)))
    writer.start()
    taken = []
    while writer.is_alive() or len(node.hot._attached.receipts):
        taken += ["nm1.edge." + base64.urlsafe_b64encode(one["id"]).decode() for one in node.hot.drain_receipts()]
    writer.join()
    kept = set(taken)
    assert len(kept) == len(taken) > 64
    assert taken == [text for text in ids if text in kept]
    assert len(taken) + dropped(node) == 5000


def test_what_finds_no_room_is_counted_of_both(tmp_path: Path) -> None:
    """Receipts have room on each side; labels are reported up to one limit, the loop's first, and the rest is counted."""
    node = Node(network(tmp_path), room=2, labels=4)
    front = attached(node)
    data = request().SerializeToString()
    loop = [issued(node.hot.answer(data)) for _ in range(3)]
    fronts = [issued(front.answer(data)) for _ in range(5)]
    assert dropped(node) == 1 + 3
    assert len(node.hot.drain_receipts()) == 4
    assert [batch.prediction_ids for batch in node.activity.labels()] == [loop, fronts[:1]]
    assert node.activity.dropped_labels == 1
    reading = node.activity.read(forget=True)
    assert (len(reading.labels()), reading.dropped_labels) == (2, 4)
    assert node.activity.dropped_labels == 4
    assert node.activity.labels() == ()


def test_ids_of_two_threads_at_a_time_are_unique(tmp_path: Path) -> None:
    """While the front answers, the issuer issues: no number is given twice, none is left out, and each side's rise."""
    node = Node(network(tmp_path), ModelPolicy())
    front = attached(node)
    data, turns = request().SerializeToString(), 4000
    answered: list[str] = []
    began = threading.Barrier(2)

    def answer() -> None:
        began.wait()
        answered.extend(issued(front.answer(data)) for _ in range(turns))

    thread = threading.Thread(target=answer)
    thread.start()
    began.wait()
    given = [node.issuer.issue(node.subject, 5) for _ in range(turns)]
    thread.join()
    numbers = [[prediction_id.parse(text).sequence for text in ids] for ids in (answered, given)]
    assert sorted(numbers[0] + numbers[1]) == list(range(1, 2 * turns + 1))
    assert numbers == [sorted(side) for side in numbers]
    assert node.issuer.numbers.last == 2 * turns


def test_versions_stay_until_the_front_has_gone_over(tmp_path: Path) -> None:
    """The front may answer by the old table until the new one is served: the version is there, and counts to the end."""
    node = Node(network(tmp_path))
    first, other = following(node, network(tmp_path)), node.loaded
    gone = weakref.ref(first)
    publish(node, first)
    front = Lagging(first)
    attached(node, front)
    front.answer(request().SerializeToString())
    del first
    publish(node, other)
    assert oip.ModelInferResponse.FromString(front.last).model_version == "2"
    assert gone() is None
    assert len(node.activity.fold()) == 1
    assert [(one.version, one.requests) for one in sums(node.activity.totals())] == [(1, 0), (2, 2)]
    answer = front.answer(request().SerializeToString())
    assert oip.ModelInferResponse.FromString(answer).model_version == "1"
    assert len(node.hot.drain_receipts()) == 3


def test_each_snapshot_is_served(tmp_path: Path) -> None:
    """The front follows every snapshot once: versions that come and go, and policies that make routes not plain."""
    node = Node(network(tmp_path))
    front = attached(node)
    data = request().SerializeToString()
    assert front.served == 1
    node.hot.refresh()
    assert front.served == 1
    publish(node, node.loaded, policy=ModelPolicy(limits=Limits(max_running=1)))
    assert (front.served, front.answer(data)) == (2, None)
    publish(node, node.loaded)
    assert front.answer(data) is not None
    publish(node)
    assert (front.served, front.answer(data)) == (4, None)


def test_scratch_grows_while_the_front_is_held(tmp_path: Path) -> None:
    """A version that needs more scratch gets it before it is served; one that does not holds nobody off."""
    node = Node(network(tmp_path))
    front = attached(node)
    before, holds = front.codec.scratch_bytes, front.holds
    large = following(node, network(tmp_path, 5000))
    publish(node, node.loaded)
    assert (front.codec.scratch_bytes, front.holds) == (before, holds)
    publish(node, node.loaded, large)
    assert front.codec.scratch_bytes > before
    assert front.holds == holds + 1
    answer = front.answer(request(model_version="2").SerializeToString())
    assert answer is not None


def test_what_the_codec_only_begins_is_left_to_the_loop(tmp_path: Path) -> None:
    """A version that C does not run is no more than recognised there: nothing is counted, kept or numbered."""
    node = Node(network(tmp_path))
    node.loaded.runner.native = None
    publish(node, replace(node.loaded, run_raw=None))
    front = attached(node)
    call, data = codec.new_call(), request().SerializeToString()
    assert codec.answer(front.codec.block, front.table.block, call, data, len(data)) == codec.BEGUN
    assert (node.loaded.activity.requests, node.issuer.numbers.last, len(node.hot.drain_receipts())) == (0, 0, 0)


def test_a_kill_loses_no_count_of_either_ring(tmp_path: Path) -> None:
    """What both codecs owed and nobody drained is the next process's gap, to the receipt."""
    folder = ReceiptFolder(tmp_path)
    node = Node(network(tmp_path), room=2, rings=folder.ledger.rings)
    front = attached(node)
    data = request().SerializeToString()
    for _ in range(3):
        node.hot.answer(data)
    for _ in range(7):
        front.answer(data)
    assert folder.ledger.lost == dropped(node) == 1 + 5
    following_process = ReceiptFolder(tmp_path).ledger
    assert (following_process.gap, following_process.lost) == (4, 10)


async def test_a_node_tells_its_front_of_every_swap(suite: Suite) -> None:
    """When an alias has moved, the front answers by the new version, although the loop was asked nothing meanwhile."""
    suite.node_server = replace(suite.node_server, transport=NATIVE)
    node = await suite.start_node()
    client = suite.client(node)
    for seed in (1, 2):
        await push_digits(client, models.digits_liam(suite.folder, seed), "liam.binary_network")
    await when_ready(node, "digits", 1, 2)
    message = oip.ModelInferRequest(model_name="digits", model_version="production", raw_input_contents=[bytes(256)])
    message.inputs.add(name="input", datatype="FP32", shape=[1, 64])
    async with grpc.aio.insecure_channel(str(node.endpoint)) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for version in (1, 2, 1):
            await client.promote("digits", version)
            await when(node, lambda snapshot: snapshot.aliases.get(("digits", "production")) == version)  # noqa: B023
            answer = oip.ModelInferResponse.FromString(await infer(message.SerializeToString(), timeout=PATIENCE))
            assert answer.model_version == str(version)
    assert [(one.version, one.front_stats.block.requests) for one in node._activity] == [(1, 2), (2, 1)]
    assert [(one.version, one.requests) for one in node._activity] == [(1, 2), (2, 1)]


@pytest.mark.parametrize("held", [False, True])
def test_a_node_without_a_front_has_nobody_to_hold(tmp_path: Path, held: bool) -> None:
    """What holds the front off does so where there is one, and nothing elsewhere."""
    node = Node(network(tmp_path))
    front = attached(node) if held else Beside()
    with node.hot.held():
        assert front._is_held == held
