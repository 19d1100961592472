"""Deltas: in order, each until it is committed, bounded, with the last one marked."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuralmesh_server.inference.links import Delta, LinkError, LoadedReport
from neuralmesh_server.inference.reporting import convert_metrics
from neuralmesh_server.inference.reporting.activity import Activity
from neuralmesh_server.inference.reporting.labels import LabelRecord
from neuralmesh_server.inference.reporting.store_telemetry import TelemetrySpool
from neuralmesh_server.inference.reporting.telemetry import Telemetry
from neuralmesh_server.inference.reporting.totals import sums
from neuralmesh_server.inference.tensors import DTYPES
from tests.inference.conftest import PATIENCE

LOST = LinkError("PEER_UNREACHABLE", "gone", unreachable=True)
LOADED = (LoadedReport("m", 1, "sha256:x", "READY", "", 9, ("production",)),)


class Sink:
    """A metrics service that commits deltas, or answers as a test says."""

    def __init__(self, *answers: LinkError | None) -> None:
        self.answers = list(answers)
        self.encoded: dict[bytes, Delta] = {}
        self.tried: list[Delta] = []
        self.committed: list[Delta] = []
        self.changed = asyncio.Condition()

    def encode(self, delta: Delta) -> bytes:
        """Return bytes that stand for a delta."""
        key = repr(delta).encode()
        self.encoded[key] = delta
        return key

    async def ingest(self, data: bytes) -> None:
        """Commit, or fail as scripted."""
        delta = self.encoded[data]
        async with self.changed:
            self.tried.append(delta)
            answer = self.answers.pop(0) if self.answers else None
            if answer is None:
                self.committed.append(delta)
            self.changed.notify_all()
        if answer is not None:
            raise answer

    async def until(self, tries: int, commits: int) -> None:
        """Return when so much was tried and committed."""
        async with asyncio.timeout(PATIENCE), self.changed:
            await self.changed.wait_for(lambda: len(self.tried) >= tries and len(self.committed) >= commits)


class MemorySpool:
    """A spool that a test can look into."""

    def __init__(self, *kept: bytes) -> None:
        self.kept = list(kept)
        self.saved = threading.Event()
        self.writes = 0

    def load(self) -> list[bytes]:
        """Return what is kept."""
        return list(self.kept)

    def save(self, deltas: Sequence[bytes]) -> None:
        """Replace what is kept."""
        self.kept = list(deltas)
        self.writes += 1
        self.saved.set()

    def clear(self) -> None:
        """Keep nothing."""
        self.kept = []


def telemetry(sink: Sink, activity: Activity, spool: MemorySpool | None = None, **options: object) -> Telemetry:
    """Return telemetry with a short interval."""
    return Telemetry(
        metrics=sink,
        spool=spool or MemorySpool(),
        activity=activity,
        epoch_ms=7,
        interval=0.005,
        loaded=lambda: LOADED,
        revision=lambda: 3,
        **options,
    )


async def stop(task: asyncio.Task[None]) -> None:
    """End a task."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def answer(activity: Activity, rows: int = 2) -> None:
    """Count one answered request."""
    now = time.perf_counter_ns()
    activity.version("m", 1, "sha256:x").succeeded(rows, now, now, now)


async def test_deltas_add_up_to_what_happened() -> None:
    """Whatever fails between, the committed deltas are numbered without gaps and sum to the totals."""
    activity = Activity(10)
    sink = Sink(None, LOST, LOST, None, LOST)
    sender = telemetry(sink, activity)
    task = asyncio.create_task(sender.run())
    for tries in range(2, 8):
        answer(activity)
        activity.version("m", 1, "sha256:x").failed("INTERNAL", 0)
        activity.unresolved["NOT_FOUND"] += 1
        await sink.until(tries, 0)
    await stop(task)
    await sender.farewell()
    assert [delta.sequence for delta in sink.committed] == list(range(1, len(sink.committed) + 1))
    versions = [version for delta in sink.committed for version in delta.versions]
    assert sum(version.requests for version in versions) == 6
    assert sum(version.rows for version in versions) == 12
    assert sum(version.latency.count for version in versions) == 6
    assert sum(version.errors.get("INTERNAL", 0) for version in versions) == 6
    assert sum(delta.unresolved["NOT_FOUND"] for delta in sink.committed) == 6
    assert [delta.final for delta in sink.committed] == [False] * (len(sink.committed) - 1) + [True]


async def test_deltas_add_up_while_another_thread_counts() -> None:
    """What the front counts before it is held is in this delta, what it counts as soon as it goes on is in the next."""
    activity, sink = Activity(10), Sink()
    version = activity.version("m", 1, "sha256:x")

    @contextmanager
    def held() -> Iterator[None]:
        yield
        version.front_stats.count(3, 0, 0, 0, 1000 * (1 + version.front_stats.block.requests))

    sender = telemetry(sink, activity, held=held)
    for _ in range(4):
        answer(activity)
        await sender.farewell()
    reports = [version for delta in sink.committed for version in delta.versions]
    assert [(one.requests, one.rows, one.latency.count) for one in reports] == [(1, 2, 1)] + [(2, 5, 2)] * 3
    assert (version.requests, version.rows, version.latency.count) == (8, 20, 1)


async def test_a_delta_is_repeated_unchanged() -> None:
    """What is sent again is the very same delta, so that the service can tell a repeat."""
    activity = Activity(10)
    sink = Sink(LOST, LOST, None)
    task = asyncio.create_task(telemetry(sink, activity).run())
    await sink.until(3, 1)
    await stop(task)
    assert sink.tried[0] is sink.tried[1] is sink.tried[2]


class Holder:
    """What counts as a loaded version."""


async def test_a_version_that_is_gone_is_reported_before_it_is_folded() -> None:
    """All that a version did reaches the metrics service, and its sums stay; loaded again, it counts from there."""
    activity = Activity(10)
    sink = Sink()
    sender = telemetry(sink, activity)
    for _ in range(2):
        holder = Holder()
        activity.version("m", 1, "sha256:x").holders.append(weakref.ref(holder))
        answer(activity)
        del holder
        await sender.farewell()
        assert list(activity) == []
        answer(activity)
        await sender.farewell()
    versions = [version for delta in sink.committed for version in delta.versions]
    assert [(version.requests, version.rows, version.latency.count) for version in versions] == [(1, 2, 1)] * 4
    assert [(one.requests, one.rows) for one in sums(activity.totals())] == [(4, 8)]


async def test_an_idle_node_reports_what_it_holds() -> None:
    """Without requests, deltas still carry uptime, revision and the loaded versions."""
    sink = Sink()
    task = asyncio.create_task(telemetry(sink, Activity(10)).run())
    await sink.until(2, 2)
    await stop(task)
    first, second = sink.committed[:2]
    assert (first.versions, first.loaded, first.revision, first.epoch_ms) == ((), LOADED, 3, 7)
    assert second.uptime_seconds > first.uptime_seconds


async def test_a_refused_delta_does_not_stop_the_next() -> None:
    """A delta that will never be taken is given up; its number stays used, so that the loss shows as a missing delta."""
    sink = Sink(LinkError("FIELD_INVALID", "no", unreachable=False))
    task = asyncio.create_task(telemetry(sink, Activity(10)).run())
    await sink.until(2, 1)
    await stop(task)
    assert [delta.sequence for delta in sink.tried[:2]] == [1, 2]


async def test_the_farewell_gives_up_when_nobody_listens() -> None:
    """Stopping does not wait for a metrics service that is gone."""
    sink = Sink(LOST)
    await asyncio.wait_for(telemetry(sink, Activity(1)).farewell(), PATIENCE)
    assert sink.tried
    assert sink.tried[-1].final


def test_labels_beyond_the_limit_are_counted() -> None:
    """No more labels are held than allowed, and what is dropped is counted; a limit of none counts nothing."""
    activity = Activity(3)
    version = activity.version("m", 1, "")
    for index in range(5):
        activity.answered(LabelRecord(version, "INT64", str(index), 1, bytes(8)))
    assert activity.dropped_labels == 2
    assert [batch.prediction_ids for batch in activity.labels()] == [["0", "1", "2"]]
    activity.forget_labels()
    assert activity.labels() == ()
    silent = Activity(0)
    silent.answered(LabelRecord(version, "INT64", "x", 1, bytes(8)))
    assert silent.dropped_labels == 0


def test_a_number_that_means_other_bytes_has_totals_of_its_own() -> None:
    """Versions of one number and different digests are counted apart, and each is found again."""
    activity = Activity(0)
    first, second = activity.version("m", 1, "sha256:a"), activity.version("m", 1, "sha256:b")
    first.failed("INTERNAL", 0)
    assert (first.failures, second.failures) == (1, 0)
    assert activity.version("m", 1, "sha256:a") is first
    assert first.errors == {"INTERNAL": 1}
    assert [one.digest for one in activity] == ["sha256:a", "sha256:b"]


def test_a_number_that_another_model_had_has_totals_of_its_own() -> None:
    """A model that was made anew with the same bytes is another owner; what waits for the old one stays its own."""
    activity = Activity(0)
    first, second = (activity.version("m", 1, "sha256:a", uid) for uid in (3, 7))
    assert first.owner != second.owner
    assert activity.version("m", 1, "sha256:a", 3) is first


@pytest.mark.parametrize(
    ("datatype", "raws", "field", "labels"),
    [
        ("INT64", [[3, -4], [5]], "int_labels", [3, -4, 5]),
        ("BYTES", [b"\1\0\0\0a\0\0\0\0", b"\2\0\0\0bc"], "bytes_labels", [b"a", b"", b"bc"]),
    ],
)
def test_labels_go_out_one_after_the_other(datatype: str, raws: list[object], field: str, labels: list[object]) -> None:
    """Label outputs of several predictions are joined, with the rows of each."""
    import numpy as np

    activity = Activity(2)
    version = activity.version("m", 2, "")
    for index, (raw, rows) in enumerate(zip(raws, (2, 1), strict=True)):
        content = raw if isinstance(raw, bytes) else np.array(raw, DTYPES[datatype]).tobytes()
        activity.answered(LabelRecord(version, datatype, f"id{index}", rows, content))
    delta = Delta(7, 1, 3, 1.5, (), activity.labels(), LOADED, activity_errors(), 4, final=True)
    message = convert_metrics.ingest_request("n", delta)
    (predictions,) = message.predictions
    assert (predictions.model, predictions.version) == ("m", 2)
    assert list(predictions.prediction_ids) == ["id0", "id1"]
    assert list(predictions.row_counts) == [2, 1]
    assert list(getattr(predictions, field)) == labels
    assert (message.node, message.final, message.dropped_predictions, message.uptime.nanos) == ("n", True, 4, 500000000)


def activity_errors() -> object:
    """Return no errors."""
    from collections import Counter

    return Counter({"NOT_FOUND": 1})


async def test_what_waits_is_kept_for_the_next_process() -> None:
    """While nobody listens, the waiting delta and what came after it are kept; the next process delivers both, once."""
    sink, spool, activity = Sink(*[LOST] * 10_000), MemorySpool(), Activity(10)
    task = asyncio.create_task(telemetry(sink, activity, spool).run())
    await sink.until(1, 0)
    answer(activity)
    await kept(spool, sink, requests=1)
    await stop(task)
    assert [sink.encoded[data].sequence for data in spool.kept] == [1, 2]

    sink.answers.clear()
    successor = telemetry(sink, Activity(10), spool)
    task = asyncio.create_task(successor.run())
    await sink.until(0, 3)
    await stop(task)
    await successor.farewell()
    assert sum(report.requests for delta in sink.committed[:2] for report in delta.versions) == 1
    assert spool.kept == []


async def kept(spool: MemorySpool, sink: Sink, requests: int) -> None:
    """Return when the spool holds so many requests."""

    def held() -> int:
        deltas = [sink.encoded[data] for data in spool.kept]
        return sum(report.requests for delta in deltas for report in delta.versions)

    while True:
        spool.saved.clear()
        if held() == requests:
            return
        assert await asyncio.to_thread(spool.saved.wait, PATIENCE)


async def test_a_long_cut_costs_no_writes_while_nothing_happens() -> None:
    """What is kept already is not written again, however many intervals pass."""
    sink, spool, activity = Sink(*[LOST] * 10_000), MemorySpool(), Activity(10)
    task = asyncio.create_task(telemetry(sink, activity, spool).run())
    await sink.until(1, 0)
    for count in (1, 2, 3):
        answer(activity)
        await kept(spool, sink, requests=count)
    writes = spool.writes
    await sink.until(len(sink.tried) + 5, 0)
    assert spool.writes == writes
    await stop(task)


async def test_what_is_kept_is_bounded_and_losses_are_counted() -> None:
    """Beyond the room the oldest reports of earlier processes go; the newest stay, and the number is told."""
    sink, spool = Sink(*[LOST] * 10_000), MemorySpool(*[bytes([number]) * 100 for number in range(10)])
    reports = telemetry(sink, Activity(10), spool, spool_bytes=350)
    assert reports.given_up == 7
    assert reports._carried == [bytes([number]) * 100 for number in (7, 8, 9)]
    full = telemetry(sink, Activity(10), MemorySpool(b"x" * 400), spool_bytes=350)
    assert (full.given_up, full._carried) == (1, [])


async def test_farewell_keeps_what_it_cannot_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that stops in order while nobody listens keeps its last delta, marked as the last."""
    monkeypatch.setattr("neuralmesh_server.inference.reporting.telemetry.FAREWELL_SECONDS", 0.01)
    sink, spool, activity = Sink(*[LOST] * 10_000), MemorySpool(), Activity(10)
    answer(activity)
    await telemetry(sink, activity, spool).farewell()
    (last,) = [sink.encoded[data] for data in spool.kept]
    assert (last.final, last.versions[0].requests) == (True, 1)


def test_spool_file_survives_and_reads_back(tmp_path: Path) -> None:
    """What is saved is loaded again; a damaged tail costs only itself; clearing leaves nothing."""
    spool = TelemetrySpool(tmp_path)
    assert spool.load() == []
    spool.save([b"one", b"", b"three" * 1000])
    assert TelemetrySpool(tmp_path).load() == [b"one", b"", b"three" * 1000]
    path = tmp_path / "telemetry.spool"
    path.write_bytes(path.read_bytes()[:-1])
    assert spool.load() == [b"one", b""]
    spool.clear()
    assert spool.load() == []
