"""What versions do on this node: counts, times and labels, kept in memory until telemetry takes them.

Everything here belongs to the event loop. Counters outlive the version they count: of one that nobody holds any more
the sums stay, to which a later load adds. Counters stand in blocks of plain memory (`oip_stats` in
native/include/oip.h), because most requests are answered and counted in C.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from liam_core.oip import STATS_BYTES, Labels, Stats
from neuralmesh_server import prediction_id
from neuralmesh_server.histogram import Histogram
from neuralmesh_server.inference.reporting.totals import Totals

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Iterator

LATENCY_SCALE = 5
LABEL_BYTES = 16 * 1024 * 1024
"""Most bytes of labels held for one delta, so that it fits in a message."""

CODES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the gRPC statuses by their number."""
_NUMBERS: Final = {name: number for number, name in enumerate(CODES)}


class Latencies:
    """The latency histogram of a version's block."""

    __slots__ = ("_stats",)

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    @property
    def count(self) -> int:
        """How many were recorded since they were last taken."""
        count: int = self._stats.block.recorded
        return count

    def copy(self) -> Histogram:
        """Return what was recorded since it was last taken."""
        block = self._stats.block
        return Histogram.from_parts(
            LATENCY_SCALE,
            self._stats.latencies(),
            zero_count=block.zero_count,
            total=block.sum,
            low=block.low,
            high=block.high,
        )

    def take(self) -> Histogram:
        """Return what was recorded and start again from nothing."""
        taken = self.copy()
        self._stats.forget_latencies()
        return taken


def _total(name: str, what: str) -> Any:
    def read(self: VersionActivity) -> int:
        value: int = getattr(self.stats.block, name)
        return value

    return property(read, doc=what)


class VersionActivity:
    """Totals of one version since the process started; durations in nanoseconds.

    Attributes:
        stats: The block that holds them.
        owner: Number of this activity among all, as labels in C know it.
        latency: Latencies of answered requests in seconds since telemetry last took them.
        batches: Runs of joined requests and their nanoseconds, by the rows of the batch; of this process alone.
        holders: The loaded versions that count here, as long as somebody has them.
    """

    __slots__ = ("batches", "digest", "holders", "latency", "model", "owner", "stats", "version")

    def __init__(
        self, model: str, version: int, digest: str, owner: int = 0, memory: bytearray | memoryview | None = None
    ) -> None:
        self.model, self.version, self.digest, self.owner = model, version, digest, owner
        self.stats = Stats(bytearray(STATS_BYTES) if memory is None else memory)
        self.latency = Latencies(self.stats)
        self.batches: dict[int, tuple[int, int]] = {}
        self.holders: list[weakref.ref[Any]] = []

    requests = _total("requests", "Requests that were answered.")
    rows = _total("rows", "Their rows.")
    success_ns = _total("success_ns", "From a request's arrival to its answer.")
    failures = _total("failures", "Requests that failed.")
    failure_ns = _total("failure_ns", "From a request's arrival to its failure.")
    executions = _total("executions", "Runs.")
    input_ns = _total("input_ns", "Time to read and check requests.")
    infer_ns = _total("infer_ns", "Time to run, including the wait for a thread.")
    output_ns = _total("output_ns", "Time to write answers.")
    queued = _total("queued", "Requests that waited in a queue.")
    queue_ns = _total("queue_ns", "Time in queues.")
    last_ms = _total("last_ms", "When a request was last answered or failed, ms since 1970.")

    @property
    def errors(self) -> Counter[str]:
        """Failed requests by the name of their gRPC status."""
        counts = self.stats.block.errors
        return Counter({name: counts[number] for number, name in enumerate(CODES) if counts[number]})

    def succeeded(self, rows: int, started: int, read: int, ran: int) -> None:
        """Count an answered request from its moments on `time.perf_counter_ns`."""
        self.stats.count(rows, started, read, ran, time.perf_counter_ns())

    def batched(self, rows: int, nanoseconds: int) -> None:
        """Count a run of joined requests."""
        runs, spent = self.batches.get(rows, (0, 0))
        self.batches[rows] = (runs + 1, spent + nanoseconds)

    def shared_run(self) -> None:
        """Take back the run that `succeeded` counted, for a request whose run another one counts."""
        self.stats.block.executions -= 1

    def waited(self, nanoseconds: int) -> None:
        """Count a request that waited in a queue."""
        block = self.stats.block
        block.queued += 1
        block.queue_ns += nanoseconds

    def failed(self, code: str, started: int) -> None:
        """Count a failed request by the name of its gRPC status."""
        block = self.stats.block
        block.failures += 1
        block.failure_ns += time.perf_counter_ns() - started
        block.last_ms = time.time_ns() // 1_000_000
        block.errors[_NUMBERS[code]] += 1


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """The label output of one prediction: raw elements as they were answered."""

    activity: VersionActivity
    datatype: str
    prediction_id: str
    rows: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """The label outputs of predictions of one version, in order: ids, rows of each, and the raw elements of all."""

    activity: VersionActivity
    datatype: str
    prediction_ids: list[str]
    rows: list[int]
    raw: bytes


class Activity:
    """Activity of all versions, and the labels that telemetry has still to report.

    Args:
        label_limit: Most label records held; further ones are counted as dropped. 0 keeps none and counts none.
        node: Name of this node, which prediction ids begin with.
        memory: Returns a block, zero at first, for a model, version, digest and size in bytes.

    Attributes:
        kept: Labels that were kept in C; the codec writes them.
        unresolved: Failed requests that reached no version, by the name of their gRPC status.
    """

    def __init__(
        self,
        label_limit: int,
        node: str = "",
        memory: Callable[[str, int, str, int], bytearray | memoryview] | None = None,
    ) -> None:
        self._versions: dict[tuple[str, int, str, int], VersionActivity] = {}
        self._owners: dict[int, VersionActivity] = {}
        self._made = 0
        self._folded: dict[tuple[str, int], Totals] = {}
        self._label_limit = label_limit
        self._head = f"{prediction_id.PREFIX}.{node}."
        self._memory = memory or (lambda _model, _version, _digest, size: bytearray(size))
        self._labels: list[LabelRecord] = []
        self._label_bytes = 0
        self._dropped = 0
        self.kept = Labels(label_limit, LABEL_BYTES)
        self.unresolved: Counter[str] = Counter()

    def version(self, model: str, version: int, digest: str, uid: int = 0) -> VersionActivity:
        """Return the activity of a version, new if it has none.

        The digest and the model's uid belong to the key: a registry that was restored may give a number a second time,
        and what waits under an owner's number, such as receipts, belongs to one model for good.
        """
        key = (model, version, digest, uid)
        found = self._versions.get(key)
        if found is None:
            memory = self._memory(model, version, digest, STATS_BYTES)
            found = VersionActivity(model, version, digest, self._made, memory)
            self._made += 1
            self._versions[key] = self._owners[found.owner] = found
        return found

    def fold(self) -> list[int]:
        """Keep of versions that were held and are not any more the sums alone; returns their owners' numbers.

        Latencies, errors and labels that nobody has taken are lost.
        """
        owners = []
        for key, one in list(self._versions.items()):
            living = [holder for holder in one.holders if holder() is not None]
            if one.holders and not living:
                self._folded.setdefault(key[:2], Totals(*key[:2])).add(one)
                del self._versions[key], self._owners[one.owner]
                owners.append(one.owner)
            one.holders = living
        return owners

    def totals(self) -> list[VersionActivity | Totals]:
        """Return what all versions did since the process started, also those that are not held any more."""
        return [*self, *self._folded.values()]

    def __iter__(self) -> Iterator[VersionActivity]:
        return iter([self._versions[key] for key in sorted(self._versions)])

    @property
    def dropped_labels(self) -> int:
        """How many label records found no room."""
        count: int = self._dropped + self.kept.block.dropped
        return count

    def answered(self, record: LabelRecord) -> None:
        """Remember a prediction's labels until they are reported, if there is room."""
        if not self._label_limit:
            return
        held = self.kept.block
        if held.count < held.limit and self._label_bytes + len(record.raw) <= LABEL_BYTES:
            self._labels.append(record)
            self._label_bytes += len(record.raw)
            held.limit -= 1  # both ways of keeping have one limit
        else:
            self._dropped += 1

    def labels(self) -> tuple[LabelBatch, ...]:
        """Return the labels held; a version may have several batches."""
        head = self._head
        batches = [
            LabelBatch(self._owners[owner], "INT64", [head + text for text in ids], rows, values)
            for owner, ids, rows, values in self.kept.held()
        ]
        groups: dict[tuple[int, str], list[LabelRecord]] = {}
        for record in self._labels:
            groups.setdefault((id(record.activity), record.datatype), []).append(record)
        for (_, datatype), records in groups.items():
            ids, rows = [record.prediction_id for record in records], [record.rows for record in records]
            raw = b"".join(record.raw for record in records)
            batches.append(LabelBatch(records[0].activity, datatype, ids, rows, raw))
        return tuple(batches)

    def forget_labels(self) -> None:
        """Hold none."""
        self._labels, self._label_bytes = [], 0
        self.kept.forget()
        self.kept.block.limit = self._label_limit
